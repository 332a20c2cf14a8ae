//! Whatever a client sends: nothing panics, and what was understood survives the way back.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Some JSON, not too deep.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f32>().prop_map(|number| json!(number)),
        words().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "",
            " ",
            "a",
            "hi\n",
            "é\u{1f600}",
            "\"",
            "data:image/png;base64,AA",
            "{\"a\":1}"
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
    ]
}

/// Names that the protocol has, and names that look like paths.
fn name() -> impl Strategy<Value = String> {
    let known = vec![
        "role",
        "content",
        "type",
        "text",
        "refusal",
        "image_url",
        "url",
        "file",
        "file_data",
        "id",
        "function",
        "name",
        "arguments",
        "custom",
        "input",
        "tool_calls",
        "cache_control",
        "index",
        "thinking",
        "mode",
        "effort",
        "reasoning_content",
        "reasoning",
        "tools",
        "a.b",
        "content[0].x",
        "tool_calls[0]",
        "",
        "é",
        "[\"x\"]",
        "reasoning.effort",
        "function.x",
        "x",
        "y",
    ];
    select(known).prop_map(str::to_owned)
}

/// An object of these members and perhaps others.
fn object(members: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    let more = prop::collection::vec(
        (
            select(vec!["x", "a.b", "y z", "image_url.z", "function.z"]),
            anything(),
        ),
        0..2,
    );
    (members, more).prop_map(|(mut object, more)| {
        for (name, value) in more {
            object[name] = value;
        }
        object
    })
}

fn mark_value() -> impl Strategy<Value = Value> {
    select(vec![
        Value::Null,
        json!({"type": "ephemeral"}),
        json!({"type": "ephemeral", "ttl": "1h"}),
    ])
}

fn part() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (words(), mark_value())
            .prop_map(|(text, mark)| json!({"type": "text", "text": text, "cache_control": mark})),
        1 => words().prop_map(|text| json!({"type": "refusal", "refusal": text})),
        2 => (".{1,20}", anything())
            .prop_map(|(url, more)| json!({"type": "image_url", "image_url": {"url": url, "more": more}})),
        1 => Just(json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}})),
        1 => (".{1,20}").prop_map(|data| json!({"type": "file", "file": {"file_data": data, "filename": "a"}})),
        1 => Just(json!({"type": "file", "file": {"file_id": "f"}})),
        1 => anything().prop_map(|value| json!({"type": "video_url", "video_url": value})),
    ]
}

fn content() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        words().prop_map(Value::from),
        prop::collection::vec(object(part()), 0..4).prop_map(Value::from),
    ]
}

fn call() -> impl Strategy<Value = Value> {
    let id = select(vec!["a", "b", "call_c", "d.1"]);
    prop_oneof![
        3 => (id.clone(), words(), mark_value()).prop_map(|(id, arguments, mark)| json!({"id": id, "type": "function",
            "function": {"name": "f", "arguments": arguments}, "cache_control": mark})),
        1 => (id, words())
            .prop_map(|(id, input)| json!({"id": id, "type": "custom", "custom": {"name": "sh", "input": input}})),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let plain = (select(vec!["system", "developer", "user"]), content(), mark_value())
        .prop_map(|(role, content, mark)| json!({"role": role, "content": content, "cache_control": mark}));
    let calls = prop::collection::vec(object(call()), 0..3);
    let assistant = (content(), calls, words(), words(), any::<bool>()).prop_map(
        |(content, calls, thought, refusal, legacy)| {
            let legacy = if legacy { json!({"name": "f", "arguments": "{}"}) } else { Value::Null };
            json!({"role": "assistant", "content": content, "tool_calls": calls, "reasoning_content": thought,
                "reasoning": "r", "refusal": refusal, "function_call": legacy})
        },
    );
    let tool = (select(vec!["a", "b", "call_c"]), content(), mark_value()).prop_map(
        |(id, content, mark)| json!({"role": "tool", "tool_call_id": id, "content": content, "cache_control": mark}),
    );
    let function =
        content().prop_map(|content| json!({"role": "function", "name": "f", "content": content}));
    prop_oneof![3 => object(plain), 3 => object(assistant), 2 => object(tool), 1 => object(function)]
}

fn tool() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (words(), mark_value(), anything()).prop_map(|(description, mark, more)| json!({"type": "function",
            "function": {"name": "f", "description": description, "parameters": {"z": 1, "a": more}, "more": more},
            "cache_control": mark})),
        1 => Just(json!({"type": "custom", "custom": {"name": "sh"}})),
        1 => anything().prop_map(|value| json!({"type": "web_search", "x": value})),
    ]
}

/// Members of a request that are what they should be, or `null`.
fn member() -> impl Strategy<Value = (&'static str, Value)> {
    let fixed = vec![
        ("tool_choice", json!("auto")),
        ("tool_choice", json!("none")),
        (
            "tool_choice",
            json!({"type": "function", "function": {"name": "f"}}),
        ),
        (
            "tool_choice",
            json!({"type": "custom", "custom": {"name": "sh"}}),
        ),
        (
            "tool_choice",
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}, "x": 1}),
        ),
        ("tool_choice", json!({"type": "mcp", "server": "s"})),
        ("function_call", json!({"name": "f"})),
        ("functions", json!([{"name": "g", "x": 1, "a.b": 2}])),
        ("parallel_tool_calls", json!(false)),
        ("parallel_tool_calls", json!(true)),
        ("max_tokens", json!(5)),
        ("max_completion_tokens", json!(6)),
        ("temperature", json!(1.5)),
        ("top_p", json!(1)),
        ("top_k", json!(-1)),
        ("top_k", json!(4)),
        ("stop", json!("x")),
        ("stop", json!(["x", "", "y"])),
        ("stream", json!(true)),
        ("stream_options", json!({"include_usage": true, "x.y": 1})),
        ("stream_options", json!({"include_obfuscation": false})),
        ("user", json!("u")),
        ("reasoning_effort", json!("low")),
        ("reasoning_effort", json!("none")),
        ("reasoning", json!({"effort": "max", "exclude": true})),
        ("reasoning", json!({"max_tokens": 5})),
        ("reasoning", json!({"enabled": false, "effort": "low"})),
        (
            "thinking",
            json!({"type": "enabled", "budget_tokens": 5, "x": 1}),
        ),
        ("thinking", json!({"type": "disabled"})),
        ("response_format", json!({"type": "json_object", "x": 1})),
        (
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "x": 1}}),
        ),
        ("n", json!(1)),
        ("n", json!(3)),
        ("a.b", json!(1)),
        ("é", json!(1)),
        ("reasoning.x", json!(1)),
        ("metadata", json!({"user_id": "u"})),
    ];
    select(fixed)
}

fn request() -> impl Strategy<Value = Value> {
    let messages = prop::collection::vec(message(), 1..6);
    let tools = prop::collection::vec(object(tool()), 0..3);
    let members = prop::collection::vec(member(), 0..6);
    (messages, tools, members).prop_map(|(messages, tools, members)| {
        let mut body = json!({"model": "m", "messages": messages, "tools": tools});
        for (name, value) in members {
            body[name] = value;
        }
        body
    })
}

/// Places are counted anew where empty messages have vanished or legacy ones became modern.
fn without_paths(mut conversation: Conversation) -> Conversation {
    for turn in &mut conversation.turns {
        turn.path.clear();
    }
    for tool in &mut conversation.tools {
        tool.path.clear();
        if let ToolKind::Function { extras, .. } = &mut tool.kind {
            for extra in extras.iter_mut() {
                if let Some(rest) = extra.name.strip_prefix("function") {
                    extra.name = rest.trim_start_matches('.').to_owned();
                }
            }
        }
    }
    // Members that say the same together may have changed their order.
    conversation.extras.sort_by(|a, b| a.name.cmp(&b.name));
    conversation
}

fn back(conversation: &Conversation) -> Encoded {
    encode(
        conversation,
        &Target {
            model: &conversation.model,
            stream: conversation.stream,
            ..target()
        },
    )
}

proptest! {
    #[test]
    fn a_request_survives_the_way_back(body in request()) {
        let first = decoded(&body);
        let encoded = back(&first);
        prop_assert!(encoded.loss.is_empty(), "{}", encoded.loss);
        let mut second = decode(&RawObject::parse(encoded.body).unwrap()).unwrap();
        // Options of a stream make no sense without one.
        if !first.stream {
            second.include_usage = first.include_usage;
            second.extras.extend(first.extras.iter().filter(|extra| extra.name.starts_with("stream_options")).cloned());
        }
        prop_assert_eq!(without_paths(second), without_paths(first));
    }

    #[test]
    fn any_json_is_read_or_refused_by_a_path(mut body in request(), name in name(), value in anything(), place in 0..4_usize) {
        match place {
            0 => body[name] = value,
            1 => body["messages"][0][name] = value,
            2 => body["messages"][0]["content"] = json!([{"type": "text", "text": "a", name: value}]),
            _ => body["tools"] = json!([{"type": "function", "function": {"name": "f"}, name: value}]),
        }
        match read(&body) {
            Ok(conversation) => {
                let encoded = back(&conversation);
                prop_assert!(read(&json_of(&encoded)).is_ok(), "{}", json_of(&encoded));
            }
            Err(error) => prop_assert!(error.param.is_some()),
        }
    }

    #[test]
    fn values_of_any_type_in_any_place_do_not_panic(value in anything(), name in member()) {
        let _ = read(&with(json!({name.0: value.clone()})));
        let _ = read(&saying(value));
    }
}
