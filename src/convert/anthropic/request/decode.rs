//! A messages request as it came from a client → [`Conversation`]. It checks only what it must understand; what it
//! has no word for is kept as it is.

mod blocks;
mod media;
mod output;
mod tools;

use crate::conversation::{CacheMark, Conversation, Extra, Json, Origin, Path, Role, Turn};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;
use crate::protocol::raw::RawObject;

/// Decodes the body of a messages request. Empty texts and empty messages vanish.
///
/// # Errors
/// A member that must be understood is missing or of another type; the error names it.
pub fn decode(body: &RawObject) -> Result<Conversation, GatewayError> {
    let mut request = Object::body(body);
    let mut extras = Vec::new();
    let model = request.required("model")?;
    let turns = turns(&mut request, &mut extras)?;
    let tools = request.array("tools")?.unwrap_or_default().into_iter();
    let tools = tools
        .enumerate()
        .map(|(index, tool)| tools::tool(index, tool));
    let tools = tools.collect::<Result<_, _>>()?;
    let (tool_choice, parallel_tool_calls) = tools::choice(&mut request, &mut extras)?;
    let (reasoning, output) = output::read(&mut request, &mut extras)?;
    let mut conversation = Conversation {
        origin: Origin::Anthropic,
        model,
        turns,
        tools,
        tool_choice,
        parallel_tool_calls,
        max_tokens: request.integer("max_tokens")?,
        temperature: request.number("temperature")?,
        top_p: request.number("top_p")?,
        top_k: request.integer("top_k")?,
        stop: stop(&mut request)?,
        stream: request.flag("stream")?.unwrap_or(false),
        // Streams of this protocol always tell it.
        include_usage: true,
        user: user(&mut request, &mut extras)?,
        reasoning,
        output,
        extras: Vec::new(),
    };
    request.rest("", &mut extras);
    conversation.extras = extras;
    Ok(conversation)
}

/// What was said: the system prompt, then the messages. Members of system blocks that the hub has no word for go to
/// the extras of the request.
fn turns(request: &mut Object<'_>, extras: &mut Vec<Extra>) -> Result<Vec<Turn>, GatewayError> {
    let mut turns = Vec::new();
    if let Some(value) = request.take("system") {
        turns.push(Turn {
            role: Role::System,
            blocks: blocks::content("system", "system", value, extras)?,
            name: None,
            extras: Vec::new(),
            path: "system".to_owned(),
        });
    }
    let messages = request.array("messages")?;
    let messages = messages.ok_or_else(|| read::missing("messages"))?;
    for (index, value) in messages.into_iter().enumerate() {
        turns.push(message(format!("messages[{index}]"), value)?);
    }
    turns.retain(|turn| !turn.blocks.is_empty());
    Ok(turns)
}

fn message(path: Path, value: &str) -> Result<Turn, GatewayError> {
    let mut message = Object::read(value, path.clone())?;
    let role = message.required("role")?;
    let role = match role.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => {
            let expected = "'user', 'assistant' and 'system'";
            return Err(read::unknown(&message.path_of("role"), &role, expected));
        }
    };
    let mut extras = Vec::new();
    let place = message.path_of("content");
    let blocks = match message.take("content") {
        None => Vec::new(),
        Some(value) => blocks::content(&place, "content", value, &mut extras)?,
    };
    message.rest("", &mut extras);
    Ok(Turn {
        role,
        blocks,
        name: None,
        extras,
        path,
    })
}

/// Takes the mark that the prompt is cached up to here.
fn cache_mark(object: &mut Object<'_>) -> Option<CacheMark> {
    let value = object.take("cache_control");
    value.map(|value| CacheMark(Json::new(value)))
}

fn stop(request: &mut Object<'_>) -> Result<Vec<String>, GatewayError> {
    let texts = request.array("stop_sequences")?.unwrap_or_default();
    let texts = texts.into_iter().enumerate().map(|(index, value)| {
        let path = || format!("stop_sequences[{index}]");
        read::string(value).ok_or_else(|| read::wrong(&path(), "a string", value))
    });
    texts.collect()
}

fn user(request: &mut Object<'_>, extras: &mut Vec<Extra>) -> Result<Option<String>, GatewayError> {
    let Some(mut metadata) = request.object("metadata")? else {
        return Ok(None);
    };
    let user = metadata.string("user_id")?;
    metadata.rest("metadata", extras);
    Ok(user)
}
