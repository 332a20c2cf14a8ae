//! Reads a whole chat completion. Only its first choice becomes the answer: no other protocol has a second one.

use std::borrow::Cow;

use super::finish;
use super::message::{CallPiece, Said, text};
use crate::conversation::{Block, Json, Reply, StopReason};
use crate::error::FaultKind;
use crate::protocol::{Protocol, json};

/// Reads the body of an answer with status 200.
///
/// # Errors
/// [`FaultKind::Malformed`]: it is no chat completion with a choice.
pub fn decode(body: &[u8]) -> Result<Reply, FaultKind> {
    let body = json::text(body).map_err(|_| FaultKind::Malformed)?;
    let (mut id, mut model, mut created, mut usage, mut choices) = (None, None, None, None, "");
    json::members(body, |name, value| match &*name {
        "id" => id = text(value),
        "model" => model = text(value),
        "created" => created = json::count(value),
        "usage" => usage = Some(value).filter(|value| value.starts_with('{')),
        "choices" => choices = value,
        _ => {}
    })
    .map_err(|_| FaultKind::Malformed)?;
    let (choice, message) = first(choices).ok_or(FaultKind::Malformed)?;
    let blocks = blocks(&Said::read(message));
    let calls = blocks
        .iter()
        .any(|block| matches!(block, Block::ToolCall { .. }));
    let refused = blocks
        .iter()
        .any(|block| matches!(block, Block::Refusal(_)));
    Ok(Reply {
        id: id.unwrap_or_default().into_owned(),
        model: model.unwrap_or_default().into_owned(),
        created,
        stop: choice.stop(calls, refused),
        blocks,
        usage: usage.map(|usage| Protocol::OpenAi.read_usage(usage)),
    })
}

/// A choice, of a whole answer or of a chunk.
#[derive(Debug, Default)]
pub(in crate::convert::openai) struct Choice<'a> {
    /// Its place; the first is 0.
    pub(in crate::convert::openai) index: u64,
    /// Why it ended; empty while it goes on.
    pub(in crate::convert::openai) finish: Cow<'a, str>,
    /// The stop text that ended it (vLLM, SGLang); empty if it is not told.
    pub(in crate::convert::openai) matched: Cow<'a, str>,
    /// Moonshot tells the usage here.
    pub(in crate::convert::openai) usage: Option<&'a str>,
}

impl<'a> Choice<'a> {
    /// Reads one of its members.
    pub(in crate::convert::openai) fn member(&mut self, name: &str, value: &'a str) {
        match name {
            "index" => self.index = json::count(value).unwrap_or(0),
            "finish_reason" if value != "null" => self.finish = text(value).unwrap_or_default(),
            "stop_reason" | "matched_stop" if value.starts_with('"') => {
                self.matched = text(value).unwrap_or_default();
            }
            "usage" if value.starts_with('{') => self.usage = Some(value),
            _ => {}
        }
    }

    /// Why it ended, given what was said.
    pub(in crate::convert::openai) fn stop(&self, calls: bool, refused: bool) -> StopReason {
        finish::read(&self.finish, &self.matched, calls, refused)
    }
}

/// The first choice of all that are there, whatever their order, and its message.
fn first(choices: &str) -> Option<(Choice<'_>, &str)> {
    let mut first: Option<(Choice<'_>, &str)> = None;
    let _ = json::elements(choices, |value| {
        let (mut choice, mut message) = (Choice::default(), "");
        let _ = json::members(value, |name, value| match &*name {
            "message" => message = value,
            name => choice.member(name, value),
        });
        if first
            .as_ref()
            .is_none_or(|(first, _)| choice.index < first.index)
        {
            first = Some((choice, message));
        }
    });
    first
}

fn blocks(said: &Said<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(reasoning) = &said.reasoning {
        blocks.push(Block::Thinking {
            text: reasoning.to_string(),
            signature: None,
        });
    }
    if let Some(content) = &said.content {
        blocks.push(Block::Text {
            text: content.to_string(),
            cache: None,
            citations: said.annotations.map(Json::new),
        });
    }
    if let Some(refusal) = &said.refusal {
        blocks.push(Block::Refusal(refusal.to_string()));
    }
    if let Some((kind, value)) = said.other {
        blocks.push(Block::Other {
            kind: kind.to_owned(),
            value: Json::new(value),
        });
    }
    let mut call = |piece: CallPiece<'_>| {
        blocks.push(Block::ToolCall {
            id: piece.id.into_owned(),
            name: piece.name.into_owned(),
            arguments: piece.arguments.into_owned(),
            cache: None,
        });
    };
    if let Some(calls) = said.tool_calls {
        let _ = json::elements(calls, |value| call(CallPiece::read(value)));
    }
    if let Some(function) = said.function_call {
        call(CallPiece::read_legacy(function));
    }
    blocks
}
