//! Tests of answers and streams across protocols. `clients` reads what we write as the official SDKs do and checks its
//! order, `upstreams` writes what providers send; neither shares code with what is tested.

mod cases;
mod clients;
mod limits;
mod properties;
mod upstreams;
