//! Requests that nobody thought of, as clients of one protocol may write them, on their way to the other: what goes up is
//! never refused for its form.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use bytes::Bytes;

use super::rules;
use crate::config::catalog::ReasoningStyle;
use crate::convert::Target;
use crate::convert::pair::{decode_request, encode_request};
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;

const TARGET: Target<'_> = Target {
    model: "up",
    stream: false,
    ask_usage: false,
    defaults: &[],
    default_max_tokens: 8192,
    wants_max_completion_tokens: false,
    reasoning: ReasoningStyle::Usual,
};

const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";

fn converted(from: Protocol, to: Protocol, body: &Value) -> Value {
    let body = RawObject::parse(Bytes::from(body.to_string())).unwrap();
    let conversation = decode_request(from, &body).unwrap();
    let target = Target {
        stream: conversation.stream,
        ask_usage: conversation.stream,
        ..TARGET
    };
    serde_json::from_slice(&encode_request(to, &conversation, &target).body).unwrap()
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zé😀\"\\\\]{1,6}( [a-z]{1,4})?",
        1 => select(vec!["", " ", "\n", "end \n", "\u{0}"]).prop_map(str::to_owned),
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "call_[0-9]{6}",
        1 => select(vec!["call_0", "functions.f:0", "é", "0", "toolu_01"]).prop_map(str::to_owned),
        1 => "[a-z]{50,60}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec!["f", "g", "get_weather"]).prop_map(str::to_owned),
        1 => select(vec!["a.b", "é"]).prop_map(str::to_owned),
        1 => "mcp__[a-z]{60,140}",
    ]
}

fn object(members: Vec<(&'static str, Value)>) -> Value {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A body with these members; of two of one name the last counts.
fn with(mut body: Value, members: Vec<(&'static str, Value)>) -> Value {
    for (name, value) in members {
        body[name] = value;
    }
    body
}

mod from_openai {
    use super::*;

    fn part() -> impl Strategy<Value = Value> {
        prop_oneof![
            4 => words().prop_map(|text| json!({"type": "text", "text": text})),
            1 => select(vec![
                json!({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}),
                json!({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
                json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}),
                json!({"type": "file", "file": {"file_id": "file-1"}}),
                json!({"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,YQ=="}}),
                json!({"type": "file", "file": {"filename": "a.zip", "file_data": "data:application/zip;base64,YQ=="}}),
                json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
                json!({"type": "new_part", "new_part": 1}),
            ]),
        ]
    }

    fn content() -> impl Strategy<Value = Value> {
        prop_oneof![
            3 => words().prop_map(Value::from),
            2 => vec(part(), 0..4).prop_map(Value::from),
            1 => Just(Value::Null),
        ]
    }

    /// Something said by the assistant, with calls and all their results in any order.
    fn called() -> impl Strategy<Value = Vec<Value>> {
        let arguments = select(vec![
            "{}",
            "{\"a\": 1.50}",
            "",
            "null",
            "{\"a\":",
            "[1]",
            "\"x\"",
        ]);
        let call = (id(), name(), arguments, content());
        let rest = (
            option::of(words()),
            option::of(words()),
            any::<bool>(),
            words(),
        );
        (vec(call, 1..4), rest).prop_map(|(mut calls, (aside, thought, reversed, between))| {
            calls.sort_by(|a, b| a.0.cmp(&b.0));
            calls.dedup_by(|a, b| a.0 == b.0);
            let made: Vec<_> = calls.iter().map(|(id, name, arguments, _)| json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": arguments},
            })).collect();
            let mut results: Vec<_> = calls.iter().map(|(id, _, _, content)| json!({
                "role": "tool", "tool_call_id": id, "content": content,
            })).collect();
            if reversed {
                results.reverse();
                results.insert(0, json!({"role": "system", "content": between}));
            }
            let mut said = vec![json!({
                "role": "assistant", "content": aside, "reasoning_content": thought, "tool_calls": made,
            })];
            said.append(&mut results);
            said
        })
    }

    fn turns() -> impl Strategy<Value = Vec<Value>> {
        let role = select(vec!["system", "developer", "user", "user", "assistant"]);
        let said = (role, content(), option::of(words())).prop_map(|(role, content, name)| {
            vec![json!({"role": role, "content": content, "name": name})]
        });
        let refused = words()
            .prop_map(|text| vec![json!({"role": "assistant", "content": null, "refusal": text})]);
        prop_oneof![5 => said, 2 => called(), 1 => refused]
    }

    fn member() -> impl Strategy<Value = (&'static str, Value)> {
        select(vec![
            ("max_tokens", json!(900)),
            ("max_tokens", json!(9000)),
            ("max_completion_tokens", json!(2000)),
            ("temperature", json!(1.7)),
            ("temperature", json!(0)),
            ("top_p", json!(0.3)),
            ("top_k", json!(5)),
            ("stop", json!(" ")),
            ("stop", json!(["a", "\n", "b"])),
            ("stream", json!(true)),
            ("n", json!(2)),
            ("user", json!("u")),
            ("tool_choice", json!("auto")),
            ("tool_choice", json!("none")),
            ("tool_choice", json!("required")),
            (
                "tool_choice",
                json!({"type": "function", "function": {"name": "f"}}),
            ),
            ("parallel_tool_calls", json!(false)),
            ("reasoning_effort", json!("none")),
            ("reasoning_effort", json!("high")),
            ("reasoning", json!({"max_tokens": 500})),
            ("thinking", json!({"type": "enabled"})),
            ("response_format", json!({"type": "json_object"})),
            (
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}),
            ),
            ("new_member", json!({"a": 1})),
        ])
    }

    pub(super) fn request() -> impl Strategy<Value = Value> {
        let parameters = option::of(select(vec![
            json!({}),
            json!({"properties": {}}),
            json!({"type": "object"}),
        ]));
        let tool = (name(), parameters, option::of(any::<bool>())).prop_map(
            |(name, parameters, strict)| {
                let mut function = json!({"name": name, "parameters": parameters});
                function["strict"] = json!(strict);
                json!({"type": "function", "function": function})
            },
        );
        let tool = prop_oneof![
            5 => tool,
            1 => Just(json!({"type": "custom", "custom": {"name": "c"}})),
        ];
        let question = "[a-z]{1,8}".prop_map(|text| json!({"role": "user", "content": text}));
        let parts = (
            vec(turns(), 0..5),
            question,
            vec(tool, 0..4),
            vec(member(), 0..6),
        );
        parts.prop_map(|(turns, question, tools, members)| {
            let mut messages: Vec<_> = turns.into_iter().flatten().collect();
            messages.push(question);
            with(
                json!({"model": "m", "messages": messages, "tools": tools}),
                members,
            )
        })
    }
}

mod from_anthropic {
    use super::*;

    fn mark() -> impl Strategy<Value = Option<Value>> {
        option::of(Just(json!({"type": "ephemeral"})))
    }

    fn text() -> impl Strategy<Value = Value> {
        (words(), mark()).prop_map(|(text, mark)| {
            let mut block = json!({"type": "text", "text": text});
            if let Some(mark) = mark {
                block["cache_control"] = mark;
            }
            block
        })
    }

    fn media() -> impl Strategy<Value = Value> {
        select(vec![
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}),
            json!({"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}),
            json!({"type": "image", "source": {"type": "file", "file_id": "f"}}),
            json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}}),
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}, "title": "t"}),
            json!({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}),
            json!({"type": "document", "source": {"type": "content", "content": "x"}}),
            json!({"type": "search_result", "source": "s", "title": "t", "content": []}),
        ])
    }

    fn blocks() -> impl Strategy<Value = Vec<Value>> {
        vec(prop_oneof![3 => text(), 1 => media()], 0..4)
    }

    fn result_content() -> impl Strategy<Value = Value> {
        prop_oneof![
            words().prop_map(Value::from),
            blocks().prop_map(Value::from),
            Just(Value::Null),
        ]
    }

    /// What the assistant said, with calls, and the user's answer to it.
    fn called() -> impl Strategy<Value = Vec<Value>> {
        let thought = option::of(select(vec![
            json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
            json!({"type": "thinking", "thinking": "hm", "signature": ""}),
            json!({"type": "redacted_thinking", "data": "d"}),
            json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        ]));
        let input = select(vec![
            json!({}),
            json!({"a": [1]}),
            json!({"_raw_arguments": "{"}),
        ]);
        let call = (id(), name(), input, result_content(), any::<bool>());
        let parts = (
            thought,
            vec(text(), 0..2),
            vec(call, 0..4),
            blocks(),
            any::<bool>(),
        );
        parts.prop_map(|(thought, texts, mut calls, more, after)| {
            calls.sort_by(|a, b| a.0.cmp(&b.0));
            calls.dedup_by(|a, b| a.0 == b.0);
            let uses = calls.iter().map(|(id, name, input, ..)| {
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            });
            let mut said: Vec<_> = thought.into_iter().collect();
            if after {
                said.extend(uses);
                said.extend(texts);
            } else {
                said.extend(texts);
                said.extend(uses);
            }
            let results = calls.iter().map(|(id, _, _, content, is_error)| {
                json!({"type": "tool_result", "tool_use_id": id, "content": content, "is_error": is_error})
            });
            let heard: Vec<_> = results.chain(more).collect();
            vec![
                json!({"role": "assistant", "content": said}),
                json!({"role": "user", "content": heard}),
            ]
        })
    }

    fn member() -> impl Strategy<Value = (&'static str, Value)> {
        select(vec![
            ("system", json!("be kind")),
            ("system", json!("")),
            (
                "system",
                json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            ),
            ("temperature", json!(0.5)),
            ("top_p", json!(0.5)),
            ("top_k", json!(5)),
            ("stop_sequences", json!(["a", "b", "c", "d", "e"])),
            ("stream", json!(true)),
            ("metadata", json!({"user_id": "u".repeat(100)})),
            ("tool_choice", json!({"type": "auto"})),
            (
                "tool_choice",
                json!({"type": "any", "disable_parallel_tool_use": true}),
            ),
            ("tool_choice", json!({"type": "none"})),
            ("tool_choice", json!({"type": "tool", "name": "f"})),
            (
                "thinking",
                json!({"type": "enabled", "budget_tokens": 2048}),
            ),
            ("thinking", json!({"type": "disabled"})),
            ("thinking", json!({"type": "adaptive"})),
            ("output_config", json!({"effort": "max"})),
            (
                "output_config",
                json!({"effort": "low", "format": {"type": "json_schema", "schema": {}}}),
            ),
            ("context_management", json!({"edits": []})),
        ])
    }

    pub(super) fn request() -> impl Strategy<Value = Value> {
        let tool = (name(), any::<bool>()).prop_map(|(name, deferred)| {
            json!({"name": name, "input_schema": {"type": "object"}, "defer_loading": deferred})
        });
        let tool = prop_oneof![
            5 => tool,
            1 => Just(json!({"type": "web_search_20260318", "name": "web_search"})),
        ];
        let turn = prop_oneof![
            3 => called(),
            1 => words().prop_map(|text| vec![json!({"role": "user", "content": text})]),
            1 => blocks().prop_map(|blocks| vec![json!({"role": "user", "content": blocks})]),
            1 => words().prop_map(|text| vec![json!({"role": "assistant", "content": text})]),
        ];
        let parts = (
            vec(turn, 0..5),
            "[a-z]{1,8}",
            vec(tool, 0..4),
            vec(member(), 0..6),
        );
        parts.prop_map(|(turns, question, tools, members)| {
            let mut messages: Vec<_> = turns.into_iter().flatten().collect();
            messages.push(json!({"role": "user", "content": question}));
            let body = object(vec![
                ("model", json!("m")),
                ("max_tokens", json!(4000)),
                ("messages", messages.into()),
                ("tools", tools.into()),
            ]);
            with(body, members)
        })
    }
}

proptest! {
    #[test]
    fn what_an_openai_client_says_is_legal_in_messages(body in from_openai::request()) {
        let up = converted(Protocol::OpenAi, Protocol::Anthropic, &body);
        prop_assert_eq!(rules::anthropic(&up), Vec::<String>::new(), "{}", up);
    }

    #[test]
    fn what_an_anthropic_client_says_is_legal_in_chat_completions(body in from_anthropic::request()) {
        let up = converted(Protocol::Anthropic, Protocol::OpenAi, &body);
        prop_assert_eq!(rules::openai(&up), Vec::<String>::new(), "{}", up);
    }
}
