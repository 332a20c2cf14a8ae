//! Tools and the choice among them.

use super::reader::{self, Object};
use crate::conversation::{Extra, Json, Tool, ToolChoice, ToolKind};
use crate::convert::anthropic::request::nested;
use crate::error::GatewayError;

/// The tool at a place of `tools`. One without a type, or of type `custom`, is a function of the client's.
pub(super) fn tool(index: usize, value: &str) -> Result<Tool, GatewayError> {
    let path = format!("tools[{index}]");
    let mut object = Object::read(path.clone(), value)?;
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
    let parameters = match object.take("input_schema") {
        Some(schema) if !schema.starts_with('{') => {
            return Err(reader::wrong(
                &object.path("input_schema"),
                "an object",
                schema,
            ));
        }
        schema => schema.map(Json::new),
    };
    Ok(ToolKind::Function {
        name: object.required_text("name")?,
        description: object.text("description")?,
        parameters,
        strict: object.flag("strict")?,
        cache: object.cache_mark(),
        extras: object.rest(),
    })
}

/// What `tool_choice` says.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Which tool.
    pub(super) tool: Option<ToolChoice>,
    /// Whether several at once; only ever `Some(false)`, since the contrary is the default.
    pub(super) parallel: Option<bool>,
    /// The rest.
    pub(super) extras: Vec<Extra>,
}

/// Reads `tool_choice`.
pub(super) fn choice(object: Option<Object<'_>>) -> Result<Choice, GatewayError> {
    let Some(mut object) = object else {
        return Ok(Choice::default());
    };
    let tool = match object.required_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(object.required_text("name")?),
        _ => {
            let problem = "must be one of auto, any, tool and none";
            return Err(reader::refusal(&object.path("type"), problem));
        }
    };
    let serial = object.flag("disable_parallel_tool_use")?.unwrap_or(false);
    Ok(Choice {
        tool: Some(tool),
        parallel: serial.then_some(false),
        extras: nested::below("tool_choice", object.rest_as_steps()).collect(),
    })
}
