//! Upstreams that send too much of something: what we hold is bounded, and what we write stays legal.

use bytes::Bytes;
use serde_json::json;

use super::clients;
use super::properties::{from_openai, to_anthropic, to_openai};
use crate::convert::openai;
use crate::protocol::sse;

fn chunk(delta: &serde_json::Value) -> String {
    format!(
        "data: {}\n\n",
        json!({"id": "a", "choices": [{"index": 0, "delta": delta}]})
    )
}

#[test]
fn a_call_that_never_completes_does_not_hold_back_everything() {
    let mut stream = chunk(
        &json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]}),
    );
    let piece = "word ".repeat(200_000);
    for _ in 0..20 {
        stream.push_str(&chunk(&json!({"content": piece})));
    }
    let mut events = from_openai(&stream, &[]);
    // The end has not come yet.
    events.truncate(events.len() - 2);
    assert!(to_anthropic(&events).len() > 16 * 1024 * 1024);
}

#[test]
fn a_hundred_thousand_calls_take_their_time_once() {
    let call = |index| json!({"index": index, "id": format!("call_{index}"), "function": {"name": "f", "arguments": "{}"}});
    let calls: Vec<_> = (0..100_000).map(call).collect();
    let stream = chunk(&json!({"tool_calls": calls}));
    let events = from_openai(&stream, &[]);
    let message = clients::anthropic(&to_anthropic(&events)).unwrap();
    assert_eq!(message["content"].as_array().map(Vec::len), Some(1024));
    clients::openai(&to_openai(&events, false), false).unwrap();
}

#[test]
fn deep_nesting_is_no_chunk() {
    let mut decoder = openai::stream::Decoder::new();
    let mut events = Vec::new();
    for text in ["[", "{\"choices\":["] {
        let bomb = format!("data: {{\"choices\":{}\n\n", text.repeat(100_000));
        decoder.decode(&sse::Event::parse(Bytes::from(bomb)), &mut events);
    }
    assert!(events.is_empty());
}
