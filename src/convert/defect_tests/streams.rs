//! Streamed answers.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{streamed, values};
use crate::protocol::{Protocol, StreamReader, Verdict, sse};

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!(
        "data: {}\n\n",
        json!({"id": "chatcmpl-1", "model": "g", "choices": [choice]})
    )
}

fn piece(index: u64, id: Option<&str>, arguments: &str) -> Value {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        call["id"] = json!(id);
        call["function"]["name"] = json!("f");
    }
    json!({"tool_calls": [call]})
}

fn to_anthropic(mut chunks: Vec<String>, finish: &str) -> String {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}});
    chunks.push(chunk(&json!({}), Some(finish)));
    chunks.push(format!("data: {usage}\n\n"));
    chunks.push("data: [DONE]\n\n".to_owned());
    streamed(Protocol::OpenAi, Protocol::Anthropic, &chunks)
}

fn anthropic_events(blocks: &[Value], stop: &str) -> Vec<String> {
    let usage = json!({"input_tokens": 9, "output_tokens": 1});
    let message = json!({"id": "msg_1", "model": "c", "content": [], "usage": usage});
    let mut events = vec![json!({"type": "message_start", "message": message})];
    events.extend_from_slice(blocks);
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}}));
    events.push(json!({"type": "message_stop"}));
    let written = events.iter().map(|event| {
        let kind = event["type"].as_str().unwrap();
        format!("event: {kind}\ndata: {event}\n\n")
    });
    written.collect()
}

fn block(index: u64, begin: &Value, deltas: &[Value]) -> Vec<Value> {
    let mut events =
        vec![json!({"type": "content_block_start", "index": index, "content_block": begin})];
    let deltas = deltas.iter();
    events.extend(
        deltas.map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
    );
    events.push(json!({"type": "content_block_stop", "index": index}));
    events
}

/// The events by their types, deltas by those of their content.
fn kinds(stream: &str) -> Vec<String> {
    let name = |value: &Value| {
        let value = value["delta"].get("type").or_else(|| value.get("type"));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    values(stream).iter().map(name).collect()
}

#[test]
fn an_openai_client_got_the_events_of_anthropic() {
    let text = block(
        0,
        &json!({"type": "text", "text": ""}),
        &[json!({"type": "text_delta", "text": "Hi"})],
    );
    let events = anthropic_events(&text, "end_turn");
    let stream = streamed(Protocol::Anthropic, Protocol::OpenAi, &events);
    assert!(
        !stream.contains("event:") && stream.ends_with("data: [DONE]\n\n"),
        "{stream}"
    );
    let chunks = values(&stream);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk")
    );
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[1]["choices"][0]["delta"]["content"], "Hi");
    assert_eq!(chunks[2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[3]["usage"]["completion_tokens"], 5);
}

#[test]
fn a_stream_began_twice() {
    let begin = json!({"role": "assistant", "content": ""});
    let stream = to_anthropic(
        vec![
            chunk(&begin, None),
            chunk(&begin, None),
            chunk(&json!({"content": "Hi"}), None),
        ],
        "stop",
    );
    assert_eq!(stream.matches("event: message_start").count(), 1);
    for event in stream.split_terminator("\n\n") {
        let lines: Vec<_> = event.lines().collect();
        assert!(
            lines.len() == 2 && lines[0].starts_with("event: ") && lines[1].starts_with("data: "),
            "{event}"
        );
    }
}

#[test]
fn a_stream_told_no_stop_reason_and_no_output_tokens() {
    let stream = to_anthropic(vec![chunk(&json!({"content": "Hi"}), None)], "length");
    let told = values(&stream);
    let end = told
        .iter()
        .find(|value| value["type"] == "message_delta")
        .unwrap();
    assert_eq!(end["delta"]["stop_reason"], "max_tokens");
    assert_eq!(end["usage"]["output_tokens"], 5);
}

#[test]
fn a_messages_stream_ended_with_done() {
    let stream = to_anthropic(vec![chunk(&json!({"content": "Hi"}), None)], "stop");
    assert!(
        stream.ends_with("data: {\"type\":\"message_stop\"}\n\n"),
        "{stream}"
    );
    assert!(!stream.contains("[DONE]"));
}

#[test]
fn every_fragment_of_arguments_opened_another_tool() {
    let stream = to_anthropic(
        vec![
            chunk(&piece(0, Some("a"), ""), None),
            chunk(&piece(0, None, "{\"x\""), None),
            chunk(&piece(1, Some("b"), "{}"), None),
            chunk(&piece(0, None, ":1}"), None),
        ],
        "tool_calls",
    );
    let values = values(&stream);
    let begun: Vec<_> = values
        .iter()
        .filter_map(|value| value["content_block"]["id"].as_str())
        .collect();
    assert_eq!(begun, ["a", "b"]);
    let first = values.iter().filter(|value| value["index"] == 0);
    let arguments: String = first
        .filter_map(|value| value["delta"]["partial_json"].as_str())
        .collect();
    assert_eq!(arguments, "{\"x\":1}");
}

#[test]
fn tools_were_left_open_when_text_went_on() {
    let stream = to_anthropic(
        vec![
            chunk(&piece(0, Some("a"), "{}"), None),
            chunk(&json!({"content": "Hi"}), None),
        ],
        "tool_calls",
    );
    let expected = [
        "message_start",
        "content_block_start",
        "input_json_delta",
        "content_block_stop",
        "content_block_start",
        "text_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds(&stream), expected);
}

#[test]
fn arguments_were_taken_for_cumulative() {
    let stream = to_anthropic(
        vec![
            chunk(&piece(0, Some("a"), "{"), None),
            chunk(&piece(0, None, "\"{\":{}}"), None),
        ],
        "tool_calls",
    );
    let values = values(&stream);
    let arguments: String = values
        .iter()
        .filter_map(|value| value["delta"]["partial_json"].as_str())
        .collect();
    assert_eq!(arguments, "{\"{\":{}}");
}

#[test]
fn reasoning_in_streams_was_dropped() {
    let stream = to_anthropic(
        vec![
            chunk(&json!({"reasoning_content": "Hm."}), None),
            chunk(&json!({"content": "Hi"}), None),
        ],
        "stop",
    );
    assert!(
        kinds(&stream).contains(&"thinking_delta".to_owned()),
        "{stream}"
    );
    let thinking = block(
        0,
        &json!({"type": "thinking", "thinking": "", "signature": ""}),
        &[json!({"type": "thinking_delta", "thinking": "Hm."})],
    );
    let events = anthropic_events(&thinking, "end_turn");
    let stream = streamed(Protocol::Anthropic, Protocol::OpenAi, &events);
    assert!(stream.contains("\"reasoning_content\":\"Hm.\""), "{stream}");
}

#[test]
fn a_filtered_stream_had_a_stop_reason_that_does_not_exist() {
    let stream = to_anthropic(
        vec![chunk(&json!({"content": "Hi"}), None)],
        "content_filter",
    );
    assert!(stream.contains("\"stop_reason\":\"refusal\""), "{stream}");
}

fn verdict(event: &str) -> Verdict {
    let event = sse::Event::parse(Bytes::from(event.to_owned()));
    StreamReader::new(Protocol::OpenAi, 1).read(&event).verdict
}

#[test]
fn an_error_of_null_ended_the_stream() {
    let event = "data: {\"id\":\"a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\"error\":null}\n\n";
    assert!(!matches!(verdict(event), Verdict::Error(_)));
}

#[test]
fn the_word_error_in_a_comment_ended_the_stream() {
    for event in [": error\n\n", ": {\"error\": 1}\n\n"] {
        assert!(!matches!(verdict(event), Verdict::Error(_)), "{event}");
    }
    let text = chunk(&json!({"content": "\"error\": {\"message\": \"x\"}"}), None);
    assert!(!matches!(verdict(&text), Verdict::Error(_)));
}

#[test]
fn an_empty_block_came_before_the_call() {
    let stream = to_anthropic(
        vec![
            chunk(&json!({"role": "assistant", "content": ""}), None),
            chunk(&json!({"content": "\n"}), None),
            chunk(&piece(0, Some("a"), "{}"), None),
        ],
        "tool_calls",
    );
    let values = values(&stream);
    let begun: Vec<_> = values
        .iter()
        .filter_map(|value| value["content_block"]["type"].as_str())
        .collect();
    assert_eq!(begun, ["tool_use"]);
}

#[test]
fn a_signature_changed_on_its_way() {
    let signature = "EqQBCkYIBxgCKkD/+=\u{e9}";
    let block = json!({"type": "thinking", "thinking": "Hm.", "signature": signature});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": "Go on"},
    ]});
    let (body, loss) = super::sent(Protocol::Anthropic, Protocol::Anthropic, &body);
    assert_eq!(
        (&body["messages"][1]["content"][0], loss.as_str()),
        (&block, "")
    );
}

#[test]
fn message_start_told_no_input_tokens() {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 1});
    let first = json!({"id": "a", "model": "g", "usage": usage,
        "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": null}]});
    let stream = to_anthropic(vec![format!("data: {first}\n\n")], "stop");
    assert_eq!(values(&stream)[0]["message"]["usage"]["input_tokens"], 9);
    // Those who tell it at the end only are heard there.
    let stream = to_anthropic(vec![chunk(&json!({"content": "Hi"}), None)], "stop");
    let told = values(&stream);
    let end = told
        .iter()
        .find(|value| value["type"] == "message_delta")
        .unwrap();
    assert_eq!(end["usage"]["input_tokens"], 9);
}
