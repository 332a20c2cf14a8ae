//! Requests of OpenAI clients before routes of Anthropic's protocol.

use serde_json::{Value, json};

use super::PNG;
use crate::protocol::Protocol;

fn sent(more: &Value) -> (Value, String) {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    super::sent(Protocol::OpenAi, Protocol::Anthropic, &body)
}

fn said(messages: &Value) -> (Value, String) {
    let (body, loss) = sent(&json!({"messages": messages}));
    (body["messages"].clone(), loss)
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

fn function() -> Value {
    json!([{"type": "function", "function": {"name": "f"}}])
}

#[test]
fn instructions_in_mid_conversation_moved_to_the_front() {
    let (body, loss) = sent(&json!({"messages": [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Go on"},
    ]}));
    assert_eq!(body["system"], "Be kind");
    assert_eq!(
        body["messages"][2],
        json!({"role": "system", "content": "Be brief"})
    );
    assert_eq!(loss, "");
}

#[test]
fn the_developer_role_was_refused() {
    let (body, loss) = sent(&json!({"messages": [
        {"role": "developer", "content": "Be kind"}, {"role": "user", "content": "Hi"},
    ]}));
    assert_eq!((&body["system"], loss.as_str()), (&json!("Be kind"), ""));
}

#[test]
fn text_parts_were_joined_without_a_gap() {
    let parts = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
    let (messages, _) = said(&json!([{"role": "user", "content": parts}]));
    assert_eq!(messages[0]["content"], parts);
}

#[test]
fn an_image_url_was_dumped_as_json_into_the_prompt() {
    let (messages, loss) = said(&json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]}]));
    let source = json!({"type": "base64", "media_type": "image/png", "data": PNG});
    let blocks = messages[0]["content"].as_array().unwrap();
    assert_eq!(blocks[0], json!({"type": "image", "source": source}));
    assert_eq!((&blocks[1]["type"], blocks.len()), (&json!("document"), 2));
    assert_eq!(loss, "messages[0].content[2] dropped");
}

#[test]
fn arguments_that_are_no_json_went_lost() {
    let broken = "{\"city\": Bern";
    let (body, loss) = sent(&json!({"messages": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": null, "tool_calls": [call("a", broken)]},
        {"role": "tool", "tool_call_id": "a", "content": "?"},
    ]}));
    let input = &body["messages"][1]["content"][0]["input"];
    assert_eq!(*input, json!({"_raw_arguments": broken}));
    assert_eq!(loss, "messages[1].tool_calls[0].function.arguments changed");
    let (body, _) = super::sent(Protocol::Anthropic, Protocol::OpenAi, &body);
    let function = &body["messages"][1]["tool_calls"][0]["function"];
    assert_eq!(function["arguments"], broken);
}

#[test]
fn results_of_one_turn_came_in_several_user_messages() {
    let (messages, _) = said(&json!([
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": null, "tool_calls": [call("a", "{}"), call("b", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "Sun"},
        {"role": "tool", "tool_call_id": "b", "content": "Rain"},
        {"role": "user", "content": "And now?"},
    ]));
    assert_eq!(messages.as_array().unwrap().len(), 3);
    assert_eq!(
        messages[2]["content"],
        json!([
            {"type": "tool_result", "tool_use_id": "a", "content": "Sun"},
            {"type": "tool_result", "tool_use_id": "b", "content": "Rain"},
            {"type": "text", "text": "And now?"},
        ])
    );
}

fn result_of(content: &Value) -> Value {
    let (messages, _) = said(&json!([
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": null, "tool_calls": [call("a", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": content},
    ]));
    messages[2]["content"][0].clone()
}

#[test]
fn is_error_was_sent_as_null() {
    let result = result_of(&json!("Sun"));
    assert_eq!(
        result,
        json!({"type": "tool_result", "tool_use_id": "a", "content": "Sun"})
    );
}

#[test]
fn parts_of_a_tool_message_were_printed_like_python() {
    let url = format!("data:image/png;base64,{PNG}");
    let result = result_of(&json!([
        {"type": "text", "text": "Seen"}, {"type": "image_url", "image_url": {"url": url}},
    ]));
    assert_eq!(result["content"][0]["text"], "Seen");
    assert_eq!(result["content"][1]["source"]["data"], PNG);
}

#[test]
fn the_answer_of_a_function_became_the_users_words() {
    let (messages, _) = said(&json!([
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "Sun"},
    ]));
    let id = &messages[1]["content"][0]["id"];
    let result = json!([{"type": "tool_result", "tool_use_id": id, "content": "Sun"}]);
    assert_eq!(messages[2]["content"], result);
}

#[test]
fn turns_of_one_role_stood_side_by_side() {
    let (messages, _) = said(&json!([
        {"role": "user", "content": "Hi"}, {"role": "user", "content": "there"},
        {"role": "assistant", "content": "Hello"}, {"role": "assistant", "content": "friend"},
        {"role": "user", "content": "Go on"},
    ]));
    let roles: Vec<_> = messages
        .as_array()
        .unwrap()
        .iter()
        .map(|said| &said["role"])
        .collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
}

#[test]
fn empty_contents_became_empty_blocks() {
    let (messages, _) = said(&json!([
        {"role": "system", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "", "tool_calls": [call("a", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": ""},
        {"role": "assistant", "content": null},
    ]));
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ])
    );
}

#[test]
fn an_answer_was_cut_at_1024_tokens() {
    assert_eq!(sent(&json!({})).0["max_tokens"], 8192);
}

#[test]
fn max_completion_tokens_was_ignored() {
    assert_eq!(
        sent(&json!({"max_completion_tokens": 77})).0["max_tokens"],
        77
    );
}

#[test]
fn a_temperature_above_1_was_passed_on() {
    let (body, loss) = sent(&json!({"temperature": 1.5}));
    assert_eq!(
        (&body["temperature"], loss.as_str()),
        (&json!(1), "temperature changed")
    );
}

#[test]
fn temperature_and_top_p_were_injected_together() {
    let (body, _) = sent(&json!({}));
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "max_tokens", "messages"]);
    let (body, loss) = sent(&json!({"temperature": 0.5, "top_p": 0.5}));
    assert_eq!(body.get("top_p"), None);
    assert_eq!(loss, "top_p dropped");
}

#[test]
fn stop_texts_were_dropped() {
    assert_eq!(
        sent(&json!({"stop": "END"})).0["stop_sequences"],
        json!(["END"])
    );
    assert_eq!(
        sent(&json!({"stop": ["a", "b"]})).0["stop_sequences"],
        json!(["a", "b"])
    );
    let body = json!({"model": "m", "max_tokens": 9, "stop_sequences": ["END"],
        "messages": [{"role": "user", "content": "Hi"}]});
    let (body, _) = super::sent(Protocol::Anthropic, Protocol::OpenAi, &body);
    assert_eq!(body["stop"], "END");
}

#[test]
fn a_tool_without_parameters_had_no_schema() {
    let (body, _) = sent(&json!({"tools": function()}));
    let schema = json!({"type": "object", "properties": {}});
    assert_eq!(
        body["tools"][0],
        json!({"name": "f", "input_schema": schema})
    );
}

#[test]
fn a_tool_choice_was_sent_as_a_bare_word_or_not_at_all() {
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, expected) in [
        (json!("auto"), json!({"type": "auto"})),
        (json!("required"), json!({"type": "any"})),
        (json!("none"), json!({"type": "none"})),
        (named, json!({"type": "tool", "name": "f"})),
    ] {
        let (body, _) = sent(&json!({"tools": function(), "tool_choice": choice}));
        assert_eq!(body["tool_choice"], expected);
    }
}

#[test]
fn settings_were_dropped_without_a_word() {
    let schema = json!({"type": "object", "properties": {}});
    let (body, loss) = sent(&json!({
        "user": "u", "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
        "n": 2, "seed": 7, "logit_bias": {"1": 1}, "presence_penalty": 0.5, "new_member": 1,
    }));
    assert_eq!(body["metadata"]["user_id"], "u");
    assert_eq!(body["thinking"]["budget_tokens"], 4096);
    assert_eq!(body["output_config"]["format"]["schema"], schema);
    assert_eq!(
        loss,
        "n dropped,seed dropped,logit_bias dropped,presence_penalty dropped,new_member dropped"
    );
}

#[test]
fn tool_messages_became_the_users_and_tools_vanished() {
    let result = result_of(&json!("Sun"));
    assert_eq!(result["type"], "tool_result");
    let (body, loss) = sent(&json!({"tools": function()}));
    assert_eq!(
        (&body["tools"][0]["name"], loss.as_str()),
        (&json!("f"), "")
    );
}

#[test]
fn cache_marks_were_stripped_or_moved() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let text = |text: &str| json!({"type": "text", "text": text, "cache_control": mark});
    let (body, loss) = sent(&json!({"messages": [
        {"role": "system", "content": [{"type": "text", "text": "one"}, text("two")]},
        {"role": "user", "content": [text("Hi"), {"type": "text", "text": "there"}]},
    ]}));
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "one"}, text("two")])
    );
    let said = json!([text("Hi"), {"type": "text", "text": "there"}]);
    assert_eq!(
        (&body["messages"][0]["content"], loss.as_str()),
        (&said, "")
    );
}

#[test]
fn strict_and_const_were_mangled() {
    let schema =
        json!({"type": "object", "properties": {"z": {"const": 1.5}, "a": {"type": "null"}}});
    let function = json!({"name": "f", "parameters": schema, "strict": true});
    let (body, _) = sent(&json!({"tools": [{"type": "function", "function": function}]}));
    let tool = &body["tools"][0];
    assert_eq!(tool["strict"], true);
    // As text: the order of members matters to caches.
    assert_eq!(tool["input_schema"].to_string(), schema.to_string());
}
