//! The tools that a request offers, and which of them it wants called.

use std::borrow::Cow;

use super::{Request, extras, tool_name};
use crate::conversation::{CacheMark, Extra, Json, Tool, ToolChoice, ToolKind};
use crate::convert::read;
use crate::convert::write::{Array, Object};
use crate::protocol::json;

const HOLDER: &str = "tool_choice";

/// The type of a choice that allows some of the tools, and the member that says which.
const ALLOWED: &str = "allowed_tools";

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`. OpenAI refuses the latter two without any tool.
pub(super) fn encode(request: &mut Request<'_>) {
    let conversation = request.conversation;
    let kept = |tool: &&Tool| request.own || matches!(tool.kind, ToolKind::Function { .. });
    let (tools, lost): (Vec<_>, Vec<_>) = conversation.tools.iter().partition(kept);
    for tool in lost {
        request.report.dropped(&tool.path);
    }
    if !tools.is_empty() {
        request.name("tools");
        let mut array = Array::begin(&mut request.out);
        for tool in &tools {
            array.next(&mut request.out);
            write_tool(request, tool);
        }
        array.end(&mut request.out);
    }
    if request.own || !tools.is_empty() {
        choice(request, &tools);
        parallel(request);
    } else if matches!(
        conversation.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    ) {
        request.report.dropped("tool_choice");
    }
}

fn write_tool(request: &mut Request<'_>, tool: &Tool) {
    match &tool.kind {
        ToolKind::Server { value, .. } => request.out.extend_from_slice(value.as_str().as_bytes()),
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
            cache,
            extras: own_extras,
        } => {
            let sent = tool_name(name, request.own);
            if let Cow::Owned(_) = sent {
                request.report.changed(format!("{}.name", tool.path));
            }
            let function = Function {
                name: &sent,
                description: description.as_deref(),
                parameters: parameters.as_ref(),
                strict: *strict,
                extras: if request.own { own_extras } else { &[] },
                cache: cache.as_ref().filter(|_| request.own),
                is_legacy: tool.path.starts_with("functions"),
            };
            function.write(&mut request.out);
            if !request.own {
                let told = |extra: &&Extra| !json::is_empty(extra.value.as_str());
                for extra in own_extras.iter().filter(told) {
                    request.report.dropped(read::join(&tool.path, &extra.name));
                }
                if cache.is_some() {
                    request.report.mark(&tool.path);
                }
            }
        }
    }
}

struct Function<'a> {
    name: &'a str,
    description: Option<&'a str>,
    parameters: Option<&'a Json>,
    strict: Option<bool>,
    extras: &'a [Extra],
    cache: Option<&'a CacheMark>,
    /// Its extras all belong into the one object that a legacy function is.
    is_legacy: bool,
}

impl Function<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object.string(out, "type", "function");
        object.name(out, "function");
        let mut function = Object::begin(out);
        function.string(out, "name", self.name);
        if let Some(description) = self.description {
            function.string(out, "description", description);
        }
        if let Some(parameters) = self.parameters {
            function.raw(out, "parameters", parameters.as_str());
        }
        if let Some(strict) = self.strict {
            function.raw(out, "strict", if strict { "true" } else { "false" });
        }
        let (inner, outer) = if self.is_legacy {
            (self.extras, &[][..])
        } else {
            (&[][..], self.extras)
        };
        extras::write(extras::own(inner), &mut function, out);
        extras::write(extras::within(outer, "function"), &mut function, out);
        function.end(out);
        extras::write(extras::own(outer), &mut object, out);
        if let Some(CacheMark(mark)) = self.cache {
            object.raw(out, "cache_control", mark.as_str());
        }
        object.end(out);
    }
}

/// Writes `tool_choice`: a word, or an object where there is more to say.
fn choice(request: &mut Request<'_>, tools: &[&Tool]) {
    let word = match &request.conversation.tool_choice {
        None => return,
        Some(ToolChoice::Named(name)) => return named(request, tools, name),
        Some(ToolChoice::Auto) => "auto",
        Some(ToolChoice::Required) => "required",
        Some(ToolChoice::None) => "none",
    };
    let members = request.own_extras();
    let mut members = extras::within(members, HOLDER).peekable();
    if members.peek().is_none() {
        return request.string(HOLDER, word);
    }
    let is_allowed = extras::within(request.own_extras(), HOLDER).any(|(name, _)| name == ALLOWED);
    let kind = if is_allowed { ALLOWED } else { word };
    request.name(HOLDER);
    let mut object = Object::begin(&mut request.out);
    object.string(&mut request.out, "type", kind);
    extras::write(members, &mut object, &mut request.out);
    object.end(&mut request.out);
}

/// One tool by name. Where it is none that is offered, as a server tool of another protocol, the model is left free.
fn named(request: &mut Request<'_>, tools: &[&Tool], name: &str) {
    let is_function = tools
        .iter()
        .any(|tool| matches!(&tool.kind, ToolKind::Function { name: known, .. } if known == name));
    if !is_function && !request.own {
        return request.report.dropped(HOLDER);
    }
    let is_custom = tools.iter().any(|tool| match &tool.kind {
        ToolKind::Server { kind, value } => {
            kind == "custom" && custom_name(value).as_deref() == Some(name)
        }
        ToolKind::Function { .. } => false,
    });
    let kind = if is_custom && !is_function {
        "custom"
    } else {
        "function"
    };
    let members = request.own_extras();
    request.name(HOLDER);
    let out = &mut request.out;
    let mut object = Object::begin(out);
    object.string(out, "type", kind);
    object.name(out, kind);
    let mut inner = Object::begin(out);
    inner.string(out, "name", &tool_name(name, request.own));
    let place = format!("{HOLDER}.{kind}");
    extras::write(extras::within(members, &place), &mut inner, out);
    inner.end(out);
    extras::write(extras::beside(members, HOLDER, kind), &mut object, out);
    object.end(out);
}

/// The name in the definition of a custom tool.
fn custom_name(definition: &Json) -> Option<String> {
    let mut found = None;
    let read = json::members(definition.as_str(), |name, value| {
        if name == "custom" {
            let inner = json::members(value, |name, value| {
                if name == "name" {
                    found = json::string(value).map(std::borrow::Cow::into_owned);
                }
            });
            found = found.take().filter(|_| inner.is_ok());
        }
    });
    found.filter(|_| read.is_ok())
}

/// One call at a time where that was asked for. Several is what OpenAI does anyway, and what some servers refuse to
/// be told.
fn parallel(request: &mut Request<'_>) {
    match request.conversation.parallel_tool_calls {
        Some(false) => request.raw("parallel_tool_calls", "false"),
        Some(true) if request.own => request.raw("parallel_tool_calls", "true"),
        _ => {}
    }
}
