//! What clients of another protocol say, in this one's words. The conversations are made by hand: how they come about
//! is the other protocol's matter.

use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::config::catalog::ReasoningStyle;
use crate::conversation::{
    Block, Extra, Image, Json, Media, Origin, OutputFormat, Reasoning, Role, Tool, ToolChoice,
    ToolKind, ToolResult, Turn,
};

fn turn(role: Role, blocks: Vec<Block>) -> Turn {
    Turn {
        role,
        blocks,
        name: None,
        extras: Vec::new(),
        path: String::new(),
    }
}

fn text(text: &str) -> Block {
    Block::Text {
        text: text.to_owned(),
        cache: None,
        citations: None,
    }
}

fn call(id: &str, arguments: &str) -> Block {
    Block::ToolCall {
        id: id.to_owned(),
        name: "f".to_owned(),
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

fn thought(signature: Option<&str>) -> Block {
    Block::Thinking {
        text: "hm".to_owned(),
        signature: signature.map(str::to_owned),
    }
}

fn function(parameters: Option<&str>) -> Tool {
    Tool {
        kind: ToolKind::Function {
            name: "f".to_owned(),
            description: None,
            parameters: parameters.map(Json::new),
            strict: None,
            cache: None,
            extras: Vec::new(),
        },
        path: "tools[0]".to_owned(),
    }
}

fn conversation(turns: Vec<Turn>) -> Conversation {
    let turns = turns.into_iter().enumerate().map(|(index, turn)| Turn {
        path: format!("messages[{index}]"),
        ..turn
    });
    Conversation {
        origin: Origin::OpenAi,
        model: "m".to_owned(),
        turns: turns.collect(),
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        max_tokens: None,
        temperature: None,
        top_p: None,
        top_k: None,
        stop: Vec::new(),
        stream: false,
        include_usage: false,
        user: None,
        reasoning: None,
        output: None,
        extras: Vec::new(),
    }
}

fn hello() -> Conversation {
    conversation(vec![turn(Role::User, vec![text("hi")])])
}

/// The body and the loss.
fn said(conversation: &Conversation) -> (Value, String) {
    let encoded = encode(conversation, &TARGET);
    (value(&encoded), encoded.loss.to_string())
}

fn extra(name: &str, value: &str) -> Extra {
    Extra {
        name: name.to_owned(),
        value: Json::new(value),
    }
}

#[test]
fn a_plain_question_is_a_plain_request_with_a_limit() {
    let expected = json!({
        "model": "claude",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "hi"}],
    });
    assert_eq!(said(&hello()), (expected, String::new()));
}

#[test]
fn a_stream_is_asked_for_and_the_clients_limit_wins_over_defaults() {
    let default = |name: &str, value: &str| {
        (
            name.to_owned(),
            RawValue::from_string(value.to_owned()).unwrap(),
        )
    };
    let defaults = [
        default("max_tokens", "100"),
        default("top_k", "5"),
        default("stream", "false"),
    ];
    let target = Target {
        stream: true,
        defaults: &defaults,
        ..TARGET
    };
    let body = value(&encode(&hello(), &target));
    assert_eq!(
        (&body["max_tokens"], &body["top_k"]),
        (&json!(100), &json!(5))
    );
    assert_eq!(body["stream"], json!(true));
    let mut asked = hello();
    asked.max_tokens = Some(7);
    asked.top_k = Some(3);
    let body = value(&encode(&asked, &target));
    assert_eq!(
        (&body["max_tokens"], &body["top_k"]),
        (&json!(7), &json!(3))
    );
}

#[test]
fn leading_instructions_are_lifted_and_later_ones_keep_their_place() {
    let (body, loss) = said(&conversation(vec![
        turn(Role::System, vec![text("a")]),
        turn(Role::System, vec![text("b")]),
        turn(Role::User, vec![text("hi")]),
        turn(Role::System, vec![text("c")]),
        turn(Role::User, vec![text("ho")]),
    ]));
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    );
    let expected = json!([
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "c"},
        {"role": "user", "content": "ho"},
    ]);
    assert_eq!((&body["messages"], loss.as_str()), (&expected, ""));
}

#[test]
fn one_instruction_is_a_string_and_a_request_of_instructions_alone_still_has_a_message() {
    let (body, _) = said(&conversation(vec![
        turn(Role::System, vec![text("a")]),
        turn(Role::User, vec![text("hi")]),
    ]));
    assert_eq!(body["system"], json!("a"));
    let (body, loss) = said(&conversation(vec![
        turn(Role::System, vec![text("a")]),
        turn(Role::System, vec![text("b")]),
    ]));
    assert_eq!(body["system"], json!("a"));
    assert_eq!(body["messages"], json!([{"role": "user", "content": "b"}]));
    assert_eq!(loss, "messages[1].role changed");
}

#[test]
fn parallel_tool_results_come_in_one_user_message_before_its_text() {
    let (body, loss) = said(&conversation(vec![
        turn(Role::User, vec![text("hi")]),
        turn(
            Role::Assistant,
            vec![text("so"), call("a", "{}"), call("b", r#"{"x":1.50}"#)],
        ),
        turn(Role::User, vec![result("a", vec![text("1")])]),
        turn(Role::User, vec![text("hurry")]),
        turn(Role::User, vec![result("b", vec![])]),
    ]));
    let encoded = encode(
        &conversation(vec![turn(
            Role::Assistant,
            vec![call("b", r#"{"x":1.50}"#)],
        )]),
        &TARGET,
    );
    assert!(String::from_utf8_lossy(&encoded.body).contains(r#""input":{"x":1.50}"#));
    let expected = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
            {"type": "tool_use", "id": "b", "name": "f", "input": {"x": 1.50}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "1"},
            {"type": "tool_result", "tool_use_id": "b"},
            {"type": "text", "text": "hurry"},
        ]},
    ]);
    assert_eq!((&body["messages"], loss.as_str()), (&expected, ""));
}

#[test]
fn instructions_between_a_call_and_its_results_come_after_the_results() {
    let (body, _) = said(&conversation(vec![
        turn(Role::User, vec![text("hi")]),
        turn(Role::Assistant, vec![call("a", ""), call("b", "")]),
        turn(Role::System, vec![text("careful")]),
        turn(Role::User, vec![result("a", vec![])]),
        turn(Role::System, vec![text("really")]),
        turn(Role::User, vec![result("b", vec![])]),
        turn(Role::User, vec![text("go on")]),
    ]));
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user", "system", "user"]);
    assert_eq!(messages[2]["content"].as_array().unwrap().len(), 2);
    assert_eq!(messages[3]["content"].as_array().unwrap().len(), 2);
}

#[test]
fn arguments_that_are_no_json_object_are_kept_as_text() {
    for nonsense in [r#"{"a":"#, "[1]", "\"x\"", "nonsense"] {
        let turns = vec![
            turn(Role::User, vec![text("hi")]),
            turn(Role::Assistant, vec![text("so"), call("a", nonsense)]),
            turn(Role::User, vec![result("a", vec![])]),
        ];
        let (body, loss) = said(&conversation(turns));
        let input = &body["messages"][1]["content"][1]["input"];
        assert_eq!(*input, json!({"_raw_arguments": nonsense}));
        assert_eq!(loss, "messages[1].tool_calls[0].function.arguments changed");
    }
}

#[test]
fn members_of_another_protocols_calls_are_never_sent() {
    let mut calls = turn(Role::Assistant, vec![text("so"), call("a", "{}")]);
    calls.extras = vec![
        extra("tool_calls[0].type", "\"custom\""),
        extra("content[0].mood", "1"),
    ];
    let mut conversation = conversation(vec![turn(Role::User, vec![text("hi")]), calls]);
    conversation.extras = vec![extra("thinking.clear", "true")];
    conversation.reasoning = Some(Reasoning::Off);
    let (body, loss) = said(&conversation);
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        ])
    );
    assert_eq!(body["thinking"], json!({"type": "disabled"}));
    assert_eq!(
        loss,
        "messages[1].tool_calls[0].type dropped,messages[1].content[0].mood dropped,thinking.clear dropped"
    );
}

#[test]
fn an_argument_bomb_is_text() {
    let bomb = format!("{{\"a\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let turns = vec![turn(Role::Assistant, vec![call("a", &bomb)])];
    let (body, _) = said(&conversation(turns));
    let input = &body["messages"][0]["content"][0]["input"];
    assert_eq!(input["_raw_arguments"].as_str(), Some(bomb.as_str()));
}

#[test]
fn tool_ids_of_any_spelling_still_meet() {
    let (body, loss) = said(&conversation(vec![
        turn(Role::Assistant, vec![call("functions.f:0", "{}")]),
        turn(Role::User, vec![result("functions.f:0", vec![])]),
    ]));
    let call = &body["messages"][0]["content"][0]["id"];
    let result = &body["messages"][1]["content"][0]["tool_use_id"];
    assert_eq!((call, result), (&json!("functions-x2ef-x3a0"), call));
    assert_eq!(loss, "");
}

#[test]
fn blank_texts_are_never_sent() {
    let (body, loss) = said(&conversation(vec![
        turn(Role::User, vec![text("hi"), text("\n ")]),
        turn(Role::Assistant, vec![text(" ")]),
        turn(Role::User, vec![text("ho")]),
    ]));
    let expected = json!([{"role": "user", "content": [
        {"type": "text", "text": "hi"}, {"type": "text", "text": "ho"},
    ]}]);
    assert_eq!(body["messages"], expected);
    assert_eq!(
        loss,
        "messages[0].content[1] dropped,messages[1].content[0] dropped"
    );
}

#[test]
fn a_prefill_is_kept_without_the_white_space_at_its_end() {
    let (body, loss) = said(&conversation(vec![
        turn(Role::User, vec![text("hi")]),
        turn(Role::Assistant, vec![text("Sure: \n")]),
    ]));
    assert_eq!(
        body["messages"][1],
        json!({"role": "assistant", "content": "Sure:"})
    );
    assert_eq!(loss, "messages[1].content[0] changed");
}

#[test]
fn reasoning_without_a_signature_is_left_out_and_with_one_is_kept() {
    let (body, loss) = said(&conversation(vec![
        turn(Role::User, vec![text("hi")]),
        turn(Role::Assistant, vec![thought(None), text("a")]),
        turn(Role::User, vec![text("hi")]),
        turn(Role::Assistant, vec![thought(Some("s==")), text("a")]),
        turn(Role::User, vec![text("hi")]),
    ]));
    assert_eq!(body["messages"][1]["content"], json!("a"));
    let kept = json!({"type": "thinking", "thinking": "hm", "signature": "s=="});
    assert_eq!(body["messages"][3]["content"][0], kept);
    assert_eq!(loss, "messages[1].reasoning_content dropped");
}

#[test]
fn images_audio_refusals_and_names() {
    let image = |media| {
        Block::Image(Image {
            media,
            detail: Some("high".to_owned()),
            cache: None,
        })
    };
    let jpeg = Media::Base64 {
        media_type: "image/jpg".to_owned(),
        data: "AA==".to_owned(),
    };
    let audio = Block::Audio {
        data: "AA==".to_owned(),
        format: "wav".to_owned(),
    };
    let mut asked = conversation(vec![
        turn(
            Role::User,
            vec![
                text("see"),
                image(jpeg),
                image(Media::File("f".to_owned())),
                audio,
            ],
        ),
        turn(Role::Assistant, vec![Block::Refusal("no".to_owned())]),
        turn(Role::User, vec![text("why")]),
    ]);
    asked.turns[2].name = Some("bob".to_owned());
    let (body, loss) = said(&asked);
    let expected = json!([
        {"role": "user", "content": [
            {"type": "text", "text": "see"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AA=="}},
        ]},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": "why"},
    ]);
    assert_eq!(body["messages"], expected);
    let losses = [
        "messages[0].content[2] dropped",
        "messages[0].content[3] dropped",
        "messages[1].refusal changed",
        "messages[2].name dropped",
        "messages[0].content[1].image_url.detail dropped",
    ];
    assert_eq!(loss, losses.join(","));
}

#[test]
fn tools_always_have_an_object_for_a_schema() {
    let cases = [
        (None, r#"{"type":"object","properties":{}}"#),
        (Some("{ }"), r#"{"type":"object","properties":{}}"#),
        (Some("null"), r#"{"type":"object","properties":{}}"#),
        (
            Some(r#"{"properties":{"b":{}}}"#),
            r#"{"type":"object","properties":{"b":{}}}"#,
        ),
        (
            Some(r#"{"b":1.50,"type":"object"}"#),
            r#"{"b":1.50,"type":"object"}"#,
        ),
    ];
    for (parameters, expected) in cases {
        let mut asked = hello();
        asked.tools = vec![function(parameters)];
        let encoded = encode(&asked, &TARGET);
        let body = String::from_utf8_lossy(&encoded.body).into_owned();
        assert!(
            body.contains(&format!(r#""input_schema":{expected}"#)),
            "{body}"
        );
        assert!(encoded.loss.is_empty());
    }
}

#[test]
fn every_tool_choice_can_be_said() {
    let cases = [
        (Some(ToolChoice::Auto), None, json!({"type": "auto"})),
        (Some(ToolChoice::Required), None, json!({"type": "any"})),
        (Some(ToolChoice::None), Some(false), json!({"type": "none"})),
        (
            Some(ToolChoice::Named("f".to_owned())),
            None,
            json!({"type": "tool", "name": "f"}),
        ),
        (
            None,
            Some(false),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (None, Some(true), Value::Null),
        (
            Some(ToolChoice::Required),
            Some(false),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
    ];
    for (choice, parallel, expected) in cases {
        let mut asked = hello();
        asked.tools = vec![function(None)];
        asked.tool_choice = choice;
        asked.parallel_tool_calls = parallel;
        let (body, loss) = said(&asked);
        assert_eq!((&body["tool_choice"], loss.as_str()), (&expected, ""));
    }
}

#[test]
fn a_choice_among_no_tools_is_not_said() {
    let cases = [
        (ToolChoice::Auto, ""),
        (ToolChoice::None, ""),
        (ToolChoice::Required, "tool_choice dropped"),
        (ToolChoice::Named("g".to_owned()), "tool_choice dropped"),
    ];
    for (choice, expected) in cases {
        let mut asked = hello();
        asked.parallel_tool_calls = Some(false);
        asked.tool_choice = Some(choice);
        let (body, loss) = said(&asked);
        assert_eq!(
            (&body["tool_choice"], loss.as_str()),
            (&Value::Null, expected)
        );
    }
}

#[test]
fn another_protocols_server_tools_are_left_out() {
    let mut asked = hello();
    asked.tools = vec![Tool {
        kind: ToolKind::Server {
            kind: "custom".to_owned(),
            value: Json::new("{}"),
        },
        path: "tools[0]".to_owned(),
    }];
    let (body, loss) = said(&asked);
    assert_eq!(
        (body["tools"].clone(), loss.as_str()),
        (Value::Null, "tools[0] dropped")
    );
}

#[test]
fn sampling_is_brought_into_range() {
    let number = |text: &str| Some(Json::new(text));
    let cases = [
        ("1.7", None, json!([1, null]), "temperature changed"),
        ("0.70", None, json!([0.70, null]), ""),
        ("0.5", Some("1"), json!([0.5, null]), ""),
        ("1", Some("0.9"), json!([null, 0.9]), ""),
        ("0.5", Some("0.9"), json!([0.5, null]), "top_p dropped"),
    ];
    for (temperature, top_p, expected, losses) in cases {
        let mut asked = hello();
        asked.temperature = number(temperature);
        asked.top_p = top_p.and_then(number);
        let (body, loss) = said(&asked);
        assert_eq!(json!([body["temperature"], body["top_p"]]), expected);
        assert_eq!(loss, losses);
    }
}

#[test]
fn an_effort_becomes_a_budget_that_leaves_room_for_an_answer() {
    let cases = [
        (
            "minimal",
            64_000,
            json!({"type": "enabled", "budget_tokens": 1024}),
            "",
        ),
        (
            "low",
            64_000,
            json!({"type": "enabled", "budget_tokens": 4096}),
            "",
        ),
        (
            "medium",
            64_000,
            json!({"type": "enabled", "budget_tokens": 8192}),
            "",
        ),
        (
            "high",
            64_000,
            json!({"type": "enabled", "budget_tokens": 16384}),
            "",
        ),
        (
            "xhigh",
            64_000,
            json!({"type": "enabled", "budget_tokens": 32768}),
            "",
        ),
        ("none", 64_000, json!({"type": "disabled"}), ""),
        (
            "high",
            8_000,
            json!({"type": "enabled", "budget_tokens": 6000}),
            "reasoning_effort changed",
        ),
        (
            "low",
            1_025,
            json!({"type": "enabled", "budget_tokens": 1024}),
            "reasoning_effort changed",
        ),
        ("low", 1_024, Value::Null, "reasoning_effort dropped"),
        ("dreaming", 64_000, Value::Null, "reasoning_effort dropped"),
    ];
    for (effort, max_tokens, expected, losses) in cases {
        let mut asked = hello();
        asked.max_tokens = Some(max_tokens);
        asked.reasoning = Some(Reasoning::Effort(effort.to_owned()));
        let (body, loss) = said(&asked);
        assert_eq!(
            (&body["thinking"], loss.as_str()),
            (&expected, losses),
            "{effort}"
        );
        assert_eq!(body["max_tokens"], json!(max_tokens));
    }
}

#[test]
fn a_model_that_takes_no_budget_or_does_not_think_is_asked_as_its_file_says() {
    let effort = |word: &str| Reasoning::Effort(word.to_owned());
    let adaptive = json!({"type": "adaptive"});
    let off = json!({"type": "disabled"});
    for (reasoning, thinking, told, losses) in [
        (effort("low"), &adaptive, json!("low"), ""),
        (
            effort("xhigh"),
            &adaptive,
            json!("max"),
            "reasoning_effort changed",
        ),
        (
            effort("minimal"),
            &adaptive,
            json!("low"),
            "reasoning_effort changed",
        ),
        (
            Reasoning::Budget(8192),
            &adaptive,
            json!("medium"),
            "thinking changed",
        ),
        (
            Reasoning::Adaptive { effort: None },
            &adaptive,
            Value::Null,
            "",
        ),
        (Reasoning::Off, &off, Value::Null, ""),
    ] {
        let mut asked = hello();
        asked.reasoning = Some(reasoning.clone());
        let target = Target {
            reasoning: ReasoningStyle::Adaptive,
            ..TARGET
        };
        let encoded = encode(&asked, &target);
        let body = value(&encoded);
        assert_eq!(
            (&body["thinking"], &body["output_config"]["effort"]),
            (thinking, &told)
        );
        assert_eq!(encoded.loss.to_string(), losses);

        let target = Target {
            reasoning: ReasoningStyle::None,
            ..TARGET
        };
        let encoded = encode(&asked, &target);
        let body = value(&encoded);
        assert_eq!(
            (body.get("thinking"), body.get("output_config")),
            (None, None)
        );
        assert_eq!(
            encoded.loss.is_empty(),
            reasoning == Reasoning::Off,
            "{}",
            encoded.loss
        );
    }
}

#[test]
fn thinking_takes_no_temperature() {
    let mut asked = hello();
    asked.reasoning = Some(Reasoning::Effort("low".to_owned()));
    asked.temperature = Some(Json::new("0.2"));
    asked.top_p = Some(Json::new("0.5"));
    asked.top_k = Some(4);
    let default = RawValue::from_string("0.3".to_owned()).unwrap();
    let defaults = [("temperature".to_owned(), default)];
    let encoded = encode(
        &asked,
        &Target {
            defaults: &defaults,
            ..TARGET
        },
    );
    let body = value(&encoded);
    assert_eq!(
        json!([body["temperature"], body["top_p"], body["top_k"]]),
        json!([null, null, null])
    );
    let losses = "temperature changed,top_p dropped,top_k dropped";
    assert_eq!(encoded.loss.to_string(), losses);
}

#[test]
fn thinking_is_given_up_where_the_provider_would_refuse_it() {
    let loop_with = |first: Block| {
        let mut asked = conversation(vec![
            turn(Role::User, vec![text("hi")]),
            turn(Role::Assistant, vec![first, call("a", "{}")]),
            turn(Role::User, vec![result("a", vec![])]),
        ]);
        asked.tools = vec![function(None)];
        asked
    };
    let mut forced = hello();
    forced.tools = vec![function(None)];
    forced.tool_choice = Some(ToolChoice::Required);
    let prefill = conversation(vec![
        turn(Role::User, vec![text("hi")]),
        turn(Role::Assistant, vec![text("so")]),
    ]);
    for mut asked in [loop_with(text("so")), forced, prefill] {
        asked.reasoning = Some(Reasoning::Effort("low".to_owned()));
        let (body, loss) = said(&asked);
        assert_eq!(
            (&body["thinking"], loss.as_str()),
            (&Value::Null, "reasoning_effort dropped")
        );
    }
    let mut signed = loop_with(thought(Some("s")));
    signed.reasoning = Some(Reasoning::Effort("low".to_owned()));
    assert_eq!(said(&signed).0["thinking"]["budget_tokens"], json!(4096));
}

#[test]
fn a_schema_for_the_answer_is_kept_and_any_json_is_lost() {
    let mut asked = hello();
    asked.output = Some(OutputFormat::JsonSchema {
        name: Some("n".to_owned()),
        description: None,
        schema: Json::new(r#"{"type":"object"}"#),
        strict: Some(true),
    });
    let (body, loss) = said(&asked);
    let expected = json!({"format": {"type": "json_schema", "schema": {"type": "object"}}});
    assert_eq!((&body["output_config"], loss.as_str()), (&expected, ""));
    asked.output = Some(OutputFormat::JsonObject);
    let (body, loss) = said(&asked);
    assert_eq!(body["output_config"], Value::Null);
    assert_eq!(loss, "response_format dropped");
}

#[test]
fn stop_texts_of_white_space_are_left_out() {
    let mut asked = hello();
    asked.stop = vec!["END".to_owned(), "\n".to_owned()];
    let (body, loss) = said(&asked);
    assert_eq!(
        (&body["stop_sequences"], loss.as_str()),
        (&json!(["END"]), "stop[1] dropped")
    );
    asked.stop = vec!["\n".to_owned()];
    let (body, loss) = said(&asked);
    assert_eq!(
        (&body["stop_sequences"], loss.as_str()),
        (&Value::Null, "stop dropped")
    );
}

#[test]
fn the_user_is_kept_and_unknown_members_are_named_unless_they_say_nothing() {
    let mut asked = hello();
    asked.user = Some("u".to_owned());
    asked.extras = vec![
        extra("logprobs", "false"),
        extra("logit_bias", "{}"),
        extra("presence_penalty", "-0.5"),
        extra("seed", "0"),
        extra("n", "2"),
    ];
    asked.turns[0].extras = vec![
        extra("a", "null"),
        extra("content[0].b", "1"),
        extra("reasoning_details", "[1]"),
    ];
    asked.extras.push(extra("thinking.x", "1"));
    let (body, loss) = said(&asked);
    let expected = json!({
        "model": "claude",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "hi"}],
        "metadata": {"user_id": "u"},
    });
    assert_eq!(body, expected);
    let losses = [
        "messages[0].content[0].b dropped",
        "messages[0].reasoning_details dropped",
        "presence_penalty dropped",
        "seed dropped",
        "n dropped",
        "thinking.x dropped",
    ];
    assert_eq!(loss, losses.join(","));
}
