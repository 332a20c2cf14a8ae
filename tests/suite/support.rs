//! What the scenarios stand on: a scripted upstream, the real application or binary before it, and a client that
//! controls every byte.

pub(crate) mod binary;
pub(crate) mod client;
pub(crate) mod events;
pub(crate) mod gateway;
mod http1;
pub(crate) mod rows;
pub(crate) mod upstream;

pub(crate) use http1::Stop;
