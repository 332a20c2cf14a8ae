//! The tools that a request offers, and which of them it wants called.

use crate::conversation::{CacheMark, Extra, Json, Tool, ToolChoice, ToolKind};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;

/// Reads `tools` and `tool_choice`, and their forerunners `functions` and `function_call`.
pub(super) fn decode(
    request: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<(Vec<Tool>, Option<ToolChoice>), GatewayError> {
    let mut tools = Vec::new();
    for (position, value) in request
        .array("tools")?
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        tools.push(tool(value, format!("tools[{position}]"))?);
    }
    let functions = request.array("functions")?.unwrap_or_default();
    for (position, value) in functions.iter().enumerate() {
        let path = format!("functions[{position}]");
        let mut definition = Object::read(value, path.clone())?;
        let cache = cache_mark(&mut definition);
        tools.push(Tool {
            kind: function(definition, cache, Vec::new(), "")?,
            path,
        });
    }
    let choice = match choice(request, extras)? {
        None if request.peek("tool_choice").is_none() => legacy_choice(request)?,
        found => found,
    };
    Ok((tools, choice))
}

fn tool(value: &str, path: String) -> Result<Tool, GatewayError> {
    let mut definition = Object::read(value, path.clone())?;
    let kind = match definition.string("type")? {
        None if definition.peek("function").is_some() => "function".to_owned(),
        None => return Err(read::missing(&definition.path_of("type"))),
        Some(kind) => kind,
    };
    if kind != "function" {
        let value = Json::new(value);
        let kind = ToolKind::Server { kind, value };
        return Ok(Tool { kind, path });
    }
    let inner = definition.object("function")?;
    let mut inner = inner.ok_or_else(|| read::missing(&definition.path_of("function")))?;
    let cache = cache_mark(&mut definition).or_else(|| cache_mark(&mut inner));
    let mut extras = Vec::new();
    definition.rest("", &mut extras);
    let kind = function(inner, cache, extras, "function")?;
    Ok(Tool { kind, path })
}

fn function(
    mut definition: Object<'_>,
    cache: Option<CacheMark>,
    mut extras: Vec<Extra>,
    holder: &str,
) -> Result<ToolKind, GatewayError> {
    let name = definition.required("name")?;
    let description = definition.text("description")?;
    let parameters = definition.object_text("parameters")?;
    let strict = definition.flag("strict")?;
    definition.rest(holder, &mut extras);
    Ok(ToolKind::Function {
        name,
        description,
        parameters,
        strict,
        cache,
        extras,
    })
}

/// `cache_control` as OpenRouter and others take it; what is no object stays.
pub(super) fn cache_mark(object: &mut Object<'_>) -> Option<CacheMark> {
    let value = object.take_if("cache_control", '{')?;
    Some(CacheMark(Json::new(value)))
}

/// Reads `tool_choice`. A kind that we do not know stays as an extra.
fn choice(
    request: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<Option<ToolChoice>, GatewayError> {
    const KNOWN: &str = "'none', 'auto', 'required' and an object that names a tool";
    let Some(value) = request.peek("tool_choice") else {
        return Ok(None);
    };
    if !value.starts_with('{') {
        let Some(word) = request.text("tool_choice")? else {
            return Ok(None);
        };
        let found = by_word(&word);
        return found
            .map(Some)
            .ok_or_else(|| read::unknown("tool_choice", &word, KNOWN));
    }
    let mut object = Object::read(value, "tool_choice".to_owned())?;
    let kind = object.text("type")?;
    let choice = match kind.as_deref() {
        Some("allowed_tools") => allowed(&mut object, extras)?,
        Some("function" | "custom" | "tool") | None => named(&mut object, kind.as_deref(), extras)?,
        Some(kind) => match by_word(kind) {
            Some(choice) => choice,
            // It stays where it is, for the extras.
            None => return Ok(None),
        },
    };
    request.take("tool_choice");
    object.rest("tool_choice", extras);
    Ok(Some(choice))
}

fn by_word(word: &str) -> Option<ToolChoice> {
    match word {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "required" | "any" => Some(ToolChoice::Required),
        _ => None,
    }
}

/// One tool by name: `{"function":{"name":…}}`, and flat as some clients write it.
fn named(
    object: &mut Object<'_>,
    kind: Option<&str>,
    extras: &mut Vec<Extra>,
) -> Result<ToolChoice, GatewayError> {
    let holder = if kind == Some("custom") {
        "custom"
    } else {
        "function"
    };
    let name = match object.object(holder)? {
        Some(mut inner) => {
            let name = inner.required("name")?;
            inner.rest(&format!("tool_choice.{holder}"), extras);
            name
        }
        None => match object.text("name")? {
            Some(name) => name,
            None => return Err(read::missing(&object.path_of(holder))),
        },
    };
    Ok(ToolChoice::Named(name))
}

/// Some of the tools: the hub knows whether one of them must be called; which they are stays as an extra.
fn allowed(object: &mut Object<'_>, extras: &mut Vec<Extra>) -> Result<ToolChoice, GatewayError> {
    let value = object.peek("allowed_tools").map(Json::new);
    let mut allowed = object
        .object("allowed_tools")?
        .ok_or_else(|| read::missing(&object.path_of("allowed_tools")))?;
    let choice = match allowed.text("mode")?.as_deref() {
        None | Some("auto") => ToolChoice::Auto,
        Some("required") => ToolChoice::Required,
        Some(mode) => {
            let path = allowed.path_of("mode");
            return Err(read::unknown(&path, mode, "'auto' and 'required'"));
        }
    };
    extras.extend(value.map(|value| Extra {
        name: "tool_choice.allowed_tools".to_owned(),
        value,
    }));
    Ok(choice)
}

/// `function_call`: a word or the name of a function.
fn legacy_choice(request: &mut Object<'_>) -> Result<Option<ToolChoice>, GatewayError> {
    match request.peek("function_call") {
        None => Ok(None),
        Some(value) if value.starts_with('{') => {
            let mut object = Object::read(value, "function_call".to_owned())?;
            request.take("function_call");
            Ok(Some(ToolChoice::Named(object.required("name")?)))
        }
        Some(_) => {
            let word = request.text("function_call")?.unwrap_or_default();
            by_word(&word).map(Some).ok_or_else(|| {
                let expected = "'none', 'auto' and an object that names a function";
                read::unknown("function_call", &word, expected)
            })
        }
    }
}
