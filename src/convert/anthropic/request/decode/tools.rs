//! Tools and the choice among them.

use super::cache_mark;
use crate::conversation::{Extra, Json, Tool, ToolChoice, ToolKind};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;

/// The tool at a place of `tools`. One without a type, or of type `custom`, is a function of the client's.
pub(super) fn tool(index: usize, value: &str) -> Result<Tool, GatewayError> {
    let path = format!("tools[{index}]");
    let mut object = Object::read(value, path.clone())?;
    let kind = match object.text("type")? {
        Some(kind) if kind != "custom" => ToolKind::Server {
            kind,
            value: Json::new(value),
        },
        _ => function(object)?,
    };
    Ok(Tool { kind, path })
}

fn function(mut object: Object<'_>) -> Result<ToolKind, GatewayError> {
    let name = object.required("name")?;
    let description = object.string("description")?;
    let parameters = object.object_text("input_schema")?;
    let strict = object.flag("strict")?;
    let cache = cache_mark(&mut object);
    let mut extras = Vec::new();
    object.rest("", &mut extras);
    Ok(ToolKind::Function {
        name,
        description,
        parameters,
        strict,
        cache,
        extras,
    })
}

/// Takes `tool_choice`: which tool, and whether several at once, which is only ever denied, since it is the default.
pub(super) fn choice(
    request: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<(Option<ToolChoice>, Option<bool>), GatewayError> {
    let Some(mut object) = request.object("tool_choice")? else {
        return Ok((None, None));
    };
    let kind = object.required("type")?;
    let tool = match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(object.required("name")?),
        _ => {
            let expected = "'auto', 'any', 'tool' and 'none'";
            return Err(read::unknown(&object.path_of("type"), &kind, expected));
        }
    };
    let serial = object.flag("disable_parallel_tool_use")?.unwrap_or(false);
    object.rest("tool_choice", extras);
    Ok((Some(tool), serial.then_some(false)))
}
