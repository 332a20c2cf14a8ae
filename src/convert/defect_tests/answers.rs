//! Whole answers, and errors.

use serde_json::{Value, json};

use super::told;
use crate::error::{ErrorKind, FaultKind, GatewayError};
use crate::protocol::Protocol;

fn from_anthropic(content: &Value, stop: &str, usage: &Value) -> Value {
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "c",
        "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage});
    told(Protocol::Anthropic, Protocol::OpenAi, &body).unwrap()
}

fn from_openai(message: &Value, finish: &str, usage: &Value) -> Value {
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "g",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage});
    told(Protocol::OpenAi, Protocol::Anthropic, &body).unwrap()
}

fn call() -> Value {
    json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}})
}

#[test]
fn text_beside_tool_calls_was_discarded() {
    let content = json!([
        {"type": "text", "text": "I look."}, {"type": "tool_use", "id": "a", "name": "f", "input": {}},
    ]);
    let choice = from_anthropic(&content, "tool_use", &json!({}))["choices"][0].clone();
    assert_eq!(choice["message"]["content"], "I look.");
    assert_eq!(choice["message"]["tool_calls"][0], call());
    assert_eq!(choice["finish_reason"], "tool_calls");
}

#[test]
fn thinking_in_answers_was_dropped() {
    let content = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "Hello"},
    ]);
    let answer = from_anthropic(&content, "end_turn", &json!({}));
    assert_eq!(answer["choices"][0]["message"]["reasoning_content"], "Hm.");
}

#[test]
fn refusal_pause_and_full_context_were_all_an_ordinary_stop() {
    for (stop, expected) in [
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("max_tokens", "length"),
        ("pause_turn", "stop"),
        ("stop_sequence", "stop"),
    ] {
        let content = json!([{"type": "text", "text": "x"}]);
        let answer = from_anthropic(&content, stop, &json!({}));
        assert_eq!(answer["choices"][0]["finish_reason"], expected, "{stop}");
    }
}

#[test]
fn cached_tokens_were_left_out_of_the_prompt() {
    let usage = json!({"input_tokens": 10, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 20,
        "output_tokens": 5});
    let answer = from_anthropic(&json!([{"type": "text", "text": "x"}]), "end_turn", &usage);
    let usage = &answer["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["total_tokens"]),
        (&json!(100), &json!(105))
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 70);
}

#[test]
fn an_answer_without_choices_was_an_error_of_the_index() {
    let told = told(
        Protocol::OpenAi,
        Protocol::Anthropic,
        &json!({"choices": []}),
    );
    assert_eq!(told, Err(FaultKind::Malformed));
}

#[test]
fn the_answers_id_had_the_style_of_the_wrong_protocol() {
    let answer = from_openai(&json!({"content": "x"}), "stop", &json!({}));
    assert_eq!(answer["id"], "msg_chatcmpl-1_ours");
    let answer = from_anthropic(&json!([]), "end_turn", &json!({}));
    assert_eq!(answer["id"], "chatcmpl-msg_1");
}

#[test]
fn refusals_and_reasoning_were_dropped() {
    let message = json!({"content": null, "refusal": "No.", "reasoning_content": "Hm."});
    let answer = from_openai(&message, "stop", &json!({}));
    assert_eq!(answer["content"][0]["thinking"], "Hm.");
    assert_eq!(answer["content"][1]["text"], "No.");
    assert_eq!(answer["stop_reason"], "refusal");
}

#[test]
fn a_filtered_answer_was_called_an_ordinary_end() {
    let answer = from_openai(&json!({"content": "x"}), "content_filter", &json!({}));
    assert_eq!(answer["stop_reason"], "refusal");
    let message = json!({"content": null, "function_call": {"name": "f", "arguments": "{}"}});
    let answer = from_openai(&message, "function_call", &json!({}));
    assert_eq!(answer["stop_reason"], "tool_use");
}

#[test]
fn cached_tokens_were_counted_as_fresh_input() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 70}});
    let answer = from_openai(&json!({"content": "x"}), "stop", &usage);
    let usage = &answer["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["cache_read_input_tokens"]),
        (&json!(30), &json!(70))
    );
}

#[test]
fn members_that_nobody_knows_made_an_answer_an_error() {
    let body = json!({"id": 7, "choices": [{"index": "0", "message": {"content": "x", "new": [1]}, "finish_reason": "odd"}],
        "usage": {"prompt_tokens": null, "cost": "1"}, "service_tier": {"a": 1}});
    let answer = told(Protocol::OpenAi, Protocol::Anthropic, &body).unwrap();
    assert_eq!(answer["content"][0]["text"], "x");
    let body = json!({"content": [{"type": "text", "text": "x", "new": 1}, {"type": "new"}], "stop_reason": "odd", "new": 1});
    let answer = told(Protocol::Anthropic, Protocol::OpenAi, &body).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "x");
}

#[test]
fn an_agent_stopped_because_a_call_ended_like_a_talk() {
    let answer = from_openai(
        &json!({"content": null, "tool_calls": [call()]}),
        "stop",
        &json!({}),
    );
    assert_eq!(answer["stop_reason"], "tool_use");
    let content = json!([{"type": "tool_use", "id": "a", "name": "f", "input": {}}]);
    let answer = from_anthropic(&content, "end_turn", &json!({}));
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn an_error_had_the_shape_of_the_other_protocol() {
    let error = GatewayError::new(ErrorKind::UpstreamUnavailable, "busy");
    let body = |protocol: Protocol| -> Value {
        serde_json::from_str(&protocol.error_body(&error, "r")).unwrap()
    };
    assert_eq!(
        body(Protocol::Anthropic),
        json!({"type": "error",
        "error": {"type": "overloaded_error", "message": "busy"}, "request_id": "r"})
    );
    assert_eq!(
        body(Protocol::OpenAi),
        json!({"error":
        {"message": "busy", "type": "server_error", "param": null, "code": null}})
    );
}
