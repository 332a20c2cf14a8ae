//! How much to think, and the form of the answer.

use crate::conversation::{Extra, Json, OutputFormat, Reasoning};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;

/// Reads the three ways to ask for reasoning. The first that is there wins, and the others stay as extras:
/// `reasoning_effort` (OpenAI), `reasoning` (OpenRouter) and `thinking` (DeepSeek, GLM, Kimi).
pub(super) fn reasoning(
    request: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<Option<Reasoning>, GatewayError> {
    if let Some(effort) = request.text("reasoning_effort")? {
        return Ok(Some(by_effort(effort)));
    }
    if let Some(value) = request.take_if("reasoning", '{') {
        let settings = Object::read(value, "reasoning".to_owned())?;
        if let Some(reasoning) = unified(settings, extras)? {
            return Ok(Some(reasoning));
        }
    }
    match request.take_if("thinking", '{') {
        Some(value) => thinking(value, extras),
        None => Ok(None),
    }
}

fn by_effort(effort: String) -> Reasoning {
    if effort == "none" {
        Reasoning::Off
    } else {
        Reasoning::Effort(effort)
    }
}

/// OpenRouter's object: an effort, a limit of tokens, or only a switch.
fn unified(
    mut settings: Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<Option<Reasoning>, GatewayError> {
    let enabled = settings.flag("enabled")?;
    let reasoning = if enabled == Some(false) {
        Some(Reasoning::Off)
    } else if let Some(effort) = settings.text("effort")? {
        Some(by_effort(effort))
    } else if let Some(budget) = settings.integer("max_tokens")? {
        Some(Reasoning::Budget(budget))
    } else {
        enabled.map(|_| Reasoning::Adaptive { effort: None })
    };
    settings.rest("reasoning", extras);
    Ok(reasoning)
}

/// A switch with an optional budget; of another type it is kept whole.
fn thinking(value: &str, extras: &mut Vec<Extra>) -> Result<Option<Reasoning>, GatewayError> {
    let mut settings = Object::read(value, "thinking".to_owned())?;
    let kind = settings.peek("type").and_then(read::string);
    let reasoning = match kind.as_deref() {
        Some("disabled") => Reasoning::Off,
        Some("adaptive" | "auto") => Reasoning::Adaptive { effort: None },
        Some("enabled") => match settings.integer("budget_tokens")? {
            Some(budget) => Reasoning::Budget(budget),
            None => Reasoning::Adaptive { effort: None },
        },
        _ => {
            extras.push(Extra {
                name: "thinking".to_owned(),
                value: Json::new(value),
            });
            return Ok(None);
        }
    };
    settings.take("type");
    settings.rest("thinking", extras);
    Ok(Some(reasoning))
}

/// Reads `response_format`; of a type that we do not know it is kept as an extra.
pub(super) fn output(
    request: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<Option<OutputFormat>, GatewayError> {
    let Some(value) = request.take("response_format") else {
        return Ok(None);
    };
    let mut format = Object::read(value, "response_format".to_owned())?;
    let output = match format.required("type")?.as_str() {
        "text" => None,
        "json_object" => Some(OutputFormat::JsonObject),
        "json_schema" => Some(json_schema(&mut format, extras)?),
        _ => {
            extras.push(Extra {
                name: "response_format".to_owned(),
                value: Json::new(value),
            });
            return Ok(None);
        }
    };
    format.rest("response_format", extras);
    Ok(output)
}

fn json_schema(
    format: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<OutputFormat, GatewayError> {
    let path = format.path_of("json_schema");
    let settings = format.object("json_schema")?;
    let mut settings = settings.ok_or_else(|| read::missing(&path))?;
    let schema = settings.object_text("schema")?;
    let output = OutputFormat::JsonSchema {
        name: settings.text("name")?,
        description: settings.text("description")?,
        schema: schema.ok_or_else(|| read::missing(&settings.path_of("schema")))?,
        strict: settings.flag("strict")?,
    };
    settings.rest("response_format.json_schema", extras);
    Ok(output)
}
