//! How much to think, and the form of the answer.

use super::{Request, extras};
use crate::config::catalog::ReasoningStyle;
use crate::conversation::{OutputFormat, Reasoning};
use crate::convert::write::Object;
use crate::protocol::json;

/// Budgets up to here are a low and a medium effort, in tokens; more is a high one. They lie between the budgets that
/// stand for these efforts the other way round, so that a request that goes there and back keeps its effort. Other
/// efforts are not known to every model that can think.
const LOW_BUDGET: u64 = 6144;
const MEDIUM_BUDGET: u64 = 12288;

/// The name of a schema that came without one, which OpenAI requires.
const SCHEMA_NAME: &str = "response";

/// Writes how much to think. To a client's own protocol it goes back as it came; from others it becomes a
/// `reasoning_effort`: a budget the nearest one, and a model that shall think as it sees fit is asked for nothing.
pub(super) fn reasoning(request: &mut Request<'_>) {
    let Some(reasoning) = &request.conversation.reasoning else {
        return;
    };
    if request.own {
        return back(request, reasoning);
    }
    if request.target.reasoning == ReasoningStyle::None {
        // What does not think at all need not be told so.
        match reasoning {
            Reasoning::Off | Reasoning::Adaptive { effort: None } => {}
            Reasoning::Budget(_) => request.report.dropped("thinking"),
            Reasoning::Adaptive { .. } | Reasoning::Effort(_) => {
                request.report.dropped("output_config.effort");
            }
        }
        return;
    }
    match reasoning {
        Reasoning::Off => request.string("reasoning_effort", "none"),
        Reasoning::Effort(effort)
        | Reasoning::Adaptive {
            effort: Some(effort),
        } => write_effort(request, effort),
        Reasoning::Adaptive { effort: None } => {}
        Reasoning::Budget(budget) => {
            request.string("reasoning_effort", by_budget(*budget));
            request.report.changed("thinking.budget_tokens");
        }
    }
}

/// To the own protocol: in the object of which extras are left, else as an effort, else in OpenRouter's `reasoning`,
/// which says it all.
fn back(request: &mut Request<'_>, reasoning: &Reasoning) {
    let holds = |holder| extras::any(&request.conversation.extras, holder);
    if holds("thinking") {
        return thinking(request, reasoning);
    }
    let effort = match reasoning {
        Reasoning::Off if holds("reasoning") => {
            return object(request, "reasoning", &[("enabled", "false")]);
        }
        Reasoning::Off => "none",
        Reasoning::Effort(effort)
        | Reasoning::Adaptive {
            effort: Some(effort),
        } => effort,
        Reasoning::Adaptive { effort: None } => {
            return object(request, "reasoning", &[("enabled", "true")]);
        }
        Reasoning::Budget(tokens) => {
            return object(request, "reasoning", &[("max_tokens", &tokens.to_string())]);
        }
    };
    if holds("reasoning") {
        object(request, "reasoning", &[("effort", &json::quote(effort))]);
    } else {
        request.string("reasoning_effort", effort);
    }
}

/// The switch of DeepSeek, GLM and Kimi.
fn thinking(request: &mut Request<'_>, reasoning: &Reasoning) {
    match reasoning {
        Reasoning::Off => object(request, "thinking", &[("type", "\"disabled\"")]),
        Reasoning::Budget(tokens) => {
            let budget = tokens.to_string();
            let members = [("type", "\"enabled\""), ("budget_tokens", budget.as_str())];
            object(request, "thinking", &members);
        }
        Reasoning::Adaptive { .. } | Reasoning::Effort(_) => {
            object(request, "thinking", &[("type", "\"enabled\"")]);
        }
    }
}

/// An object with these members and what extras it has.
fn object(request: &mut Request<'_>, name: &'static str, members: &[(&str, &str)]) {
    request.name(name);
    let mut object = Object::begin(&mut request.out);
    for (name, value) in members {
        object.raw(&mut request.out, name, value);
    }
    let rest = extras::within(&request.conversation.extras, name);
    extras::write(rest, &mut object, &mut request.out);
    object.end(&mut request.out);
}

fn by_budget(budget: u64) -> &'static str {
    if budget <= LOW_BUDGET {
        "low"
    } else if budget <= MEDIUM_BUDGET {
        "medium"
    } else {
        "high"
    }
}

/// OpenAI's models know no `max`.
fn write_effort(request: &mut Request<'_>, effort: &str) {
    if effort == "max" {
        request.string("reasoning_effort", "high");
        request.report.changed("output_config.effort");
    } else {
        request.string("reasoning_effort", effort);
    }
}

/// Writes `response_format`.
pub(super) fn output(request: &mut Request<'_>) {
    let conversation = request.conversation;
    let members = request.own_extras();
    let Some(format) = &conversation.output else {
        return;
    };
    request.name("response_format");
    let out = &mut request.out;
    let mut object = Object::begin(out);
    match format {
        OutputFormat::JsonObject => object.string(out, "type", "json_object"),
        OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            object.string(out, "type", "json_schema");
            object.name(out, "json_schema");
            let mut settings = Object::begin(out);
            match name {
                Some(name) => settings.string(out, "name", name),
                None if request.own => {}
                None => settings.string(out, "name", SCHEMA_NAME),
            }
            if let Some(description) = description {
                settings.string(out, "description", description);
            }
            settings.raw(out, "schema", schema.as_str());
            if let Some(strict) = strict {
                settings.raw(out, "strict", if *strict { "true" } else { "false" });
            }
            let rest = extras::within(members, "response_format.json_schema");
            extras::write(rest, &mut settings, out);
            settings.end(out);
        }
    }
    let rest = extras::beside(members, "response_format", "json_schema");
    extras::write(rest, &mut object, out);
    object.end(out);
}
