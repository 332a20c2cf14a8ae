//! Content: a string, or an array of blocks.

use super::media;
use super::reader::{self, Object};
use crate::conversation::{Block, Extra, Json, Path, ToolResult};
use crate::convert::anthropic::request::nested;
use crate::error::GatewayError;

/// Blocks, and the members that the hub has no word for, named from where `content` is one of the names.
pub(super) type Content = (Vec<Block>, Vec<Extra>);

/// Reads the content at `path`. The extras name a block by `label` and by its place among those that are kept, which
/// is where an encoder will look for them.
pub(super) fn content(path: &str, label: &str, value: &str) -> Result<Content, GatewayError> {
    list(path, label, value, |_| true)
}

fn list(
    path: &str,
    label: &str,
    value: &str,
    is_read: fn(&str) -> bool,
) -> Result<Content, GatewayError> {
    let mut blocks = Vec::new();
    let mut extras = Vec::new();
    if value.starts_with('"') {
        blocks.extend(reader::string(value).and_then(plain_text));
        return Ok((blocks, extras));
    }
    if !value.starts_with('[') {
        return Err(reader::wrong(path, "a string or an array of blocks", value));
    }
    for (index, value) in reader::elements(path, value)?.into_iter().enumerate() {
        let place = format!("{path}[{index}]");
        if let Some((block, members)) = block(place, value, is_read)? {
            let parent = format!("{label}[{}]", blocks.len());
            extras.extend(nested::below(&parent, members));
            blocks.push(block);
        }
    }
    Ok((blocks, extras))
}

/// What a result of a tool may hold. Results do not nest, however deep a client may do it.
const IN_RESULTS: [&str; 3] = ["text", "image", "document"];

/// Reads the content of a result.
fn result_content(path: &str, value: &str) -> Result<Content, GatewayError> {
    list(path, "content", value, |kind| IN_RESULTS.contains(&kind))
}

/// One block, and the members that the hub has no word for; nothing if it is empty.
fn block(
    path: Path,
    value: &str,
    is_read: fn(&str) -> bool,
) -> Result<Option<(Block, Vec<Extra>)>, GatewayError> {
    let mut object = Object::read(path, value)?;
    let kind = object.required_text("type")?;
    let known = match kind.as_str() {
        kind if !is_read(kind) => None,
        "text" => return text(object),
        "image" => media::image(object)?,
        "document" => media::document(object)?.map(|block| (block, Vec::new())),
        "tool_use" => Some(tool_use(object)?),
        "tool_result" => Some(tool_result(object)?),
        "thinking" => {
            let block = Block::Thinking {
                text: object.text("thinking")?.unwrap_or_default(),
                signature: object.text("signature")?.filter(|text| !text.is_empty()),
            };
            Some((block, object.rest_as_steps()))
        }
        "redacted_thinking" => {
            let block = Block::RedactedThinking(object.required_text("data")?);
            Some((block, object.rest_as_steps()))
        }
        _ => None,
    };
    let other = || {
        let value = Json::new(value);
        (Block::Other { kind, value }, Vec::new())
    };
    Ok(Some(known.unwrap_or_else(other)))
}

fn plain_text(text: String) -> Option<Block> {
    (!text.is_empty()).then_some(Block::Text {
        text,
        cache: None,
        citations: None,
    })
}

fn text(mut object: Object<'_>) -> Result<Option<(Block, Vec<Extra>)>, GatewayError> {
    let text = object.text("text")?.unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let block = Block::Text {
        text,
        cache: object.cache_mark(),
        citations: object.take("citations").map(Json::new),
    };
    Ok(Some((block, object.rest_as_steps())))
}

fn tool_use(mut object: Object<'_>) -> Result<(Block, Vec<Extra>), GatewayError> {
    let arguments = match object.take("input") {
        None => "{}",
        Some(input) if input.starts_with('{') => input,
        Some(input) => return Err(reader::wrong(&object.path("input"), "an object", input)),
    };
    let block = Block::ToolCall {
        id: object.required_text("id")?,
        name: object.required_text("name")?,
        arguments: arguments.to_owned(),
        cache: object.cache_mark(),
    };
    // Answers carry who called the tool, and clients send them back; the model itself is the default.
    if object.peek("caller").is_some_and(is_direct) {
        object.take("caller");
    }
    Ok((block, object.rest_as_steps()))
}

fn is_direct(caller: &str) -> bool {
    let Ok(mut caller) = Object::read("caller".to_owned(), caller) else {
        return false;
    };
    caller.take("type") == Some("\"direct\"") && caller.is_spent()
}

fn tool_result(mut object: Object<'_>) -> Result<(Block, Vec<Extra>), GatewayError> {
    let id = object.required_text("tool_use_id")?;
    let path = object.path("content");
    let (blocks, inner) = match object.take("content") {
        None => Content::default(),
        Some(value) => result_content(&path, value)?,
    };
    let result = ToolResult {
        id,
        content: blocks,
        is_error: object.flag("is_error")?.unwrap_or(false),
        cache: object.cache_mark(),
    };
    let mut extras = object.rest_as_steps();
    extras.extend(inner);
    Ok((Block::ToolResult(result), extras))
}
