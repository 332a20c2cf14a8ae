//! Limits of one client: counted before the call, settled after it, told in the headers of both dialects.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::client::{Connection, post};
use crate::support::gateway::{Builder, CLIENT_KEY, Gateway};
use crate::support::upstream::bodies::{anthropic_answer, openai_answer};
use crate::support::upstream::{Gate, Upstream};

fn question() -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
}

fn limited(upstream: &Upstream, protocol: Protocol, name: &str, limit: u64) -> Builder {
    Gateway::builder()
        .setting(name, limit)
        .provider("alpha", upstream, protocol)
        .model("m", [("alpha", "up-m")])
}

#[test]
fn the_request_after_the_last_allowed_one_is_refused_and_calls_nobody() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = limited(
        &upstream,
        Protocol::OpenAi,
        "rate_limit_requests_per_minute",
        3,
    )
    .start();
    for left in [2, 1, 0] {
        let answer = gateway.chat(&question());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("3"));
        assert_eq!(
            answer.header("x-ratelimit-remaining-requests"),
            Some(left.to_string().as_str())
        );
    }
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    let seconds: u64 = refused
        .header("retry-after")
        .expect("retry-after")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(upstream.requests().len(), 3);
    assert_eq!(gateway.get("/v1/models").send().status, 200);
    assert_eq!(gateway.rows()[3].text("error_type"), "rate_limited");
}

#[test]
fn messages_are_told_in_their_own_dialect() {
    let upstream = Upstream::start();
    upstream.always(anthropic_answer("hi"));
    let gateway = limited(
        &upstream,
        Protocol::Anthropic,
        "rate_limit_requests_per_minute",
        1,
    )
    .start();
    let answer = gateway.messages(&question());
    assert_eq!(
        answer.header("anthropic-ratelimit-requests-limit"),
        Some("1")
    );
    assert_eq!(
        answer.header("anthropic-ratelimit-requests-remaining"),
        Some("0")
    );
    assert!(
        answer
            .header("anthropic-ratelimit-requests-reset")
            .is_some()
    );
    let refused = gateway.messages(&question());
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn clients_have_windows_of_their_own() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = limited(
        &upstream,
        Protocol::OpenAi,
        "rate_limit_requests_per_minute",
        1,
    )
    .setting("client_api_key", format!("{CLIENT_KEY},second-client"))
    .start();
    assert_eq!(gateway.chat(&question()).status, 200);
    assert_eq!(gateway.chat(&question()).status, 429);
    let second = post(gateway.address(), "/v1/chat/completions").key("second-client");
    assert_eq!(second.json(&question()).send().status, 200);
}

#[test]
fn tokens_are_settled_by_what_was_used() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = limited(
        &upstream,
        Protocol::OpenAi,
        "rate_limit_tokens_per_minute",
        1000,
    )
    .start();
    let mut body = question();
    body["max_tokens"] = json!(900);
    // reserved are about 900, used 14: eleven less four from the cache, and seven
    for used in [14, 28] {
        let answer = gateway.chat(&body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        drop(answer);
        gateway.rows();
        let next = gateway.chat(
            &json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}),
        );
        let left: u64 = next
            .header("x-ratelimit-remaining-tokens")
            .expect("a header")
            .parse()
            .expect("a number");
        assert!(
            left > 1000 - 900 && left < 1000 - used,
            "{left} left after {used}"
        );
    }
}

#[test]
fn a_lone_request_is_never_refused_for_its_size() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = limited(
        &upstream,
        Protocol::OpenAi,
        "rate_limit_tokens_per_minute",
        10,
    )
    .start();
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": "word ".repeat(1000)}]});
    assert_eq!(gateway.chat(&body).status, 200);
    assert_eq!(gateway.chat(&body).status, 429);
}

#[test]
fn requests_in_flight_are_limited_and_their_slots_come_back() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.always(openai_answer("hi").wait(&gate));
    let gateway = limited(
        &upstream,
        Protocol::OpenAi,
        "rate_limit_concurrent_requests",
        1,
    )
    .start();
    let body = question().to_string();
    let request = gateway
        .post("/v1/chat/completions")
        .header("content-type", "application/json");
    let mut held: Connection = request.send_head(body.len());
    held.write(body.as_bytes());
    upstream.wait_for_requests(1, Duration::from_secs(5));
    assert_eq!(gateway.chat(&question()).status, 429);
    gate.open();
    assert_eq!(held.read_response(false).status, 200);
    assert_eq!(gateway.chat(&question()).status, 200);
}
