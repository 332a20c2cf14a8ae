//! Failures that were blamed on the wrong one, or told in the wrong words.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{assert_no_key_rests, one_route, question, streamed, two_keys, two_routes, until};
use crate::support::Stop;
use crate::support::gateway::provider_json;
use crate::support::upstream::bodies::{
    anthropic_error_body, anthropic_events, data, named, openai_answer, openai_error,
    openai_error_body, openai_events, openai_stream,
};
use crate::support::upstream::{Answer, Upstream, reply, sse};

fn too_long() -> Value {
    let words = "This model's maximum context length is 8192 tokens";
    openai_error_body(
        "invalid_request_error",
        Some("context_length_exceeded"),
        words,
    )
}

fn not_allowed() -> Value {
    let words = "Your request was rejected by our safety system";
    openai_error_body(
        "invalid_request_error",
        Some("content_policy_violation"),
        words,
    )
}

#[test]
fn an_error_inside_a_success_that_the_request_caused_is_told_as_such_and_rests_no_key() {
    for (error, told) in [
        (too_long(), "maximum context length"),
        (not_allowed(), "safety system"),
    ] {
        let whole = reply(200).json(&error);
        let event = sse([data(&error)]);
        for (body, answer) in [
            (question(), whole.clone()),
            (streamed(), whole),
            (streamed(), event),
        ] {
            assert_told_as_the_clients(Protocol::OpenAi, &body, answer, told);
        }
    }
    let words = "prompt is too long: 210000 tokens > 200000 maximum";
    let error = anthropic_error_body("invalid_request_error", words);
    for (body, answer) in [
        (question(), reply(200).json(&error)),
        (streamed(), sse([named(&error)])),
    ] {
        assert_told_as_the_clients(Protocol::Anthropic, &body, answer, words);
    }
}

#[track_caller]
fn assert_told_as_the_clients(protocol: Protocol, body: &Value, answer: Answer, told: &str) {
    let upstream = Upstream::start();
    upstream.answer(answer);
    let gateway = two_keys(&upstream, protocol).start();
    let path = match protocol {
        Protocol::OpenAi => "/v1/chat/completions",
        Protocol::Anthropic => "/v1/messages",
    };
    let refused = gateway.post(path).json(body).send();
    assert_eq!(refused.status, 400, "{}", refused.text());
    let error = refused.json()["error"].clone();
    assert_eq!(error["type"], "invalid_request_error");
    assert!(error["message"].to_string().contains(told), "{error}");
    assert_eq!(upstream.requests().len(), 1);
    assert_no_key_rests(&gateway, &upstream, protocol);
}

#[test]
fn a_prompt_too_long_inside_a_success_goes_on_and_the_key_is_asked_again_next_time() {
    for (body, refusal, answer) in [
        (
            question(),
            reply(200).json(&too_long()),
            openai_answer("fits"),
        ),
        (
            streamed(),
            sse([data(&too_long())]),
            openai_stream(&["fits"]),
        ),
    ] {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(refusal);
        second.always(answer);
        let gateway = two_routes(&first, &second, Protocol::OpenAi).start();
        for calls in [1, 2] {
            let answer = gateway.chat(&body);
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.text().contains("fits"));
            assert_eq!(first.requests().len(), calls);
        }
    }
}

#[test]
fn a_refusal_of_content_inside_a_success_asks_nobody_else() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(reply(200).json(&not_allowed()));
    let gateway = two_routes(&first, &second, Protocol::OpenAi).start();
    assert_eq!(gateway.chat(&question()).status, 400);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
}

#[test]
fn a_request_that_is_refused_in_the_middle_of_its_stream_rests_no_key() {
    let words = "Output blocked by content filtering policy";
    let mut openai = openai_events(&["a"]);
    openai.truncate(2);
    openai.push(data(&openai_error_body(
        "invalid_request_error",
        Some("content_filter"),
        words,
    )));
    let mut anthropic = anthropic_events(&["a"]);
    anthropic.truncate(4);
    anthropic.push(named(&anthropic_error_body("invalid_request_error", words)));
    for (protocol, path, events) in [
        (Protocol::OpenAi, "/v1/chat/completions", openai),
        (Protocol::Anthropic, "/v1/messages", anthropic),
    ] {
        let upstream = Upstream::start();
        upstream.answer(sse(events));
        let gateway = two_keys(&upstream, protocol).start();
        let finished = gateway.post(path).json(&streamed()).send_streaming();
        assert!(finished.read_to_end().text().contains(words));
        let row = gateway.only_row();
        assert_eq!(row.text("error_type"), "upstream_error_event");
        assert_eq!(row.json("attempts")[0]["outcome"], "content_policy");
        assert_no_key_rests(&gateway, &upstream, protocol);
    }
}

#[test]
fn a_success_that_holds_a_401_bans_no_key_for_other_models() {
    let error = json!({"error": {"message": "unauthorized", "type": "auth", "code": 401}});
    let upstream = Upstream::start();
    upstream.answer(reply(200).json(&error));
    upstream.always(openai_answer("hi"));
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .model("other", [("alpha", "up-other")])
        .start();
    let answer = gateway.chat(&question());
    assert_eq!(answer.status, 502, "{}", answer.text());
    let mut body = question();
    body["model"] = json!("other");
    assert_eq!(gateway.chat(&body).status, 200);
}

#[test]
fn after_passing_faults_the_client_is_told_to_come_back_in_seconds_not_minutes() {
    let upstream = Upstream::start();
    upstream.always(openai_error(500, "server_error", None, "broken"));
    let gateway = two_keys(&upstream, Protocol::OpenAi).start();
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(upstream.requests().len(), 2);
    let seconds: u64 = refused
        .header("retry-after")
        .expect("retry-after")
        .parse()
        .expect("seconds");
    assert!((3..=6).contains(&seconds), "{seconds}");
}

#[test]
fn a_long_refusal_of_a_long_prompt_goes_on_to_the_next_route() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let mut refusal = too_long();
    // an upstream that repeats the prompt before it says what is wrong with it
    let error = refusal["error"].take();
    let repeated = json!({"input": "x".repeat(70 * 1024), "error": error});
    first.always(reply(400).json(&repeated));
    second.always(openai_answer("fits"));
    let gateway = two_routes(&first, &second, Protocol::OpenAi).start();
    let answer = gateway.chat(&question());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[test]
fn a_key_rests_by_the_head_of_its_429_even_if_the_client_leaves_before_the_body() {
    let upstream = Upstream::start();
    let limited = openai_error(429, "requests", None, "slow down").retry_after(60);
    upstream.always(limited.chunked().only(0).stall());
    let gateway = one_route(&upstream, Protocol::OpenAi).start();
    let body = question().to_string();
    let mut patience = Duration::from_millis(25);
    // when the gateway has read the head cannot be seen from outside: wait longer each time
    until("a request that finds the key at rest", || {
        let request = gateway.post("/v1/chat/completions");
        let connection = request
            .header("content-type", "application/json")
            .send_head(body.len());
        connection.write(body.as_bytes());
        let answer = connection.read_streaming(patience);
        patience *= 2;
        match answer {
            // dropped, and so closed, while the gateway waits for the body
            Err(stop) => assert_eq!(stop, Stop::Late),
            Ok(refused) => assert_eq!(refused.status, 429),
        }
        gateway
            .rows()
            .iter()
            .any(|row| row.number("response_status") == 429)
    });
    assert!(upstream.hangups() >= 1);
}

#[test]
fn a_moderation_refusal_is_told_in_our_words_and_nobody_else_is_asked() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let words = "up-a requires moderation. Your input was flagged for \"violence\"";
    first.always(openai_error(403, "moderation", None, words));
    let gateway = two_routes(&first, &second, Protocol::OpenAi).start();
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 403, "{}", refused.text());
    let message = refused.json()["error"]["message"].to_string();
    assert!(!message.contains("flagged"), "{message}");
    assert!(
        message.contains("`m`") && message.contains("1 call made"),
        "{message}"
    );
    assert_eq!(refused.header("x-model-proxy-attempts"), Some("1"));
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
}

#[test]
fn a_required_parameter_that_nobody_gives_is_named() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    file["request_config"] = json!({"required_parameters": ["temperature"]});
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .provider_file("alpha", &file)
        .start();
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 400, "{}", refused.text());
    let error = refused.json()["error"].clone();
    assert_eq!(error["param"], "temperature");
    assert!(error["message"].to_string().contains("temperature"));
    assert_eq!(upstream.requests().len(), 0);
    let mut body = question();
    body["temperature"] = json!(0.5);
    assert_eq!(gateway.chat(&body).status, 200);
}

#[test]
fn a_routed_provider_whose_keys_all_rest_shows_as_degraded() {
    let upstream = Upstream::start();
    upstream.always(openai_error(401, "invalid_request_error", None, "no"));
    let gateway = two_keys(&upstream, Protocol::OpenAi).start();
    assert_eq!(gateway.chat(&question()).status, 503);
    let detail = gateway.get("/health/detailed").send();
    assert_eq!(detail.status, 200);
    let detail = detail.json();
    assert_eq!(detail["status"], "degraded", "{detail}");
    let alpha = &detail["components"]["providers"]["alpha"];
    assert_eq!(alpha["status"], "cooling");
}

#[test]
fn an_error_event_of_an_upstream_keeps_its_own_type() {
    let with_error = |mut events: Vec<String>, keep: usize, error: String| -> Answer {
        events.truncate(keep);
        events.push(error);
        sse(events)
    };
    let openai = data(&openai_error_body("engine_overloaded", Some("e1"), "busy"));
    let anthropic = named(&anthropic_error_body("overloaded_error", "busy"));
    for (protocol, path, answer, last) in [
        (
            Protocol::OpenAi,
            "/v1/chat/completions",
            with_error(openai_events(&["a"]), 2, openai.clone()),
            openai,
        ),
        (
            Protocol::Anthropic,
            "/v1/messages",
            with_error(anthropic_events(&["a"]), 4, anthropic.clone()),
            anthropic,
        ),
    ] {
        let upstream = Upstream::start();
        upstream.answer(answer);
        let gateway = one_route(&upstream, protocol).start();
        let stream = gateway.post(path).json(&streamed()).send_streaming();
        let finished = stream.read_to_end();
        assert!(finished.text().ends_with(&last), "{}", finished.text());
    }
}

#[test]
fn a_stream_that_is_only_the_head_of_a_json_answer_is_a_silent_upstream() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("never said").chunked().only(0).stall());
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("first_token_seconds", 0.3)
        .start();
    let refused = gateway.chat(&streamed());
    assert_eq!(refused.status, 504, "{}", refused.text());
    assert_eq!(upstream.requests().len(), 1);
}
