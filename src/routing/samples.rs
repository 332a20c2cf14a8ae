//! Providers, routes and models for the tests of this crate's decisions and actors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::catalog::{
    Limits, Model, Origin, Provider, ProviderKey, Route, Strategy, StreamRecovery, Timeouts,
};
use crate::protocol::Protocol;
use crate::secret::Secret;

/// A key with the label `KEY_<number>` and the value `secret-<number>`.
pub(crate) fn key(number: usize) -> Arc<ProviderKey> {
    let secret = Secret::new(format!("secret-{number}"));
    Arc::new(ProviderKey {
        label: format!("KEY_{number}"),
        digest: secret.digest(),
        secret,
    })
}

/// The keys 1 to `count`.
pub(crate) fn keys(count: usize) -> Arc<[Arc<ProviderKey>]> {
    (1..=count).map(key).collect()
}

/// An enabled OpenAI provider that has the keys 1 to `count`.
pub(crate) fn provider(name: &str, count: usize) -> Provider {
    let keys = keys(count);
    Provider {
        name: name.to_owned(),
        display_name: name.to_owned(),
        enabled: true,
        origin: Origin::BuiltIn,
        protocol: Protocol::OpenAi,
        unusable: None,
        auth_header: "authorization".to_owned(),
        auth_format: "Bearer {api_key}".to_owned(),
        headers: Vec::new(),
        ring: Arc::clone(&keys),
        keys,
        max_retries: 2,
        retry_on_status: vec![429, 500, 502, 503, 504],
        error_rules: BTreeMap::new(),
        bad_key_phrases: Vec::new(),
        stream_usage: true,
        strip_betas: Vec::new(),
        default_parameters: Vec::new(),
        wants_max_completion_tokens: false,
        required_parameters: Vec::new(),
        limits: Limits::default(),
        max_in_flight_per_key: None,
    }
}

/// A route of this provider with all of its keys and a cooldown of 300 s.
pub(crate) fn route(provider: &Arc<Provider>, model: &str) -> Route {
    Route {
        id: "1".to_owned(),
        model: model.to_owned(),
        protocol: provider.protocol,
        url: "http://127.0.0.1:1/v1/chat/completions".to_owned(),
        stream_url: "http://127.0.0.1:1/v1/chat/completions".to_owned(),
        keys: Arc::clone(&provider.keys),
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(300),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(600),
            attempt: None,
        },
        cooldown: Duration::from_secs(300),
        reasoning: crate::config::catalog::ReasoningStyle::Usual,
        cooldowns_off: false,
        weight: 1.0,
        provider: Arc::clone(provider),
    }
}

/// A model with these routes and no fallbacks.
pub(crate) fn model(name: &str, routes: Vec<Route>) -> Model {
    Model {
        name: name.to_owned(),
        source: PathBuf::from(format!("models/{name}.json")),
        routes: routes.into_iter().map(Arc::new).collect(),
        strategy: Strategy::default(),
        session_affinity: false,
        fallbacks: Vec::new(),
        strict: false,
        stream_recovery: StreamRecovery::default(),
        keepalive: None,
        created: 0,
    }
}
