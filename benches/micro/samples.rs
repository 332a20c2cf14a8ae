//! Providers, models, streams and bodies to measure with: made up, and of the size that real ones have.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model_proxy::config::catalog::{
    Limits, Model, Origin, Provider, ProviderKey, ReasoningStyle, Route, Strategy, StreamRecovery,
    Timeouts,
};
use model_proxy::protocol::Protocol;
use model_proxy::secret::Secret;

/// Events of a stream.
pub(crate) const EVENTS: usize = 64;
/// Bytes of each.
const EVENT_BYTES: usize = 180;

/// What a provider has under the name of `KEY_<number>`.
pub(crate) fn secret(number: usize) -> Secret {
    Secret::new(format!("sk-proj-{number:0>40}"))
}

pub(crate) fn keys(count: usize) -> Arc<[Arc<ProviderKey>]> {
    let key = |number| {
        let secret = secret(number);
        Arc::new(ProviderKey {
            label: format!("KEY_{number}"),
            digest: secret.digest(),
            secret,
        })
    };
    (1..=count).map(key).collect()
}

/// An OpenAI-protocol provider.
pub(crate) fn provider(keys: Arc<[Arc<ProviderKey>]>) -> Arc<Provider> {
    Arc::new(Provider {
        name: "acme".to_owned(),
        display_name: "Acme".to_owned(),
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
    })
}

pub(crate) fn route(provider: &Arc<Provider>) -> Route {
    let url = "https://api.acme.example/v1/chat/completions";
    Route {
        id: "1".to_owned(),
        model: "acme-large".to_owned(),
        protocol: provider.protocol,
        url: url.to_owned(),
        stream_url: url.to_owned(),
        keys: Arc::clone(&provider.keys),
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(300),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(600),
            attempt: None,
        },
        cooldown: Duration::from_secs(300),
        reasoning: ReasoningStyle::Usual,
        cooldowns_off: false,
        weight: 1.0,
        provider: Arc::clone(provider),
    }
}

pub(crate) fn model(name: &str, routes: Vec<Arc<Route>>) -> Arc<Model> {
    Arc::new(Model {
        name: name.to_owned(),
        source: PathBuf::from(format!("models/{name}.json")),
        routes,
        strategy: Strategy::default(),
        session_affinity: false,
        fallbacks: Vec::new(),
        strict: false,
        stream_recovery: StreamRecovery::default(),
        keepalive: None,
        created: 0,
    })
}

/// What comes before the first content of an upstream's stream.
pub(crate) fn stream_start(protocol: Protocol) -> Vec<Bytes> {
    let events: &[&str] = match protocol {
        Protocol::OpenAi => &[
            "data: {\"id\":\"chatcmpl-9\",\"object\":\"chat.completion.chunk\",\"created\":1763800000,\"model\":\"acme-large\",\
             \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        ],
        Protocol::Anthropic => &[
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_9\",\"type\":\"message\",\
             \"role\":\"assistant\",\"model\":\"acme-large\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\
             \"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\n",
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
             \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        ],
    };
    events
        .iter()
        .map(|event| Bytes::from_static(event.as_bytes()))
        .collect()
}

/// [`EVENTS`] events that carry text.
pub(crate) fn stream_content(protocol: Protocol) -> Vec<Bytes> {
    let (before, after) = match protocol {
        Protocol::OpenAi => (
            "data: {\"id\":\"chatcmpl-9\",\"object\":\"chat.completion.chunk\",\"created\":1763800000,\"model\":\"acme-large\",\
             \"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
            "\"},\"finish_reason\":null}]}\n\n",
        ),
        Protocol::Anthropic => (
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
             \"delta\":{\"type\":\"text_delta\",\"text\":\"",
            "\"}}\n\n",
        ),
    };
    let text = words(EVENT_BYTES - before.len() - after.len());
    let event = Bytes::from(format!("{before}{text}{after}"));
    assert_eq!(event.len(), EVENT_BYTES);
    vec![event; EVENTS]
}

/// A conversation of about so many bytes with three tools.
pub(crate) fn body(protocol: Protocol, bytes: usize) -> Bytes {
    // The shortest body is one question; a long one has many turns of what people paste into them.
    let turns = if bytes < 4096 { 1 } else { 41 };
    let text = (bytes.saturating_sub(600) / turns).max(40);
    let mut body = String::from("{\"model\":\"large\",\"max_tokens\":4096,\"messages\":[");
    for turn in 0..turns {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let comma = if turn == 0 { "" } else { "," };
        let words = lines(text.saturating_sub(40));
        let _ = write!(
            body,
            "{comma}{{\"role\":\"{role}\",\"content\":\"{words}\"}}"
        );
    }
    body.push_str("],\"tools\":[");
    for (number, name) in ["read_file", "write_file", "search"].iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let schema = "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}";
        let _ = match protocol {
            Protocol::OpenAi => write!(
                body,
                "{comma}{{\"type\":\"function\",\"function\":{{\"name\":\"{name}\",\"parameters\":{schema}}}}}"
            ),
            Protocol::Anthropic => write!(
                body,
                "{comma}{{\"name\":\"{name}\",\"input_schema\":{schema}}}"
            ),
        };
    }
    body.push_str("],\"temperature\":0.2}");
    Bytes::from(body)
}

/// Prose on one line.
fn words(bytes: usize) -> String {
    let mut text = "the quick brown fox jumps over the lazy dog ".repeat(bytes / 44 + 1);
    text.truncate(bytes);
    text
}

/// Code and prose as a JSON string spells them: a line break each few words, a quote on each second line.
fn lines(bytes: usize) -> String {
    let mut text = "let answer = read(\\\"the file\\\");\\n    and then the fox jumps over it\\n"
        .repeat(bytes / 72 + 1);
    text.truncate(bytes);
    while text.ends_with('\\') {
        text.pop();
    }
    text
}
