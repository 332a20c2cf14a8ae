//! Requests of Anthropic clients before routes of OpenAI's protocol.

use serde_json::{Value, json};

use super::PNG;
use crate::protocol::Protocol;

fn sent(more: &Value) -> (Value, String) {
    let mut body =
        json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    super::sent(Protocol::Anthropic, Protocol::OpenAi, &body)
}

fn said(messages: &Value) -> (Value, String) {
    let (body, loss) = sent(&json!({"messages": messages}));
    (body["messages"].clone(), loss)
}

fn image() -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}})
}

fn call() -> Value {
    json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]})
}

#[test]
fn system_blocks_were_joined_into_one_text() {
    let blocks = json!([{"type": "text", "text": "Be kind"}, {"type": "text", "text": "Be brief"}]);
    let (body, _) = sent(&json!({"system": blocks}));
    assert_eq!(
        body["messages"][0],
        json!({"role": "system", "content": blocks})
    );
}

#[test]
fn text_blocks_of_the_user_were_joined_into_one_text() {
    let blocks = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
    let (messages, loss) = said(&json!([{"role": "user", "content": blocks}]));
    assert_eq!(messages[0]["content"], blocks);
    assert_eq!(loss, "");
}

#[test]
fn an_image_was_dumped_as_json_into_the_prompt() {
    let document = json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}});
    let (messages, loss) = said(&json!([{"role": "user", "content": [image(), document]}]));
    let url = format!("data:image/png;base64,{PNG}");
    let parts = &messages[0]["content"];
    assert_eq!(
        parts[0],
        json!({"type": "image_url", "image_url": {"url": url}})
    );
    assert_eq!(parts[1]["type"], "file");
    assert!(!messages.to_string().contains("media_type"));
    assert_eq!(loss, "");
}

#[test]
fn an_image_in_a_tool_result_was_dumped_as_json() {
    let content = json!([{"type": "text", "text": "Seen"}, image()]);
    let result = json!({"type": "tool_result", "tool_use_id": "a", "content": content});
    let (messages, loss) = said(&json!([
        {"role": "user", "content": "Look"}, call(), {"role": "user", "content": [result]},
    ]));
    assert_eq!(messages[2]["content"], "Seen");
    assert_eq!(messages[3]["content"][0]["type"], "image_url");
    assert_eq!(loss, "messages[2].content[0].content[1] changed");
}

#[test]
fn the_failure_of_a_tool_was_lost_without_a_word() {
    let result =
        json!({"type": "tool_result", "tool_use_id": "a", "content": "No", "is_error": true});
    let (messages, loss) = said(&json!([
        {"role": "user", "content": "Go"}, call(), {"role": "user", "content": [result]},
    ]));
    assert_eq!(messages[2]["content"], "No");
    assert_eq!(loss, "messages[2].content[0].is_error dropped");
}

#[test]
fn text_after_a_call_lost_its_place_without_a_word() {
    let mut called = call();
    called["content"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "text", "text": "I look."}));
    let result = json!({"type": "tool_result", "tool_use_id": "a", "content": "Sun"});
    let (messages, loss) = said(&json!([
        {"role": "user", "content": "Go"}, called, {"role": "user", "content": [result]},
    ]));
    assert_eq!(messages[1]["content"], "I look.");
    assert_eq!(loss, "messages[1].content[1] changed");
}

#[test]
fn thinking_in_the_history_was_dumped_as_json() {
    let (messages, loss) = said(&json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "They greet.", "signature": "sig"},
            {"type": "redacted_thinking", "data": "secret"},
            {"type": "text", "text": "Hello"},
        ]},
        {"role": "user", "content": "Go on"},
    ]));
    let expected =
        json!({"role": "assistant", "content": "Hello", "reasoning_content": "They greet."});
    assert_eq!(messages[1], expected);
    assert_eq!(
        loss,
        "messages[1].content[0].signature dropped,messages[1].content[1] dropped"
    );
}

#[test]
fn members_of_tools_were_lost_without_a_word() {
    let (body, loss) = sent(&json!({"tools": [
        {"name": "f", "input_schema": {"type": "object"}, "strict": true, "cache_control": {"type": "ephemeral"}},
        {"type": "web_search_20260318", "name": "web_search"},
    ]}));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tools"][0]["function"]["strict"], true);
    assert_eq!(loss, "tools[1] dropped,tools[0].cache_control dropped");
}

#[test]
fn a_choice_of_any_tool_was_passed_on_as_an_object_that_openai_refuses() {
    for (kind, expected) in [("any", "required"), ("auto", "auto"), ("none", "none")] {
        let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        let (body, _) = sent(&json!({"tools": tools, "tool_choice": {"type": kind}}));
        assert_eq!(body["tool_choice"], expected);
    }
}

#[test]
fn the_wish_for_one_tool_at_a_time_was_lost() {
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let choice = json!({"type": "auto", "disable_parallel_tool_use": true});
    let (body, _) = sent(&json!({"tools": tools, "tool_choice": choice}));
    assert_eq!(body["parallel_tool_calls"], false);

    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": tools,
        "parallel_tool_calls": false});
    let (body, _) = super::sent(Protocol::OpenAi, Protocol::Anthropic, &request);
    assert_eq!(body["tool_choice"], choice);
}

#[test]
fn a_limit_of_16000_tokens_was_injected() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let (body, _) = super::sent(Protocol::Anthropic, Protocol::OpenAi, &body);
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "messages"]);
}

#[test]
fn user_and_thinking_were_dropped() {
    let (body, loss) = sent(&json!({
        "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 8192}, "top_k": 5,
    }));
    assert_eq!(body["user"], "u");
    assert_eq!(body["reasoning_effort"], "medium");
    assert_eq!(loss, "top_k dropped,thinking.budget_tokens changed");
}

#[test]
fn reasoning_content_was_not_sent_back() {
    for thought in ["They want Bern.", ""] {
        let (messages, _) = said(&json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": thought, "signature": ""},
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "Sun"}]},
        ]));
        // Providers want the member back even where it is empty.
        assert_eq!(messages[1]["reasoning_content"], thought);
    }
}
