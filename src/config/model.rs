//! A model file as typed: every member of both generations, checked by itself; and the legacy `models.json`.
//! It knows no provider: whether the names it uses exist is `resolve`'s to say.

use std::path::Path;
use std::time::Duration;

use super::catalog::{ReasoningStyle, Strategy, StreamRecovery};
use super::deadlines::Deadlines;
use super::document::{Located, Members, Node};
use super::nearest::hint;
use super::provider::base_address;
use super::reasoning;
use super::report::Report;
use super::seconds::Zero;
use crate::protocol::Protocol;

pub(crate) mod legacy;
mod selection;

/// A model file, checked by itself.
#[derive(Debug)]
pub(crate) struct ModelFile {
    /// What clients name.
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) position: (usize, usize),
    /// Deadlines of this level.
    pub(crate) deadlines: Deadlines,
    /// Rest of a key where route and provider name none.
    pub(crate) cooldown: Option<Duration>,
    /// Its routes, in order.
    pub(crate) routes: Vec<RouteFile>,
    /// Which of them comes first.
    pub(crate) strategy: Strategy,
    /// Sessions keep their route and key.
    pub(crate) session_affinity: bool,
    /// Logical models to go on with, in order.
    pub(crate) fallbacks: Vec<Located<String>>,
    /// Refuse what a conversion would lose.
    pub(crate) strict: bool,
    /// How its routes may be asked to think.
    pub(crate) reasoning: Option<ReasoningStyle>,
    /// Recovery after content.
    pub(crate) stream_recovery: StreamRecovery,
    /// Silence before pings; zero: never; `None`: as the settings say.
    pub(crate) keepalive: Option<Duration>,
}

/// One entry of `model_routings`.
#[derive(Debug)]
pub(crate) struct RouteFile {
    /// Its name in `explain`, attempts and errors.
    pub(crate) id: Option<String>,
    /// The provider's name.
    pub(crate) provider: Located<String>,
    /// The upstream's name of the model, before `model_mapping`.
    pub(crate) model: String,
    /// Overrides the provider's protocol.
    pub(crate) protocol: Option<Protocol>,
    /// Overrides the provider's address.
    pub(crate) base_url: Option<String>,
    /// Replaces the provider's key patterns.
    pub(crate) api_key_env: Option<Located<Vec<String>>>,
    /// Deadlines of this level.
    pub(crate) deadlines: Deadlines,
    /// Rest of a key.
    pub(crate) cooldown: Option<Duration>,
    /// How this model may be asked to think.
    pub(crate) reasoning: Option<ReasoningStyle>,
    /// Its share among the others, from 0.
    pub(crate) weight: Option<Located<f64>>,
}

impl ModelFile {
    /// Reads a file whose path below `models/`, without `.json`, is `stem`. `None` if it cannot be used; the report says
    /// why.
    pub(crate) fn parse(stem: &str, source: &Path, text: &str) -> (Option<Self>, Report) {
        let mut report = Report::new(source);
        let file = Node::parse(text, &mut report)
            .and_then(|node| node.members(&mut report))
            .and_then(|mut members| Self::read(stem, &mut members, &mut report));
        (file.filter(|_| report.faults.is_empty()), report)
    }

    fn read(stem: &str, members: &mut Members<'_>, report: &mut Report) -> Option<Self> {
        let name = logical_name(stem, members, report);
        let deadlines = Deadlines::read(members, report);
        let cooldown = members.cooldown("default_cooldown_seconds", report);
        let fallbacks = fallbacks(members, report);
        let routes = routes(members, fallbacks.is_empty(), report);
        let reasoning = reasoning::read(members, report);
        let strategy = selection::strategy(members, &routes, report);
        let session_affinity = members.boolean("session_affinity", report);
        let strict = members.boolean("strict", report).unwrap_or(false);
        let stream_recovery = stream_recovery(members, report).unwrap_or_default();
        let keepalive = members.seconds("keepalive_seconds", Zero::Allowed, report);
        members.warn_of_unknown(report);
        let name = name?;
        Some(Self {
            name: name.value,
            position: name.position,
            deadlines,
            cooldown,
            routes,
            strategy,
            session_affinity: session_affinity.unwrap_or(false),
            fallbacks,
            strict,
            reasoning,
            stream_recovery,
            keepalive,
        })
    }
}

/// `logical_name`, which must be the file's. Characters that are awkward in file names may be written otherwise there:
/// `gpt-5-2.json` may hold `gpt-5.2`.
fn logical_name(
    stem: &str,
    members: &mut Members<'_>,
    report: &mut Report,
) -> Option<Located<String>> {
    let node = members.require("logical_name", report)?;
    let value = node.name(report)?;
    if file_spelling(&value) != file_spelling(stem) {
        let message = format!(
            "is `{value}`, but the file is named `{stem}`: rename the file to `{value}.json`, or correct the name"
        );
        node.fault(&message, report);
        return None;
    }
    Some(node.located(value))
}

fn file_spelling(name: &str) -> String {
    name.chars()
        .map(|character| {
            if character.is_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect()
}

fn fallbacks(members: &mut Members<'_>, report: &mut Report) -> Vec<Located<String>> {
    let elements = members
        .take("fallback_model_routings")
        .and_then(|node| node.elements(report))
        .unwrap_or_default();
    elements
        .iter()
        .filter_map(|node| Some(node.located(node.name(report)?)))
        .collect()
}

fn routes(members: &mut Members<'_>, required: bool, report: &mut Report) -> Vec<RouteFile> {
    let node = if required {
        members.require("model_routings", report)
    } else {
        members.take("model_routings")
    };
    let Some(node) = node else {
        return Vec::new();
    };
    let elements = node.elements(report).unwrap_or_default();
    if elements.is_empty() && required && report.faults.is_empty() {
        node.fault(
            "holds no route, and there is no fallback: add at least one",
            report,
        );
    }
    let mut routes: Vec<RouteFile> = Vec::with_capacity(elements.len());
    for element in &elements {
        let Some(route) = element
            .members(report)
            .and_then(|mut members| route(&mut members, report))
        else {
            continue;
        };
        if route.id.is_some() && routes.iter().any(|other| other.id == route.id) {
            element.warning(
                "has the `id` of an earlier route; logs cannot tell them apart",
                report,
            );
        }
        routes.push(route);
    }
    routes
}

fn route(members: &mut Members<'_>, report: &mut Report) -> Option<RouteFile> {
    let id = members.name("id", report);
    let provider = members.require("provider", report);
    let model = members.require("model", report);
    let protocol = wire_protocol(members, report);
    let base_url = members
        .take("base_url")
        .and_then(|node| base_address(&node, report));
    let api_key_env = members
        .take("api_key_env")
        .and_then(|node| Some(node.located(node.strings(report)?)));
    let deadlines = Deadlines::read(members, report);
    let cooldown = members.cooldown("cooldown_seconds", report);
    let reasoning = reasoning::read(members, report);
    let weight = selection::weight(members, report);
    members.warn_of_unknown(report);
    let (provider, model) = (provider?, model?);
    Some(RouteFile {
        id,
        provider: provider.located(provider.name(report)?),
        model: model.name(report)?,
        protocol,
        base_url,
        api_key_env: api_key_env.filter(|names| !names.value.is_empty()),
        deadlines,
        cooldown,
        reasoning,
        weight,
    })
}

fn wire_protocol(members: &mut Members<'_>, report: &mut Report) -> Option<Protocol> {
    let node = members.take("wire_protocol")?;
    let name = node.string(report)?;
    match name.trim().to_ascii_lowercase().as_str() {
        "" => None,
        "openai" => Some(Protocol::OpenAi),
        "anthropic" => Some(Protocol::Anthropic),
        other => {
            let hint = hint(other, ["openai", "anthropic"]);
            node.fault(&format!("must be `openai` or `anthropic`{hint}"), report);
            None
        }
    }
}

fn stream_recovery(members: &mut Members<'_>, report: &mut Report) -> Option<StreamRecovery> {
    let node = members.take("stream_recovery")?;
    match node.string(report)?.as_str() {
        "splice" => Some(StreamRecovery::Splice),
        "error" => Some(StreamRecovery::Error),
        "hold" => Some(StreamRecovery::Hold),
        other => {
            let hint = hint(other, ["splice", "error", "hold"]);
            node.fault(
                &format!("must be `splice`, `error` or `hold`{hint}"),
                report,
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;
