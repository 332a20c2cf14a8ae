//! The newcomer's door: a gateway in front of a small built-in upstream.

mod anthropic;
mod openai;
mod prompt;
pub mod upstream;
