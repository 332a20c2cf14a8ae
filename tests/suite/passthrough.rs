//! The same protocol on both sides: the client's bytes go up and the upstream's come back, with only the decided changes.

use model_proxy::protocol::Protocol;
use serde_json::json;

use crate::support::gateway::{CLIENT_KEY, Gateway, provider_json};
use crate::support::upstream::bodies::{
    anthropic_answer, anthropic_events, anthropic_stream, anthropic_tool_events, openai_answer,
    openai_events, openai_stream, openai_stream_with_usage, openai_tool_events,
};
use crate::support::upstream::{Upstream, reply, sse};

/// Odd in every way that a parser could smooth over: spacing, order, number spellings, escapes, unknown members.
const ODD_CHAT: &str = r#"{ "x_unknown" : [1.0e+2, 1E400, -0, 12345678901234567890123],  "model":"m",
	"messages":[{"role":"user","content":"caf\u00e9 \ud83d\ude00 / \/","x":null}], "temperature":0.70,"metadata":{"model":"not this one","stream":true}}"#;

#[test]
fn a_chat_request_goes_up_byte_for_byte_but_for_its_model() {
    let upstream = Upstream::start();
    upstream.answer(openai_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let response = gateway
        .post("/v1/chat/completions")
        .body("application/json", ODD_CHAT)
        .send();
    assert_eq!(response.status, 200, "{}", response.text());
    let sent = String::from_utf8(upstream.only_request().body).expect("text");
    assert_eq!(
        sent,
        ODD_CHAT.replacen("\"model\":\"m\"", "\"model\":\"up-m\"", 1)
    );
}

#[test]
fn a_message_goes_up_byte_for_byte_but_for_its_model() {
    let body = r#"{"max_tokens":1e2,"system":[{"type":"text","text":"x-anthropic-billing-header: cc","cache_control":{"type":"ephemeral","ttl":"1h"}}],
 "messages":[{"role":"user","content":[{"type":"thinking","thinking":"","signature":"Er\/8="}]},{"role":"system","content":"s"}],"model" : "m","thinking":{"type":"adaptive"}}"#;
    let body = body.replace("1e2", "100");
    let upstream = Upstream::start();
    upstream.answer(anthropic_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let request = gateway
        .post("/v1/messages?beta=true")
        .body("application/json", body.as_str());
    assert_eq!(request.send().status, 200);
    let sent = String::from_utf8(upstream.only_request().body).expect("text");
    assert_eq!(
        sent,
        body.replace("\"model\" : \"m\"", "\"model\" : \"up-m\"")
    );
}

#[test]
fn an_answer_comes_back_byte_for_byte() {
    let odd = "{\"id\":\"x\",\n \"choices\" : [ {\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\\u0000b\",\"annotations\":[1.50]},\
        \"finish_reason\":\"stop\"}], \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,\"cost\":1e-5}, \"provider_extra\":null}\n";
    let upstream = Upstream::start();
    upstream.answer(reply(200).body("application/json", odd));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let response = gateway.chat(&json!({"model": "m", "messages": [{"role": "user"}]}));
    assert_eq!(response.text(), odd);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("x-model-proxy-model"), Some("alpha/up-m"));
    assert_eq!(response.header("x-model-proxy-attempts"), Some("1"));
}

#[test]
fn streams_come_back_byte_for_byte() {
    let tools = ["{\"ci", "ty\":\"\\u00e9", "\"}"];
    for (protocol, path, events) in [
        (
            Protocol::OpenAi,
            "/v1/chat/completions",
            openai_events(&["a", "b\u{2028}c", "\u{85}"]),
        ),
        (
            Protocol::OpenAi,
            "/v1/chat/completions",
            openai_tool_events("f", &tools),
        ),
        (
            Protocol::Anthropic,
            "/v1/messages",
            anthropic_events(&["a", "b\u{2028}c", "\u{85}"]),
        ),
        (
            Protocol::Anthropic,
            "/v1/messages",
            anthropic_tool_events("f", &tools),
        ),
    ] {
        let upstream = Upstream::start();
        upstream.answer(sse(events.clone()));
        let gateway = Gateway::before(&upstream, protocol);
        let body =
            json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user"}]});
        let stream = gateway.post(path).json(&body).send_streaming();
        assert_eq!(stream.status, 200);
        assert_eq!(stream.header("cache-control"), Some("no-cache"));
        assert_eq!(stream.header("x-accel-buffering"), Some("no"));
        assert!(
            stream
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/event-stream"))
        );
        let finished = stream.read_to_end();
        assert!(finished.properly());
        assert_eq!(finished.text(), events.concat());
    }
}

#[test]
fn usage_is_always_asked_for_and_shown_only_to_those_who_asked() {
    let upstream = Upstream::start();
    upstream.always(openai_stream_with_usage(&["a"]));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let mut body = json!({"model": "m", "stream": true, "messages": [{"role": "user"}]});
    let text = gateway.chat_streaming(&body).read_to_end().text();
    assert!(
        !text.contains("usage") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    body["stream_options"] = json!({"include_usage": true});
    let text = gateway.chat_streaming(&body).read_to_end().text();
    assert!(text.contains("\"usage\":{\"prompt_tokens\":11"), "{text}");
    for request in upstream.requests() {
        assert_eq!(request.json()["stream_options"]["include_usage"], true);
    }
    for row in gateway.rows() {
        assert_eq!(
            (row.number("prompt_tokens"), row.number("completion_tokens")),
            (11, 7)
        );
        assert_eq!(
            (row.number("cached_tokens"), row.number("reasoning_tokens")),
            (4, 2)
        );
    }
}

#[test]
fn a_provider_that_refuses_stream_options_is_never_sent_them() {
    let upstream = Upstream::start();
    upstream.answer(openai_stream(&["a"]));
    let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    file["stream_usage"] = json!(false);
    let gateway = Gateway::builder()
        .provider_file("alpha", &file)
        .keys("alpha", ["k"])
        .model("m", [("alpha", "up-m")])
        .start();
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user"}]});
    gateway.chat_streaming(&body).read_to_end();
    assert_eq!(upstream.only_request().json().get("stream_options"), None);
}

#[test]
fn aliases_always_stream_and_say_so_upstream() {
    for path in ["/v1/chat/completions-stream", "/v1/chat/completions/stream"] {
        let upstream = Upstream::start();
        upstream.answer(openai_stream(&["a"]));
        let gateway = Gateway::before(&upstream, Protocol::OpenAi);
        let body = json!({"model": "m", "stream": false, "messages": [{"role": "user"}]});
        let text = gateway
            .post(path)
            .json(&body)
            .send_streaming()
            .read_to_end()
            .text();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        let request = upstream.only_request();
        assert_eq!(
            (request.target.as_str(), &request.json()["stream"]),
            ("/v1/chat/completions", &json!(true))
        );
    }
    let upstream = Upstream::start();
    upstream.answer(anthropic_stream(&["a"]));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user"}]});
    let text = gateway
        .post("/v1/messages-stream")
        .json(&body)
        .send_streaming()
        .read_to_end()
        .text();
    assert!(text.contains("message_stop"), "{text}");
    assert_eq!(upstream.only_request().json()["stream"], true);
}

#[test]
fn only_the_allowed_headers_go_up() {
    let upstream = Upstream::start();
    upstream.answer(anthropic_answer("hi"));
    let mut file = provider_json("alpha", &upstream.url(), Protocol::Anthropic);
    file["authentication"]["additional_headers"] = json!({
        "anthropic-version": "2023-06-01", "anthropic-beta": "of-the-file", "X-From-File": "yes"
    });
    let gateway = Gateway::builder()
        .provider_file("alpha", &file)
        .keys("alpha", ["provider-key"])
        .model("m", [("alpha", "up-m")])
        .start();
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user"}]});
    let response = gateway
        .post("/v1/messages")
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "one,two")
        .header("cookie", "secret=1")
        .header("openai-organization", "org")
        .header("x-forwarded-for", "10.0.0.1")
        .header("idempotency-key", "idem-1")
        .header("x-own", "1")
        .json(&body)
        .send();
    assert_eq!(response.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.header("x-api-key"), Some("provider-key"));
    assert_eq!(request.header("anthropic-version"), Some("2026-10-21"));
    let betas = request.header("anthropic-beta").expect("betas");
    for beta in ["one", "two", "of-the-file"] {
        assert!(
            betas.split(',').any(|entry| entry.trim() == beta),
            "{betas}"
        );
    }
    assert_eq!(request.header("x-from-file"), Some("yes"));
    assert_eq!(request.header("idempotency-key"), Some("idem-1"));
    for name in [
        "authorization",
        "cookie",
        "openai-organization",
        "x-forwarded-for",
        "x-own",
    ] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert!(
        request
            .headers
            .iter()
            .all(|(_, value)| !value.contains(CLIENT_KEY))
    );
}

#[test]
fn only_the_allowed_headers_come_down() {
    let upstream = Upstream::start();
    upstream.answer(
        openai_answer("hi")
            .header("set-cookie", "a=b")
            .header("openai-organization", "org-of-the-key")
            .header("x-ratelimit-remaining-requests", "9999")
            .header("openai-processing-ms", "12")
            .header("server", "upstream"),
    );
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let response = gateway.chat(&json!({"model": "m", "messages": [{"role": "user"}]}));
    assert_eq!(response.header("openai-processing-ms"), Some("12"));
    for name in ["set-cookie", "openai-organization", "server"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_ne!(
        response.header("x-ratelimit-remaining-requests"),
        Some("9999")
    );
}

#[test]
fn upstream_connections_are_used_again() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.json()["stream"].as_bool() {
        Some(true) => openai_stream(&["a", "b"]),
        _ => openai_answer("hi"),
    });
    let gateway = Gateway::builder()
        .setting("workers", 1)
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    for stream in [false, true, false, true, true] {
        let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user"}]});
        let finished = gateway.chat_streaming(&body).read_to_end();
        assert!(finished.properly());
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (5, 1));
}

#[test]
fn the_beta_query_changes_nothing_here_and_goes_up_to_anthropic() {
    let upstream = Upstream::start();
    upstream.answer(anthropic_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user"}]});
    let answer = gateway.post("/v1/messages?beta=true").json(&body).send();
    assert_eq!(answer.json()["type"], "message");
    assert_eq!(upstream.only_request().target, "/v1/messages?beta=true");
}

#[test]
fn betas_that_a_provider_refuses_do_not_reach_it() {
    let upstream = Upstream::start();
    upstream.answer(anthropic_answer("Hi"));
    let mut file = provider_json("alpha", &upstream.url(), Protocol::Anthropic);
    file["strip_betas"] = json!(["two"]);
    let gateway = Gateway::builder()
        .provider_file("alpha", &file)
        .keys("alpha", ["key-of-alpha"])
        .model("m", [("alpha", "up")])
        .start();
    let answer = gateway
        .post("/v1/messages")
        .header("anthropic-beta", "one,two")
        .json(&json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}))
        .send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        upstream.only_request().header("anthropic-beta"),
        Some("one")
    );
}
