//! From the wire to the hub.

use super::*;

fn turns(messages: Value) -> Vec<Turn> {
    decoded(&saying(messages)).turns
}

fn blocks(messages: Value) -> Vec<Vec<Block>> {
    turns(messages)
        .into_iter()
        .map(|turn| turn.blocks)
        .collect()
}

fn call(id: &str, name: &str, arguments: &str) -> Block {
    Block::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        cache: None,
    }
}

fn result(id: &str, content: Vec<Block>) -> Block {
    Block::ToolResult(ToolResult {
        id: id.to_owned(),
        content,
        is_error: false,
        cache: None,
    })
}

#[test]
fn system_and_developer_messages_keep_their_places() {
    let turns = turns(json!([
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "user", "content": "d"},
        {"role": "system", "content": "e"},
    ]));
    let roles: Vec<_> = turns
        .iter()
        .map(|turn| (turn.role, turn.blocks.len()))
        .collect();
    assert_eq!(
        roles,
        [
            (Role::System, 1),
            (Role::System, 2),
            (Role::User, 1),
            (Role::System, 1)
        ]
    );
    assert_eq!(turns[3].path, "messages[3]");
}

#[test]
fn empty_and_null_contents_vanish_and_never_become_empty_blocks() {
    let turns = turns(json!([
        {"role": "system", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": null, "refusal": null, "tool_calls": null, "function_call": null,
            "audio": null, "annotations": [], "reasoning_content": ""},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "x", "content": ""},
        {"role": "user", "content": []},
    ]));
    let blocks: Vec<_> = turns.iter().map(|turn| turn.blocks.clone()).collect();
    assert_eq!(
        blocks,
        [
            vec![text("a")],
            vec![call("x", "f", "{}")],
            vec![result("x", vec![])]
        ]
    );
    assert!(turns.iter().all(|turn| turn.extras.is_empty()));
    assert_eq!(turns[1].path, "messages[3]");
}

#[test]
fn an_assistant_thinks_then_speaks_then_calls() {
    let found = blocks(json!([{
        "role": "assistant", "reasoning_content": "hm", "content": "so", "refusal": "no",
        "tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{bad"}}],
    }]));
    let thinking = Block::Thinking {
        text: "hm".to_owned(),
        signature: None,
    };
    let expected = vec![
        thinking,
        text("so"),
        Block::Refusal("no".to_owned()),
        call("a", "f", "{bad"),
    ];
    assert_eq!(found, [expected]);
}

#[test]
fn reasoning_is_read_under_either_name_and_a_second_one_is_kept() {
    let found = turns(json!([
        {"role": "assistant", "reasoning": "a"},
        {"role": "assistant", "reasoning_content": "a", "reasoning": "a"},
        {"role": "assistant", "reasoning_content": "a", "reasoning": "b"},
    ]));
    assert_eq!(found[0].blocks, found[1].blocks);
    assert_eq!(found[1].extras, []);
    assert_eq!(found[2].extras, [extra("reasoning", "\"b\"")]);
}

#[test]
fn legacy_functions_become_tools_and_their_answers_find_the_calls() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"a\":1}"}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "2"},
            {"role": "function", "name": "g", "content": "3"},
        ],
        "functions": [{"name": "f", "parameters": {"type": "object"}, "x": 1}],
        "function_call": {"name": "f"},
    });
    let conversation = decoded(&body);
    let blocks: Vec<_> = conversation
        .turns
        .iter()
        .map(|turn| turn.blocks[0].clone())
        .collect();
    let expected = [
        call("function_call_0", "f", "{\"a\":1}"),
        result("function_call_0", vec![text("1")]),
        call("function_call_2", "f", "{}"),
        result("function_call_2", vec![text("2")]),
        result("function_call_4", vec![text("3")]),
    ];
    assert_eq!(blocks, expected);
    assert_eq!(conversation.turns[4].name.as_deref(), Some("g"));
    assert_eq!(conversation.tools[0].path, "functions[0]");
    assert_eq!(
        conversation.tool_choice,
        Some(ToolChoice::Named("f".to_owned()))
    );
    for (word, choice) in [("auto", ToolChoice::Auto), ("none", ToolChoice::None)] {
        let conversation = decoded(&with(json!({"function_call": word})));
        assert_eq!(conversation.tool_choice, Some(choice));
    }
}

#[test]
fn the_name_of_an_answered_tool_says_nothing_unless_it_differs() {
    let found = turns(json!([
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "a", "name": "f", "content": "1"},
        {"role": "tool", "tool_call_id": "a", "name": "g", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "name": "f", "content": "1"},
    ]));
    let names: Vec<_> = found.iter().map(|turn| turn.name.as_deref()).collect();
    assert_eq!(names, [None, None, Some("g"), Some("f")]);
}

#[test]
fn data_urls_are_taken_apart_and_addresses_are_not() {
    let image = |url: &str| {
        let messages = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
        match blocks(messages).remove(0).remove(0) {
            Block::Image(image) => image.media,
            other => panic!("{other:?}"),
        }
    };
    let base64 = |media_type: &str, data: &str| Media::Base64 {
        media_type: media_type.to_owned(),
        data: data.to_owned(),
    };
    assert_eq!(
        image("data:image/png;base64,AA=="),
        base64("image/png", "AA==")
    );
    assert_eq!(
        image("DATA:image/png;charset=x;Base64,AA"),
        base64("image/png", "AA")
    );
    for url in [
        "https://example.org/a;base64,b",
        "data:,a",
        "data:image/svg+xml,%3Csvg",
        "data:;base64,AA",
        "data: ;base64,AA",
        "dat",
        "dataé:x",
    ] {
        assert_eq!(image(url), Media::Url(url.to_owned()), "{url}");
    }
}

#[test]
fn a_picture_given_as_a_bare_address_is_understood() {
    let found = blocks(
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": "https://a"}]}]),
    );
    assert!(
        matches!(&found[0][0], Block::Image(Image { media: Media::Url(url), .. }) if url == "https://a")
    );
}

#[test]
fn a_picture_or_file_without_data_or_address_is_refused() {
    let empty = "data:image/png;base64,";
    for (part, name) in [
        (
            json!({"type": "image_url", "image_url": {"url": empty}}),
            "image_url.url",
        ),
        (
            json!({"type": "image_url", "image_url": empty}),
            "image_url",
        ),
        (
            json!({"type": "file", "file": {"file_data": empty}}),
            "file.file_data",
        ),
        (json!({"type": "image_url", "image_url": ""}), "image_url"),
        (
            json!({"type": "image_url", "image_url": {"url": ""}}),
            "image_url.url",
        ),
    ] {
        let body = saying(json!([{"role": "user", "content": [part]}]));
        assert_eq!(refused(&body), format!("messages[0].content[0].{name}"));
    }
}

#[test]
fn files_are_data_addresses_or_ids() {
    let file = |file: Value| {
        let messages = json!([{"role": "user", "content": [{"type": "file", "file": file}]}]);
        match blocks(messages).remove(0).remove(0) {
            Block::Document(document) => (document.media, document.title),
            other => panic!("{other:?}"),
        }
    };
    let base64 = |media_type: &str| Media::Base64 {
        media_type: media_type.to_owned(),
        data: "AAAA".to_owned(),
    };
    let pdf = json!({"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"});
    assert_eq!(
        file(pdf),
        (base64("application/pdf"), Some("a.pdf".to_owned()))
    );
    assert_eq!(
        file(json!({"file_data": "AAAA"})).0,
        base64("application/pdf")
    );
    assert_eq!(
        file(json!({"file_data": "AAAA", "filename": "a.md"})).0,
        base64("text/plain")
    );
    assert_eq!(
        file(json!({"file_data": "https://a"})).0,
        Media::Url("https://a".to_owned())
    );
    assert_eq!(file(json!({"file_id": "f"})).0, Media::File("f".to_owned()));
}

#[test]
fn cache_marks_are_found_on_parts_messages_calls_and_tools() {
    let ephemeral = json!({"type": "ephemeral"});
    let conversation = decoded(&json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": ephemeral}]},
            {"role": "user", "content": "a", "cache_control": ephemeral},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f"}, "cache_control": ephemeral}]},
            {"role": "tool", "tool_call_id": "a", "content": "1", "cache_control": ephemeral},
            {"role": "assistant", "refusal": "no", "cache_control": ephemeral},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f"}, "cache_control": ephemeral},
            {"type": "function", "function": {"name": "g", "cache_control": ephemeral}},
        ],
    }));
    let marked = |turn: &Turn| match &turn.blocks[0] {
        Block::Text { cache, .. } | Block::ToolCall { cache, .. } => cache.clone(),
        Block::ToolResult(result) => result.cache.clone(),
        _ => None,
    };
    for turn in &conversation.turns[..4] {
        assert_eq!(marked(turn), mark(), "{turn:?}");
    }
    let kept = &conversation.turns[4].extras;
    assert_eq!(kept, &[extra("cache_control", r#"{"type":"ephemeral"}"#)]);
    for tool in &conversation.tools {
        assert!(
            matches!(&tool.kind, ToolKind::Function { cache, extras, .. } if *cache == mark() && extras.is_empty())
        );
    }
}

#[test]
fn a_call_of_a_custom_tool_is_a_call_and_its_answer_finds_it() {
    let found = turns(json!([
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
    ]));
    assert_eq!(found[0].blocks, [call("a", "sh", "ls")]);
    assert_eq!(found[0].extras, [extra("tool_calls[0].type", "\"custom\"")]);
}

#[test]
fn arguments_that_are_an_object_and_not_its_text_are_understood() {
    let found = blocks(json!([{"role": "assistant", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": [1]}}},
        {"id": "b", "type": "function", "function": {"name": "f", "arguments": null}},
    ]}]));
    assert_eq!(
        found[0],
        [call("a", "f", r#"{"x":[1]}"#), call("b", "f", "{}")]
    );
}

#[test]
fn the_newer_limit_wins_and_the_older_is_kept_only_if_it_differs() {
    let limits = |newer: Value, older: Value| {
        let conversation = decoded(&with(
            json!({"max_completion_tokens": newer, "max_tokens": older}),
        ));
        (conversation.max_tokens, conversation.extras)
    };
    assert_eq!(
        limits(json!(5), json!(7)),
        (Some(5), vec![extra("max_tokens", "7")])
    );
    assert_eq!(limits(json!(5), json!(5)), (Some(5), vec![]));
    assert_eq!(limits(Value::Null, json!(7.0)), (Some(7), vec![]));
    assert_eq!(limits(json!(-1), Value::Null), (None, vec![]));
}

#[test]
fn values_that_are_the_default_are_nothing_to_lose() {
    let conversation = decoded(&with(json!({
        "n": 1, "logprobs": false, "top_logprobs": 0, "frequency_penalty": 0.0, "presence_penalty": 0, "store": false,
        "logit_bias": {}, "metadata": {}, "modalities": ["text"], "service_tier": "auto", "seed": null,
        "response_format": {"type": "text"}, "stop": [], "user": "", "tools": [], "top_k": null,
    })));
    assert_eq!(conversation.extras, []);
    assert_eq!(conversation.output, None);
    assert_eq!(conversation.user, None);
}

#[test]
fn every_way_to_ask_for_reasoning_is_understood() {
    for (members, expected) in [
        (
            json!({"reasoning_effort": "high"}),
            Reasoning::Effort("high".to_owned()),
        ),
        (json!({"reasoning_effort": "none"}), Reasoning::Off),
        (
            json!({"reasoning": {"effort": "low"}}),
            Reasoning::Effort("low".to_owned()),
        ),
        (
            json!({"reasoning": {"max_tokens": 2000}}),
            Reasoning::Budget(2000),
        ),
        (json!({"reasoning": {"enabled": false}}), Reasoning::Off),
        (
            json!({"reasoning": {"enabled": true}}),
            Reasoning::Adaptive { effort: None },
        ),
        (json!({"thinking": {"type": "disabled"}}), Reasoning::Off),
        (
            json!({"thinking": {"type": "enabled"}}),
            Reasoning::Adaptive { effort: None },
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 9}}),
            Reasoning::Budget(9),
        ),
    ] {
        let conversation = decoded(&with(members));
        assert_eq!(conversation.reasoning, Some(expected));
        assert_eq!(conversation.extras, []);
    }
}

#[test]
fn some_of_the_tools_allowed_is_a_choice_with_a_remainder() {
    let conversation = decoded(&with(json!({"tool_choice": {"type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": []}}})));
    assert_eq!(conversation.tool_choice, Some(ToolChoice::Required));
    assert_eq!(conversation.extras[0].name, "tool_choice.allowed_tools");
}

#[test]
fn choices_of_tools_are_understood_as_sloppy_clients_write_them() {
    for (choice, expected) in [
        (json!("any"), ToolChoice::Required),
        (json!({"type": "auto"}), ToolChoice::Auto),
        (
            json!({"type": "function", "name": "f"}),
            ToolChoice::Named("f".to_owned()),
        ),
        (
            json!({"function": {"name": "f"}}),
            ToolChoice::Named("f".to_owned()),
        ),
    ] {
        assert_eq!(
            decoded(&with(json!({"tool_choice": choice}))).tool_choice,
            Some(expected)
        );
    }
}

#[test]
fn what_must_be_understood_and_cannot_be_is_refused_by_its_path() {
    for (members, path) in [
        (json!({"model": 1}), "model"),
        (json!({"model": ""}), "model"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": {}}), "messages"),
        (json!({"messages": ["hi"]}), "messages[0]"),
        (json!({"messages": [{"content": "hi"}]}), "messages[0].role"),
        (
            json!({"messages": [{"role": "king", "content": "hi"}]}),
            "messages[0].role",
        ),
        (
            json!({"messages": [{"role": "user", "content": 7}]}),
            "messages[0].content",
        ),
        (
            json!({"messages": [{"role": "user", "content": ["a"]}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{}]}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            "messages[0].content[0].image_url.url",
        ),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "messages[0].tool_call_id",
        ),
        (
            json!({"messages": [{"role": "function", "content": "x"}]}),
            "messages[0].name",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function"}]}]}),
            "messages[0].tool_calls[0].function",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}),
            "messages[0].tool_calls[0].id",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f",
            "arguments": 1}}]}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            json!({"tools": [{"type": "function", "function": {}}]}),
            "tools[0].function.name",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}),
            "tools[0].function.parameters",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "strict": 1}}]}),
            "tools[0].function.strict",
        ),
        (json!({"tools": [{}]}), "tools[0].type"),
        (json!({"tool_choice": "maybe"}), "tool_choice"),
        (
            json!({"tool_choice": {"type": "function"}}),
            "tool_choice.function",
        ),
        (json!({"max_tokens": "5"}), "max_tokens"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"stop": [1]}), "stop[0]"),
        (json!({"stop": 1}), "stop"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": []}), "stream_options"),
        (json!({"parallel_tool_calls": 1}), "parallel_tool_calls"),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "response_format.json_schema",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}),
            "response_format.json_schema.schema",
        ),
        (json!({"user": 5}), "user"),
        (json!({"reasoning_effort": 5}), "reasoning_effort"),
    ] {
        assert_eq!(refused(&with(members.clone())), path, "{members}");
    }
}
