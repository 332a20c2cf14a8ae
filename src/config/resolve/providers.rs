//! One provider against the environment: keys, `${VAR}` in addresses and headers, and why it may be unusable.

use std::sync::Arc;

use super::{Context, ProviderSource, Resolved};
use crate::config::address::check_base;
use crate::config::catalog::Provider;
use crate::config::expand::expand;
use crate::config::keys::KeyChain;
use crate::config::provider::{ProviderFile, is_header_value};
use crate::protocol::Protocol;
use crate::secret::Secret;

/// Where the routes of a provider go unless they say otherwise, after expansion.
pub(super) struct Reach {
    pub(super) base: String,
    pub(super) completions: String,
    pub(super) streaming: String,
}

/// The path of a protocol where a provider's file says none, or says one for another protocol.
pub(super) fn usual_path(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::OpenAi => "/chat/completions",
        Protocol::Anthropic => "/messages",
    }
}

/// The provider. Its ring is complete: every list of keys that a route names has been asked for before.
pub(super) fn resolve<'library>(
    name: &str,
    source: &ProviderSource<'library>,
    chain: &mut KeyChain<'_>,
    context: &mut Context<'_>,
) -> Resolved<'library> {
    let file: &ProviderFile = source.file;
    let mut unusable = None;
    let reach = reach(file, context, &mut unusable);
    let headers = headers(file, context, &mut unusable);
    let provider = Provider {
        name: name.to_owned(),
        display_name: file.display_name.clone(),
        enabled: file.enabled,
        origin: source.origin.clone(),
        protocol: file.endpoints.protocol,
        unusable,
        auth_header: file.authentication.header.clone(),
        auth_format: file.authentication.format.clone(),
        headers,
        keys: chain.keys(&file.key_patterns),
        ring: chain.ring(),
        max_retries: file.max_retries.unwrap_or(context.settings.max_retries),
        retry_on_status: file.retry_on_status.clone(),
        error_rules: file.error_rules.clone(),
        bad_key_phrases: file.bad_key_phrases.clone(),
        stream_usage: file.stream_usage,
        strip_betas: file.strip_betas.clone(),
        default_parameters: file.default_parameters.clone(),
        wants_max_completion_tokens: file.wants_max_completion_tokens,
        required_parameters: file.required_parameters.clone(),
        limits: file.limits,
        max_in_flight_per_key: file.max_in_flight_per_key,
    };
    Resolved {
        file,
        provider: Arc::new(provider),
        reach,
    }
}

fn reach(file: &ProviderFile, context: &mut Context<'_>, unusable: &mut Option<String>) -> Reach {
    let endpoints = &file.endpoints;
    let mut expanded = |text: &str| {
        context.expand(text).unwrap_or_else(|reason| {
            unusable.get_or_insert(reason);
            text.to_owned()
        })
    };
    let base = expanded(
        endpoints
            .base_url_override
            .as_ref()
            .unwrap_or(&endpoints.base_url),
    );
    let usual = usual_path(endpoints.protocol);
    let completions = endpoints.completions.as_deref().unwrap_or(usual);
    let streaming = endpoints.streaming.as_deref().unwrap_or(completions);
    let (completions, streaming) = (expanded(completions), expanded(streaming));
    if unusable.is_none()
        && let Err(wrong) = check_base(&base)
    {
        *unusable = Some(format!(
            "the address of its file, with its variables, {wrong}"
        ));
    }
    Reach {
        base,
        completions,
        streaming,
    }
}

fn headers(
    file: &ProviderFile,
    context: &mut Context<'_>,
    unusable: &mut Option<String>,
) -> Vec<(String, Secret)> {
    let mut headers = Vec::with_capacity(file.authentication.headers.len());
    for (name, value) in &file.authentication.headers {
        match context.expand(value) {
            Ok(value) if is_header_value(&value) => {
                headers.push((name.clone(), Secret::new(value)))
            }
            Ok(_) => {
                unusable.get_or_insert(format!(
                    "header `{name}`, with its variables, cannot be sent"
                ));
            }
            Err(reason) => {
                unusable.get_or_insert(reason);
            }
        }
    }
    headers
}

impl Context<'_> {
    /// A text with its variables, or which of them is not set.
    pub(super) fn expand(&mut self, text: &str) -> Result<String, String> {
        expand(text, self.environment, &mut self.used)
            .map_err(|variable| format!("variable `{variable}` is not set"))
    }
}
