//! Content: a string, or an array of blocks.

use super::{cache_mark, media};
use crate::conversation::{Block, Extra, Json, ToolResult};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;
use crate::protocol::anthropic::UNSIGNED;

/// What a result of a tool may hold. Results do not nest, however deep a client may do it.
const IN_RESULTS: [&str; 3] = ["text", "image", "document"];

/// Where content stands.
struct Place<'a> {
    /// In the request.
    path: &'a str,
    /// In its turn. Members that the hub has no word for are kept under it, with the place of their block among those
    /// that are kept, which is where an encoder looks for them.
    holder: &'a str,
}

/// Reads the content at `path`, and puts members that the hub has no word for to the extras, under `holder`.
pub(super) fn content(
    path: &str,
    holder: &str,
    value: &str,
    extras: &mut Vec<Extra>,
) -> Result<Vec<Block>, GatewayError> {
    list(&Place { path, holder }, value, |_| true, extras)
}

/// Reads content, and of it blocks of the types that `is_read` names; others are kept as they are.
fn list(
    place: &Place<'_>,
    value: &str,
    is_read: fn(&str) -> bool,
    extras: &mut Vec<Extra>,
) -> Result<Vec<Block>, GatewayError> {
    if let Some(text) = read::string(value) {
        return Ok(plain_text(text).into_iter().collect());
    }
    if !value.starts_with('[') {
        let expected = "a string or an array of blocks";
        return Err(read::wrong(place.path, expected, value));
    }
    let mut blocks = Vec::new();
    for (index, value) in read::elements(value, place.path)?.into_iter().enumerate() {
        let object = Object::read(value, format!("{}[{index}]", place.path))?;
        let holder = format!("{}[{}]", place.holder, blocks.len());
        blocks.extend(block(object, value, &holder, is_read, extras)?);
    }
    Ok(blocks)
}

/// One block; nothing if it is empty.
fn block(
    mut object: Object<'_>,
    value: &str,
    holder: &str,
    is_read: fn(&str) -> bool,
    extras: &mut Vec<Extra>,
) -> Result<Option<Block>, GatewayError> {
    let kind = object.required("type")?;
    let known = match kind.as_str() {
        kind if !is_read(kind) => None,
        "text" => match text(&mut object)? {
            None => return Ok(None),
            text => text,
        },
        "image" => media::image(&mut object)?,
        "document" => media::document(&mut object)?,
        "tool_use" => Some(tool_use(&mut object)?),
        "tool_result" => Some(tool_result(&mut object, holder, extras)?),
        "thinking" => Some(Block::Thinking {
            text: object.string("thinking")?.unwrap_or_default(),
            signature: object
                .text("signature")?
                .filter(|signature| signature != UNSIGNED),
        }),
        "redacted_thinking" => Some(Block::RedactedThinking(object.required("data")?)),
        _ => None,
    };
    Ok(Some(match known {
        Some(block) => {
            object.rest(holder, extras);
            block
        }
        None => Block::Other {
            kind,
            value: Json::new(value),
        },
    }))
}

fn plain_text(text: String) -> Option<Block> {
    (!text.is_empty()).then_some(Block::Text {
        text,
        cache: None,
        citations: None,
    })
}

fn text(object: &mut Object<'_>) -> Result<Option<Block>, GatewayError> {
    let Some(text) = object.text("text")? else {
        return Ok(None);
    };
    Ok(Some(Block::Text {
        text,
        cache: cache_mark(object),
        citations: object.take("citations").map(Json::new),
    }))
}

fn tool_use(object: &mut Object<'_>) -> Result<Block, GatewayError> {
    let input = object.object_text("input")?;
    // Answers carry who called the tool, and clients send them back; the model itself is the default.
    if object.peek("caller").is_some_and(is_direct) {
        object.take("caller");
    }
    Ok(Block::ToolCall {
        id: object.required("id")?,
        name: object.required("name")?,
        arguments: input.map_or_else(|| "{}".to_owned(), |input| input.as_str().to_owned()),
        cache: cache_mark(object),
    })
}

fn is_direct(caller: &str) -> bool {
    let caller = Object::read(caller, String::new());
    caller.is_ok_and(|mut caller| caller.take("type") == Some("\"direct\"") && caller.is_empty())
}

fn tool_result(
    object: &mut Object<'_>,
    holder: &str,
    extras: &mut Vec<Extra>,
) -> Result<Block, GatewayError> {
    let (path, holder) = (object.path_of("content"), format!("{holder}.content"));
    let place = Place {
        path: &path,
        holder: &holder,
    };
    let is_read = |kind: &str| IN_RESULTS.contains(&kind);
    Ok(Block::ToolResult(ToolResult {
        id: object.required("tool_use_id")?,
        content: match object.take("content") {
            None => Vec::new(),
            Some(value) => list(&place, value, is_read, extras)?,
        },
        is_error: object.flag("is_error")?.unwrap_or(false),
        cache: cache_mark(object),
    }))
}
