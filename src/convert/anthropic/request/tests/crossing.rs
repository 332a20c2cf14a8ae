//! From this protocol to OpenAI's and back: what an agent says arrives, and what does not is named.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

use super::round_trip::claude_code;
use super::*;
use crate::convert::openai;

#[test]
fn a_request_of_claude_code_loses_only_what_openai_has_no_word_for() {
    let conversation = read(claude_code().to_string()).unwrap();
    let encoded = openai::request::encode(&conversation, &TARGET);
    let body = value(&encoded);
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|said| said["role"].as_str()).collect();
    let expected = ["system", "user", "system", "assistant", "tool"].map(Some);
    assert_eq!(roles, expected);
    assert_eq!(messages[3]["reasoning_content"], "hm");
    let call = &messages[3]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], r#"{"command":"ls"}"#);
    assert_eq!(
        messages[4],
        json!({"role": "tool", "tool_call_id": "toolu_1", "content": "a"})
    );
    assert_eq!(body["reasoning_effort"], "high");
    let losses = [
        "system[1].cache_control dropped",
        "system[2].cache_control dropped",
        "messages[0].content[1].cache_control dropped",
        "messages[2].content[0].signature dropped",
        "messages[2].content[1] dropped",
        "messages[3].content[0].is_error dropped",
        "messages[3].content[0].cache_control dropped",
        "tools[2] dropped",
        "tools[1].defer_loading dropped",
        "context_management dropped",
    ];
    assert_eq!(encoded.loss.to_string(), losses.join(","));
}

fn parts() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        "[a-z]{1,9}".prop_map(|text| json!({"type": "text", "text": text})),
        Just(json!({"type": "image_url", "image_url": {"url": "https://a/b.png"}})),
        Just(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}})),
    ];
    prop_oneof![
        "[a-z]{1,9}".prop_map(Value::from),
        vec(part, 2..4).prop_map(Value::from)
    ]
}

/// What the user says, what is answered, and perhaps some calls with their results.
fn round() -> impl Strategy<Value = Vec<Value>> {
    let arguments = prop_oneof![
        Just(r#"{"b": 1.50, "a":[ ]}"#),
        Just("{}"),
        Just("{\"cut"),
        Just("[1]"),
    ];
    let calls = vec((arguments, "[a-z]{1,9}", "call_[a-zA-Z0-9]{3}"), 0..4);
    (parts(), option::of("[a-z]{1,9}"), calls, "[a-z]{1,9}").prop_map(
        |(asked, text, calls, end)| {
            let mut said = vec![json!({"role": "user", "content": asked})];
            if !calls.is_empty() {
                let listed = calls.iter().enumerate().map(|(index, (arguments, _, id))| {
                    json!({"id": format!("{id}{index}"), "type": "function",
                    "function": {"name": "f", "arguments": arguments}})
                });
                let listed: Vec<_> = listed.collect();
                said.push(json!({"role": "assistant", "content": text, "tool_calls": listed}));
                let results = calls.iter().enumerate().map(|(index, (_, result, id))| {
                json!({"role": "tool", "tool_call_id": format!("{id}{index}"), "content": result})
            });
                said.extend(results);
            }
            said.push(json!({"role": "assistant", "content": end}));
            said
        },
    )
}

fn openai_request() -> impl Strategy<Value = Value> {
    let schema =
        r#"{"type":"object","properties":{"b":{"type":"number"},"a":{}},"required":["b"]}"#;
    let schema: Value = serde_json::from_str(schema).unwrap();
    let tool = json!({"type": "function", "function":
        {"name": "f", "description": "d", "parameters": schema, "strict": true}});
    let named = json!({"type": "function", "function": {"name": "f"}});
    let choice = prop_oneof![
        Just(json!("auto")),
        Just(json!("required")),
        Just(json!("none")),
        Just(named)
    ];
    let choice = (option::of(choice), any::<bool>());
    let limits = (
        option::of(Just(json!(0.50))),
        option::of(vec("[A-Z]{2,3}", 2..4)),
    );
    let said = (
        option::of("[a-z]{1,9}"),
        vec(round(), 1..4),
        parts(),
        option::of("[a-z]{1,9}"),
    );
    (said, choice, limits, option::of("[a-z]{1,9}"), any::<bool>()).prop_map(
        move |((system, rounds, last, later), (choice, serial), (temperature, stop), user, format)| {
            let system = system.map(|text| json!({"role": "system", "content": text}));
            let mut messages: Vec<Value> = system.into_iter().chain(rounds.concat()).collect();
            messages.push(json!({"role": "user", "content": last}));
            messages.extend(later.map(|text| json!({"role": "system", "content": text})));
            let mut body = json!({"model": "claude", "messages": messages, "tools": [tool], "max_tokens": 99});
            let members = [
                ("tool_choice", choice.clone()),
                ("temperature", temperature),
                ("stop", stop.map(Value::from)),
                ("user", user.map(Value::from)),
                ("response_format", format.then(|| json!({"type": "json_schema",
                    "json_schema": {"name": "response", "schema": schema}}))),
            ];
            for (name, member) in members {
                if let Some(member) = member {
                    body[name] = member;
                }
            }
            // One at a time is said beside a choice; where there is none it becomes the default choice.
            if serial && choice.is_some_and(|choice| choice != "none") {
                body["parallel_tool_calls"] = json!(false);
            }
            body
        },
    )
}

proptest! {
    #[test]
    fn what_openai_says_comes_back_from_anthropic_except_for_what_the_report_names(body in openai_request()) {
        let source = RawObject::parse(Bytes::from(body.to_string())).unwrap();
        let asked = openai::request::decode(&source).unwrap();
        let there = encode(&asked, &TARGET);
        let nonsense = body.to_string().contains("{\\\"cut") || body.to_string().contains("[1]");
        prop_assert_eq!(there.loss.is_empty(), !nonsense, "{}", there.loss);
        for (path, _) in there.loss.items() {
            prop_assert!(path.ends_with(".function.arguments"), "{}", path);
        }
        let back = decode(&RawObject::parse(there.body).unwrap()).unwrap();
        let back = openai::request::encode(&back, &TARGET);
        prop_assert_eq!(back.loss.to_string(), "");
        prop_assert_eq!(value(&back), body);
    }
}
