//! `model-proxy explain MODEL`: the ordered attempts for a model, and why anything is skipped.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::outcome::Failure;
use super::start;
use super::{ExplainArguments, preview};
use crate::config;
use crate::config::catalog::{Catalog, Model, Route, Strategy, StreamRecovery};
use crate::config::settings::Settings;
use crate::routing::plan::{Plan, PlannedRoute, SkippedRoute, plan};
use crate::routing::select::EXPLORATION;
use crate::secret::Scrubber;

pub(super) fn run(arguments: &ExplainArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let model = arguments.model.as_str();
    let sources = start::read()?;
    let catalog = config::load(&sources.settings, &sources.environment);
    let Some(found) = catalog.models.get(model) else {
        return Err(Failure::failed(unknown(&catalog, model)));
    };
    header(&catalog, found, out)?;
    selection(found, out)?;
    policy(&sources.settings, found, out)?;
    if let Some(plan) = plan(&catalog, model) {
        attempts(&plan, &catalog.scrubber, out)?;
        if let Some(file) = &arguments.request {
            preview::print(file, arguments.protocol.into(), &plan, out)?;
        }
    }
    Ok(())
}

fn unknown(catalog: &Catalog, model: &str) -> String {
    let file = format!("models/{model}.json");
    let fault = catalog
        .faults
        .iter()
        .find(|fault| fault.source.ends_with(&file));
    match fault {
        Some(fault) => format!("model `{model}` does not exist, since its file is faulty: {fault}"),
        None => format!(
            "model `{model}` does not exist: there are {} models, see `model-proxy check`",
            catalog.models.len()
        ),
    }
}

fn header(catalog: &Catalog, model: &Model, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "model {} ({})", model.name, model.source.display())?;
    for name in &model.fallbacks {
        let note = if catalog.models.contains_key(name) {
            ""
        } else {
            " (does not exist, ignored)"
        };
        writeln!(out, "  fallback model: {name}{note}")?;
    }
    Ok(())
}

/// Which route comes first. The attempts are listed as in the file, since every request has its own order.
fn selection(model: &Model, out: &mut dyn Write) -> io::Result<()> {
    let first = match model.strategy {
        Strategy::Ordered => "the routes as listed".to_owned(),
        Strategy::RoundRobin => "each route first in turn".to_owned(),
        Strategy::Weighted => "each route first by its weight, those of weight 0 last".to_owned(),
        Strategy::LeastBusy => "the route with the fewest requests under way first".to_owned(),
        Strategy::Fastest => format!(
            "the route with the fastest first token first, another one for {} % of requests",
            EXPLORATION * 100.0
        ),
    };
    let affinity = if model.session_affinity {
        "; a session stays with the route and key that answered it last"
    } else {
        ""
    };
    let strategy = model.strategy.name();
    writeln!(out, "  strategy {strategy}: {first}{affinity}")
}

/// What bounds a request to this model as a whole, and what becomes of a stream that waits or breaks.
fn policy(settings: &Settings, model: &Model, out: &mut dyn Write) -> io::Result<()> {
    let recovery = match model.stream_recovery {
        StreamRecovery::Splice => "continued by the next route where its text agrees (splice)",
        StreamRecovery::Error => "ended with an error event (error)",
        StreamRecovery::Hold => "held back until it is complete (hold)",
    };
    let keepalive = model.keepalive.map_or_else(
        || "no pings".to_owned(),
        |keepalive| format!("pings after {}", seconds(keepalive)),
    );
    writeln!(
        out,
        "  at most {} calls, {} over the keys of a route, waits up to {}; {keepalive}; a stream that breaks is {recovery}",
        settings.max_attempts,
        match settings.max_key_retry_cycles {
            0 | 1 => "1 pass".to_owned(),
            passes => format!("{passes} passes"),
        },
        seconds(settings.max_wait),
    )
}

fn attempts(plan: &Plan, scrubber: &Scrubber, out: &mut dyn Write) -> io::Result<()> {
    if plan.routes.is_empty() {
        writeln!(out, "  no attempt: {}", plan.why_empty())?;
    }
    for (position, planned) in plan.routes.iter().enumerate() {
        let owner = owner(plan, &planned.logical_model);
        writeln!(
            out,
            "  {}. {}{owner}",
            position + 1,
            route_name(&planned.route)
        )?;
        weight(plan, planned, out)?;
        details(&planned.route, scrubber, out)?;
    }
    for skipped in &plan.skipped {
        skip(plan, skipped, out)?;
    }
    Ok(())
}

/// The weight of a weighted model's route, and its share among those that can be called.
fn weight(plan: &Plan, planned: &PlannedRoute, out: &mut dyn Write) -> io::Result<()> {
    let model = &planned.logical_model;
    if model.strategy != Strategy::Weighted {
        return Ok(());
    }
    let routes = plan.routes.iter();
    let routes = routes.filter(|other| Arc::ptr_eq(&other.logical_model, model));
    let total: f64 = routes.map(|other| other.route.weight).sum();
    let weight = planned.route.weight;
    let share = if total > 0.0 { weight / total } else { 0.0 };
    writeln!(
        out,
        "     weight: {weight}, first for {:.0} % of requests",
        share * 100.0
    )
}

fn owner(plan: &Plan, logical: &Model) -> String {
    if logical.name == plan.model.name {
        String::new()
    } else {
        format!(", by fallback to {}", logical.name)
    }
}

fn route_name(route: &Route) -> String {
    format!(
        "route {}: {}/{}",
        route.id, route.provider.name, route.model
    )
}

fn details(route: &Route, scrubber: &Scrubber, out: &mut dyn Write) -> io::Result<()> {
    let labels: Vec<&str> = route.keys.iter().map(|key| key.label.as_str()).collect();
    let timeouts = &route.timeouts;
    writeln!(
        out,
        "     {} {}",
        route.protocol.name(),
        shown(&route.url, scrubber)
    )?;
    writeln!(out, "     keys: {}", labels.join(", "))?;
    writeln!(
        out,
        "     timeouts: connect {}, first token {}, idle {}, total {}{}",
        seconds(timeouts.connect),
        seconds(timeouts.first_token),
        seconds(timeouts.idle),
        seconds(timeouts.total),
        timeouts.attempt.map_or_else(String::new, |attempt| format!(
            ", {} for an answer that is not streamed",
            seconds(attempt)
        )),
    )?;
    let cooldown = if route.cooldowns_off {
        "off".to_owned()
    } else {
        seconds(route.cooldown)
    };
    writeln!(
        out,
        "     cooldown: {cooldown}; repeats: {} on {:?}",
        route.provider.max_retries, route.provider.retry_on_status
    )
}

fn skip(plan: &Plan, skipped: &SkippedRoute, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  skipped: {}{}: {}",
        route_name(&skipped.route),
        owner(plan, &skipped.logical_model),
        skipped.reason
    )
}

/// An address without user, password and query; what came from a `${VAR}` shows as its name.
fn shown(url: &str, scrubber: &Scrubber) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = bare.split_once("://").unwrap_or(("", bare));
    let (authority, path) = rest
        .find('/')
        .and_then(|slash| rest.split_at_checked(slash))
        .unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    scrubber.scrub(&format!("{scheme}://{host}{path}"))
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn an_address_is_shown_without_user_query_and_secret_values() {
        let scrubber = Scrubber::new([(Secret::new("account-7"), "ACCOUNT".to_owned())]);
        let url = "https://user:word@host:1/v1/account-7/chat?api-version=1";
        assert_eq!(shown(url, &scrubber), "https://host:1/v1/[ACCOUNT]/chat");
    }
}
