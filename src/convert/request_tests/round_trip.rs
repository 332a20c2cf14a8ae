//! Requests across protocols and back: what both can say comes back as it was, and nothing of it is reported as lost.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::config::catalog::ReasoningStyle;
use crate::conversation::{Block, Conversation, Role, Tool, ToolKind, Turn};
use crate::convert::{Encoded, Target, anthropic, openai};
use crate::protocol::raw::RawObject;

fn raw(bytes: Bytes) -> RawObject {
    RawObject::parse(bytes).unwrap()
}

fn target(conversation: &Conversation) -> Target<'_> {
    Target {
        model: &conversation.model,
        stream: conversation.stream,
        ask_usage: conversation.include_usage,
        defaults: &[],
        default_max_tokens: 4096,
        wants_max_completion_tokens: false,
        reasoning: ReasoningStyle::Usual,
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-z\"\\\\é]{1,8}( [a-z]{1,4})?"
}

fn picture() -> impl Strategy<Value = Value> {
    select(vec![
        "data:image/png;base64,iVBORw0KGgo=",
        "https://example.org/a.png",
    ])
    .prop_map(|url| json!({"type": "image_url", "image_url": {"url": url}}))
}

fn words() -> impl Strategy<Value = Value> {
    text().prop_map(|text| json!({"type": "text", "text": text}))
}

fn file() -> impl Strategy<Value = Value> {
    text().prop_map(|name| {
        json!({"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,JVBERg=="}})
    })
}

fn said() -> impl Strategy<Value = Value> {
    let part = prop_oneof![3 => words(), 1 => picture(), 1 => file()];
    prop_oneof![
        text().prop_map(Value::from),
        prop::collection::vec(part, 1..4).prop_map(Value::from),
    ]
}

/// A question and its answer, perhaps by way of tools.
fn exchange() -> impl Strategy<Value = Vec<Value>> {
    let arguments = select(vec!["{}", "{\"b\": 1.50,\"a\":[null]}", "{\"x\":\"{\"}"]);
    let calls = prop::collection::vec((arguments, text(), 0..1_000_000_u32), 0..3);
    (said(), prop::option::of(text()), calls, text()).prop_map(|(question, aside, calls, answer)| {
        let mut messages = vec![json!({"role": "user", "content": question})];
        if !calls.is_empty() {
            let id = |position: usize, number: &u32| format!("call_{number}_{position}");
            let made: Vec<_> = calls.iter().enumerate().map(|(position, (arguments, _, number))| json!({
                "id": id(position, number), "type": "function",
                "function": {"name": "f", "arguments": arguments},
            })).collect();
            messages.push(json!({"role": "assistant", "content": aside, "tool_calls": made}));
            for (position, (_, result, number)) in calls.iter().enumerate() {
                messages.push(json!({"role": "tool", "tool_call_id": id(position, number), "content": result}));
            }
        }
        messages.push(json!({"role": "assistant", "content": answer}));
        messages
    })
}

fn member() -> impl Strategy<Value = (&'static str, Value)> {
    select(vec![
        ("max_tokens", json!(9000)),
        ("temperature", json!(0.5)),
        ("top_p", json!(1)),
        ("stop", json!(["a", "b"])),
        ("stream", json!(true)),
        ("user", json!("u")),
        ("tool_choice", json!("auto")),
        ("tool_choice", json!("none")),
        ("tool_choice", json!("required")),
        (
            "tool_choice",
            json!({"type": "function", "function": {"name": "f"}}),
        ),
        ("reasoning_effort", json!("none")),
        ("n", json!(1)),
        ("logprobs", json!(false)),
    ])
}

fn request() -> impl Strategy<Value = Value> {
    let system = prop::collection::vec((select(vec!["system", "developer"]), text()), 0..3);
    let exchanges = prop::collection::vec(exchange(), 0..3);
    (
        system,
        exchanges,
        said(),
        prop::collection::vec(member(), 0..5),
        any::<bool>(),
    )
        .prop_map(|(system, exchanges, question, members, serial)| {
            let mut messages: Vec<_> = system
                .into_iter()
                .map(|(role, text)| json!({"role": role, "content": text}))
                .collect();
            messages.extend(exchanges.into_iter().flatten());
            messages.push(json!({"role": "user", "content": question}));
            let parameters = json!({"type": "object", "properties": {"z": {}, "a": {}}});
            let function =
                json!({"name": "f", "description": "d", "parameters": parameters, "strict": true});
            let mut body = json!({"model": "m", "messages": messages, "max_tokens": 100,
                "tools": [{"type": "function", "function": function}]});
            for (name, value) in members {
                body[name] = value;
            }
            if serial && body["tool_choice"] != "none" {
                // The other side cannot say it without a choice.
                let choice = body["tool_choice"].take();
                body["tool_choice"] = if choice.is_null() {
                    json!("auto")
                } else {
                    choice
                };
                body["parallel_tool_calls"] = json!(false);
            }
            body
        })
}

/// What was said, without what the protocols divide differently: turns of one role are one.
fn spoken(turns: &[Turn]) -> Vec<(Role, Vec<Block>)> {
    let mut spoken: Vec<(Role, Vec<Block>)> = Vec::new();
    for turn in turns {
        match spoken.last_mut() {
            Some((role, blocks)) if *role == turn.role => blocks.extend(turn.blocks.clone()),
            _ => spoken.push((turn.role, turn.blocks.clone())),
        }
    }
    spoken
}

fn offered(tools: &[Tool]) -> Vec<ToolKind> {
    tools.iter().map(|tool| tool.kind.clone()).collect()
}

fn lossless(encoded: &Encoded) {
    assert_eq!(encoded.loss.to_string(), "", "{:?}", encoded.body);
}

proptest! {
    #[test]
    fn what_both_protocols_can_say_survives_both_ways(body in request()) {
        let first = openai::request::decode(&raw(Bytes::from(body.to_string()))).unwrap();
        let there = anthropic::request::encode(&first, &target(&first));
        lossless(&there);
        let second = anthropic::request::decode(&raw(there.body)).unwrap();
        let back = openai::request::encode(&second, &target(&second));
        lossless(&back);
        let third = openai::request::decode(&raw(back.body)).unwrap();
        for other in [&second, &third] {
            prop_assert_eq!(spoken(&first.turns), spoken(&other.turns));
            prop_assert_eq!(offered(&first.tools), offered(&other.tools));
            prop_assert_eq!(&first.tool_choice, &other.tool_choice);
            prop_assert_eq!(first.parallel_tool_calls, other.parallel_tool_calls);
            prop_assert_eq!(first.max_tokens, other.max_tokens);
            prop_assert_eq!(&first.stop, &other.stop);
            prop_assert_eq!(&first.user, &other.user);
            prop_assert_eq!(first.stream, other.stream);
            prop_assert_eq!(&first.reasoning, &other.reasoning);
            prop_assert_eq!(&first.temperature, &other.temperature);
        }
    }
}
