//! The messages, each to one turn.

use std::collections::HashMap;

use super::{parts, tools::cache_mark};
use crate::conversation::{Block, CacheMark, Extra, Json, Role, ToolResult, Turn};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;

const ROLES: &str = "'system', 'developer', 'user', 'assistant', 'tool' and 'function'";

/// Reads the elements of `messages`.
pub(super) fn decode(messages: &[&str]) -> Result<Vec<Turn>, GatewayError> {
    let mut decoder = Decoder::default();
    let mut turns = Vec::with_capacity(messages.len());
    for (position, text) in messages.iter().enumerate() {
        let message = Object::read(text, format!("messages[{position}]"))?;
        let turn = decoder.message(message, position)?;
        if !turn.blocks.is_empty() || !turn.extras.is_empty() {
            turns.push(turn);
        }
    }
    Ok(turns)
}

/// What later messages refer to.
#[derive(Default)]
struct Decoder {
    /// The names of the called tools by the ids of the calls.
    called: HashMap<String, String>,
    /// The ids of legacy calls that have no answer yet, by the names of their functions.
    open: HashMap<String, Vec<String>>,
}

impl Decoder {
    fn message(&mut self, mut message: Object<'_>, position: usize) -> Result<Turn, GatewayError> {
        let role = message.required("role")?;
        let mut turn = Turn {
            role: match role.as_str() {
                "system" | "developer" => Role::System,
                "assistant" => Role::Assistant,
                "user" | "tool" | "function" => Role::User,
                _ => return Err(read::unknown(&message.path_of("role"), &role, ROLES)),
            },
            blocks: Vec::new(),
            name: message.text("name")?,
            extras: Vec::new(),
            path: message.path().to_owned(),
        };
        let mark = cache_mark(&mut message);
        match role.as_str() {
            "assistant" => self.assistant(&mut message, position, &mut turn)?,
            "tool" => self.tool(&mut message, &mut turn)?,
            "function" => self.function(&mut message, position, &mut turn)?,
            _ => turn.blocks = parts::decode(&mut message, &mut turn.extras)?,
        }
        if let Some(mark) = mark {
            mark_last(&mut turn, mark);
        }
        message.rest("", &mut turn.extras);
        Ok(turn)
    }

    fn assistant(
        &mut self,
        message: &mut Object<'_>,
        position: usize,
        turn: &mut Turn,
    ) -> Result<(), GatewayError> {
        turn.blocks.extend(reasoning(message));
        let content = parts::decode(message, &mut turn.extras)?;
        turn.blocks.extend(content);
        let refusal = message.text("refusal")?;
        turn.blocks.extend(refusal.map(Block::Refusal));
        let calls = message.array("tool_calls")?.unwrap_or_default();
        let count = calls.len();
        for (index, text) in calls.into_iter().enumerate() {
            let path = message.path_of(&format!("tool_calls[{index}]"));
            let call = tool_call(Object::read(text, path)?, index, &mut turn.extras)?;
            if let Block::ToolCall { id, name, .. } = &call {
                self.called.insert(id.clone(), name.clone());
            }
            turn.blocks.push(call);
        }
        if let Some(mut call) = message.object("function_call")? {
            // The hub's calls have ids; the message of role `function` that answers this one gets the same.
            let id = format!("function_call_{position}");
            let name = call.required("name")?;
            let open = self.open.entry(name.clone()).or_default();
            open.push(id.clone());
            turn.blocks.push(Block::ToolCall {
                id,
                name,
                arguments: arguments(&mut call, "arguments")?,
                cache: None,
            });
            call.rest(&format!("tool_calls[{count}].function"), &mut turn.extras);
        }
        // What clients send back from an answer, though it holds nothing.
        for name in [
            "annotations",
            "tool_calls",
            "reasoning_details",
            "reasoning_content",
            "reasoning",
        ] {
            if message
                .peek(name)
                .is_some_and(crate::protocol::json::is_empty)
            {
                message.take(name);
            }
        }
        Ok(())
    }

    /// The answer of a tool. A `name` that only repeats the called tool's says nothing and vanishes.
    fn tool(&self, message: &mut Object<'_>, turn: &mut Turn) -> Result<(), GatewayError> {
        let id = message.required("tool_call_id")?;
        let content = parts::decode(message, &mut turn.extras)?;
        if self.called.get(&id) == turn.name.as_ref() {
            turn.name = None;
        }
        turn.blocks.push(result(id, content));
        Ok(())
    }

    /// The answer of a legacy function, which names it and not the call: it answers the last call of that function
    /// that has no answer yet.
    fn function(
        &mut self,
        message: &mut Object<'_>,
        position: usize,
        turn: &mut Turn,
    ) -> Result<(), GatewayError> {
        let name = turn.name.take();
        let name = name.ok_or_else(|| read::missing(&message.path_of("name")))?;
        let content = parts::decode(message, &mut turn.extras)?;
        let id = match self.open.get_mut(&name).and_then(Vec::pop) {
            Some(id) => id,
            None => {
                turn.name = Some(name);
                format!("function_call_{position}")
            }
        };
        turn.blocks.push(result(id, content));
        Ok(())
    }
}

fn result(id: String, content: Vec<Block>) -> Block {
    Block::ToolResult(ToolResult {
        id,
        content,
        is_error: false,
        cache: None,
    })
}

/// The reasoning that providers want back, under either of its names. If both are there and differ, the second stays
/// as an extra.
fn reasoning(message: &mut Object<'_>) -> Option<Block> {
    let mut found: Option<String> = None;
    for name in ["reasoning_content", "reasoning"] {
        let Some(text) = message
            .peek(name)
            .and_then(read::string)
            .filter(|text| !text.is_empty())
        else {
            continue;
        };
        if found.as_ref().is_none_or(|known| *known == text) {
            message.take(name);
            found = Some(text);
        }
    }
    found.map(|text| Block::Thinking {
        text,
        signature: None,
    })
}

/// A call. A custom tool takes free text, which stands in for the arguments; the type is kept as an extra.
fn tool_call(
    mut call: Object<'_>,
    index: usize,
    extras: &mut Vec<Extra>,
) -> Result<Block, GatewayError> {
    let place = format!("tool_calls[{index}]");
    let custom = call.peek("type") == Some("\"custom\"");
    let (holder, member) = if custom {
        ("custom", "input")
    } else {
        ("function", "arguments")
    };
    let id = call.required("id")?;
    let inner = call.object(holder)?;
    let mut inner = inner.ok_or_else(|| read::missing(&call.path_of(holder)))?;
    let name = inner.required("name")?;
    let arguments = if custom {
        inner.string(member)?.unwrap_or_default()
    } else {
        arguments(&mut inner, member)?
    };
    inner.rest(&format!("{place}.{holder}"), extras);
    let cache = cache_mark(&mut call);
    if !custom {
        call.take("type");
    }
    // Clients that put a stream together again leave it in.
    call.take("index");
    call.rest(&place, extras);
    Ok(Block::ToolCall {
        id,
        name,
        arguments,
        cache,
    })
}

/// Arguments: a string that holds JSON; nothing in it means none. Some clients write the object itself.
fn arguments(call: &mut Object<'_>, name: &str) -> Result<String, GatewayError> {
    if let Some(object) = call.take_if(name, '{') {
        return Ok(object.to_owned());
    }
    let text = call.string(name)?.unwrap_or_default();
    Ok(if text.trim().is_empty() {
        "{}".to_owned()
    } else {
        text
    })
}

/// A mark on the whole message is one on its last block; where that cannot have one it stays as an extra.
fn mark_last(turn: &mut Turn, mark: CacheMark) {
    let slot = match turn.blocks.last_mut() {
        Some(Block::Text { cache, .. } | Block::ToolCall { cache, .. }) => Some(cache),
        Some(Block::Image(image)) => Some(&mut image.cache),
        Some(Block::Document(document)) => Some(&mut document.cache),
        Some(Block::ToolResult(result)) => Some(&mut result.cache),
        _ => None,
    };
    match slot {
        Some(slot @ None) => *slot = Some(mark),
        _ => turn.extras.push(Extra {
            name: "cache_control".to_owned(),
            value: Json::new(mark.0.as_str()),
        }),
    }
}
