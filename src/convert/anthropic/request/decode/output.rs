//! How much to think, and the form of the answer: `thinking`, `output_config` and its forerunner `output_format`.

use super::reader::Object;
use crate::conversation::{Extra, Json, OutputFormat, Reasoning};
use crate::convert::anthropic::request::nested;
use crate::error::GatewayError;

/// What these members say together.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// How much to think.
    pub(super) reasoning: Option<Reasoning>,
    /// The form of the answer.
    pub(super) format: Option<OutputFormat>,
    /// The rest.
    pub(super) extras: Vec<Extra>,
}

/// Takes the three members from the request.
pub(super) fn read(request: &mut Object<'_>) -> Result<Output, GatewayError> {
    let mut output = Output::default();
    let (effort, given) = config(request, &mut output)?;
    output.reasoning = match thinking(request, &mut output.extras)? {
        Some(Reasoning::Adaptive { .. }) => Some(Reasoning::Adaptive { effort }),
        None => effort.map(Reasoning::Effort),
        reasoning => {
            // Beside a fixed budget an effort guides the answer alone, for which the hub has no word.
            let value = given.map(Json::new);
            let name = "output_config.effort".to_owned();
            let extra = value.map(|value| Extra { name, value });
            output.extras.extend(extra);
            reasoning
        }
    };
    Ok(output)
}

/// The effort, decoded and as it came.
fn config<'a>(
    request: &mut Object<'a>,
    output: &mut Output,
) -> Result<(Option<String>, Option<&'a str>), GatewayError> {
    let mut effort = None;
    let mut given = None;
    if let Some(mut config) = request.object("output_config")? {
        given = config.peek("effort");
        effort = config.text("effort")?;
        if let Some(format) = config.peek("format").and_then(json_schema) {
            output.format = Some(format);
            config.take("format");
        }
        let rest = nested::below("output_config", config.rest_as_steps());
        output.extras.extend(rest);
    }
    if output.format.is_none()
        && let Some(format) = request.peek("output_format").and_then(json_schema)
    {
        output.format = Some(format);
        request.take("output_format");
    }
    Ok((effort, given))
}

/// A schema, if that is all that is said.
fn json_schema(value: &str) -> Option<OutputFormat> {
    let mut format = Object::read("format".to_owned(), value).ok()?;
    let is_schema = format.text("type").ok()?.as_deref() == Some("json_schema");
    let schema = format
        .take("schema")
        .filter(|schema| schema.starts_with('{'))?;
    (is_schema && format.is_spent()).then(|| OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: Json::new(schema),
        strict: None,
    })
}

/// What `thinking` says. A type that we do not know stays among the request's members.
fn thinking(
    request: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<Option<Reasoning>, GatewayError> {
    let Some(value) = request.peek("thinking") else {
        return Ok(None);
    };
    let mut thinking = Object::read("thinking".to_owned(), value)?;
    let reasoning = match thinking.required_text("type")?.as_str() {
        "disabled" => Reasoning::Off,
        "adaptive" => Reasoning::Adaptive { effort: None },
        "enabled" => {
            let budget = thinking.integer("budget_tokens")?;
            let path = thinking.path("budget_tokens");
            Reasoning::Budget(budget.ok_or_else(|| super::reader::missing(&path))?)
        }
        _ => return Ok(None),
    };
    request.take("thinking");
    extras.extend(nested::below("thinking", thinking.rest_as_steps()));
    Ok(Some(reasoning))
}
