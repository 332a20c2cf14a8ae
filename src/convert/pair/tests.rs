//! Tests of a request and its answer together: what the one was sent as, the other takes back.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::*;
use crate::config::catalog::ReasoningStyle;
use crate::convert::memo::Memo;

const LONG: &str =
    "mcp__a_server_with_a_long_name__a_tool_whose_name_is_longer_than_sixty_four_characters";

fn sent(from: Protocol, to: Protocol, body: &Value) -> Encoded {
    let body = RawObject::parse(Bytes::from(body.to_string())).unwrap();
    let conversation = decode_request(from, &body).unwrap();
    let target = Target {
        model: "m",
        stream: false,
        ask_usage: false,
        defaults: &[],
        default_max_tokens: 4096,
        wants_max_completion_tokens: false,
        reasoning: ReasoningStyle::Usual,
    };
    encode_request(to, &conversation, &target)
}

fn context(memo: Memo) -> ReplyContext {
    ReplyContext {
        now: 1,
        fallback_id: "f".to_owned(),
        memo,
        keeps_id: false,
    }
}

fn anthropic_request() -> Value {
    json!({
        "model": "m", "max_tokens": 9,
        "tools": [{"name": LONG, "input_schema": {"type": "object"}}, {"name": "short", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": LONG},
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": LONG, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "done"}]},
        ],
    })
}

#[test]
fn a_tool_name_too_long_for_the_target_is_one_short_name_everywhere_in_the_request() {
    let encoded = sent(Protocol::Anthropic, Protocol::OpenAi, &anthropic_request());
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let short = body["tools"][0]["function"]["name"].as_str().unwrap();
    assert!(
        short.len() <= 64 && short.starts_with("mcp__a_server"),
        "{short}"
    );
    assert_eq!(body["tools"][1]["function"]["name"], "short");
    assert_eq!(body["tool_choice"]["function"]["name"], short);
    assert_eq!(
        body["messages"][1]["tool_calls"][0]["function"]["name"],
        short
    );
    assert_eq!(encoded.loss.to_string(), "tools[0].name changed");
}

#[test]
fn a_shortened_tool_is_called_by_the_clients_own_name() {
    let encoded = sent(Protocol::Anthropic, Protocol::OpenAi, &anthropic_request());
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let short = &body["tools"][0]["function"]["name"];
    let call = json!([{"index": 0, "id": "c", "type": "function", "function": {"name": short, "arguments": "{}"}}]);

    let answer =
        json!({"choices": [{"message": {"tool_calls": call}, "finish_reason": "tool_calls"}]});
    let context = context(encoded.memo);
    let answer = convert_reply(
        Protocol::OpenAi,
        Protocol::Anthropic,
        answer.to_string().as_bytes(),
        &context,
    );
    let answer: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    assert_eq!(answer["content"][0]["name"], LONG);

    let mut converter = StreamConverter::new(Protocol::OpenAi, Protocol::Anthropic, context, true);
    let chunk =
        json!({"choices": [{"delta": {"tool_calls": call}, "finish_reason": "tool_calls"}]});
    let mut out = BytesMut::new();
    let event = sse::Event::parse(Bytes::from(format!("data: {chunk}\n\n")));
    converter.convert(&event, &mut out);
    converter.finish(&mut out);
    let out = String::from_utf8(out.to_vec()).unwrap();
    assert!(out.contains(&format!(r#""name":"{LONG}""#)), "{out}");
}

#[test]
fn a_tool_name_with_a_dot_reaches_an_anthropic_route_and_comes_back() {
    let request = json!({
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "files.read"}}],
        "tool_choice": {"type": "function", "function": {"name": "files.read"}},
        "messages": [{"role": "user", "content": "go"}],
    });
    let encoded = sent(Protocol::OpenAi, Protocol::Anthropic, &request);
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let name = body["tools"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("files_read_"), "{name}");
    assert_eq!(body["tool_choice"]["name"], name);
    assert_eq!(encoded.memo.tool_name(name), "files.read");
    assert_eq!(encoded.loss.to_string(), "tools[0].function.name changed");
}

#[test]
fn the_losses_of_a_stream_can_be_told_when_it_ends() {
    let context = context(Memo::default());
    let mut converter = StreamConverter::new(Protocol::Anthropic, Protocol::OpenAi, context, true);
    assert!(converter.loss().is_empty());
    let event = r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"x"}}"#;
    let event = sse::Event::parse(Bytes::from(format!("data: {event}\n\n")));
    converter.convert(&event, &mut BytesMut::new());
    assert_eq!(converter.loss().to_string(), "content[0] dropped");
}

#[test]
fn a_stream_that_ends_properly_ends_for_the_client_even_if_it_held_no_answer() {
    let nobody_asked =
        "data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    for (to, end) in [
        (Protocol::OpenAi, "data: [DONE]"),
        (Protocol::Anthropic, "event: message_stop"),
    ] {
        let context = context(Memo::default());
        let mut converter = StreamConverter::new(Protocol::OpenAi, to, context, false);
        let mut out = BytesMut::new();
        for raw in [nobody_asked, "data: [DONE]\n\n"] {
            converter.convert(&sse::Event::parse(raw.into()), &mut out);
        }
        converter.finish(&mut out);
        converter.finish(&mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert_eq!(text.matches(end).count(), 1, "{text}");
    }
}
