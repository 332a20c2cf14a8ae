//! The members of a provider file that say how it behaves: `request_config`, `rate_limiting`, `models`,
//! `error_handling`, `model_mapping`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::config::catalog::{ErrorAction, ErrorRule, Limits, ReasoningStyle};
use crate::config::deadlines::Deadlines;
use crate::config::document::{Members, Node};
use crate::config::nearest::hint;
use crate::config::reasoning;
use crate::config::report::Report;

/// What is repeated where the file does not say.
const USUAL_RETRY_ON_STATUS: [u16; 6] = [408, 429, 500, 502, 503, 504];

/// More repeats than anybody waits for; the original shipped a file with 50.
const MOST_RETRIES: u64 = 1000;

/// Members of `request_config` that are easily put beside it.
pub(super) const REQUEST_MEMBERS: [&str; 8] = [
    "default_parameters",
    "max_retries",
    "max_tokens_parameter",
    "reasoning",
    "required_parameters",
    "retry_on_status",
    "timeout_seconds",
    "timeouts",
];

/// The other way round.
const TOP_MEMBERS: [&str; 4] = [
    "bad_key_phrases",
    "error_handling",
    "stream_usage",
    "strip_betas",
];

/// The names of `error_handling.<status>.action`.
const ACTIONS: [(&str, ErrorAction); 5] = [
    ("global_key_failure", ErrorAction::GlobalKeyFailure),
    ("model_key_failure", ErrorAction::ModelKeyFailure),
    ("provider_cooldown", ErrorAction::ProviderCooldown),
    ("fallback_no_cooldown", ErrorAction::FallbackNoCooldown),
    ("auto_fix_tool_responses", ErrorAction::AutoFixToolResponses),
];

/// `request_config`.
#[derive(Default)]
pub(super) struct RequestConfig {
    pub(super) deadlines: Deadlines,
    pub(super) max_retries: Option<u32>,
    pub(super) retry_on_status: Vec<u16>,
    pub(super) default_parameters: Vec<(String, Box<RawValue>)>,
    pub(super) required_parameters: Vec<String>,
    pub(super) wants_max_completion_tokens: bool,
    pub(super) reasoning: Option<ReasoningStyle>,
}

/// Reads `request_config`.
pub(super) fn request_config(members: &mut Members<'_>, report: &mut Report) -> RequestConfig {
    let mut config = RequestConfig {
        retry_on_status: USUAL_RETRY_ON_STATUS.to_vec(),
        ..RequestConfig::default()
    };
    let Some(mut section) = members.object("request_config", report) else {
        return config;
    };
    section.warn_of_misplaced(&TOP_MEMBERS, "the file's outermost object", report);
    config.deadlines = Deadlines::read(&mut section, report);
    config.max_retries = section
        .whole("max_retries", MOST_RETRIES, report)
        .and_then(|number| u32::try_from(number).ok());
    if let Some(node) = section.take("retry_on_status") {
        let statuses = node.elements(report).unwrap_or_default();
        config.retry_on_status = statuses
            .iter()
            .filter_map(|status| status_number(status, report))
            .collect();
    }
    if let Some(defaults) = section.object("default_parameters", report) {
        config.default_parameters = defaults
            .all()
            .map(|(name, value)| (name, value.raw()))
            .collect();
    }
    if let Some(node) = section.take("max_tokens_parameter") {
        match node.text(report).as_deref() {
            Some("max_completion_tokens") => config.wants_max_completion_tokens = true,
            Some("max_tokens") | None => {}
            Some(_) => node.fault("must be `max_tokens` or `max_completion_tokens`", report),
        }
    }
    config.reasoning = reasoning::read(&mut section, report);
    config.required_parameters = section
        .strings("required_parameters", report)
        .unwrap_or_default();
    config
}

fn status_number(node: &Node<'_>, report: &mut Report) -> Option<u16> {
    let status = u16::try_from(node.whole(599, report)?).ok()?;
    if !(100..=599).contains(&status) {
        node.fault("must be an HTTP status", report);
    }
    Some(status)
}

/// `rate_limiting`.
#[derive(Default)]
pub(super) struct RateLimiting {
    pub(super) cooldown: Option<Duration>,
    pub(super) limits: Limits,
    pub(super) max_in_flight_per_key: Option<u64>,
}

/// Reads `rate_limiting`; its limits hold unless `enabled` is false, its cooldown always.
pub(super) fn rate_limiting(members: &mut Members<'_>, report: &mut Report) -> RateLimiting {
    let Some(mut section) = members.object("rate_limiting", report) else {
        return RateLimiting::default();
    };
    let enabled = section.boolean("enabled", report).unwrap_or(true);
    let mut limit = |name| {
        section
            .whole(name, u64::MAX, report)
            .filter(|limit| enabled && *limit > 0)
    };
    let limits = Limits {
        requests_per_minute: limit("requests_per_minute"),
        tokens_per_minute: limit("tokens_per_minute"),
        concurrent_requests: limit("concurrent_requests"),
    };
    let max_in_flight_per_key = limit("max_in_flight_per_key");
    RateLimiting {
        max_in_flight_per_key,
        cooldown: section.cooldown("cooldown_seconds", report),
        limits,
    }
}

/// Reads `models.<model>.cooldown_seconds`.
pub(super) fn model_cooldowns(
    members: &mut Members<'_>,
    report: &mut Report,
) -> BTreeMap<String, Duration> {
    let mut cooldowns = BTreeMap::new();
    let Some(models) = members.object("models", report) else {
        return cooldowns;
    };
    for (model, node) in models.all() {
        let cooldown = node
            .members(report)
            .and_then(|mut model| model.cooldown("cooldown_seconds", report));
        if let Some(cooldown) = cooldown {
            cooldowns.insert(model, cooldown);
        }
    }
    cooldowns
}

/// Reads `error_handling.<status>`.
pub(super) fn error_handling(
    members: &mut Members<'_>,
    report: &mut Report,
) -> BTreeMap<u16, ErrorRule> {
    let mut rules = BTreeMap::new();
    let Some(statuses) = members.object("error_handling", report) else {
        return rules;
    };
    for (name, node) in statuses.all() {
        let status = name
            .parse()
            .ok()
            .filter(|status| (100..=599).contains(status));
        if status.is_none() {
            node.fault("must be named by an HTTP status such as `429`", report);
        }
        let Some(mut section) = node.members(report) else {
            continue;
        };
        let rule = ErrorRule {
            action: action(&mut section, report),
            cooldown: section.cooldown("cooldown_seconds", report),
        };
        if let Some(status) = status {
            rules.insert(status, rule);
        }
    }
    rules
}

fn action(section: &mut Members<'_>, report: &mut Report) -> Option<ErrorAction> {
    let node = section.take("action")?;
    let name = node.name(report)?;
    let found = ACTIONS.iter().find(|(known, _)| *known == name);
    if found.is_none() {
        let names = ACTIONS.map(|(known, _)| known);
        let hint = hint(&name, names);
        node.fault(
            &format!("must be one of {}{hint}", names.join(", ")),
            report,
        );
    }
    found.map(|(_, action)| *action)
}

/// Reads `model_mapping`.
pub(super) fn model_mapping(
    members: &mut Members<'_>,
    report: &mut Report,
) -> BTreeMap<String, String> {
    let Some(mapping) = members.object("model_mapping", report) else {
        return BTreeMap::new();
    };
    mapping
        .all()
        .filter_map(|(from, node)| node.name(report).map(|to| (from, to)))
        .collect()
}
