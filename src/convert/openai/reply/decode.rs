//! Reads a whole chat completion. Only its first choice becomes the answer: no other protocol has a second one.

use super::finish;
use super::message::{CallPiece, Said, text};
use crate::conversation::{Block, Json, Reply};
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
    let choice = first(choices).ok_or(FaultKind::Malformed)?;
    let blocks = blocks(&Said::read(choice.message));
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
        stop: finish::read(&choice.finish, choice.matched, calls, refused),
        blocks,
        usage: usage.map(|usage| Protocol::OpenAi.read_usage(usage)),
    })
}

/// A choice, of a whole answer or of a chunk.
#[derive(Debug, Default)]
pub(in crate::convert::openai) struct Choice<'a> {
    /// Its place; the first is 0.
    pub(in crate::convert::openai) index: u64,
    /// The message or the delta; empty if there is none.
    pub(in crate::convert::openai) message: &'a str,
    /// Why it ended; empty while it goes on.
    pub(in crate::convert::openai) finish: String,
    /// The stop text that ended it (vLLM, SGLang).
    pub(in crate::convert::openai) matched: Option<String>,
    /// Moonshot tells the usage here.
    pub(in crate::convert::openai) usage: Option<&'a str>,
}

impl<'a> Choice<'a> {
    fn read(value: &'a str) -> Self {
        let mut choice = Self::default();
        let owned = |value| text(value).map(Into::into);
        let _ = json::members(value, |name, value| match &*name {
            "index" => choice.index = json::count(value).unwrap_or(0),
            "message" | "delta" if value.starts_with('{') => choice.message = value,
            "finish_reason" if value != "null" => choice.finish = owned(value).unwrap_or_default(),
            "stop_reason" | "matched_stop" if value.starts_with('"') => {
                choice.matched = owned(value)
            }
            "usage" if value.starts_with('{') => choice.usage = Some(value),
            _ => {}
        });
        choice
    }
}

/// The first choice of all that are there, whatever their order.
pub(in crate::convert::openai) fn first(choices: &str) -> Option<Choice<'_>> {
    let mut first: Option<Choice<'_>> = None;
    let _ = json::elements(choices, |value| {
        let choice = Choice::read(value);
        if first
            .as_ref()
            .is_none_or(|first| choice.index < first.index)
        {
            first = Some(choice);
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
