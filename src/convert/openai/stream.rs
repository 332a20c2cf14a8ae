//! A streamed chat completion to and from the hub.

mod calls;
mod chunk;
mod decode;
mod encode;
mod order;

pub use decode::Decoder;
pub use encode::Encoder;
