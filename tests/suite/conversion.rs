//! Clients of one protocol before routes of the other: what goes up, what comes down, and what is lost.

use serde_json::{Value, json};

use model_proxy::protocol::Protocol;

use crate::support::events::text_of;
use crate::support::gateway::{Gateway, model_json, provider_json};
use crate::support::upstream::bodies::{
    anthropic_answer, anthropic_events, anthropic_stream, openai_answer, openai_delta,
    openai_error_body, openai_stream,
};
use crate::support::upstream::{Upstream, reply, sse};

const TOOL: &str = r#"{"name":"weather","description":"Tells it","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}"#;

fn chat(more: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    merge(&mut body, more);
    body
}

fn message(more: &Value) -> Value {
    let mut body =
        json!({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]});
    merge(&mut body, more);
    body
}

fn merge(body: &mut Value, more: &Value) {
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
}

fn sent(upstream: &Upstream) -> Value {
    let request = upstream.only_request();
    serde_json::from_slice(&request.body).expect("JSON")
}

#[test]
fn an_openai_client_gets_a_whole_answer_from_an_anthropic_route() {
    let upstream = Upstream::start();
    upstream.answer(anthropic_answer("Hello there"));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let answer = gateway.chat(&chat(&json!({"stop": "END", "temperature": 0.5})));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["choices"][0]["message"]["content"], "Hello there");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert!(body["usage"]["prompt_tokens"].as_u64() > Some(0));
    let up = sent(&upstream);
    assert_eq!(up["stop_sequences"], json!(["END"]));
    assert_eq!(up["max_tokens"], 8192);
    assert_eq!(upstream.only_request().target, "/v1/messages");
    assert!(
        upstream
            .only_request()
            .header("anthropic-version")
            .is_some()
    );
    let row = gateway.only_row();
    assert_eq!(row.text("response_content"), "Hello there");
    assert!(row.number("prompt_tokens") > 0);
}

#[test]
fn an_anthropic_client_gets_a_whole_answer_from_an_openai_route() {
    let upstream = Upstream::start();
    upstream.answer(openai_answer("Hello there"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let answer = gateway.messages(&message(&json!({"system": "Be kind", "top_k": 5})));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-model-proxy-loss"), Some("top_k dropped"));
    let body = answer.json();
    assert_eq!(body["type"], "message");
    assert_eq!(
        body["content"],
        json!([{"type": "text", "text": "Hello there"}])
    );
    assert_eq!(body["stop_reason"], "end_turn");
    // OpenAI's prompt tokens include what was read from the cache; Anthropic's do not.
    assert_eq!(body["usage"]["input_tokens"], 7);
    assert_eq!(body["usage"]["cache_read_input_tokens"], 4);
    let up = sent(&upstream);
    assert_eq!(
        up["messages"][0],
        json!({"role": "system", "content": "Be kind"})
    );
    assert_eq!(gateway.only_row().text("loss"), "top_k dropped");
}

#[test]
fn streams_cross_in_both_directions_and_end_as_the_client_expects() {
    let upstream = Upstream::start();
    upstream.answer(anthropic_stream(&["One ", "two"]));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let finished = gateway
        .chat_streaming(&chat(&json!({"stream": true})))
        .read_to_end();
    assert!(finished.properly());
    assert_eq!(text_of(&finished.events), "One two");
    assert_eq!(finished.events.last().expect("events").data, "[DONE]");
    assert!(finished.events.iter().all(|event| event.name.is_none()));

    let upstream = Upstream::start();
    upstream.answer(openai_stream(&["One ", "two"]));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let finished = gateway
        .messages_streaming(&message(&json!({"stream": true})))
        .read_to_end();
    assert!(finished.properly());
    assert_eq!(text_of(&finished.events), "One two");
    let names: Vec<_> = finished
        .events
        .iter()
        .filter_map(|event| event.name.as_deref())
        .collect();
    assert_eq!(names.first(), Some(&"message_start"));
    assert_eq!(names.last(), Some(&"message_stop"));
    assert_eq!(gateway.only_row().text("response_content"), "One two");
}

#[test]
fn a_tool_call_crosses_with_its_id_its_name_and_its_arguments() {
    let call = json!({"role": "assistant", "tool_calls": [{
        "index": 0, "id": "call_7", "type": "function",
        "function": {"name": "weather", "arguments": "{\"ci"},
    }]});
    let rest = json!({"tool_calls": [{"index": 0, "function": {"arguments": "ty\":\"Bern\"}"}}]});
    let upstream = Upstream::start();
    upstream.answer(sse([
        openai_delta(&call, None),
        openai_delta(&rest, None),
        openai_delta(&json!({}), Some("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ]));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let tool: Value = serde_json::from_str(TOOL).expect("JSON");
    let finished = gateway
        .messages_streaming(&message(&json!({"stream": true, "tools": [tool]})))
        .read_to_end();
    let values: Vec<Value> = finished.events.iter().map(|event| event.json()).collect();
    let start = values
        .iter()
        .find(|value| value["type"] == "content_block_start")
        .expect("a block");
    assert_eq!(start["content_block"]["id"], "call_7");
    assert_eq!(start["content_block"]["name"], "weather");
    let arguments: String = values
        .iter()
        .filter_map(|value| value["delta"]["partial_json"].as_str())
        .collect();
    assert_eq!(arguments, r#"{"city":"Bern"}"#);
    let stop = values
        .iter()
        .find(|value| value["type"] == "message_delta")
        .expect("an end");
    assert_eq!(stop["delta"]["stop_reason"], "tool_use");
    let up = sent(&upstream);
    assert_eq!(up["tools"][0]["function"]["name"], "weather");
}

#[test]
fn a_stream_of_another_protocol_that_breaks_ends_with_the_clients_error_event() {
    let upstream = Upstream::start();
    let events = anthropic_events(&["One ", "two"]);
    let half = events.len() - 3;
    upstream.answer(sse(events).only(half).cut());
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let finished = gateway
        .chat_streaming(&chat(&json!({"stream": true})))
        .read_to_end();
    let last = finished.events.last().expect("events");
    assert!(last.json()["error"]["message"].is_string(), "{last:?}");
    assert!(finished.events.iter().all(|event| event.data != "[DONE]"));
    assert_eq!(gateway.only_row().text("error_type"), "upstream_cut");
}

#[test]
fn an_upstreams_refusal_crosses_with_its_status_and_its_words() {
    let upstream = Upstream::start();
    upstream.answer(reply(400).json(&openai_error_body(
        "invalid_request_error",
        None,
        "tools.0 is odd",
    )));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let refusal = gateway.messages(&message(&json!({})));
    assert_eq!(refusal.status, 400);
    let body = refusal.json();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert_eq!(body["error"]["message"], "tools.0 is odd");
}

#[test]
fn a_strict_model_refuses_what_a_conversion_would_lose() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("Hello"));
    let mut file = model_json("m", [("alpha", "up")]);
    file["strict"] = json!(true);
    let gateway = Gateway::builder()
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model_file("m", &file)
        .start();
    let refusal = gateway.messages(&message(&json!({"top_k": 5})));
    assert_eq!(refusal.status, 400);
    let words = refusal.text();
    assert!(
        words.contains("strict") && words.contains("top_k"),
        "{words}"
    );
    assert_eq!(upstream.requests().len(), 0);
    assert_eq!(gateway.messages(&message(&json!({}))).status, 200);
}

#[test]
fn a_request_falls_over_from_one_protocol_to_the_other() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(reply(500).json(&openai_error_body("server_error", None, "no")));
    second.always(anthropic_answer("From the second"));
    let gateway = Gateway::builder()
        .provider("alpha", &first, Protocol::OpenAi)
        .provider("beta", &second, Protocol::Anthropic)
        .model("m", [("alpha", "up-a"), ("beta", "up-b")])
        .start();
    let answer = gateway.chat(&chat(&json!({})));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "From the second"
    );
    assert_eq!(answer.header("x-model-proxy-model"), Some("beta/up-b"));
    // The first route once and twice more, then the second.
    assert_eq!(answer.header("x-model-proxy-attempts"), Some("4"));
}

#[test]
fn a_request_that_cannot_be_read_for_conversion_is_the_clients_fault() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let refusal =
        gateway.chat(&json!({"model": "m", "messages": [{"role": "user", "content": 7}]}));
    assert_eq!(refusal.status, 400, "{}", refusal.text());
    let error = refusal.json()["error"].clone();
    assert!(
        error["param"]
            .as_str()
            .expect("a path")
            .contains("messages"),
        "{error}"
    );
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_provider_that_refuses_max_tokens_gets_max_completion_tokens() {
    let upstream = Upstream::start();
    upstream.answer(openai_answer("Hello"));
    let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    file["request_config"]["max_tokens_parameter"] = json!("max_completion_tokens");
    let gateway = Gateway::builder()
        .provider_file("alpha", &file)
        .keys("alpha", ["key-of-alpha"])
        .model("m", [("alpha", "up")])
        .start();
    assert_eq!(gateway.messages(&message(&json!({}))).status, 200);
    let up = sent(&upstream);
    assert_eq!(up["max_completion_tokens"], 50);
    assert!(up.get("max_tokens").is_none());
}

#[test]
fn a_model_that_does_not_think_is_not_asked_to() {
    let upstream = Upstream::start();
    upstream.answer(openai_answer("Hello"));
    let mut file = model_json("m", [("alpha", "up")]);
    file["model_routings"][0]["reasoning"] = json!(false);
    let gateway = Gateway::builder()
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model_file("m", &file)
        .start();
    let thinking = json!({"type": "adaptive"});
    let answer = gateway.messages(&message(
        &json!({"thinking": thinking, "output_config": {"effort": "high"}}),
    ));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("x-model-proxy-loss"),
        Some("output_config.effort dropped")
    );
    assert!(sent(&upstream).get("reasoning_effort").is_none());
}

#[test]
fn a_prompt_that_is_too_long_is_told_in_the_words_of_the_clients_protocol() {
    let words = "This model's maximum context length is 8192 tokens";
    let upstream = Upstream::start();
    let code = Some("context_length_exceeded");
    upstream.always(reply(400).json(&openai_error_body("invalid_request_error", code, words)));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let refusal = gateway.messages(&message(&json!({})));
    assert_eq!(refusal.status, 400);
    let error = refusal.json()["error"].clone();
    assert_eq!(error["type"], "invalid_request_error");
    // Claude Code looks for the first of these words, and shortens its conversation.
    assert_eq!(error["message"], format!("prompt is too long: {words}"));

    let words = "prompt is too long: 210000 tokens > 200000 maximum";
    let upstream = Upstream::start();
    upstream.always(reply(400).json(&json!({
        "type": "error",
        "error": {"type": "invalid_request_error", "message": words},
    })));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let refusal = gateway.chat(&chat(&json!({})));
    assert_eq!(refusal.status, 400);
    let error = refusal.json()["error"].clone();
    assert_eq!(error["code"], "context_length_exceeded");
    assert_eq!(error["message"], words);
}

#[test]
fn a_tool_whose_name_is_too_long_for_the_route_is_called_by_the_clients_own_name() {
    let name = format!("mcp__server__{}", "x".repeat(80));
    let upstream = Upstream::start();
    let tool = json!({"name": name, "input_schema": {"type": "object"}});
    upstream.answer(openai_answer("Hello"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let answer = gateway.messages(&message(&json!({"tools": [tool]})));
    assert_eq!(
        answer.header("x-model-proxy-loss"),
        Some("tools[0].name changed")
    );
    let short = sent(&upstream)["tools"][0]["function"]["name"].clone();
    assert!(short.as_str().expect("a name").len() <= 64);

    let call = json!({"role": "assistant", "tool_calls": [{
        "index": 0, "id": "call_7", "type": "function",
        "function": {"name": short, "arguments": "{}"},
    }]});
    upstream.answer(sse([
        openai_delta(&call, None),
        openai_delta(&json!({}), Some("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ]));
    let finished = gateway
        .messages_streaming(&message(&json!({"stream": true, "tools": [tool]})))
        .read_to_end();
    let names: Vec<_> = finished
        .events
        .iter()
        .map(|event| event.json()["content_block"]["name"].clone())
        .filter(|name| !name.is_null())
        .collect();
    assert_eq!(names, [json!(name)]);
}

#[test]
fn a_call_whose_id_the_conversation_has_already_gets_another() {
    let call = json!({"role": "assistant", "tool_calls": [{
        "index": 0, "id": "call_0", "type": "function",
        "function": {"name": "weather", "arguments": "{}"},
    }]});
    let upstream = Upstream::start();
    upstream.answer(sse([
        openai_delta(&call, None),
        openai_delta(&json!({}), Some("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ]));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let tool: Value = serde_json::from_str(TOOL).expect("JSON");
    let finished = gateway
        .messages_streaming(&message(&json!({"stream": true, "tools": [tool], "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_0", "name": "weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_0", "content": "Sun"}]},
        ]})))
        .read_to_end();
    let values: Vec<Value> = finished.events.iter().map(|event| event.json()).collect();
    let mut ids = values
        .iter()
        .filter_map(|value| value["content_block"]["id"].as_str());
    let id = ids.next().expect("a call");
    assert!(id.starts_with("toolu_") && ids.next().is_none(), "{id}");
}

/// A turn of a model that thinks and calls a tool, as providers like Kimi's stream it.
fn thoughtful_call() -> [String; 4] {
    let call = json!({"tool_calls": [{
        "index": 0, "id": "functions.Read:0", "type": "function",
        "function": {"name": "weather", "arguments": "{}"},
    }]});
    [
        openai_delta(
            &json!({"role": "assistant", "reasoning_content": "Hm."}),
            None,
        ),
        openai_delta(&call, None),
        openai_delta(&json!({}), Some("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ]
}

#[test]
fn a_session_was_stuck_with_thinking_that_nobody_had_signed() {
    let (thinker, signer) = (Upstream::start(), Upstream::start());
    thinker.always(sse(thoughtful_call()));
    signer.always(anthropic_answer("Sunny"));
    let mut strict = model_json("strict", [("beta", "up")]);
    strict["strict"] = json!(true);
    let gateway = Gateway::builder()
        .provider("alpha", &thinker, Protocol::OpenAi)
        .provider("beta", &signer, Protocol::Anthropic)
        .model("m", [("alpha", "up")])
        .model("other", [("beta", "up")])
        .model_file("strict", &strict)
        .start();
    let tool: Value = serde_json::from_str(TOOL).expect("JSON");
    let finished = gateway
        .messages_streaming(&message(&json!({"stream": true, "tools": [tool]})))
        .read_to_end();
    let values: Vec<Value> = finished.events.iter().map(|event| event.json()).collect();
    let said = |pointer: &str| -> String {
        let pieces = values.iter().filter_map(|value| value.pointer(pointer));
        pieces.filter_map(Value::as_str).collect()
    };
    let (thought, signature) = (said("/delta/thinking"), said("/delta/signature"));
    assert_eq!(
        (thought.as_str(), signature.as_str()),
        ("Hm.", "model-proxy-unsigned")
    );
    let id = said("/content_block/id");
    assert_eq!(id, "functions-x2eRead-x3a0");

    let call = json!({"type": "tool_use", "id": id, "name": "weather", "input": {}});
    let results = json!({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": id, "content": "Sun"},
    ]});
    let turn = |model: &str, content: &Value| {
        message(&json!({"model": model, "tools": [tool], "messages": [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}, results,
        ]}))
    };
    let content = json!([
        {"type": "thinking", "thinking": thought, "signature": signature}, call,
    ]);
    for model in ["other", "strict"] {
        let answer = gateway.messages(&turn(model, &content));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.header("x-model-proxy-loss"),
            Some("messages[1].content[0] dropped")
        );
    }
    for request in signer.requests() {
        let up: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(up, turn("up", &json!([call])));
    }

    // Back at the first provider everything is as it was told there.
    let finished = gateway
        .messages_streaming(&{
            let mut body = turn("m", &content);
            body["stream"] = json!(true);
            body
        })
        .read_to_end();
    assert!(finished.properly());
    let requests = thinker.requests();
    let up: Value = serde_json::from_slice(&requests[1].body).expect("JSON");
    assert_eq!(up["messages"][1]["reasoning_content"], "Hm.");
    assert_eq!(up["messages"][1]["tool_calls"][0]["id"], "functions.Read:0");
    assert_eq!(up["messages"][2]["tool_call_id"], "functions.Read:0");
}
