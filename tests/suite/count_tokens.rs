//! `POST /v1/messages/count_tokens`: asked of the upstream that would get the message, else estimated and said so; it
//! costs the client nothing and stands in the log.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::client::{Response, post, request};
use crate::support::gateway::{Builder, CLIENT_KEY, Gateway, provider_json};
use crate::support::upstream::bodies::{anthropic_answer, anthropic_error, openai_answer};
use crate::support::upstream::{Answer, Gate, Upstream, html, reply, silence, vanish};

const PATH: &str = "/v1/messages/count_tokens";
const ESTIMATE: &str = "x-model-proxy-estimate";

fn question() -> Value {
    json!({"model": "m", "system": "Be kind", "messages": [{"role": "user", "content": "hello world"}]})
}

/// What `question` is estimated at: two texts of two tokens, two messages, the beginning of an answer.
const ESTIMATED: u64 = 2 + 2 + 4 + 4 + 3;

fn told(tokens: u64) -> Answer {
    reply(200).json(&json!({"input_tokens": tokens}))
}

fn ask(gateway: &Gateway, body: &Value) -> Response {
    gateway.post(PATH).json(body).send()
}

#[track_caller]
fn assert_estimated(answer: &Response) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), json!({"input_tokens": ESTIMATED}));
    assert_eq!(answer.header(ESTIMATE), Some("o200k_base"));
    assert_eq!(answer.header("x-model-proxy-model"), None);
}

#[track_caller]
fn assert_refused(answer: &Response, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], kind, "{body}");
    assert_eq!(answer.header("request-id"), body["request_id"].as_str());
    assert_eq!(answer.header(ESTIMATE), None);
}

/// Two keys of one provider behind model `m`.
fn two_keys(upstream: &Upstream) -> Builder {
    Gateway::builder()
        .setting("workers", 1)
        .provider("alpha", upstream, Protocol::Anthropic)
        .keys("alpha", ["key-a", "key-b"])
        .model("m", [("alpha", "up-m")])
}

#[test]
fn an_anthropic_upstream_is_asked_with_the_clients_own_bytes() {
    let upstream = Upstream::start();
    upstream.answer(reply(200).json(&json!({"input_tokens": 2095, "more": null})));
    let mut provider = provider_json("alpha", &upstream.url(), Protocol::Anthropic);
    provider["default_parameters"] = json!({"max_tokens": 77});
    let gateway = Gateway::builder()
        .provider_file("alpha", &provider)
        .keys("alpha", ["key-of-alpha"])
        .model("m", [("alpha", "up-m")])
        .start();
    let body = r#"{ "messages":[{"role":"user","content":"h\u00e9llo"}],"x":1.0e2, "model" : "m","thinking":{"type":"adaptive"} }"#;
    let answer = gateway
        .post("/v1/messages/count_tokens?beta=true")
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "token-counting-2024-11-01")
        .body("application/json", body)
        .send();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"input_tokens": 2095, "more": null}));
    assert_eq!(answer.header(ESTIMATE), None);
    assert_eq!(answer.header("x-model-proxy-model"), Some("alpha/up-m"));
    assert_eq!(answer.header("x-model-proxy-attempts"), Some("1"));
    let sent = upstream.only_request();
    assert_eq!(sent.target, "/v1/messages/count_tokens?beta=true");
    assert_eq!(sent.key(), Some("key-of-alpha"));
    assert_eq!(sent.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(
        sent.header("anthropic-beta"),
        Some("token-counting-2024-11-01")
    );
    let expected = body.replace(r#""m""#, r#""up-m""#);
    assert_eq!(String::from_utf8_lossy(&sent.body), expected);
}

#[test]
fn a_route_of_another_protocol_is_estimated_without_a_call() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = Gateway::builder()
        .provider("alpha", &first, Protocol::OpenAi)
        .provider("beta", &second, Protocol::Anthropic)
        .model("m", [("alpha", "up-a"), ("beta", "up-b")])
        .start();
    let answer = ask(&gateway, &question());
    assert_estimated(&answer);
    assert_eq!(answer.header("x-model-proxy-attempts"), None);
    assert_eq!(first.requests().len() + second.requests().len(), 0);
    let row = gateway.only_row();
    assert_eq!(row.number("response_status"), 200);
    assert_eq!(row.json("attempts"), json!([]));
    assert!(row.is_null("resolved_provider") && row.is_null("error_type"));
}

#[test]
fn the_first_route_with_a_ready_key_decides() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(
        reply(429)
            .json(&json!({"error": {"message": "slow down"}}))
            .retry_after(60),
    );
    second.judge_by(|request| match request.target.as_str() {
        PATH => told(31),
        _ => anthropic_answer("hi"),
    });
    let gateway = Gateway::builder()
        .setting("workers", 1)
        .setting("max_retries", 0)
        .provider("alpha", &first, Protocol::OpenAi)
        .provider("beta", &second, Protocol::Anthropic)
        .model("m", [("alpha", "up-a"), ("beta", "up-b")])
        .start();
    assert_estimated(&ask(&gateway, &question()));
    let mut message = question();
    message["max_tokens"] = json!(9);
    assert_eq!(gateway.messages(&message).status, 200);
    let answer = ask(&gateway, &question());
    assert_eq!(answer.json(), json!({"input_tokens": 31}));
    assert_eq!(answer.header("x-model-proxy-model"), Some("beta/up-b"));
}

#[test]
fn an_upstream_that_does_not_count_is_estimated_and_its_key_goes_on() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    for nothing in [
        anthropic_error(404, "not_found_error", "no such path"),
        reply(405),
        reply(501),
        html(404),
        html(200),
        anthropic_answer("a whole message"),
    ] {
        upstream.answer(nothing);
        let answer = ask(&gateway, &question());
        assert_estimated(&answer);
        assert_eq!(answer.header("x-model-proxy-attempts"), Some("1"));
    }
    upstream.answer(told(8));
    assert_eq!(ask(&gateway, &question()).json()["input_tokens"], 8);
    let rows = gateway.rows();
    assert_eq!(rows[0].number("response_status"), 200);
    assert_eq!(rows[0].json("attempts")[0]["status"], 404);
    assert_eq!(rows[0].json("attempts")[0]["outcome"], "misconfigured");
    assert_eq!(rows[4].json("attempts")[0]["outcome"], "upstream_malformed");
}

#[test]
fn a_key_that_is_refused_rests_as_after_any_call() {
    let refusal = anthropic_error(401, "authentication_error", "invalid x-api-key");
    let upstream = Upstream::start();
    upstream.judge_by(move |request| match request.key() {
        Some("key-a") => refusal.clone(),
        _ => told(5),
    });
    let gateway = two_keys(&upstream).start();
    let answers: Vec<_> = (0..4).map(|_| ask(&gateway, &question())).collect();
    let estimated = |answer: &&Response| answer.header(ESTIMATE).is_some();
    assert_eq!(answers.iter().filter(estimated).count(), 1);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let requests = upstream.requests();
    let with_bad_key = requests
        .iter()
        .filter(|request| request.key() == Some("key-a"));
    assert_eq!(with_bad_key.count(), 1);
}

#[test]
fn limits_and_troubles_of_counting_rest_no_key_for_messages() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    upstream.answer(anthropic_error(429, "rate_limit_error", "slow down").retry_after(60));
    upstream.answer(anthropic_error(529, "overloaded_error", "overloaded"));
    // a dead connection is tried once more on a fresh one
    upstream.answer(vanish());
    upstream.answer(vanish());
    for _ in 0..3 {
        assert_estimated(&ask(&gateway, &question()));
    }
    let row = &gateway.rows()[1];
    assert_eq!(row.json("attempts")[0]["outcome"], "transient");
    assert_eq!(row.json("attempts")[0]["status"], 529);
    upstream.answer(anthropic_answer("hello"));
    let mut message = question();
    message["max_tokens"] = json!(9);
    assert_eq!(gateway.messages(&message).status, 200);
}

#[test]
fn an_upstream_that_counts_too_slowly_is_estimated_and_its_key_goes_on() {
    let upstream = Upstream::start();
    upstream.answer(silence()).answer(told(6));
    let mut provider = provider_json("alpha", &upstream.url(), Protocol::Anthropic);
    provider["request_config"]["timeout_seconds"] = json!(0.3);
    let gateway = Gateway::builder()
        .provider_file("alpha", &provider)
        .keys("alpha", ["key-of-alpha"])
        .model("m", [("alpha", "up-m")])
        .start();
    assert_estimated(&ask(&gateway, &question()));
    assert_eq!(ask(&gateway, &question()).json()["input_tokens"], 6);
    assert_eq!(gateway.rows()[0].json("attempts")[0]["outcome"], "timeout");
}

#[test]
fn what_an_upstream_finds_wrong_with_the_request_is_told_as_for_messages() {
    let upstream = Upstream::start();
    upstream.always(anthropic_error(
        400,
        "invalid_request_error",
        "tools.0.name: wrong, said key-of-alpha",
    ));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let answer = ask(&gateway, &question());
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert_eq!(body["request_id"], "req_scripted");
    let words = body["error"]["message"].as_str().expect("words");
    assert!(words.starts_with("tools.0.name: wrong, said "), "{words}");
    assert!(!words.contains("key-of-alpha"), "{words}");
    assert_eq!(answer.header(ESTIMATE), None);
    let row = gateway.only_row();
    assert_eq!(row.number("response_status"), 400);
    assert_eq!(row.json("attempts")[0]["outcome"], "client_fault");
    assert_eq!(row.text("error_type"), "upstream_refused");
}

#[test]
fn what_the_gateway_refuses_itself_has_anthropics_shape() {
    let upstream = Upstream::start();
    let gateway = Gateway::builder()
        .setting("body_limit_bytes", 100_000)
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    let refused = post(gateway.address(), PATH)
        .key("wrong")
        .json(&question())
        .send();
    assert_refused(&refused, 401, "authentication_error");
    let with = |name: &str, value: Value| {
        let mut body = question();
        body[name] = value;
        ask(&gateway, &body)
    };
    assert_refused(&with("model", json!("nobody")), 404, "not_found_error");
    for (name, value) in [
        ("model", Value::Null),
        ("messages", json!([])),
        ("messages", json!("hello")),
        ("messages", json!([{"role": "user", "content": 7}])),
        ("tools", json!("none")),
    ] {
        let refused = with(name, value);
        assert_refused(&refused, 400, "invalid_request_error");
        assert!(refused.text().contains(name), "{}", refused.text());
    }
    let broken = gateway
        .post(PATH)
        .body("application/json", "{\"model\":")
        .send();
    assert_refused(&broken, 400, "invalid_request_error");
    let large = with("system", json!("x".repeat(100_000)));
    assert_refused(&large, 413, "request_too_large");
    let wrong_method = request(gateway.address(), "GET", PATH)
        .key(CLIENT_KEY)
        .send();
    assert_refused(&wrong_method, 405, "invalid_request_error");
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn counting_costs_the_client_nothing_and_books_no_tokens() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.target.as_str() {
        PATH => told(90_000),
        _ => anthropic_answer("hi"),
    });
    let gateway = Gateway::builder()
        .setting("rate_limit_requests_per_minute", 1)
        .setting("rate_limit_tokens_per_minute", 1000)
        .setting("rate_limit_concurrent_requests", 1)
        .provider("alpha", &upstream, Protocol::Anthropic)
        .model("m", [("alpha", "up-m")])
        .start();
    for _ in 0..5 {
        let answer = ask(&gateway, &question());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), None);
    }
    let mut message = question();
    message["max_tokens"] = json!(9);
    assert_eq!(gateway.messages(&message).status, 200);
    assert_eq!(gateway.messages(&message).status, 429);
    assert_eq!(ask(&gateway, &question()).status, 200);
    let row = &gateway.rows()[0];
    assert_eq!(row.text("endpoint"), PATH);
    assert_eq!(row.text("requested_model"), "m");
    assert_eq!(row.text("resolved_provider"), "alpha");
    assert_eq!(row.text("resolved_model"), "up-m");
    assert_eq!(row.text("provider_api_key_used"), "ALPHA_API_KEY_1");
    assert_eq!(row.json("attempts")[0]["outcome"], "ok");
    assert_eq!(row.json("messages")[1]["content"], "hello world");
    for column in [
        "prompt_tokens",
        "completion_tokens",
        "response_usage",
        "error_type",
    ] {
        assert!(row.is_null(column), "{column}");
    }
}

#[test]
fn text_that_is_hard_to_count_holds_nobody_up() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let hard =
        |text: String| json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    for (text, expected) in [
        ("a".repeat(1_000_000), 125_000),
        (" ".repeat(1_000_000), 7_813),
        ("語".repeat(300_000), 300_000),
    ] {
        let began = Instant::now();
        let answer = ask(&gateway, &hard(text));
        let counted = answer.json()["input_tokens"].as_u64().expect("a count");
        assert!(counted.abs_diff(expected) < 200, "{counted}");
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
    }
    // each worker answers while more estimates are asked for than may run at once
    let counting: Vec<_> = (0..6)
        .map(|_| {
            let request = gateway.post(PATH).json(&hard("a".repeat(500_000)));
            std::thread::spawn(move || request.send().status)
        })
        .collect();
    for _ in 0..8 {
        let began = Instant::now();
        let message =
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(gateway.messages(&message).status, 200);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
    for thread in counting {
        assert_eq!(thread.join().expect("an answer"), 200);
    }
}

#[test]
fn a_gateway_that_stops_ends_a_count_that_its_upstream_keeps_waiting() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.answer(told(5).wait(&gate));
    let gateway = Gateway::builder()
        .setting("shutdown_timeout_seconds", 0.2)
        .provider("alpha", &upstream, Protocol::Anthropic)
        .model("m", [("alpha", "up-m")])
        .start();
    let counting = gateway.post(PATH).json(&question());
    let counting = std::thread::spawn(move || counting.send());
    upstream.wait_for_requests(1, Duration::from_secs(5));
    let rows = gateway.stop();
    gate.open();
    assert_refused(
        &counting.join().expect("an answer"),
        503,
        "overloaded_error",
    );
    assert_eq!(rows[0].text("error_type"), "stopping");
    assert_eq!(rows[0].json("attempts")[0]["outcome"], "stopping");
}
