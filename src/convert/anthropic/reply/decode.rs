//! Reads a whole message.

use std::borrow::Cow;

use super::stop;
use crate::conversation::{Block, Json, Reply};
use crate::error::FaultKind;
use crate::protocol::{Protocol, json};

/// Reads the body of an answer with status 200.
///
/// # Errors
/// [`FaultKind::Malformed`]: it is no message with content.
pub fn decode(body: &[u8]) -> Result<Reply, FaultKind> {
    let body = json::text(body).map_err(|_| FaultKind::Malformed)?;
    let mut message = Message::default();
    let mut blocks = Vec::new();
    json::members(body, |name, value| message.read(&name, value))
        .map_err(|_| FaultKind::Malformed)?;
    json::elements(message.content, |value| {
        let block = Opening::read(value).block(value);
        blocks.extend(block);
    })
    .map_err(|_| FaultKind::Malformed)?;
    let calls = blocks
        .iter()
        .any(|block| matches!(block, Block::ToolCall { .. }));
    Ok(Reply {
        id: message.id.into_owned(),
        model: message.model.into_owned(),
        created: None,
        stop: stop::read(&message.stop_reason, message.stop_sequence, calls),
        blocks,
        usage: message
            .usage
            .map(|usage| Protocol::Anthropic.read_usage(usage)),
    })
}

#[derive(Default)]
struct Message<'a> {
    id: Cow<'a, str>,
    model: Cow<'a, str>,
    content: &'a str,
    stop_reason: Cow<'a, str>,
    stop_sequence: Option<String>,
    usage: Option<&'a str>,
}

impl<'a> Message<'a> {
    fn read(&mut self, name: &str, value: &'a str) {
        match name {
            "id" => self.id = text(value),
            "model" => self.model = text(value),
            "content" => self.content = value,
            "stop_reason" => self.stop_reason = text(value),
            "stop_sequence" => {
                self.stop_sequence = Some(text(value).into_owned()).filter(|text| !text.is_empty())
            }
            "usage" => self.usage = Some(value).filter(|value| value.starts_with('{')),
            _ => {}
        }
    }
}

/// A content block, whole or as it begins in a stream; empty where a member is not there.
#[derive(Debug, Default)]
pub(in crate::convert::anthropic) struct Opening<'a> {
    pub(in crate::convert::anthropic) kind: Cow<'a, str>,
    /// Of a text or of thinking.
    pub(in crate::convert::anthropic) text: Cow<'a, str>,
    pub(in crate::convert::anthropic) citations: Option<&'a str>,
    pub(in crate::convert::anthropic) signature: Cow<'a, str>,
    /// Of redacted thinking.
    pub(in crate::convert::anthropic) data: Cow<'a, str>,
    pub(in crate::convert::anthropic) id: Cow<'a, str>,
    pub(in crate::convert::anthropic) name: Cow<'a, str>,
    /// The arguments of a call, as JSON text.
    pub(in crate::convert::anthropic) input: &'a str,
}

impl<'a> Opening<'a> {
    pub(in crate::convert::anthropic) fn read(block: &'a str) -> Self {
        let mut opening = Self::default();
        let _ = json::members(block, |name, value| match &*name {
            "type" => opening.kind = text(value),
            "text" | "thinking" => opening.text = text(value),
            "citations" => opening.citations = Some(value).filter(|value| !json::is_empty(value)),
            "signature" => opening.signature = text(value),
            "data" => opening.data = text(value),
            "id" => opening.id = text(value),
            "name" => opening.name = text(value),
            "input" => opening.input = value,
            _ => {}
        });
        opening
    }

    /// The block that it is; `None` for one that says nothing.
    fn block(self, value: &str) -> Option<Block> {
        Some(match &*self.kind {
            "text" if self.text.is_empty() => return None,
            "text" => Block::Text {
                text: self.text.into_owned(),
                cache: None,
                citations: self.citations.map(Json::new),
            },
            "thinking" if self.text.is_empty() && self.signature.is_empty() => return None,
            "thinking" => Block::Thinking {
                text: self.text.into_owned(),
                signature: Some(self.signature.into_owned())
                    .filter(|signature| !signature.is_empty()),
            },
            "redacted_thinking" => Block::RedactedThinking(self.data.into_owned()),
            "tool_use" => Block::ToolCall {
                id: self.id.into_owned(),
                name: self.name.into_owned(),
                arguments: self.input.to_owned(),
                cache: None,
            },
            _ => Block::Other {
                kind: self.kind.into_owned(),
                value: Json::new(value),
            },
        })
    }
}

/// The text of a JSON string, with a replacement character for half a character; empty if it is none.
pub(in crate::convert::anthropic) fn text(value: &str) -> Cow<'_, str> {
    json::lossy_string(value).unwrap_or_default()
}
