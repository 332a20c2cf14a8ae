//! Whole requests, there and back.

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::config::catalog::ReasoningStyle;
use crate::conversation::Conversation;
use crate::convert::{Encoded, Target};
use crate::error::GatewayError;
use crate::protocol::raw::RawObject;

mod crossing;
mod decoding;
mod foreign;
mod random;
mod round_trip;

const TARGET: Target<'_> = Target {
    model: "claude",
    stream: false,
    ask_usage: false,
    defaults: &[],
    default_max_tokens: 8192,
    wants_max_completion_tokens: false,
    reasoning: ReasoningStyle::Usual,
};

fn read(body: impl AsRef<str>) -> Result<Conversation, GatewayError> {
    decode(&RawObject::parse(Bytes::copy_from_slice(body.as_ref().as_bytes())).unwrap())
}

fn value(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}
