//! A messages request as it came from a client → [`Conversation`]. It checks only what it must understand; what it
//! has no word for is kept as it is.

mod blocks;
mod media;
mod output;
mod reader;
mod tools;

use crate::conversation::Origin;
use crate::conversation::{Conversation, Extra, Path, Role, Turn};
use crate::convert::anthropic::request::nested;
use crate::error::GatewayError;
use crate::protocol::raw::RawObject;

use self::reader::Object;

/// Decodes the body of a messages request. Empty texts and empty messages vanish.
///
/// # Errors
/// A member that must be understood is missing or of another type; the error names it.
pub fn decode(body: &RawObject) -> Result<Conversation, GatewayError> {
    let mut request = Object::of(body.members());
    let mut extras = Vec::new();
    let turns = turns(&mut request, &mut extras)?;
    let tools = request.array("tools")?.into_iter().enumerate();
    let tools = tools.map(|(index, value)| tools::tool(index, value));
    let tools = tools.collect::<Result<_, _>>()?;
    let choice = tools::choice(request.object("tool_choice")?)?;
    let output = output::read(&mut request)?;
    let conversation = Conversation {
        origin: Origin::Anthropic,
        model: request.required_text("model")?,
        turns,
        tools,
        tool_choice: choice.tool,
        parallel_tool_calls: choice.parallel,
        max_tokens: request.integer("max_tokens")?,
        temperature: request.number("temperature")?,
        top_p: request.number("top_p")?,
        top_k: request.integer("top_k")?,
        stop: stop(&mut request)?,
        stream: request.flag("stream")?.unwrap_or(false),
        // Streams of this protocol always tell it.
        include_usage: true,
        user: user(&mut request, &mut extras)?,
        reasoning: output.reasoning,
        output: output.format,
        extras: Vec::new(),
    };
    extras.extend(choice.extras);
    extras.extend(output.extras);
    extras.extend(request.rest());
    Ok(Conversation {
        extras,
        ..conversation
    })
}

/// What was said: the system prompt, then the messages.
fn turns(request: &mut Object<'_>, extras: &mut Vec<Extra>) -> Result<Vec<Turn>, GatewayError> {
    let mut turns = Vec::new();
    if let Some(value) = request.take("system") {
        let (blocks, members) = blocks::content("system", "system", value)?;
        extras.extend(members);
        turns.push(Turn {
            role: Role::System,
            blocks,
            name: None,
            extras: Vec::new(),
            path: "system".to_owned(),
        });
    }
    let messages = reader::elements("messages", request.required("messages")?)?;
    for (index, value) in messages.into_iter().enumerate() {
        turns.push(message(format!("messages[{index}]"), value)?);
    }
    turns.retain(|turn| !turn.blocks.is_empty());
    Ok(turns)
}

fn message(path: Path, value: &str) -> Result<Turn, GatewayError> {
    let mut message = Object::read(path.clone(), value)?;
    let role = role(&mut message)?;
    let place = message.path("content");
    let (blocks, mut extras) = match message.take("content") {
        None => blocks::Content::default(),
        Some(value) => blocks::content(&place, "content", value)?,
    };
    extras.extend(message.rest_as_steps());
    Ok(Turn {
        role,
        blocks,
        name: None,
        extras,
        path,
    })
}

fn role(message: &mut Object<'_>) -> Result<Role, GatewayError> {
    match message.required_text("role")?.as_str() {
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "system" => Ok(Role::System),
        _ => {
            let problem = "must be one of user, assistant and system";
            Err(reader::refusal(&message.path("role"), problem))
        }
    }
}

fn stop(request: &mut Object<'_>) -> Result<Vec<String>, GatewayError> {
    let values = request.array("stop_sequences")?.into_iter().enumerate();
    let texts = values.map(|(index, value)| {
        let path = format!("stop_sequences[{index}]");
        reader::string(value).ok_or_else(|| reader::wrong(&path, "a string", value))
    });
    texts.collect()
}

fn user(request: &mut Object<'_>, extras: &mut Vec<Extra>) -> Result<Option<String>, GatewayError> {
    let Some(mut metadata) = request.object("metadata")? else {
        return Ok(None);
    };
    let user = metadata.text("user_id")?;
    extras.extend(nested::below("metadata", metadata.rest_as_steps()));
    Ok(user)
}
