//! A provider file as typed: every member of both generations, checked by itself.
//! It knows neither the environment nor other files; `resolve` makes a `catalog::Provider` of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::value::RawValue;

use super::catalog::{ErrorRule, Limits, ReasoningStyle};
use super::deadlines::Deadlines;
use super::document::{Members, Node};
use super::report::Report;
use crate::protocol::Protocol;

mod access;
mod behaviour;

pub(crate) use access::{base_address, is_header_value};

/// Where a provider is reached.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// Address in front of every path; may hold `${VAR}`.
    pub(crate) base_url: String,
    /// Replaces it, where `proxy_support` is enabled.
    pub(crate) base_url_override: Option<String>,
    /// Path for whole answers; may hold `{model}`.
    pub(crate) completions: Option<String>,
    /// Path for streams.
    pub(crate) streaming: Option<String>,
    /// What `compatible_format` means.
    pub(crate) protocol: Protocol,
}

/// How a provider is told who calls.
#[derive(Debug)]
pub(crate) struct Authentication {
    /// Lower-case name of the header that carries the key.
    pub(crate) header: String,
    /// Its value, with `{api_key}`.
    pub(crate) format: String,
    /// Further headers: lower-case name and value, which may hold `${VAR}`.
    pub(crate) headers: Vec<(String, String)>,
}

/// A provider file, checked by itself.
#[derive(Debug)]
pub(crate) struct ProviderFile {
    /// For people.
    pub(crate) display_name: String,
    /// False: no route of it is used.
    pub(crate) enabled: bool,
    /// Patterns of key variables, in order.
    pub(crate) key_patterns: Vec<String>,
    /// Where it is reached.
    pub(crate) endpoints: Endpoints,
    /// How it is told who calls.
    pub(crate) authentication: Authentication,
    /// Deadlines of this level.
    pub(crate) deadlines: Deadlines,
    /// Repeats on a route.
    pub(crate) max_retries: Option<u32>,
    /// Statuses that may be repeated.
    pub(crate) retry_on_status: Vec<u16>,
    /// Sent where the client sent nothing.
    pub(crate) default_parameters: Vec<(String, Box<RawValue>)>,
    /// Must be there after the defaults.
    pub(crate) required_parameters: Vec<String>,
    /// `max_tokens_parameter` is `max_completion_tokens`.
    pub(crate) wants_max_completion_tokens: bool,
    /// How its models may be asked to think.
    pub(crate) reasoning: Option<ReasoningStyle>,
    /// Rest of a key, `rate_limiting.cooldown_seconds`.
    pub(crate) cooldown: Option<Duration>,
    /// Limits over all clients.
    pub(crate) limits: Limits,
    /// Calls that one key may have under way.
    pub(crate) max_in_flight_per_key: Option<u64>,
    /// Rest of a key for one upstream model.
    pub(crate) model_cooldowns: BTreeMap<String, Duration>,
    /// `error_handling` by status.
    pub(crate) error_rules: BTreeMap<u16, ErrorRule>,
    /// A 400 whose message begins so means a bad key.
    pub(crate) bad_key_phrases: Vec<String>,
    /// Upstream name for a name that routes use.
    pub(crate) model_mapping: BTreeMap<String, String>,
    /// Whether streams may be asked for usage.
    pub(crate) stream_usage: bool,
    /// Beta names that it refuses.
    pub(crate) strip_betas: Vec<String>,
}

impl ProviderFile {
    /// Reads a file named `<name>.json`. `None` if it cannot be used; the report says why.
    pub(crate) fn parse(name: &str, source: &Path, text: &str) -> (Option<Self>, Report) {
        let mut report = Report::new(source);
        let file = Node::parse(text, &mut report)
            .and_then(|node| node.members(&mut report))
            .and_then(|mut members| Self::read(name, &mut members, &mut report));
        (file.filter(|_| report.faults.is_empty()), report)
    }

    fn read(name: &str, members: &mut Members<'_>, report: &mut Report) -> Option<Self> {
        if let Some(node) = members.take("name")
            && node.name(report).is_some_and(|given| given != name)
        {
            node.warning(
                &format!("differs from the file's name, which counts: routes say `{name}`"),
                report,
            );
        }
        // Unknown members are notes and nobody's business; known ones in the wrong place are not.
        members.warn_of_misplaced(&behaviour::REQUEST_MEMBERS, "request_config", report);
        members.warn_of_misplaced(&access::ENDPOINT_MEMBERS, "endpoints", report);
        let key_patterns = access::key_patterns(members, report);
        let endpoints = access::endpoints(members, report);
        let protocol = endpoints
            .as_ref()
            .map_or(Protocol::OpenAi, |endpoints| endpoints.protocol);
        let authentication = access::authentication(members, protocol, report);
        let request = behaviour::request_config(members, report);
        let rates = behaviour::rate_limiting(members, report);
        Some(Self {
            display_name: members
                .name("display_name", report)
                .unwrap_or_else(|| name.to_owned()),
            enabled: members.boolean("enabled", report).unwrap_or(true),
            key_patterns,
            authentication,
            deadlines: request.deadlines,
            max_retries: request.max_retries,
            retry_on_status: request.retry_on_status,
            default_parameters: request.default_parameters,
            required_parameters: request.required_parameters,
            wants_max_completion_tokens: request.wants_max_completion_tokens,
            reasoning: request.reasoning,
            cooldown: rates.cooldown,
            limits: rates.limits,
            max_in_flight_per_key: rates.max_in_flight_per_key,
            model_cooldowns: behaviour::model_cooldowns(members, report),
            error_rules: behaviour::error_handling(members, report),
            bad_key_phrases: members
                .strings("bad_key_phrases", report)
                .unwrap_or_default(),
            model_mapping: behaviour::model_mapping(members, report),
            stream_usage: members.boolean("stream_usage", report).unwrap_or(true),
            strip_betas: members.strings("strip_betas", report).unwrap_or_default(),
            endpoints: endpoints?,
        })
    }
}

#[cfg(test)]
mod tests;
