//! A whole chat completion to and from the hub.

mod decode;
mod encode;
pub(super) mod finish;
pub(super) mod message;

pub use decode::decode;
pub(super) use decode::{Choice, first as first_choice};
pub use encode::encode;
pub(super) use encode::{call_id, completion_id, write_usage};
