//! Tools and the choice among them.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{place, typed};
use crate::conversation::{CacheMark, Conversation, Json, Origin, Tool, ToolChoice, ToolKind};
use crate::convert::anthropic::request::nested::Nested;
use crate::convert::loss::Loss;
use crate::convert::memo;
use crate::convert::read;
use crate::convert::write::{self, Object};
use crate::protocol::json;

/// Longest name of a tool.
pub(super) const LONGEST_NAME: usize = 128;

/// The schema of a tool that takes nothing.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// The tools that can be offered.
pub(super) fn offered<'a>(conversation: &'a Conversation, loss: &mut Loss) -> Vec<&'a Tool> {
    let own = conversation.origin == Origin::Anthropic;
    let mut names = HashSet::new();
    let offered = conversation.tools.iter().filter(|tool| {
        let known = own
            || match &tool.kind {
                // The provider refuses two tools of one name.
                ToolKind::Function { name, .. } => names.insert(name),
                ToolKind::Server { .. } => false,
            };
        if !known {
            loss.dropped(tool.path.clone());
        }
        known
    });
    offered.collect()
}

/// A tool's name as the provider takes it. A client of this protocol has it as it wants it.
pub(super) fn name(name: &str, own: bool) -> Cow<'_, str> {
    if own {
        Cow::Borrowed(name)
    } else {
        memo::fit(name, LONGEST_NAME)
    }
}

/// Writes one tool.
pub(super) fn write(out: &mut Vec<u8>, tool: &Tool, own: bool, loss: &mut Loss) {
    let (told, description, parameters, strict, cache, extras) = match &tool.kind {
        ToolKind::Server { value, .. } => {
            write::raw(out, value.as_str());
            return;
        }
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
            cache,
            extras,
        } => (name, description, parameters, strict, cache, extras),
    };
    let mut object = Object::begin(out);
    let sent = name(told, own);
    if let Cow::Owned(_) = sent {
        loss.changed(place::tool_name(tool));
    }
    object.string(out, "name", &sent);
    if let Some(description) = description {
        object.string(out, "description", description);
    }
    object.name(out, "input_schema");
    schema(out, parameters.as_ref());
    match strict {
        Some(true) => object.raw(out, "strict", "true"),
        Some(false) if own => object.raw(out, "strict", "false"),
        _ => {}
    }
    if let Some(CacheMark(mark)) = cache {
        object.raw(out, "cache_control", mark.as_str());
    }
    for extra in extras {
        if own {
            object.raw(out, &read::name(&extra.name), extra.value.as_str());
        } else if !json::is_empty(extra.value.as_str()) {
            loss.dropped(read::join(&tool.path, &extra.name));
        }
    }
    object.end(out);
}

/// The schema of a tool's arguments, which has to say that they are an object.
fn schema(out: &mut Vec<u8>, parameters: Option<&Json>) {
    let given = parameters.map(|schema| schema.as_str().trim());
    let Some(inner) = given.and_then(|schema| schema.strip_prefix('{')) else {
        write::raw(out, NO_PARAMETERS);
        return;
    };
    let mut has_type = false;
    let mut is_empty = true;
    // The text is known to be an object.
    let _ = json::members(given.unwrap_or_default(), |name, _| {
        has_type |= name == "type";
        is_empty = false;
    });
    if is_empty {
        write::raw(out, NO_PARAMETERS);
    } else if has_type {
        write::raw(out, given.unwrap_or_default());
    } else {
        write::raw(out, r#"{"type":"object","#);
        write::raw(out, inner);
    }
}

/// Which tool must be called, where that can be said.
pub(super) fn choice<'a>(
    conversation: &'a Conversation,
    offered: &[&Tool],
    loss: &mut Loss,
) -> Option<&'a ToolChoice> {
    let choice = conversation.tool_choice.as_ref()?;
    if conversation.origin == Origin::Anthropic {
        return Some(choice);
    }
    let possible = match choice {
        // Without tools these two are true anyway.
        ToolChoice::Auto | ToolChoice::None if offered.is_empty() => return None,
        ToolChoice::Auto | ToolChoice::None => true,
        ToolChoice::Required => !offered.is_empty(),
        ToolChoice::Named(wanted) => offered.iter().any(|tool| match &tool.kind {
            ToolKind::Function { name, .. } => name == wanted,
            ToolKind::Server { .. } => false,
        }),
    };
    if !possible {
        loss.dropped("tool_choice");
    }
    possible.then_some(choice)
}

/// Writes the value of `tool_choice`. Whether tools are called one at a time is said there, too.
pub(super) fn write_choice(
    out: &mut Vec<u8>,
    choice: &ToolChoice,
    one_at_a_time: bool,
    nested: &Nested<'_>,
    own: bool,
) {
    let kind = match choice {
        ToolChoice::Auto => "auto",
        ToolChoice::Required => "any",
        ToolChoice::None => "none",
        ToolChoice::Named(_) => "tool",
    };
    let mut object = typed(out, kind);
    if let ToolChoice::Named(wanted) = choice {
        object.string(out, "name", &name(wanted, own));
    }
    if one_at_a_time && *choice != ToolChoice::None {
        object.raw(out, "disable_parallel_tool_use", "true");
    }
    for (name, value) in nested.at("tool_choice") {
        object.raw(out, name, value);
    }
    object.end(out);
}
