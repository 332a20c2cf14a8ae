//! Tests of requests across protocols. `cases` shows each request as every protocol gets it, `rules` says what providers
//! refuse and shares no code with what is tested, `round_trip` and `crossing` try requests that nobody thought of.

mod cases;
mod crossing;
mod fidelity;
mod round_trip;
pub(super) mod rules;
