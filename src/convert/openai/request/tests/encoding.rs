//! From the hub, filled by another protocol, to the wire.

use super::*;

/// A conversation as a decoder of Anthropic's protocol leaves it.
fn foreign(turns: Vec<Turn>) -> Conversation {
    Conversation {
        origin: Origin::Anthropic,
        model: "m".to_owned(),
        turns,
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        max_tokens: Some(10),
        temperature: None,
        top_p: None,
        top_k: None,
        stop: Vec::new(),
        stream: false,
        include_usage: true,
        user: None,
        reasoning: None,
        output: None,
        extras: Vec::new(),
    }
}

fn turn(role: Role, path: &str, blocks: Vec<Block>) -> Turn {
    Turn {
        role,
        blocks,
        name: None,
        extras: Vec::new(),
        path: path.to_owned(),
    }
}

/// The messages of one turn and their loss.
fn messages(turns: Vec<Turn>) -> (Value, String) {
    let encoded = encode(&foreign(turns), &target());
    (
        json_of(&encoded)["messages"].clone(),
        encoded.loss.to_string(),
    )
}

fn encoded(conversation: &Conversation) -> (Value, String) {
    let encoded = encode(conversation, &target());
    (json_of(&encoded), encoded.loss.to_string())
}

fn marked(word: &str) -> Block {
    Block::Text {
        text: word.to_owned(),
        cache: mark(),
        citations: None,
    }
}

fn result(id: &str, content: Vec<Block>) -> ToolResult {
    ToolResult {
        id: id.to_owned(),
        content,
        is_error: false,
        cache: None,
    }
}

fn call(arguments: &str) -> Block {
    Block::ToolCall {
        id: "toolu_1".to_owned(),
        name: "f".to_owned(),
        arguments: arguments.to_owned(),
        cache: None,
    }
}

fn picture(data: &str) -> Block {
    Block::Image(Image {
        media: Media::Base64 {
            media_type: "image/png".to_owned(),
            data: data.to_owned(),
        },
        detail: None,
        cache: None,
    })
}

fn document(media: Media) -> Block {
    Block::Document(Document {
        media,
        title: Some("t".to_owned()),
        extras: vec![extra("context", "\"c\"")],
        cache: None,
    })
}

fn function(path: &str, cache: Option<CacheMark>) -> Tool {
    Tool {
        kind: ToolKind::Function {
            name: "f".to_owned(),
            description: Some("d".to_owned()),
            parameters: Some(Json::new(r#"{"type":"object"}"#)),
            strict: Some(true),
            cache,
            extras: vec![extra("defer_loading", "true")],
        },
        path: path.to_owned(),
    }
}

fn server(path: &str) -> Tool {
    Tool {
        kind: ToolKind::Server {
            kind: "bash_20250124".to_owned(),
            value: Json::new(r#"{"type":"bash_20250124","name":"bash"}"#),
        },
        path: path.to_owned(),
    }
}

#[test]
fn system_blocks_of_one_turn_are_one_message_and_one_block_is_a_string() {
    let (found, loss) = messages(vec![
        turn(Role::System, "system", vec![text("a"), marked("b")]),
        turn(Role::User, "messages[0]", vec![text("c")]),
        turn(Role::System, "messages[1]", vec![text("d")]),
    ]);
    assert_eq!(
        found,
        json!([
            {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "c"},
            {"role": "system", "content": "d"},
        ])
    );
    assert_eq!(loss, "system[1].cache_control dropped");
}

#[test]
fn results_of_tools_come_first_and_each_is_a_message() {
    let mut failed = result("b", vec![text("broken"), text("really")]);
    failed.is_error = true;
    let (found, loss) = messages(vec![turn(
        Role::User,
        "messages[2]",
        vec![
            Block::ToolResult(result("a", vec![])),
            text("go on"),
            Block::ToolResult(failed),
        ],
    )]);
    assert_eq!(
        found,
        json!([
            {"role": "tool", "tool_call_id": "a", "content": ""},
            {"role": "tool", "tool_call_id": "b",
                "content": [{"type": "text", "text": "broken"}, {"type": "text", "text": "really"}]},
            {"role": "user", "content": "go on"},
        ])
    );
    assert_eq!(loss, "messages[2].content[2].is_error dropped");
}

#[test]
fn pictures_in_results_follow_as_the_users_and_never_split_the_results() {
    let (found, loss) = messages(vec![
        turn(
            Role::User,
            "messages[2]",
            vec![Block::ToolResult(result(
                "a",
                vec![text("see"), picture("AAAA")],
            ))],
        ),
        turn(
            Role::User,
            "messages[3]",
            vec![
                Block::ToolResult(result("b", vec![text("1")])),
                text("well?"),
            ],
        ),
        turn(Role::User, "messages[4]", vec![text("hm")]),
    ]);
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    assert_eq!(
        found,
        json!([
            {"role": "tool", "tool_call_id": "a", "content": "see"},
            {"role": "tool", "tool_call_id": "b", "content": "1"},
            {"role": "user", "content": [image, {"type": "text", "text": "well?"}]},
            {"role": "user", "content": "hm"},
        ])
    );
    assert_eq!(loss, "messages[2].content[0].content[1] changed");
}

#[test]
fn thinking_becomes_reasoning_content_and_its_signature_is_lost() {
    let thinking = Block::Thinking {
        text: "hm".to_owned(),
        signature: Some("s".to_owned()),
    };
    let (found, loss) = messages(vec![
        turn(
            Role::Assistant,
            "messages[1]",
            vec![
                thinking,
                Block::RedactedThinking("x".to_owned()),
                text("so"),
                call("{}"),
            ],
        ),
        turn(
            Role::Assistant,
            "messages[2]",
            vec![Block::RedactedThinking("x".to_owned())],
        ),
    ]);
    assert_eq!(
        found,
        json!([{"role": "assistant", "content": "so", "reasoning_content": "hm", "tool_calls": [
            {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}])
    );
    assert_eq!(
        loss,
        "messages[1].content[0].signature dropped,messages[1].content[1] dropped,messages[2].content[0] dropped"
    );
}

#[test]
fn what_was_said_after_a_call_is_said_before_it_and_reported() {
    let (found, loss) = messages(vec![turn(
        Role::Assistant,
        "messages[1]",
        vec![call("{}"), text("so")],
    )]);
    assert_eq!(found[0]["content"], "so");
    assert_eq!(loss, "messages[1].content[1] changed");
}

#[test]
fn a_call_without_words_has_null_content() {
    let (found, _) = messages(vec![turn(Role::Assistant, "messages[1]", vec![call("{}")])]);
    assert_eq!(found[0]["content"], Value::Null);
    assert!(found[0].as_object().unwrap().contains_key("content"));
}

#[test]
fn arguments_that_were_no_json_are_restored_from_exactly_that_shape() {
    for (arguments, expected) in [
        (r#"{"_raw_arguments":"{bad"}"#, "{bad"),
        (
            r#"{"_raw_arguments":"x","a":1}"#,
            r#"{"_raw_arguments":"x","a":1}"#,
        ),
        (r#"{"_raw_arguments":1}"#, r#"{"_raw_arguments":1}"#),
        (r#"{ "a" : 1.0 }"#, r#"{ "a" : 1.0 }"#),
    ] {
        let (found, _) = messages(vec![turn(
            Role::Assistant,
            "messages[1]",
            vec![call(arguments)],
        )]);
        assert_eq!(found[0]["tool_calls"][0]["function"]["arguments"], expected);
    }
}

#[test]
fn nothing_that_cannot_be_said_is_dumped_into_the_prompt() {
    let other = Block::Other {
        kind: "container_upload".to_owned(),
        value: Json::new(r#"{"type":"container_upload"}"#),
    };
    let (found, loss) = messages(vec![turn(
        Role::User,
        "messages[0]",
        vec![text("a"), other, document(Media::File("file_1".to_owned()))],
    )]);
    assert_eq!(found, json!([{"role": "user", "content": "a"}]));
    assert_eq!(
        loss,
        "messages[0].content[1] dropped,messages[0].content[2] dropped"
    );
}

#[test]
fn documents_become_files_and_texts() {
    let pdf = Media::Base64 {
        media_type: "application/pdf".to_owned(),
        data: "AAAA".to_owned(),
    };
    let (found, loss) = messages(vec![turn(
        Role::User,
        "messages[0]",
        vec![
            document(pdf),
            document(Media::Text("words".to_owned())),
            document(Media::Url("https://a".to_owned())),
        ],
    )]);
    assert_eq!(
        found[0]["content"],
        json!([
            {"type": "file", "file": {"filename": "t", "file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "text", "text": "words"},
            {"type": "file", "file": {"filename": "t", "file_data": "https://a"}},
        ])
    );
    assert_eq!(
        loss,
        "messages[0].content[0].context dropped,messages[0].content[1].context dropped,messages[0].content[1] changed,\
         messages[0].content[1].title dropped,messages[0].content[2].context dropped,messages[0].content[2] changed"
    );
}

#[test]
fn citations_are_lost_by_their_path() {
    let cited = Block::Text {
        text: "a".to_owned(),
        cache: None,
        citations: Some(Json::new("[]")),
    };
    let (_, loss) = messages(vec![turn(Role::Assistant, "messages[1]", vec![cited])]);
    assert_eq!(loss, "messages[1].content[0].citations dropped");
}

#[test]
fn cache_marks_are_reported_eight_times_and_no_more() {
    let turns =
        (0..20).map(|index| turn(Role::User, &format!("messages[{index}]"), vec![marked("a")]));
    let encoded = encode(&foreign(turns.collect()), &target());
    assert_eq!(encoded.loss.items().len(), 8);
}

#[test]
fn tools_keep_their_schema_and_lose_what_openai_has_no_place_for() {
    let mut conversation = foreign(Vec::new());
    conversation.tools = vec![server("tools[0]"), function("tools[1]", mark())];
    conversation.tool_choice = Some(ToolChoice::Required);
    conversation.parallel_tool_calls = Some(false);
    let (body, loss) = encoded(&conversation);
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"},
            "strict": true}}])
    );
    assert_eq!(body["tool_choice"], "required");
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(
        loss,
        "tools[0] dropped,tools[1].defer_loading dropped,tools[1].cache_control dropped"
    );
}

#[test]
fn a_choice_without_any_tool_left_is_not_sent() {
    let mut conversation = foreign(Vec::new());
    conversation.tools = vec![server("tools[0]")];
    conversation.tool_choice = Some(ToolChoice::Required);
    conversation.parallel_tool_calls = Some(false);
    let (body, loss) = encoded(&conversation);
    assert_eq!(body.get("tool_choice"), None);
    assert_eq!(body.get("parallel_tool_calls"), None);
    assert_eq!(loss, "tools[0] dropped,tool_choice dropped");
}

#[test]
fn a_choice_of_a_tool_that_could_not_be_offered_leaves_the_model_free() {
    let mut conversation = foreign(Vec::new());
    conversation.tools = vec![server("tools[0]"), function("tools[1]", None)];
    conversation.tool_choice = Some(ToolChoice::Named("bash".to_owned()));
    let (body, loss) = encoded(&conversation);
    assert_eq!(body.get("tool_choice"), None);
    assert!(loss.ends_with("tool_choice dropped"), "{loss}");
    conversation.tool_choice = Some(ToolChoice::Named("f".to_owned()));
    let (body, _) = encoded(&conversation);
    assert_eq!(
        body["tool_choice"],
        json!({"type": "function", "function": {"name": "f"}})
    );
}

#[test]
fn several_calls_at_once_are_what_happens_anyway_and_not_said() {
    let mut conversation = foreign(Vec::new());
    conversation.tools = vec![function("tools[0]", None)];
    conversation.parallel_tool_calls = Some(true);
    assert_eq!(encoded(&conversation).0.get("parallel_tool_calls"), None);
}

#[test]
fn thinking_is_asked_for_by_the_nearest_effort() {
    let effort = |word: &str| Some(word.to_owned());
    for (reasoning, expected, lost) in [
        (Reasoning::Off, "none", ""),
        (
            Reasoning::Budget(1024),
            "low",
            "thinking.budget_tokens changed",
        ),
        (
            Reasoning::Budget(4096),
            "low",
            "thinking.budget_tokens changed",
        ),
        (
            Reasoning::Budget(8192),
            "medium",
            "thinking.budget_tokens changed",
        ),
        (
            Reasoning::Budget(16384),
            "high",
            "thinking.budget_tokens changed",
        ),
        (
            Reasoning::Adaptive {
                effort: effort("medium"),
            },
            "medium",
            "",
        ),
        (
            Reasoning::Adaptive {
                effort: effort("max"),
            },
            "high",
            "output_config.effort changed",
        ),
    ] {
        let mut conversation = foreign(Vec::new());
        conversation.reasoning = Some(reasoning);
        let (body, loss) = encoded(&conversation);
        assert_eq!(body["reasoning_effort"], expected);
        assert_eq!(loss, lost);
    }
    let mut conversation = foreign(Vec::new());
    conversation.reasoning = Some(Reasoning::Adaptive { effort: None });
    assert_eq!(encoded(&conversation).0.get("reasoning_effort"), None);
}

#[test]
fn a_model_that_does_not_think_is_not_asked_to() {
    let effort = Some("high".to_owned());
    for (reasoning, lost) in [
        (Reasoning::Off, ""),
        (Reasoning::Adaptive { effort: None }, ""),
        (
            Reasoning::Adaptive { effort },
            "output_config.effort dropped",
        ),
        (Reasoning::Budget(9000), "thinking dropped"),
    ] {
        let mut conversation = foreign(Vec::new());
        conversation.reasoning = Some(reasoning);
        let target = Target {
            reasoning: ReasoningStyle::None,
            ..target()
        };
        let encoded = encode(&conversation, &target);
        assert_eq!(json_of(&encoded).get("reasoning_effort"), None);
        assert_eq!(encoded.loss.to_string(), lost);
    }
}

/// What becomes of an effort on the way to Anthropic's protocol and back.
fn there_and_back(effort: &str) -> String {
    let body = json!({"model": "m", "max_tokens": 64000, "reasoning_effort": effort,
        "messages": [{"role": "user", "content": "a"}]});
    let there = crate::convert::anthropic::request::encode(&decoded(&body), &target());
    let there = RawObject::parse(there.body).unwrap();
    let back = crate::convert::anthropic::request::decode(&there).unwrap();
    let body = json_of(&encode(&back, &target()));
    body["reasoning_effort"].as_str().unwrap().to_owned()
}

#[test]
fn an_effort_is_the_same_after_it_went_there_and_back() {
    for effort in ["none", "low", "medium", "high"] {
        assert_eq!(there_and_back(effort), effort);
    }
    // Not every model knows these; what is nearest stays so.
    assert_eq!(there_and_back("minimal"), "low");
    assert_eq!(there_and_back("xhigh"), "high");
}

#[test]
fn what_only_the_clients_protocol_knows_is_lost_by_its_path() {
    let mut conversation = foreign(Vec::new());
    conversation.top_k = Some(5);
    conversation.extras = vec![
        extra("context_management", "{\"edits\":[]}"),
        extra("output_config.x", "1"),
    ];
    let (body, loss) = encoded(&conversation);
    assert_eq!(
        body,
        json!({"model": "up", "messages": [], "max_tokens": 10})
    );
    assert_eq!(
        loss,
        "top_k dropped,context_management dropped,output_config.x dropped"
    );
}

#[test]
fn an_id_of_a_user_that_is_too_long_is_sent_as_its_digest() {
    let mut conversation = foreign(Vec::new());
    conversation.user = Some("u".repeat(64));
    assert_eq!(encoded(&conversation).0["user"], "u".repeat(64));
    conversation.user = Some("u".repeat(65));
    let (body, loss) = encoded(&conversation);
    assert_eq!(body["user"].as_str().unwrap().len(), 64);
    assert_ne!(body["user"], "u".repeat(64));
    assert_eq!(loss, "metadata.user_id changed");
}

#[test]
fn a_schema_without_a_name_gets_one() {
    let mut conversation = foreign(Vec::new());
    conversation.output = Some(OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: Json::new(r#"{"type":"object"}"#),
        strict: None,
    });
    assert_eq!(
        encoded(&conversation).0["response_format"],
        json!({"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}})
    );
}

#[test]
fn a_stream_asks_for_usage_only_if_the_gateway_wants_it() {
    for (stream, asked, wanted) in [
        (false, true, Value::Null),
        (true, true, json!({"include_usage": true})),
        (true, false, Value::Null),
    ] {
        let conversation = foreign(Vec::new());
        let target = Target {
            stream,
            ask_usage: asked,
            ..target()
        };
        let body = json_of(&encode(&conversation, &target));
        assert_eq!(
            body.get("stream_options").cloned().unwrap_or_default(),
            wanted
        );
        assert_eq!(body.get("stream").is_some(), stream);
    }
}

#[test]
fn defaults_fill_what_was_not_said_and_name_the_limit() {
    let default = |name: &str, value: &str| {
        let value = serde_json::value::RawValue::from_string(value.to_owned()).unwrap();
        (name.to_owned(), value)
    };
    let defaults = [
        default("max_completion_tokens", "99"),
        default("temperature", "0.2"),
        default("seed", "null"),
        default("model", "\"other\""),
        default("reasoning_effort", "\"high\""),
    ];
    let mut conversation = foreign(Vec::new());
    conversation.reasoning = Some(Reasoning::Off);
    let target = Target {
        defaults: &defaults,
        ..target()
    };
    assert_eq!(
        json_of(&encode(&conversation, &target)),
        json!({"model": "up", "messages": [], "max_completion_tokens": 10, "temperature": 0.2,
            "reasoning_effort": "none"})
    );
    conversation.max_tokens = None;
    assert_eq!(
        json_of(&encode(&conversation, &target))["max_completion_tokens"],
        99
    );
}
