//! What the log keeps of answers of both protocols.

use bytes::Bytes;

use crate::protocol::Protocol::{Anthropic, OpenAi};

fn openai(message: &str) -> Option<String> {
    let text = format!(r#"{{"choices":[{{"index":0,"message":{message}}}]}}"#);
    OpenAi.answer_text(text.as_bytes())
}

fn anthropic(content: &str) -> Option<String> {
    Anthropic.answer_text(format!(r#"{{"content":{content}}}"#).as_bytes())
}

fn raw(events: &[String]) -> Vec<Bytes> {
    events.iter().cloned().map(Bytes::from).collect()
}

/// The text of a stream with these data.
fn streamed(data: &[&str]) -> String {
    let events: Vec<String> = data
        .iter()
        .map(|data| format!("data: {data}\r\n\r\n"))
        .collect();
    OpenAi.stream_text(&raw(&events))
}

fn deltas(deltas: &[&str]) -> String {
    let chunks: Vec<String> = deltas
        .iter()
        .map(|delta| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#))
        .collect();
    streamed(&chunks.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_text_of_a_whole_answer_is_its_first_choice() {
    assert_eq!(
        openai(r#"{"content":"Hallo\n\u00e9","reasoning_content":"hm"}"#).as_deref(),
        Some("Hallo\né")
    );
    assert_eq!(
        openai(r#"{"content":null,"refusal":"No"}"#).as_deref(),
        Some("No")
    );
    assert_eq!(
        openai(r#"{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#).as_deref(),
        Some("ab")
    );
    for nothing in ["{}", "null", r#"{"content":null}"#, r#"{"content":""}"#] {
        assert_eq!(openai(nothing), None, "{nothing}");
    }
    let second = br#"{"choices":[{"index":1,"message":{"content":"b"}},{"index":0,"message":{"content":"a"}}]}"#;
    assert_eq!(OpenAi.answer_text(second).as_deref(), Some("a"));
    assert_eq!(OpenAi.answer_text(b"<html>"), None);
    assert_eq!(OpenAi.answer_text(b"\xff"), None);
}

#[test]
fn tool_calls_are_kept_as_compact_json() {
    assert_eq!(
        openai(
            r#"{"content":"Look","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"2","function":{"name":"g","arguments":""}}]}"#
        )
        .as_deref(),
        Some("Look\n[{\"name\":\"f\",\"arguments\":{\"a\":1}},{\"name\":\"g\",\"arguments\":{}}]")
    );
    assert_eq!(
        openai(r#"{"content":null,"function_call":{"name":"f","arguments":"{\"a\":"}}"#).as_deref(),
        Some(r#"[{"name":"f","arguments":"{\"a\":"}]"#)
    );
    assert_eq!(
        anthropic(
            r#"[{"type":"thinking","thinking":"hm"},{"type":"text","text":"Look"},{"type":"tool_use","id":"1","name":"f","input":{"a":[1]}}]"#
        )
        .as_deref(),
        Some("Look\n[{\"name\":\"f\",\"arguments\":{\"a\":[1]}}]")
    );
    assert_eq!(
        anthropic(r#"[{"type":"redacted_thinking","data":"x"}]"#),
        None
    );
}

#[test]
fn the_text_of_a_stream_is_put_together() {
    assert_eq!(
        deltas(&[
            r#"{"role":"assistant","content":""}"#,
            r#"{"reasoning_content":"hm"}"#,
            r#"{"content":"Ha"}"#,
            r#"{"content":"llo \ud83d\ude00"}"#,
            r#"{"content":null}"#,
        ]),
        "Hallo 😀"
    );
    assert_eq!(deltas(&[r#"{"refusal":"N"}"#, r#"{"refusal":"o"}"#]), "No");
    assert_eq!(
        streamed(&[
            r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#,
            "not json",
            r#"{"choices":[],"usage":{}}"#,
            "[DONE]",
        ]),
        "a"
    );
}

#[test]
fn pieces_of_tool_calls_are_put_together_by_their_index() {
    assert_eq!(
        deltas(&[
            r#"{"content":"Look"}"#,
            r#"{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"2","function":{"name":"g","arguments":"{"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"a\":"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"function":{"arguments":"}"}}]}"#,
        ]),
        "Look\n[{\"name\":\"f\",\"arguments\":{\"a\":1}},{\"name\":\"g\",\"arguments\":{}}]"
    );
}

#[test]
fn the_text_of_an_anthropic_stream_is_put_together() {
    let events = [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Lo"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"ok"}}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1"}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"}"}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let expected = "Look\n[{\"name\":\"f\",\"arguments\":{\"a\":1}}]";
    let unnamed: Vec<String> = events
        .iter()
        .map(|data| format!("data: {data}\n\n"))
        .collect();
    assert_eq!(Anthropic.stream_text(&raw(&unnamed)), expected);
    let named: Vec<String> = events
        .iter()
        .map(|data| {
            let kind = data.split('"').nth(3).unwrap();
            format!("event: {kind}\ndata: {data}\n\n")
        })
        .collect();
    assert_eq!(Anthropic.stream_text(&raw(&named)), expected);
}
