//! Failover as clients, operators and upstreams see it: which failure moves a request where, what it does to keys, which
//! deadline ends it, and what a stream survives.

mod deadlines;
mod divergence;
mod hold;
mod keepalive;
mod leaving;
mod middles;
mod order;
mod outages;
mod refusals;
mod resort;
mod rules;
mod silence;
mod splices;
mod stopping;
mod table;
mod turns;
mod waits;

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::gateway::{Builder, Gateway, provider_json};
use crate::support::rows::Row;
use crate::support::upstream::bodies::{
    anthropic_answer, anthropic_error_body, anthropic_events, data, named, openai_answer,
    openai_error_body, openai_events,
};
use crate::support::upstream::{Answer, Upstream, reply, sse};

/// How long anything may take that nothing holds up.
const SOON: Duration = Duration::from_secs(10);

const BOTH: [Protocol; 2] = [Protocol::OpenAi, Protocol::Anthropic];

/// The providers of [`routes`], in order; `alpha` is asked for `up-alpha`, and so on.
const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

fn question() -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
}

fn streamed() -> Value {
    let mut body = question();
    body["stream"] = json!(true);
    body
}

/// The same question to another model.
fn to_model(mut body: Value, model: &str) -> Value {
    body["model"] = json!(model);
    body
}

fn path(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::OpenAi => "/v1/chat/completions",
        Protocol::Anthropic => "/v1/messages",
    }
}

fn whole(protocol: Protocol, text: &str) -> Answer {
    match protocol {
        Protocol::OpenAi => openai_answer(text),
        Protocol::Anthropic => anthropic_answer(text),
    }
}

fn events(protocol: Protocol, words: &[&str]) -> Vec<String> {
    match protocol {
        Protocol::OpenAi => openai_events(words),
        Protocol::Anthropic => anthropic_events(words),
    }
}

fn stream(protocol: Protocol, words: &[&str]) -> Answer {
    sse(events(protocol, words))
}

/// A stream up to and including its last word; how it ends is to be said.
fn begun(protocol: Protocol, words: &[&str]) -> Answer {
    stream(protocol, words).only(opening(protocol) + words.len())
}

/// How many events precede the first word.
fn opening(protocol: Protocol) -> usize {
    match protocol {
        Protocol::OpenAi => 1,
        Protocol::Anthropic => 3,
    }
}

/// What a question gets whose client wants a stream, or a whole answer.
fn answer(protocol: Protocol, streaming: bool, text: &str) -> Answer {
    if streaming {
        stream(protocol, &[text])
    } else {
        whole(protocol, text)
    }
}

fn error_body(protocol: Protocol, kind: &str, message: &str) -> Value {
    match protocol {
        Protocol::OpenAi => openai_error_body(kind, None, message),
        Protocol::Anthropic => anthropic_error_body(kind, message),
    }
}

fn error(protocol: Protocol, status: u16, kind: &str, message: &str) -> Answer {
    reply(status).json(&error_body(protocol, kind, message))
}

fn error_event(protocol: Protocol, kind: &str, message: &str) -> String {
    let body = error_body(protocol, kind, message);
    match protocol {
        Protocol::OpenAi => data(&body),
        Protocol::Anthropic => named(&body),
    }
}

/// The refusal of a provider that is in trouble.
fn broken() -> Answer {
    error(Protocol::OpenAi, 500, "server_error", "broken")
}

/// A provider file with these members of `request_config`.
fn provider(name: &str, upstream: &Upstream, protocol: Protocol, request_config: Value) -> Value {
    let mut file = provider_json(name, &upstream.url(), protocol);
    file["request_config"] = request_config;
    file
}

/// A model file with a route to each of these providers.
fn model(name: &str, providers: &[&str]) -> Value {
    let routes = providers
        .iter()
        .map(|provider| json!({"provider": provider, "model": format!("up-{provider}")}));
    json!({"logical_name": name, "model_routings": Value::from_iter(routes)})
}

/// Model `m` with a route to each of these upstreams, one key each, and no call repeated.
fn routes<const N: usize>(upstreams: [(&Upstream, Protocol); N]) -> Builder {
    let mut builder = Gateway::builder()
        .setting("max_retries", 0)
        .setting("workers", 1);
    for (name, (upstream, protocol)) in NAMES.into_iter().zip(upstreams) {
        builder = builder.provider(name, upstream, protocol);
    }
    builder.model_file("m", &model("m", &NAMES[..N]))
}

/// The same for upstreams that all speak OpenAI's protocol.
fn openai_routes<const N: usize>(upstreams: [&Upstream; N]) -> Builder {
    routes(upstreams.map(|upstream| (upstream, Protocol::OpenAi)))
}

/// Model `m` with another member or two.
fn model_with<const N: usize>(members: Value) -> Value {
    let mut file = model("m", &NAMES[..N]);
    for (name, value) in members.as_object().expect("members") {
        file[name] = value.clone();
    }
    file
}

/// The same with deadlines for one route alone, from 0.
fn with_timeouts(mut file: Value, route: usize, timeouts: Value) -> Value {
    file["model_routings"][route]["timeouts"] = timeouts;
    file
}

/// The calls of a request: provider, status and outcome of each.
fn story(row: &Row) -> Vec<String> {
    let attempts = row.json("attempts");
    let calls = attempts.as_array().expect("a list").iter();
    let tell = |call: &Value| {
        let status = match &call["status"] {
            Value::Null => "-".to_owned(),
            status => status.to_string(),
        };
        let word = |name: &str| call[name].as_str().expect("a word").to_owned();
        format!("{} {status} {}", word("provider"), word("outcome"))
    };
    calls.map(tell).collect()
}

/// The rows once there are so many: a client may see an end before the gateway has noted it.
#[track_caller]
fn rows(gateway: &Gateway, count: usize) -> Vec<Row> {
    let mut rows = gateway.rows();
    until("a row for each request", || {
        rows = gateway.rows();
        rows.len() >= count
    });
    assert_eq!(rows.len(), count);
    rows
}

/// Plays all cases at the same time: most of what they take is waiting.
#[track_caller]
fn at_once<T: Send>(cases: impl IntoIterator<Item = T>, play: impl Fn(T) + Sync) {
    let play = &play;
    std::thread::scope(|scope| {
        let spawn = |case| scope.spawn(move || play(case));
        let threads: Vec<_> = cases.into_iter().map(spawn).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Every pair of one and the other.
fn pairs<A: Clone, B: Clone>(ones: &[A], others: &[B]) -> Vec<(A, B)> {
    let pair = |one: &A| {
        others
            .iter()
            .map({
                let one = one.clone();
                move |other| (one.clone(), other.clone())
            })
            .collect::<Vec<_>>()
    };
    ones.iter().flat_map(pair).collect()
}

/// Tries until the condition holds.
#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long after each request the next one came.
fn gaps(upstream: &Upstream) -> Vec<Duration> {
    let requests = upstream.requests();
    let pairs = requests.iter().zip(requests.iter().skip(1));
    pairs.map(|(one, next)| next.at - one.at).collect()
}
