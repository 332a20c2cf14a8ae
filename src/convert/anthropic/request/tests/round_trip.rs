//! What came in this protocol goes out in it as it was.

use serde_json::json;

use super::*;

/// Encodes what was decoded from it, for the model and the stream that it asked for itself.
fn again(body: &Value) -> Encoded {
    let conversation = read(body.to_string()).unwrap();
    let target = Target {
        model: &conversation.model,
        stream: conversation.stream,
        ..TARGET
    };
    encode(&conversation, &target)
}

#[track_caller]
fn survives(body: &Value) {
    let encoded = again(body);
    assert_eq!(encoded.loss.to_string(), "");
    assert_eq!(value(&encoded), *body);
}

/// As observed, shortened.
pub(super) fn claude_code() -> Value {
    json!({
        "model": "claude-sonnet",
        "max_tokens": 32000,
        "stream": true,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1"},
            {"type": "text", "text": "You are", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "env", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "<reminder>"},
                {"type": "text", "text": "list", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "system", "content": "mid"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "EqQB=="},
                {"type": "redacted_thinking", "data": "Ab=="},
                {"type": "text", "text": "ok"},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a", "is_error": true,
                 "cache_control": {"type": "ephemeral"}},
            ]},
        ],
        "tools": [
            {"name": "Bash", "description": "d", "input_schema": {"type": "object"}},
            {"name": "G", "input_schema": {"type": "object"}, "strict": false, "defer_loading": true},
            {"type": "web_search_20260318", "name": "web_search"},
        ],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": "{\"device_id\":\"x\"}"},
    })
}

#[test]
fn a_request_of_claude_code_survives() {
    survives(&claude_code());
}

#[test]
fn every_member_of_the_protocol_survives() {
    survives(&json!({
        "model": "m", "max_tokens": 0, "temperature": 0.5, "top_p": 0.9, "top_k": 3,
        "system": "s",
        "stop_sequences": ["a", "\n"],
        "service_tier": "standard_only", "container": {"id": "c"}, "inference_geo": "eu",
        "speed": "fast", "cache_control": {"type": "ephemeral"}, "betas": ["x"],
        "mcp_servers": [{"type": "url"}], "user_profile_id": "p",
        "metadata": {"user_id": "u", "more": 1},
        "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": {}}, "x": 1},
        "tools": [
            {"name": "f", "input_schema": {"type": "object"}, "input_examples": [{}],
             "eager_input_streaming": true, "allowed_callers": ["direct"],
             "cache_control": {"type": "ephemeral"}, "strict": true},
            {"type": "mcp_toolset", "mcp_server_name": "s"},
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true, "x": 1},
        "messages": [
            {"role": "user", "content": "a", "x": 1},
            {"role": "user", "content": [
                {"type": "text", "text": "b", "x.y": 1},
                {"type": "image", "source": {"type": "file", "file_id": "f"}, "transformations": {}},
                {"type": "document", "source": {"type": "content", "content": []}, "title": "t"},
                {"type": "document", "source": {"type": "url", "url": "u"}, "title": "t",
                 "context": "c", "citations": {"enabled": true}},
                {"type": "container_upload", "file_id": "f"},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "c", "citations": [{"type": "page_location"}]},
                {"type": "tool_use", "id": "t", "name": "f", "input": {}, "toolset_name": "s",
                 "caller": {"type": "code_execution_20260120", "tool_id": "s"}},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "before"},
                {"type": "tool_result", "tool_use_id": "t", "toolset_name": "s", "content": [
                    {"type": "text", "text": "r", "x": 1},
                    {"type": "search_result", "source": "s", "title": "t", "content": []},
                ]},
            ]},
        ],
    }));
}

#[test]
fn an_order_that_only_choice_and_serial_calls_need_survives() {
    for choice in [
        json!({"type": "auto", "disable_parallel_tool_use": true}),
        json!({"type": "any"}),
        json!({"type": "none"}),
    ] {
        let mut body = claude_code();
        body["tool_choice"] = choice;
        survives(&body);
    }
}

#[test]
fn unsigned_thinking_is_not_sent_to_those_who_check_signatures() {
    let encoded = again(&json!({"model": "m", "max_tokens": 1, "messages": [
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "x", "signature": ""},
            {"type": "text", "text": "a"},
        ]},
    ]}));
    assert_eq!(encoded.loss.to_string(), "messages[0].content[0] dropped");
    assert_eq!(value(&encoded)["messages"][0]["content"], json!("a"));
}
