//! Anthropic message requests to and from the hub.

mod decode;
mod encode;
mod nested;

pub use decode::decode;
pub use encode::encode;

#[cfg(test)]
mod tests;
