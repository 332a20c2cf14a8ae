//! What once went wrong, one scenario each, named after what the client or the operator would have seen.

mod answers;
mod clients;
mod connections;
mod edges;
mod failures;
mod recovery;
mod stop;
mod streams;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::gateway::{Builder, Gateway};
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::{anthropic_answer, openai_answer};

const SOON: Duration = Duration::from_secs(5);

fn question() -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
}

fn streamed() -> Value {
    let mut body = question();
    body["stream"] = json!(true);
    body
}

/// One route `m` to `alpha`, and no call repeated.
fn one_route(upstream: &Upstream, protocol: Protocol) -> Builder {
    Gateway::builder()
        .setting("max_retries", 0)
        .setting("workers", 1)
        .provider("alpha", upstream, protocol)
        .model("m", [("alpha", "up-m")])
}

/// Two routes: `alpha` first, then `beta`.
fn two_routes(first: &Upstream, second: &Upstream, protocol: Protocol) -> Builder {
    one_route(first, protocol)
        .provider("beta", second, protocol)
        .model("m", [("alpha", "up-a"), ("beta", "up-b")])
}

/// The same with two keys, so that a rest of one shows.
fn two_keys(upstream: &Upstream, protocol: Protocol) -> Builder {
    one_route(upstream, protocol).keys("alpha", ["key-a", "key-b"])
}

/// Two more requests find both keys of [`two_keys`] ready.
#[track_caller]
fn assert_no_key_rests(gateway: &Gateway, upstream: &Upstream, protocol: Protocol) {
    let (path, answer) = match protocol {
        Protocol::OpenAi => ("/v1/chat/completions", openai_answer("hi")),
        Protocol::Anthropic => ("/v1/messages", anthropic_answer("hi")),
    };
    upstream.always(answer);
    let before = upstream.requests().len();
    for _ in 0..2 {
        let answer = gateway.post(path).json(&question()).send();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let later = upstream.requests().split_off(before);
    let keys: BTreeSet<_> = later.iter().filter_map(|request| request.key()).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
}

/// The outcome of the only request's call of this number, from 0.
fn outcome(gateway: &Gateway, call: usize) -> Value {
    gateway.only_row().json("attempts")[call]["outcome"].clone()
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
