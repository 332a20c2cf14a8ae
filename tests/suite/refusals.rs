//! What the gateway refuses itself: keys, bodies, paths, models. Each refusal has its protocol's shape and a true status,
//! in the decided order, and calls nobody.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::client::{Connection, Response, get, post, request};
use crate::support::gateway::{CLIENT_KEY, Gateway};
use crate::support::upstream::bodies::{anthropic_answer, openai_answer};
use crate::support::upstream::{Gate, Upstream};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

fn question() -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
}

#[track_caller]
fn assert_openai_error(response: &Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status, status, "{}", response.text());
    let body = response.json();
    assert_eq!(body["error"]["type"], kind, "{body}");
    for member in ["message", "param", "code"] {
        assert!(body["error"].get(member).is_some(), "{member} in {body}");
    }
    assert!(body.get("detail").is_none());
    assert!(response.header("x-request-id").is_some());
    body
}

#[track_caller]
fn assert_anthropic_error(response: &Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status, status, "{}", response.text());
    let body = response.json();
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["error"]["type"], kind, "{body}");
    let id = response.header("request-id").expect("a request id");
    assert_eq!(body["request_id"], id);
    assert_eq!(response.header("x-request-id"), Some(id));
    body
}

#[test]
fn a_request_without_a_right_key_is_refused_before_its_body_is_read() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let address = gateway.address();
    for key in [
        "",
        "wrong",
        " ",
        "client-key-for-test",
        "client-key-for-testss",
    ] {
        let refused = post(address, CHAT).key(key).json(&question()).send();
        let body = assert_openai_error(&refused, 401, "invalid_request_error");
        assert_eq!(body["error"]["code"], "invalid_api_key");
        assert!(refused.header("www-authenticate").is_some());
    }
    let refused = post(address, MESSAGES).json(&question()).send();
    assert_anthropic_error(&refused, 401, "authentication_error");
    // a body that never comes does not delay the refusal
    let mut connection = post(address, CHAT).key("wrong").send_head(1000);
    assert_eq!(connection.read_response(false).status, 401);
    assert_eq!(gateway.rows().len(), 0);
}

#[test]
fn the_key_may_come_in_either_header_and_with_any_number_of_bearers() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = Gateway::builder()
        .setting("client_api_key", format!("{CLIENT_KEY}, second-client"))
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    let ask = || post(gateway.address(), CHAT).json(&question());
    for value in [
        "second-client",
        "bearer  second-client",
        "Bearer BEARER second-client",
        " Bearer second-client ",
    ] {
        assert_eq!(
            ask().header("authorization", value).send().status,
            200,
            "{value:?}"
        );
    }
    assert_eq!(ask().api_key(CLIENT_KEY).send().status, 200);
    assert_eq!(ask().api_key("Bearer second-client").send().status, 200);
    assert_eq!(ask().key("wrong").api_key(CLIENT_KEY).send().status, 200);
    assert_eq!(ask().key("wrong").api_key("wrong too").send().status, 401);
    let clients: Vec<_> = gateway
        .rows()
        .iter()
        .map(|row| row.text("client").to_owned())
        .collect();
    assert!(clients.contains(&"client-1".to_owned()) && clients.contains(&"client-2".to_owned()));
}

#[test]
fn an_unknown_model_is_not_found() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let mut body = question();
    for model in ["nobody", "../models/m", "m.json", "M"] {
        body["model"] = json!(model);
        let error = assert_openai_error(&gateway.chat(&body), 404, "invalid_request_error");
        assert_eq!(error["error"]["code"], "model_not_found");
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(message.contains(model), "{message}");
        assert_anthropic_error(&gateway.messages(&body), 404, "not_found_error");
    }
    assert!(
        gateway
            .rows()
            .iter()
            .all(|row| row.number("response_status") == 404)
    );
}

#[test]
fn a_body_that_is_wrong_is_refused_by_the_name_of_what_is_wrong() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    for (body, param) in [
        ("", None),
        ("{", None),
        ("[]", None),
        ("\"text\"", None),
        (r#"{"messages":[{}]}"#, Some("model")),
        (r#"{"model":7,"messages":[{}]}"#, Some("model")),
        (r#"{"model":"","messages":[{}]}"#, Some("model")),
        (r#"{"model":"m"}"#, Some("messages")),
        (r#"{"model":"m","messages":"hi"}"#, Some("messages")),
        (r#"{"model":"m","messages":[]}"#, Some("messages")),
        (
            r#"{"model":"m","messages":[{}],"stream":"yes"}"#,
            Some("stream"),
        ),
        (
            r#"{"model":"m","messages":[{}],"max_tokens":"9"}"#,
            Some("max_tokens"),
        ),
        (
            r#"{"model":"m","messages":[{}],"model":"n"}"#,
            Some("model"),
        ),
        (
            r#"{"model":"m","messages":[{}],"m\u006fdel":"n"}"#,
            Some("model"),
        ),
        (
            r#"{"model":"m","messages":[{}],"stream":true,"stream":false}"#,
            Some("stream"),
        ),
    ] {
        let refused = gateway.post(CHAT).body("application/json", body).send();
        let error = assert_openai_error(&refused, 400, "invalid_request_error");
        assert_eq!(error["error"]["param"].as_str(), param, "{body}: {error}");
        let refused = gateway.post(MESSAGES).body("application/json", body).send();
        assert_anthropic_error(&refused, 400, "invalid_request_error");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_body_that_is_too_large_is_refused_by_its_length_and_while_it_is_read() {
    let upstream = Upstream::start();
    let gateway = Gateway::builder()
        .setting("body_limit_bytes", 100_000)
        .provider("alpha", &upstream, Protocol::Anthropic)
        .model("m", [("alpha", "up-m")])
        .start();
    // by its length: nothing of the body need be sent
    let mut connection = gateway.post(MESSAGES).send_head(40 * 1024 * 1024);
    assert_anthropic_error(&connection.read_response(false), 413, "request_too_large");
    let mut connection = gateway.post(CHAT).send_head(100_001);
    assert_eq!(connection.read_response(false).status, 413);
    // while it is read: chunks do not tell
    let mut connection = Connection::open(gateway.address());
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CLIENT_KEY}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.write(head.as_bytes());
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, " ".repeat(60_000));
    connection.write(chunk.as_bytes());
    connection.write(chunk.as_bytes());
    assert_openai_error(
        &connection.read_response(false),
        413,
        "invalid_request_error",
    );
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_client_that_sends_its_body_too_slowly_is_told() {
    let upstream = Upstream::start();
    let gateway = Gateway::builder()
        .setting("client_body_seconds", 0.1)
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    let mut connection = gateway.post(CHAT).send_head(100);
    connection.write(b"{\"model\"");
    assert_eq!(connection.read_response(false).status, 408);
    assert_eq!(gateway.only_row().number("response_status"), 408);
}

#[test]
fn paths_and_methods_that_do_not_exist_are_refused_in_the_shape_of_their_protocol() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let address = gateway.address();
    assert_openai_error(
        &gateway.get("/v1/nothing").send(),
        404,
        "invalid_request_error",
    );
    assert_openai_error(&gateway.get(CHAT).send(), 405, "invalid_request_error");
    let refused = request(address, "PUT", MESSAGES).key(CLIENT_KEY).send();
    assert_anthropic_error(&refused, 405, "invalid_request_error");
    let refused = gateway
        .post("/v1/messages/nothing")
        .json(&question())
        .send();
    assert_anthropic_error(&refused, 404, "not_found_error");
}

#[test]
fn more_requests_than_may_be_in_flight_are_refused_at_once() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.always(openai_answer("hi").wait(&gate));
    let gateway = Gateway::builder()
        .setting("max_in_flight", 2)
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    let body = question().to_string();
    let begin = || {
        let request = gateway
            .post(CHAT)
            .header("content-type", "application/json");
        let connection = request.send_head(body.len());
        connection.write(body.as_bytes());
        connection
    };
    let mut held = [begin(), begin()];
    upstream.wait_for_requests(2, Duration::from_secs(5));
    assert_eq!(gateway.chat(&question()).status, 503);
    assert_eq!(
        gateway.messages(&question()).json()["error"]["type"],
        "overloaded_error"
    );
    assert_eq!(get(gateway.address(), "/health").send().status, 200);
    gate.open();
    for connection in &mut held {
        assert_eq!(connection.read_response(false).status, 200);
    }
    assert_eq!(gateway.chat(&question()).status, 200);
}

#[test]
fn a_flood_of_headers_and_nonsense_harm_nobody() {
    let upstream = Upstream::start();
    upstream.always(anthropic_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let mut flood = format!("POST {MESSAGES} HTTP/1.1\r\nhost: x\r\n");
    for index in 0..20_000 {
        flood.push_str(&format!("x-flood-{index}: {}\r\n", "y".repeat(100)));
    }
    for bytes in [
        flood.as_str(),
        "\x16\x03\x01\x02\x00\x01\x00\x01",
        "GET / HTTP/9.9\r\n\r\n",
        "\r\n\r\n\r\n",
    ] {
        let connection = Connection::open(gateway.address());
        connection.write(bytes.as_bytes());
        let answer = connection.read_streaming(Duration::from_millis(500));
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 400));
    }
    assert_eq!(gateway.messages(&question()).status, 200);
}

#[test]
fn an_incoming_request_id_is_kept_if_it_is_harmless() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let ask = |id: &str| {
        gateway
            .post(CHAT)
            .header("x-request-id", id)
            .json(&question())
            .send()
    };
    assert_eq!(
        ask("Trace-1.a_B").header("x-request-id"),
        Some("Trace-1.a_B")
    );
    let long = "x".repeat(129);
    for id in ["with space", "ü", long.as_str()] {
        let answer = ask(id);
        let given = answer.header("x-request-id").expect("an id");
        assert!(given != id && !given.is_empty());
    }
    assert_eq!(gateway.rows()[0].text("request_id"), "Trace-1.a_B");
}
