//! How much to think, and the form of the answer: `thinking`, `output_config` and its forerunner `output_format`.

use crate::conversation::{Extra, Json, OutputFormat, Reasoning};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;

/// What the three members say together.
type Output = (Option<Reasoning>, Option<OutputFormat>);

/// Takes them from the request.
pub(super) fn read(
    request: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<Output, GatewayError> {
    let mut format = None;
    let mut effort = None;
    if let Some(mut config) = request.object("output_config")? {
        effort = config.text("effort")?;
        format = config.peek("format").and_then(json_schema);
        if format.is_some() {
            config.take("format");
        }
        config.rest("output_config", extras);
    }
    if format.is_none() {
        format = request.peek("output_format").and_then(json_schema);
        if format.is_some() {
            request.take("output_format");
        }
    }
    let reasoning = match (thinking(request, extras)?, effort) {
        (Some(Reasoning::Adaptive { .. }), effort) => Some(Reasoning::Adaptive { effort }),
        (None, effort) => effort.map(Reasoning::Effort),
        (reasoning, effort) => {
            // Beside a fixed budget an effort guides the answer alone, for which the hub has no word.
            extras.extend(effort.map(|effort| Extra {
                name: "output_config.effort".to_owned(),
                value: Json::from(serde_json::Value::from(effort)),
            }));
            reasoning
        }
    };
    Ok((reasoning, format))
}

/// A schema, if that is all that is said.
fn json_schema(value: &str) -> Option<OutputFormat> {
    let mut format = Object::read(value, String::new()).ok()?;
    let is_schema = format.take("type") == Some("\"json_schema\"");
    let schema = format.take_if("schema", '{')?;
    (is_schema && format.is_empty()).then(|| OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: Json::new(schema),
        strict: None,
    })
}

/// What `thinking` says. With a type that we do not know it stays among the request's members.
fn thinking(
    request: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<Option<Reasoning>, GatewayError> {
    let Some(value) = request.peek("thinking") else {
        return Ok(None);
    };
    let mut thinking = Object::read(value, "thinking".to_owned())?;
    let reasoning = match thinking.required("type")?.as_str() {
        "disabled" => Reasoning::Off,
        "adaptive" => Reasoning::Adaptive { effort: None },
        "enabled" => {
            let budget = thinking.integer("budget_tokens")?;
            let path = thinking.path_of("budget_tokens");
            Reasoning::Budget(budget.ok_or_else(|| read::missing(&path))?)
        }
        _ => return Ok(None),
    };
    request.take("thinking");
    thinking.rest("thinking", extras);
    Ok(Some(reasoning))
}
