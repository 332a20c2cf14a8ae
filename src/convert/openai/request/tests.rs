//! Requests in both directions: what is understood, what is kept, what is refused and what is reported.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::config::catalog::ReasoningStyle;
use crate::conversation::Origin;
use crate::conversation::*;
use crate::convert::{Encoded, Target};
use crate::error::GatewayError;
use crate::protocol::raw::RawObject;

mod decoding;
mod encoding;
mod properties;
mod round_trip;

fn target<'a>() -> Target<'a> {
    Target {
        model: "up",
        stream: false,
        ask_usage: false,
        defaults: &[],
        default_max_tokens: 4096,
        wants_max_completion_tokens: false,
        reasoning: ReasoningStyle::Usual,
    }
}

fn read(body: &Value) -> Result<Conversation, GatewayError> {
    decode(&RawObject::parse(Bytes::from(body.to_string())).unwrap())
}

fn decoded(body: &Value) -> Conversation {
    read(body).unwrap()
}

/// A request with these messages.
fn saying(messages: Value) -> Value {
    json!({"model": "m", "messages": messages})
}

/// A request of one user message with these members.
fn with(members: Value) -> Value {
    let mut body = saying(json!([{"role": "user", "content": "hi"}]));
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn json_of(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

/// The path in the refusal of this body.
fn refused(body: &Value) -> String {
    read(body).unwrap_err().param.unwrap()
}

fn text(text: &str) -> Block {
    Block::Text {
        text: text.to_owned(),
        cache: None,
        citations: None,
    }
}

fn mark() -> Option<CacheMark> {
    Some(CacheMark(Json::new(r#"{"type":"ephemeral"}"#)))
}

fn extra(name: &str, value: &str) -> Extra {
    Extra {
        name: name.to_owned(),
        value: Json::new(value),
    }
}
