//! Calls to providers over awc: one request, its body, and the faults of both. What a fault means is judged elsewhere.

pub mod body;
pub mod client;
mod errands;
mod head;
pub mod request;
mod socket;

pub use body::UpstreamBody;
pub use client::Clients;
pub use request::{Call, Forwarded, SendFault, send, send_to};
