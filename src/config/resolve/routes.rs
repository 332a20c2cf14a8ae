//! One route: what it says itself, else what its model, its provider and the settings say.

use std::sync::Arc;
use std::time::Duration;

use super::providers::usual_path;
use super::{Context, ModelSource, Resolved};
use crate::config::address::{check_base, join};
use crate::config::catalog::{Finding, Provider, Route};
use crate::config::deadlines;
use crate::config::keys::{KeyChain, first_variable};
use crate::config::model::RouteFile;
use crate::protocol::Protocol;

/// The route at a position of its model's list.
pub(super) fn resolve(
    index: usize,
    source: &ModelSource<'_>,
    route: &RouteFile,
    resolved: &Resolved<'_>,
    chain: &mut KeyChain<'_>,
    context: &mut Context<'_>,
) -> Route {
    let file = resolved.file;
    let protocol = route.protocol.unwrap_or(file.endpoints.protocol);
    let model = file.model_mapping.get(&route.model).unwrap_or(&route.model);
    let (base, unusable) = base(route, resolved, context);
    let (path, stream_path) = paths(protocol, resolved);
    let levels = [&route.deadlines, &source.file.deadlines, &file.deadlines];
    let provider = provider(&resolved.provider, unusable);
    let keys = match &route.api_key_env {
        Some(names) => chain.keys(&names.value),
        None => Arc::clone(&resolved.provider.keys),
    };
    note_skipped(source, route, resolved, &provider, keys.is_empty(), context);
    let id = route.id.clone().unwrap_or_else(|| (index + 1).to_string());
    let timeouts = deadlines::resolve(levels, context.settings);
    for contradiction in deadlines::contradictions(&timeouts) {
        context.warnings.push(Finding {
            source: source.path.to_owned(),
            position: None,
            message: format!("route {id}: {contradiction}"),
        });
    }
    Route {
        id,
        provider,
        model: model.clone(),
        protocol,
        url: join(&base, path, model),
        stream_url: join(&base, stream_path, model),
        keys,
        timeouts,
        cooldown: cooldown(source, route, resolved, context),
        reasoning: (route.reasoning)
            .or(source.file.reasoning)
            .or(file.reasoning)
            .unwrap_or_default(),
        cooldowns_off: context.settings.key_cooldown.is_zero(),
        weight: route.weight.as_ref().map_or(1.0, |weight| weight.value),
    }
}

/// The address in front of the path, and why it cannot be used.
fn base(
    route: &RouteFile,
    resolved: &Resolved<'_>,
    context: &mut Context<'_>,
) -> (String, Option<String>) {
    let Some(own) = &route.base_url else {
        return (resolved.reach.base.clone(), None);
    };
    match context.expand(own) {
        Ok(base) => {
            let wrong = check_base(&base).err();
            let reason =
                wrong.map(|wrong| format!("the route's base_url, with its variables, {wrong}"));
            (base, reason)
        }
        Err(reason) => (own.clone(), Some(reason)),
    }
}

/// Paths for whole answers and for streams. Those of the provider's file are for the protocol of that file.
fn paths<'reach>(protocol: Protocol, resolved: &'reach Resolved<'_>) -> (&'reach str, &'reach str) {
    if protocol == resolved.provider.protocol {
        (&resolved.reach.completions, &resolved.reach.streaming)
    } else {
        (usual_path(protocol), usual_path(protocol))
    }
}

/// The provider as this route sees it: one whose own address cannot be used carries a copy that says so, since usability
/// is read there.
fn provider(provider: &Arc<Provider>, unusable: Option<String>) -> Arc<Provider> {
    match unusable {
        Some(reason) if provider.unusable.is_none() => Arc::new(Provider {
            unusable: Some(reason),
            ..Provider::clone(provider)
        }),
        _ => Arc::clone(provider),
    }
}

/// Notes why this route cannot be called; nothing about a provider that is disabled on purpose.
fn note_skipped(
    source: &ModelSource<'_>,
    route: &RouteFile,
    resolved: &Resolved<'_>,
    provider: &Provider,
    without_key: bool,
    context: &mut Context<'_>,
) {
    let (place, reason) = match (&provider.unusable, &route.api_key_env) {
        _ if !provider.enabled => return,
        (Some(reason), _) => (format!("provider {}", provider.name), reason.clone()),
        _ if !without_key => return,
        (None, Some(names)) => {
            context.warnings.push(Finding {
                source: source.path.to_owned(),
                position: Some(names.position),
                message: format!(
                    "none of the variables in api_key_env is set ({}), so this route is skipped",
                    names.value.join(", ")
                ),
            });
            return;
        }
        (None, None) => {
            let pattern = resolved.file.key_patterns.first();
            let variable = pattern.map_or_else(String::new, |pattern| {
                first_variable(pattern, &provider.name)
            });
            (
                variable,
                format!("is not set and provider `{}` has no key", provider.name),
            )
        }
    };
    let models = context.skipped.entry((place, reason)).or_default();
    if models.last() != Some(&source.file.name) {
        models.push(source.file.name.clone());
    }
}

/// The first that is written, 0 included. `error_handling` comes before all of these, by status, when a call has failed.
fn cooldown(
    source: &ModelSource<'_>,
    route: &RouteFile,
    resolved: &Resolved<'_>,
    context: &Context<'_>,
) -> Duration {
    let models = &resolved.file.model_cooldowns;
    let mapped = resolved.file.model_mapping.get(&route.model);
    route
        .cooldown
        .or_else(|| models.get(&route.model).copied())
        .or_else(|| models.get(mapped?).copied())
        .or(source.file.cooldown)
        .or(resolved.file.cooldown)
        .unwrap_or(context.settings.key_cooldown)
}
