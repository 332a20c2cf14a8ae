//! What the scenarios stand on: a scripted upstream before the gateway and a client that controls every byte.

pub(crate) mod client;
pub(crate) mod events;
mod http1;
pub(crate) mod upstream;

pub(crate) use http1::Stop;
