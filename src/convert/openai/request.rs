//! OpenAI chat completion requests to and from the hub. What is read and written as it is meant in the current API
//! and by what its compatible servers add; everything else is kept under its path in `extras`.

mod decode;
mod encode;

pub use decode::decode;
pub use encode::encode;

/// The members that both mean the limit of the answer. The newer one wins.
const LIMITS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

#[cfg(test)]
mod tests;
