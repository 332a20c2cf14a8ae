//! What every protocol's request has in common: the members that we read, how they are checked, and the few changes
//! made before it goes up. The wording of a refusal is each protocol's own.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::json;
use super::raw::{Edit, RawObject};
use crate::error::{ErrorKind, GatewayError};

/// What the gateway itself reads of a request; the rest is the upstream's to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The logical model, as the client named it.
    pub model: String,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// The most tokens that the answer may have, if the client said so.
    pub answer_limit: Option<u64>,
    /// How many choices the answer will have.
    pub choices: u32,
    /// Whether the client asked for usage in its stream.
    pub include_usage: bool,
    /// The messages as they stand in the body.
    pub messages: Bytes,
}

/// What changes in a request on its way to an upstream that speaks the same protocol.
#[derive(Debug, Clone, Copy)]
pub struct Rewrite<'a> {
    /// The upstream's name of the model.
    pub model: &'a str,
    /// Whether the answer is to be streamed, where that is not the body's to say.
    pub stream: Option<bool>,
    /// Ask for usage in the stream; has a meaning only where a protocol lets one ask.
    pub ask_usage: bool,
    /// Members added where the client sent none of that name; a `null` counts as sent.
    pub defaults: &'a [(String, Box<RawValue>)],
}

/// Members that must not be there twice: the request would be routed by one and answered by the other.
const READ_MEMBERS: [&str; 6] = [
    "model",
    "stream",
    "stream_options",
    "messages",
    "max_tokens",
    "max_completion_tokens",
];

/// Members that a default never adds: they are the client's, or the gateway's to set.
const NEVER_DEFAULTED: [&str; 4] = ["model", "messages", "stream", "stream_options"];

/// Longest name of a model, in bytes.
const LONGEST_MODEL: usize = 512;

/// What is wrong with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is not there.
    Missing,
    /// It is there more than once.
    Twice,
    /// It is empty.
    Empty,
    /// It has more bytes than this.
    TooLong(usize),
    /// It is of another type: what was expected, and what was found, with their articles.
    WrongType(&'static str, &'static str),
}

/// Reads the members of one body and words what is wrong with them.
pub(super) struct Checks<'a> {
    pub(super) body: &'a RawObject,
    pub(super) wording: fn(&str, Problem) -> String,
}

impl<'a> Checks<'a> {
    /// The refusal for a problem with a member.
    pub(super) fn refusal(&self, param: &str, problem: Problem) -> GatewayError {
        GatewayError::new(ErrorKind::InvalidRequest, (self.wording)(param, problem))
            .with_param(param)
    }

    fn wrong(&self, param: &str, expected: &'static str, value: &str) -> GatewayError {
        self.refusal(param, Problem::WrongType(expected, kind(value)))
    }

    /// The member's text unless it is missing or `null`.
    pub(super) fn given(&self, name: &str) -> Option<&'a str> {
        self.body.get(name).filter(|value| *value != "null")
    }

    /// Refuses a body that says twice what we read.
    pub(super) fn unambiguous(&self) -> Result<(), GatewayError> {
        match self.body.duplicates(&READ_MEMBERS) {
            Some(name) => Err(self.refusal(name, Problem::Twice)),
            None => Ok(()),
        }
    }

    /// The name of the model.
    pub(super) fn model(&self) -> Result<String, GatewayError> {
        let value = self.body.get("model");
        let value = value.ok_or_else(|| self.refusal("model", Problem::Missing))?;
        let model = json::string(value).ok_or_else(|| self.wrong("model", "a string", value))?;
        if model.is_empty() {
            return Err(self.refusal("model", Problem::Empty));
        }
        if model.len() > LONGEST_MODEL {
            return Err(self.refusal("model", Problem::TooLong(LONGEST_MODEL)));
        }
        Ok(model.into_owned())
    }

    /// The messages, an array that is not empty.
    pub(super) fn messages(&self) -> Result<Bytes, GatewayError> {
        let value = self.body.value_bytes("messages");
        let value = value.ok_or_else(|| self.refusal("messages", Problem::Missing))?;
        let text = self.body.get("messages").unwrap_or_default();
        if !json::is_array(text) {
            return Err(self.wrong("messages", "an array", text));
        }
        if json::is_empty(text) {
            return Err(self.refusal("messages", Problem::Empty));
        }
        Ok(value)
    }

    /// A boolean; false if it is missing or `null`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, GatewayError> {
        match self.given(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => Err(self.wrong(name, "a boolean", value)),
        }
    }

    /// A whole number, however it is spelled; `None` if it is missing, `null`, or below zero, which some upstreams
    /// take for "no limit".
    pub(super) fn integer(&self, name: &str) -> Result<Option<u64>, GatewayError> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        json::integer(value).ok_or_else(|| self.wrong(name, "an integer", value))
    }

    /// An object; `None` if it is missing or `null`.
    pub(super) fn object(&self, name: &str) -> Result<Option<&'a str>, GatewayError> {
        match self.given(name) {
            Some(value) if !value.starts_with('{') => Err(self.wrong(name, "an object", value)),
            value => Ok(value),
        }
    }
}

/// The type of a JSON value, with its article.
fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The changes that every protocol makes. `is_given` tells whether the client sent something that a default of this
/// name would contradict.
pub(super) fn edit<'a>(
    body: &'a RawObject,
    head: &RequestHead,
    rewrite: &Rewrite<'a>,
    is_given: impl Fn(&str) -> bool,
) -> Edit<'a> {
    let mut edit = body.edit();
    if rewrite.model != head.model {
        edit.set("model", json::quote(rewrite.model));
    }
    for (name, value) in rewrite.defaults {
        if !NEVER_DEFAULTED.contains(&name.as_str()) && !is_given(name) {
            edit.set(name.as_str(), value.get());
        }
    }
    if let Some(stream) = rewrite.stream.filter(|stream| *stream != head.stream) {
        edit.set("stream", if stream { "true" } else { "false" });
    }
    edit
}

#[cfg(test)]
mod tests;
