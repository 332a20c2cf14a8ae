//! A streamed message to and from the hub.

mod decode;
mod encode;
mod order;
mod queue;

pub use decode::Decoder;
pub use encode::Encoder;
