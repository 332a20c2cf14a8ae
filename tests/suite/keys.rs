//! Provider keys: they take turns, and one that failed rests, for as long and as wide as the failure says.

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::gateway::{Builder, Gateway, model_json, provider_json};
use crate::support::upstream::bodies::{openai_answer, openai_error, openai_stream};
use crate::support::upstream::{Answer, Upstream, vanish};

fn question() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

fn two_keys(upstream: &Upstream) -> Builder {
    Gateway::builder()
        .setting("max_retries", 0)
        .setting("workers", 1)
        .provider("alpha", upstream, Protocol::OpenAi)
        .keys("alpha", ["key-a", "key-b"])
        .model("m", [("alpha", "up-m")])
        .model("other", [("alpha", "up-other")])
}

fn limited() -> Answer {
    openai_error(429, "requests", Some("rate_limit_exceeded"), "slow down")
}

#[test]
fn keys_take_turns() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = two_keys(&upstream).start();
    for _ in 0..4 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    let used = upstream.keys_used();
    assert_eq!(used[0], used[2]);
    assert_eq!(used[1], used[3]);
    assert_ne!(used[0], used[1]);
    let labels: Vec<_> = gateway
        .rows()
        .iter()
        .map(|row| row.text("provider_api_key_used").to_owned())
        .collect();
    assert!(
        labels
            .iter()
            .all(|label| label.starts_with("ALPHA_API_KEY_")),
        "{labels:?}"
    );
}

#[test]
fn a_key_that_is_told_to_wait_rests_and_the_request_goes_on_with_another() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.key() {
        Some("key-a") => limited().retry_after(60),
        _ => openai_answer("hi"),
    });
    let gateway = two_keys(&upstream).start();
    for _ in 0..3 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    let used = upstream.keys_used();
    assert_eq!(
        used.iter().filter(|key| *key == "key-a").count(),
        1,
        "{used:?}"
    );
    // it rests for this model only
    let mut body = question();
    body["model"] = json!("other");
    gateway.chat(&body);
    gateway.chat(&body);
    let used = upstream.keys_used();
    assert_eq!(
        used.iter().filter(|key| *key == "key-a").count(),
        2,
        "{used:?}"
    );
}

#[test]
fn a_key_that_is_refused_rests_for_every_model() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.key() {
        Some("key-a") => openai_error(401, "invalid_request_error", Some("invalid_api_key"), "no"),
        _ => openai_answer("hi"),
    });
    let gateway = two_keys(&upstream).start();
    for model in ["m", "m", "other", "other"] {
        let mut body = question();
        body["model"] = json!(model);
        assert_eq!(gateway.chat(&body).status, 200);
    }
    let used = upstream.keys_used();
    assert_eq!(
        used.iter().filter(|key| *key == "key-a").count(),
        1,
        "{used:?}"
    );
}

#[test]
fn what_is_wrong_with_a_request_rests_no_key() {
    let upstream = Upstream::start();
    upstream.answer(openai_error(
        400,
        "invalid_request_error",
        None,
        "bad temperature",
    ));
    upstream.answer(openai_error(
        422,
        "invalid_request_error",
        None,
        "bad schema",
    ));
    upstream.always(openai_answer("hi"));
    let gateway = two_keys(&upstream).start();
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["message"], "bad temperature");
    assert_eq!(gateway.chat(&question()).status, 422);
    for _ in 0..2 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    assert_eq!(upstream.requests().len(), 4);
    let used = upstream.keys_used();
    assert_ne!(used[2], used[3]);
}

#[test]
fn when_every_key_rests_the_client_is_told_when_to_come_back() {
    let upstream = Upstream::start();
    upstream.always(limited().retry_after(40));
    let gateway = two_keys(&upstream).start();
    assert_eq!(gateway.chat(&question()).status, 429);
    assert_eq!(upstream.requests().len(), 2);
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused
        .header("retry-after")
        .expect("retry-after")
        .parse()
        .expect("seconds");
    assert!((30..=40).contains(&seconds), "{seconds}");
    assert_eq!(upstream.requests().len(), 2);
    let error = refused.text();
    for word in ["alpha", "up-m", "key-a", "ALPHA_API_KEY"] {
        assert!(!error.contains(word), "{error}");
    }
}

#[test]
fn a_later_route_and_a_fallback_model_take_over() {
    let (first, second, third) = (Upstream::start(), Upstream::start(), Upstream::start());
    first.always(openai_error(500, "server_error", None, "broken"));
    second.always(openai_error(503, "server_error", None, "busy"));
    third.always(openai_stream(&["saved"]));
    let mut model = model_json("m", [("alpha", "up-a"), ("beta", "up-b")]);
    model["fallback_model_routings"] = json!(["spare"]);
    let gateway = Gateway::builder()
        .setting("max_retries", 0)
        .provider("alpha", &first, Protocol::OpenAi)
        .provider("beta", &second, Protocol::OpenAi)
        .provider("gamma", &third, Protocol::OpenAi)
        .model_file("m", &model)
        .model("spare", [("gamma", "up-c")])
        .start();
    let mut body = question();
    body["stream"] = json!(true);
    let stream = gateway.chat_streaming(&body);
    assert_eq!(stream.header("x-model-proxy-model"), Some("gamma/up-c"));
    assert_eq!(stream.header("x-model-proxy-attempts"), Some("3"));
    assert!(stream.read_to_end().text().contains("saved"));
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    let attempts = gateway.only_row().json("attempts");
    let statuses: Vec<_> = attempts
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["status"].clone())
        .collect();
    assert_eq!(statuses, [json!(500), json!(503), json!(200)]);
}

#[test]
fn a_stale_connection_is_replaced_without_blaming_anybody() {
    let upstream = Upstream::start();
    upstream.answer(openai_answer("first"));
    upstream.answer(vanish());
    upstream.answer(openai_answer("second"));
    let gateway = Gateway::builder()
        .setting("workers", 1)
        .setting("max_retries", 0)
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    assert_eq!(gateway.chat(&question()).status, 200);
    let answer = gateway.chat(&question());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-model-proxy-attempts"), Some("1"));
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_provider_file_may_judge_a_status_otherwise() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.key() {
        Some("key-a") => openai_error(418, "teapot", None, "short and stout"),
        _ => openai_answer("hi"),
    });
    let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    file["error_handling"] =
        json!({"418": {"action": "global_key_failure", "cooldown_seconds": 60}});
    let gateway = two_keys(&upstream).provider_file("alpha", &file).start();
    for _ in 0..4 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    let used = upstream.keys_used();
    assert_eq!(
        used.iter().filter(|key| *key == "key-a").count(),
        1,
        "{used:?}"
    );
}
