//! A whole chat completion to and from the hub.

mod decode;
mod encode;
pub(super) mod finish;
pub(super) mod message;

pub(super) use decode::Choice;
pub use decode::decode;
pub use encode::encode;
pub(super) use encode::{ANSWER, CALL, write_usage};
