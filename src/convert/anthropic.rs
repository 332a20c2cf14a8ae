//! Anthropic messages to and from the hub.

pub mod reply;
pub mod request;
pub mod stream;
