//! More than the gateway can take: requests beyond `max_in_flight`, clients that do not read, answers that are held, and
//! connections that say nothing. It refuses what is too much, at bounded memory, and the rest is served as ever.

mod held;
mod limit;
mod slow_readers;
mod sockets;

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::client::Response;
use crate::support::upstream::bodies::{anthropic_events, openai_events};

/// How long anything may take that nothing holds up.
const SOON: Duration = Duration::from_secs(10);

const BOTH: [Protocol; 2] = [Protocol::OpenAi, Protocol::Anthropic];

fn question(model: &str) -> Value {
    json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
}

fn streamed(model: &str) -> Value {
    let mut body = question(model);
    body["stream"] = json!(true);
    body
}

fn path(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::OpenAi => "/v1/chat/completions",
        Protocol::Anthropic => "/v1/messages",
    }
}

fn events(protocol: Protocol, words: &[&str]) -> Vec<String> {
    match protocol {
        Protocol::OpenAi => openai_events(words),
        Protocol::Anthropic => anthropic_events(words),
    }
}

/// How many events precede the first word.
fn opening(protocol: Protocol) -> usize {
    match protocol {
        Protocol::OpenAi => 1,
        Protocol::Anthropic => 3,
    }
}

/// Refused for want of room, in the words of its protocol, and told when to come back.
#[track_caller]
fn assert_shed(protocol: Protocol, response: &Response) {
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.header("retry-after"), Some("1"));
    let body = response.json();
    let kind = match protocol {
        Protocol::OpenAi => "server_error",
        Protocol::Anthropic => "overloaded_error",
    };
    assert_eq!(body["error"]["type"], kind, "{body}");
    assert_eq!(body["type"] == "error", protocol == Protocol::Anthropic);
    assert!(response.header("x-request-id").is_some());
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
