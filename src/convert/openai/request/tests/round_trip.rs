//! From this protocol to the hub and back nothing is lost.

use super::*;

/// The body after a round trip, as it would go up under its own name.
fn around(body: &Value) -> Value {
    let conversation = decoded(body);
    let encoded = encode(
        &conversation,
        &Target {
            model: &conversation.model,
            stream: conversation.stream,
            ..target()
        },
    );
    assert_eq!(encoded.loss.to_string(), "", "{body}");
    assert_eq!(
        decoded(&json_of(&encoded)),
        conversation,
        "{}",
        String::from_utf8_lossy(&encoded.body)
    );
    json_of(&encoded)
}

/// The body survives unchanged.
fn survives(body: &Value) {
    assert_eq!(&around(body), body);
}

#[test]
fn a_plain_request_survives() {
    survives(&saying(json!([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "again"},
    ])));
}

#[test]
fn parts_of_every_kind_survive_with_members_nobody_knows() {
    survives(&saying(json!([{"role": "user", "content": [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "b", "mood": [1.50]},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low", "fps": 2}, "x": 1},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
    ]}])));
}

#[test]
fn a_conversation_with_tools_survives() {
    survives(&json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": "weather?"},
            {
                "role": "assistant",
                "content": "looking",
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "get", "arguments": "{\"x\": 1}"},
                        "extra_content": {"google": {"thought_signature": "s"}}},
                    {"id": "b", "function": {"name": "get", "arguments": "{bad"}, "type": "function",
                        "cache_control": {"type": "ephemeral"}},
                    {"id": "c", "custom": {"name": "shell", "input": "ls -l"}, "type": "custom"},
                ],
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "sunny"},
            {"role": "tool", "tool_call_id": "b", "content": [
                {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://example.org"}}
            ], "cache_control": {"type": "ephemeral"}},
            {"role": "tool", "tool_call_id": "c", "content": ""},
        ],
        "tools": [
            {"type": "function", "function": {"name": "get", "description": "d", "parameters": {"type": "object",
                "required": [], "properties": {}}, "strict": true, "y": 1}, "z": 2},
            {"type": "function", "function": {"name": "bare"}, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "custom": {"name": "shell", "format": {"type": "text"}}},
        ],
        "tool_choice": {"type": "custom", "custom": {"name": "shell"}},
        "parallel_tool_calls": false,
    }));
}

#[test]
fn every_choice_of_a_tool_survives() {
    for choice in [
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "function": {"name": "a"}}),
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function"}]}}),
        json!({"type": "web_search"}),
    ] {
        let tool = json!({"type": "function", "function": {"name": "a"}});
        survives(&with(json!({"tools": [tool], "tool_choice": choice})));
    }
}

#[test]
fn every_setting_survives() {
    survives(&with(json!({
        "max_tokens": 10, "temperature": 0.5, "top_p": 1, "top_k": 3, "stop": ["a", "b"], "user": "u",
        "reasoning_effort": "xhigh", "seed": 1, "n": 2, "logprobs": true, "top_logprobs": 2, "logit_bias": {"1": -1},
        "frequency_penalty": 0.1, "presence_penalty": -0.1, "service_tier": "flex", "store": true,
        "metadata": {"a": "b"}, "modalities": ["text", "audio"], "audio": {"voice": "v", "format": "mp3"},
        "prediction": {"type": "content", "content": "x"}, "web_search_options": {}, "verbosity": "low",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s", "moderation": {},
        "provider": {"order": ["a"]}, "enable_thinking": false, "chat_template_kwargs": {"a": 1}, "min_p": 0.1,
        "a.b": 1,
    })));
    survives(&with(json!({
        "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false},
        "response_format": {"type": "json_object"}, "stop": "a",
    })));
}

#[test]
fn every_form_of_an_answer_survives() {
    for format in [
        json!({"type": "json_object"}),
        json!({"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {"type": "object"},
            "strict": true, "x": 1}, "y": 2}),
        json!({"type": "grammar", "grammar": "x"}),
    ] {
        survives(&with(json!({"response_format": format})));
    }
}

#[test]
fn every_way_to_ask_for_reasoning_survives() {
    for members in [
        json!({"reasoning_effort": "none"}),
        json!({"reasoning_effort": "minimal", "thinking": {"type": "enabled"}}),
        json!({"reasoning": {"max_tokens": 100, "exclude": true}}),
        json!({"reasoning": {"enabled": true}}),
        json!({"reasoning": {"exclude": true}}),
        json!({"thinking": {"type": "odd", "x": 1}}),
        json!({"reasoning": "odd"}),
    ] {
        survives(&with(members));
    }
    survives(&with(
        json!({"reasoning": {"effort": "low", "exclude": true}}),
    ));
    survives(&with(
        json!({"thinking": {"type": "enabled", "budget_tokens": 9, "x": 1}}),
    ));
    survives(&with(json!({"thinking": {"type": "disabled", "x": 1}})));
    let body = around(&with(
        json!({"thinking": {"type": "enabled", "budget_tokens": 9}}),
    ));
    assert_eq!(body["reasoning"], json!({"max_tokens": 9}));
}

#[test]
fn refusals_and_answers_in_sound_survive() {
    survives(&saying(json!([
        {"role": "assistant", "content": null, "refusal": "no"},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
        {"role": "assistant", "content": null, "audio": {"id": "audio_1"}},
        {"role": "assistant", "content": "x", "prefix": true},
    ])));
}

#[test]
fn both_limits_of_the_answer_survive_where_they_differ() {
    survives(&with(json!({"max_completion_tokens": 5, "max_tokens": 7})));
}

#[test]
fn spelling_and_order_inside_values_survive() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0.50,"tools":[{"type":"function","function":{"name":"a","parameters":{"z":1.0,"a" : 1e2}}}],"seed":1.0}"#;
    let conversation = decode(&RawObject::parse(Bytes::from(body)).unwrap()).unwrap();
    let encoded = String::from_utf8(encode(&conversation, &target()).body.to_vec()).unwrap();
    for piece in [
        r#""temperature":0.50"#,
        r#"{"z":1.0,"a" : 1e2}"#,
        r#""seed":1.0"#,
    ] {
        assert!(encoded.contains(piece), "{encoded}");
    }
}
