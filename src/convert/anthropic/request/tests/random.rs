//! Random requests: those of this protocol survive whole, those of others become legal by a checker that is written
//! from the protocol and not from the encoder, and nonsense is refused without a panic.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::conversation::{
    Block, Conversation, Document, Extra, Image, Json, Media, Origin, Reasoning, Role, Tool,
    ToolChoice, ToolKind, ToolResult, Turn,
};

/// An object of these members, without those that are null.
fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let given = members.into_iter().filter(|(_, value)| !value.is_null());
    let members = given.map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect::<Map<_, _>>())
}

/// The value, or null.
fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    option::of(value).prop_map(Option::unwrap_or_default)
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        Just("say \"ü\"\n\\".to_owned()),
        Just("\u{2028}😀".to_owned()),
    ]
}

fn words() -> impl Strategy<Value = Value> {
    word().prop_map(Value::from)
}

fn cache() -> impl Strategy<Value = Value> {
    maybe(prop_oneof![
        Just(json!({"type": "ephemeral"})),
        Just(json!({"ttl": "1h", "type": "ephemeral"})),
    ])
}

/// A member that nobody has heard of.
fn unheard() -> impl Strategy<Value = Value> {
    maybe(prop_oneof![
        Just(json!(1.50)),
        Just(json!({"b": [], "a": "x"})),
        Just(json!(false)),
    ])
}

fn text_block() -> impl Strategy<Value = Value> {
    (words(), cache(), unheard()).prop_map(|(text, cache, more)| {
        object([
            ("type", json!("text")),
            ("text", text),
            ("cache_control", cache),
            ("citations", Value::Null),
            ("mo.re", more),
        ])
    })
}

fn source() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"type": "base64", "media_type": "application/pdf", "data": "AA=="})),
        Just(json!({"type": "url", "url": "https://a/b"})),
        Just(json!({"type": "file", "file_id": "f"})),
        Just(json!({"type": "text", "media_type": "text/plain", "data": "t"})),
        Just(json!({"type": "content", "content": "c"})),
        Just(json!({"type": "url", "url": "https://a/b", "more": 1})),
    ]
}

fn media_block() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![Just("image"), Just("document")];
    let title = maybe(words());
    (kind, source(), title, cache(), unheard()).prop_map(|(kind, source, title, cache, more)| {
        object([
            ("type", json!(kind)),
            ("source", source),
            (
                "title",
                if kind == "document" {
                    title
                } else {
                    Value::Null
                },
            ),
            ("cache_control", cache),
            ("more", more),
        ])
    })
}

fn other_block() -> impl Strategy<Value = Value> {
    Just(json!({"type": "search_result", "source": "s", "content": [{"type": "text", "text": ""}]}))
}

fn content(block: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop_oneof![words(), vec(block, 1..4).prop_map(Value::from)]
}

fn user_block() -> impl Strategy<Value = Value> {
    let inner = prop_oneof![text_block(), media_block(), other_block()];
    let result = (
        maybe(content(inner)),
        maybe(Just(json!(true))),
        cache(),
        unheard(),
    );
    let result = result.prop_map(|(content, is_error, cache, more)| {
        object([
            ("type", json!("tool_result")),
            ("tool_use_id", json!("toolu_1")),
            ("content", content),
            ("is_error", is_error),
            ("cache_control", cache),
            ("more", more),
        ])
    });
    prop_oneof![text_block(), media_block(), other_block(), result]
}

fn assistant_block() -> impl Strategy<Value = Value> {
    let thinking = (words(), words()).prop_map(|(thinking, signature)| {
        json!({"type": "thinking", "thinking": thinking, "signature": signature})
    });
    let redacted = words().prop_map(|data| json!({"type": "redacted_thinking", "data": data}));
    let call = (words(), cache(), unheard()).prop_map(|(text, cache, caller)| {
        object([
            ("type", json!("tool_use")),
            ("id", json!("toolu_1")),
            ("name", json!("f")),
            ("input", json!({"b": text, "a": 1.0})),
            ("cache_control", cache),
            ("caller", caller),
        ])
    });
    prop_oneof![text_block(), other_block(), thinking, redacted, call]
}

fn message() -> impl Strategy<Value = Value> {
    let said = |role: &'static str, content: Value, more: Value| {
        object([("role", json!(role)), ("content", content), ("more", more)])
    };
    prop_oneof![
        (content(user_block()), unheard()).prop_map(move |(c, more)| said("user", c, more)),
        (content(assistant_block()), unheard()).prop_map(move |(c, more)| said(
            "assistant",
            c,
            more
        )),
        content(text_block()).prop_map(move |c| said("system", c, Value::Null)),
    ]
}

fn tool() -> impl Strategy<Value = Value> {
    let server = Just(json!({"type": "web_search_20260318", "name": "web_search", "max_uses": 1}));
    let function = (
        maybe(words()),
        maybe(any::<bool>().prop_map(Value::from)),
        cache(),
        unheard(),
    );
    let function = function.prop_map(|(description, strict, cache, more)| {
        object([
            ("name", json!("f")),
            ("description", description),
            (
                "input_schema",
                json!({"type": "object", "properties": {"b": {}, "a": {}}}),
            ),
            ("strict", strict),
            ("cache_control", cache),
            ("defer_loading", more),
        ])
    });
    prop_oneof![server, function]
}

fn thinking() -> impl Strategy<Value = (Value, Value)> {
    let thinking = maybe(prop_oneof![
        Just(json!({"type": "disabled"})),
        Just(json!({"type": "adaptive", "display": "omitted"})),
        Just(json!({"type": "enabled", "budget_tokens": 2048, "display": "omitted"})),
        Just(json!({"type": "between_tools"})),
    ]);
    let format = maybe(prop_oneof![
        Just(json!({"type": "json_schema", "schema": {"type": "object"}})),
        Just(json!({"type": "json_schema", "schema": {}, "more": 1})),
        Just(json!({"type": "grammar"})),
    ]);
    let config = (maybe(words()), format, unheard()).prop_map(|(effort, format, more)| {
        object([("effort", effort), ("format", format), ("more", more)])
    });
    (thinking, config)
}

fn request() -> impl Strategy<Value = Value> {
    let choice = maybe(prop_oneof![
        Just(json!({"type": "auto", "disable_parallel_tool_use": true, "more": 1})),
        Just(json!({"type": "any"})),
        Just(json!({"type": "none"})),
        Just(json!({"type": "tool", "name": "f"})),
    ]);
    let said = (
        maybe(content(text_block())),
        vec(message(), 1..6),
        vec(tool(), 0..3),
        choice,
    );
    let number = || maybe(Just(json!(0.50)));
    let sampling = (number(), number(), maybe(Just(json!(3))), any::<bool>());
    let rest = (maybe(words()), vec(words(), 0..3), unheard(), unheard());
    (said, sampling, thinking(), rest).prop_map(
        |(
            (system, messages, tools, choice),
            (temperature, top_p, top_k, stream),
            (thinking, config),
            rest,
        )| {
            let (user, stop, more, context) = rest;
            let stop = if stop.is_empty() {
                Value::Null
            } else {
                json!(stop)
            };
            let tools = if tools.is_empty() {
                Value::Null
            } else {
                json!(tools)
            };
            let config = if config == json!({}) {
                Value::Null
            } else {
                config
            };
            object([
                ("model", json!("m")),
                ("max_tokens", json!(4096)),
                ("system", system),
                ("messages", json!(messages)),
                ("tools", tools),
                ("tool_choice", choice),
                ("temperature", temperature),
                ("top_p", top_p),
                ("top_k", top_k),
                ("stream", if stream { json!(true) } else { Value::Null }),
                ("thinking", thinking),
                ("output_config", config),
                ("metadata", object([("user_id", user), ("more", more)])),
                ("stop_sequences", stop),
                ("context_management", context),
            ])
        },
    )
}

/// The long way to say the same: strings as blocks, and nothing where nothing is meant.
fn spelled_out(mut body: Value) -> Value {
    fn blocks(content: &mut Value) {
        if let Value::String(text) = content {
            *content = json!([{"type": "text", "text": text}]);
        }
        for block in content.as_array_mut().into_iter().flatten() {
            if block["type"] == "tool_result"
                && let Some(content) = block.get_mut("content")
            {
                blocks(content);
            }
        }
    }
    if let Some(system) = body.get_mut("system") {
        blocks(system);
    }
    for message in body["messages"].as_array_mut().into_iter().flatten() {
        blocks(&mut message["content"]);
    }
    if body["metadata"] == json!({}) {
        body.as_object_mut().unwrap().shift_remove("metadata");
    }
    body
}

fn foreign_block(role: Role) -> BoxedStrategy<Block> {
    let text = prop_oneof![word(), Just(" \n".to_owned()), Just("end ".to_owned())];
    let text = text.prop_map(|text| Block::Text {
        text,
        cache: None,
        citations: None,
    });
    let id = || {
        prop_oneof![
            Just("call_1".to_owned()),
            Just("functions.f:0".to_owned()),
            Just(String::new())
        ]
    };
    let media = prop_oneof![
        Just(Media::Url("https://a/b".to_owned())),
        Just(Media::File("f".to_owned())),
        Just(Media::Base64 {
            media_type: "image/png".to_owned(),
            data: "AA==".to_owned(),
        }),
    ];
    let image = media.clone().prop_map(|media| {
        Block::Image(Image {
            media,
            detail: Some("low".to_owned()),
            cache: None,
        })
    });
    let document = media.prop_map(|media| {
        Block::Document(Document {
            media,
            title: None,
            extras: Vec::new(),
            cache: None,
        })
    });
    match role {
        Role::System => text.boxed(),
        Role::Assistant => {
            let thinking = (word(), option::of(word()));
            let thinking =
                thinking.prop_map(|(text, signature)| Block::Thinking { text, signature });
            let arguments = prop_oneof![
                Just("{}"),
                Just(""),
                Just("{\"a\":"),
                Just(" {\"a\":1}\n"),
                Just("[]")
            ];
            let call = (id(), arguments).prop_map(|(id, arguments)| Block::ToolCall {
                id,
                name: "f".to_owned(),
                arguments: arguments.to_owned(),
                cache: None,
            });
            let refusal = word().prop_map(Block::Refusal);
            prop_oneof![text, thinking, call, refusal, image].boxed()
        }
        Role::User => {
            let inner = prop_oneof![text.clone(), image.clone()];
            let result = (id(), vec(inner, 0..3)).prop_map(|(id, content)| {
                Block::ToolResult(ToolResult {
                    id,
                    content,
                    is_error: false,
                    cache: None,
                })
            });
            let audio = Just(Block::Audio {
                data: "AA==".to_owned(),
                format: "wav".to_owned(),
            });
            prop_oneof![text, image, document, result, audio].boxed()
        }
    }
}

fn foreign_turn() -> impl Strategy<Value = Turn> {
    let role = prop_oneof![Just(Role::System), Just(Role::User), Just(Role::Assistant)];
    let turn = role.prop_flat_map(|role| (Just(role), vec(foreign_block(role), 0..4)));
    let extras = vec!["content[0].more", "more", "tool_calls[0].more"];
    let extras = proptest::sample::subsequence(extras, 0..=3);
    (turn, extras).prop_map(|((role, blocks), extras)| Turn {
        role,
        blocks,
        name: None,
        extras: extras
            .into_iter()
            .map(|name| Extra {
                name: name.to_owned(),
                value: Json::new("1"),
            })
            .collect(),
        path: "messages[0]".to_owned(),
    })
}

fn foreign() -> impl Strategy<Value = Conversation> {
    let tool = option::of("[{]\"properties\":[{][}][}]").prop_map(|parameters| Tool {
        kind: ToolKind::Function {
            name: "f".to_owned(),
            description: None,
            parameters: parameters.map(Json::new),
            strict: Some(false),
            cache: None,
            extras: Vec::new(),
        },
        path: "tools[0]".to_owned(),
    });
    let choice = option::of(prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::Required),
        Just(ToolChoice::None),
        Just(ToolChoice::Named("f".to_owned())),
        Just(ToolChoice::Named("g".to_owned())),
    ]);
    let effort = prop_oneof![Just("none"), Just("minimal"), Just("high"), Just("odd")];
    let reasoning = option::of(prop_oneof![
        effort.prop_map(|effort| Reasoning::Effort(effort.to_owned())),
        (0u64..100_000).prop_map(Reasoning::Budget),
        Just(Reasoning::Adaptive { effort: None }),
        Just(Reasoning::Off),
    ]);
    let number = || option::of(prop_oneof![Just("0"), Just("0.5"), Just("1"), Just("2.0")]);
    let limits = (
        option::of(1u64..40_000),
        number(),
        number(),
        option::of(1u64..9),
    );
    let rest = (
        choice,
        option::of(any::<bool>()),
        reasoning,
        vec("[ \na]{1,2}", 0..3),
    );
    let said = (vec(foreign_turn(), 0..8), vec(tool, 0..2));
    (said, limits, rest).prop_map(
        |((turns, tools), limits, (choice, parallel, reasoning, stop))| {
            let (max_tokens, temperature, top_p, top_k) = limits;
            Conversation {
                origin: Origin::OpenAi,
                model: "m".to_owned(),
                turns,
                tools,
                tool_choice: choice,
                parallel_tool_calls: parallel,
                max_tokens,
                temperature: temperature.map(Json::new),
                top_p: top_p.map(Json::new),
                top_k,
                stop,
                stream: false,
                include_usage: false,
                user: None,
                reasoning,
                output: None,
                extras: vec![Extra {
                    name: "n".to_owned(),
                    value: Json::new("2"),
                }],
            }
        },
    )
}

/// What the provider refuses.
fn faults(body: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |is_fine: bool, fault: &str| {
        if !is_fine {
            faults.push(fault.to_owned());
        }
    };
    check(
        !body.to_string().contains("\"more\":"),
        "another protocol's member",
    );
    let messages = body["messages"].as_array().unwrap();
    let max_tokens = body["max_tokens"].as_u64().unwrap();
    let as_blocks = |content: &Value| match content {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        content => content.as_array().unwrap().clone(),
    };
    for pair in messages.windows(2) {
        check(
            pair[0]["role"] != pair[1]["role"],
            "two messages of one role",
        );
    }
    for (index, message) in messages.iter().enumerate() {
        let blocks = as_blocks(&message["content"]);
        check(!blocks.is_empty(), "an empty message");
        let mut texts_began = false;
        for block in &blocks {
            let kind = block["type"].as_str().unwrap();
            let allowed: &[_] = match message["role"].as_str().unwrap() {
                "system" => &["text"],
                "user" => &["text", "image", "document", "tool_result"],
                _ => &["text", "thinking", "tool_use"],
            };
            check(allowed.contains(&kind), "a block in a wrong place");
            if let Some(text) = block["text"].as_str() {
                check(!text.trim().is_empty(), "a blank text");
            }
            let id = block.get("id").or_else(|| block.get("tool_use_id"));
            if let Some(id) = id.and_then(Value::as_str) {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                check(!id.is_empty() && id.chars().all(plain), "an illegal id");
            }
            check(
                kind != "tool_use" || block["input"].is_object(),
                "an input that is no object",
            );
            check(
                kind != "tool_result" || !texts_began,
                "a result after something else",
            );
            check(
                kind != "thinking" || block["signature"].is_string(),
                "unsigned thinking",
            );
            texts_began |= kind != "tool_result";
        }
        let is_last = index + 1 == messages.len();
        if is_last && message["role"] == "assistant" {
            let end = blocks.last().and_then(|block| block["text"].as_str());
            let end = end.unwrap_or_default();
            check(end.trim_end() == end, "a prefill that ends in white space");
        }
    }
    let forced = matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool"));
    let thinks = matches!(
        body["thinking"]["type"].as_str(),
        Some("enabled" | "adaptive")
    );
    check(!thinks || !forced, "thinking with a forced tool");
    check(
        !thinks || body.get("temperature").is_none(),
        "thinking with a temperature",
    );
    if let Some(budget) = body["thinking"]["budget_tokens"].as_u64() {
        check(
            (1024..max_tokens).contains(&budget),
            "a budget out of range",
        );
    }
    let temperature = body["temperature"].as_f64();
    check(
        temperature.is_none_or(|value| value <= 1.0),
        "a temperature above 1",
    );
    let both = temperature.is_some() && body.get("top_p").is_some();
    check(!both, "temperature with top_p");
    check(
        body.get("tools").is_some() || body.get("tool_choice").is_none(),
        "a choice without tools",
    );
    for tool in body["tools"].as_array().into_iter().flatten() {
        check(
            tool["input_schema"]["type"] == "object",
            "a schema that is no object's",
        );
    }
    for stop in body["stop_sequences"].as_array().into_iter().flatten() {
        check(
            !stop.as_str().unwrap().trim().is_empty(),
            "a blank stop text",
        );
    }
    faults
}

/// Any JSON, made of the protocol's own names.
fn anything() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("type"),
        Just("text"),
        Just("content"),
        Just("source"),
        Just("role"),
        Just("input"),
        Just("id"),
        Just("name"),
        Just("system"),
        Just("tools"),
        Just("thinking"),
        Just("data"),
        Just("output_config"),
        Just("effort"),
        Just("format"),
        Just("metadata"),
        Just("tool_choice"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop_oneof![
            Just("text"),
            Just("image"),
            Just("document"),
            Just("tool_use"),
            Just("tool_result"),
            Just("base64"),
            Just("user"),
            Just("enabled"),
            Just("json_schema"),
            Just(""),
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members = members.into_iter();
                Value::Object(
                    members
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_came_in_this_protocol_goes_out_as_it_was(body in request()) {
        let decoded = read(body.to_string()).unwrap();
        let target = Target { model: "m", stream: decoded.stream, ..TARGET };
        let encoded = encode(&decoded, &target);
        prop_assert_eq!(encoded.loss.to_string(), "");
        prop_assert_eq!(spelled_out(value(&encoded)), spelled_out(body));
        let text = String::from_utf8(encoded.body.to_vec()).unwrap();
        prop_assert_eq!(read(text).unwrap(), decoded);
    }

    #[test]
    fn what_another_protocol_says_is_legal_in_this_one(conversation in foreign()) {
        let body = value(&encode(&conversation, &TARGET));
        prop_assert_eq!(faults(&body), Vec::<String>::new(), "{}", body);
        // What is legal can be read again, and says the same once more.
        let again = read(body.to_string()).unwrap();
        prop_assert_eq!(value(&encode(&again, &TARGET)), body);
    }

    #[test]
    fn nonsense_is_refused_or_kept_without_a_panic(
        messages in anything(),
        name in prop_oneof![
            Just("system"), Just("tools"), Just("tool_choice"), Just("thinking"), Just("metadata"),
            Just("output_config"), Just("output_format"), Just("stop_sequences"), Just("top_k"),
        ],
        member in anything(),
        block in anything(),
    ) {
        let mut body = json!({"model": "m", "messages": messages});
        body[name] = member;
        let whole = read(body.to_string());
        body["messages"] = json!([{"role": "user", "content": [block]}]);
        for conversation in [whole, read(body.to_string())].into_iter().flatten() {
            let foreign = Conversation { origin: Origin::OpenAi, ..conversation.clone() };
            for conversation in [conversation, foreign] {
                prop_assert!(RawObject::parse(encode(&conversation, &TARGET).body).is_ok());
            }
        }
    }
}
