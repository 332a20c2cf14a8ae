//! A whole message to and from the hub.

mod decode;
mod encode;
pub(super) mod stop;

pub use decode::decode;
pub(super) use decode::{Opening, text};
pub use encode::encode;
pub(super) use encode::{ANSWER, CALL, write_usage};
