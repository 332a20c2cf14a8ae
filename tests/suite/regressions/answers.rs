//! Answers that were taken for good, or that told too much.

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{one_route, outcome, question, streamed, two_keys};
use crate::support::events::text_of;
use crate::support::gateway::provider_json;
use crate::support::upstream::bodies::{
    UPSTREAM_MODEL, anthropic_answer, anthropic_stream, anthropic_usage, openai_answer,
    openai_stream, openai_stream_with_usage, openai_usage,
};
use crate::support::upstream::{Upstream, reply};

fn with_choices(choices: &Value) -> Value {
    json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": UPSTREAM_MODEL,
        "choices": choices,
        "usage": openai_usage(11, 7),
    })
}

#[test]
fn a_key_that_an_upstream_repeats_in_its_answer_does_not_reach_the_client() {
    let secret = "provider-secret-123456";
    let telling = format!("I was called with {secret}, really");
    for (protocol, path, whole, stream) in [
        (
            Protocol::OpenAi,
            "/v1/chat/completions",
            openai_answer(&telling),
            openai_stream(&[&telling]),
        ),
        (
            Protocol::Anthropic,
            "/v1/messages",
            anthropic_answer(&telling),
            anthropic_stream(&[&telling]),
        ),
    ] {
        let upstream = Upstream::start();
        upstream.answer(whole);
        upstream.answer(stream);
        let gateway = one_route(&upstream, protocol)
            .keys("alpha", [secret])
            .start();
        let whole = gateway.post(path).json(&question()).send();
        assert_eq!(whole.status, 200);
        let finished = gateway.post(path).json(&streamed()).send_streaming();
        let finished = finished.read_to_end();
        assert!(text_of(&finished.events).contains("really"));
        for text in [whole.text(), finished.text()] {
            assert!(!text.contains(secret), "{text}");
            assert!(text.contains("ALPHA_API_KEY_1"), "{text}");
        }
    }
}

#[test]
fn a_whole_answer_that_never_finished_is_cut_and_the_next_key_is_asked() {
    let message = json!({"role": "assistant", "content": "half of it"});
    for choices in [
        json!([{"index": 0, "message": message, "finish_reason": null}]),
        json!([{"index": 0, "message": message}]),
        json!([]),
    ] {
        let upstream = Upstream::start();
        upstream.answer(reply(200).json(&with_choices(&choices)));
        upstream.answer(openai_answer("all of it"));
        let gateway = two_keys(&upstream, Protocol::OpenAi).start();
        let answer = gateway.chat(&question());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("all of it"));
        assert_eq!(answer.header("x-model-proxy-attempts"), Some("2"));
        assert_eq!(outcome(&gateway, 0), "transient");
    }
}

#[test]
fn a_whole_message_without_a_stop_reason_is_cut_and_the_next_key_is_asked() {
    let upstream = Upstream::start();
    upstream.answer(reply(200).json(&json!({
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": UPSTREAM_MODEL,
        "content": [{"type": "text", "text": "half of it"}],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": anthropic_usage(11, 7),
    })));
    upstream.answer(anthropic_answer("all of it"));
    let gateway = two_keys(&upstream, Protocol::Anthropic).start();
    let answer = gateway.messages(&question());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("all of it"));
}

#[test]
fn a_whole_answer_that_never_finished_is_no_success_if_nobody_else_can_be_asked() {
    let upstream = Upstream::start();
    upstream.always(reply(200).json(&with_choices(&json!([]))));
    let gateway = one_route(&upstream, Protocol::OpenAi).start();
    let answer = gateway.chat(&question());
    assert!(matches!(answer.status, 502 | 503), "{}", answer.text());
    assert!(answer.json()["error"]["message"].is_string());
}

#[test]
fn usage_that_we_did_not_ask_for_is_passed_on() {
    let upstream = Upstream::start();
    let answer = openai_stream_with_usage(&["a"]);
    upstream.answer(answer.clone());
    let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    file["stream_usage"] = json!(false);
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .provider_file("alpha", &file)
        .start();
    let finished = gateway.chat_streaming(&streamed()).read_to_end();
    assert_eq!(finished.body, answer.body_bytes());
    let sent = upstream.only_request().json();
    assert!(sent.get("stream_options").is_none(), "{sent}");
    assert_eq!(gateway.only_row().number("prompt_tokens"), 11);
}
