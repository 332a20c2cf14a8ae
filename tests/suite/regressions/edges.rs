//! The edge of HTTP: clients that send or read what nobody expects.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;

use super::{SOON, one_route, question, streamed};
use crate::support::client;
use crate::support::gateway::CLIENT_KEY;
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::{openai_answer, openai_stream};

const CHUNKED: &str = "transfer-encoding: chunked\r\n";
const KEY: &str = "authorization: Bearer client-key-for-tests\r\n";

/// Heads of requests that are refused before their body is read, and the status.
fn refused() -> Vec<(u16, String)> {
    let head = |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    let chat = "POST /v1/chat/completions";
    vec![
        (401, head(chat, CHUNKED)),
        (404, head("POST /nowhere", CHUNKED)),
        (405, head("PUT /v1/chat/completions", CHUNKED)),
        (405, head("DELETE /v1/models", CHUNKED)),
        (
            415,
            head(chat, &format!("{KEY}{CHUNKED}content-type: text/plain\r\n")),
        ),
        (
            413,
            head(chat, &format!("{KEY}content-length: 99999999999\r\n")),
        ),
        (401, head(chat, "content-length: 99999999999\r\n")),
    ]
}

#[test]
fn a_refused_client_that_falls_silent_loses_its_connection() {
    let gateway = one_route(&Upstream::start(), Protocol::OpenAi).start();
    for (status, head) in refused() {
        let mut connection = client::Connection::open(gateway.address());
        connection.write(head.as_bytes());
        connection.write(b"5\r\nhello\r\n");
        assert_eq!(connection.read_response(false).status, status, "{head}");
        assert!(connection.closes_within(SOON), "{head}");
    }
}

#[test]
fn a_refused_client_that_never_stops_sending_loses_its_connection_and_can_read_why() {
    let gateway = one_route(&Upstream::start(), Protocol::OpenAi).start();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for (status, head) in refused() {
        let mut connection = client::Connection::open(gateway.address());
        connection.write(head.as_bytes());
        assert_eq!(connection.read_response(false).status, status, "{head}");
        let end = Instant::now() + SOON;
        while connection.write(chunk.as_bytes()) {
            assert!(Instant::now() < end, "still taken: {head}");
        }
    }
}

#[test]
fn a_chunked_body_that_is_read_leaves_its_connection_open() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = one_route(&upstream, Protocol::OpenAi).start();
    let mut connection = client::Connection::open(gateway.address());
    for _ in 0..3 {
        let body = question().to_string();
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{KEY}{CHUNKED}\r\n");
        connection.write(head.as_bytes());
        connection.write(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
        let answer = connection.read_response(false);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(!connection.closes_within(Duration::from_millis(50)));
}

/// A megabyte of answer each, more of them than a socket's buffers hold.
fn many_large_answers() -> String {
    let body = question().to_string();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{KEY}");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).repeat(16)
}

#[test]
fn a_client_that_does_not_read_its_whole_answer_loses_its_connection() {
    let upstream = Upstream::start();
    upstream.always(openai_answer(&"x".repeat(1 << 20)));
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("client_stall_seconds", 0.5)
        .start();
    let connection = client::Connection::open(gateway.address());
    connection.write(many_large_answers().as_bytes());
    let end = Instant::now() + 4 * SOON;
    // Seldom: each write has the system begin its wait for an open window anew, of 200 ms at first.
    while connection.write(b"x") {
        assert!(Instant::now() < end, "the connection lives");
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_client_of_http_1_0_gets_its_stream_without_chunks_until_the_connection_closes() {
    let upstream = Upstream::start();
    upstream.always(openai_stream(&["Hel", "lo"]));
    let gateway = one_route(&upstream, Protocol::OpenAi).start();
    let body = streamed().to_string();
    for keep_alive in ["", "connection: keep-alive\r\n"] {
        let mut connection = client::Connection::open(gateway.address());
        let length = body.len();
        let head = format!("POST /v1/chat/completions HTTP/1.0\r\n{KEY}{keep_alive}");
        connection.write(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes());
        let answer = connection.read_response(false);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("transfer-encoding"), None);
        assert_eq!(answer.ended, Ok(()));
        assert!(answer.text().starts_with("data: {"), "{}", answer.text());
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn a_preflight_that_is_refused_is_told_in_the_protocol_of_its_path() {
    let gateway = one_route(&Upstream::start(), Protocol::OpenAi)
        .setting("cors_origins", "https://mine.example")
        .start();
    let preflight = |path: &str, origin: &str, method: &str| {
        client::request(gateway.address(), "OPTIONS", path)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .send()
    };
    let mine = "https://mine.example";
    assert_eq!(preflight("/v1/messages", mine, "POST").status, 200);
    let refused = preflight("/v1/messages", "https://other.example", "POST");
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["type"], "error", "{}", refused.text());
    assert!(refused.header("request-id").is_some());
    let refused = preflight("/v1/chat/completions", mine, "PUT");
    assert_eq!(refused.status, 400);
    let message = &refused.json()["error"]["message"];
    assert!(
        message
            .as_str()
            .is_some_and(|message| message.contains("method"))
    );
}

#[test]
fn a_head_of_the_models_is_a_get_without_its_body() {
    let gateway = one_route(&Upstream::start(), Protocol::OpenAi).start();
    for path in ["/v1/models", "/v1/models/m", "/health"] {
        let head = client::request(gateway.address(), "HEAD", path).key(CLIENT_KEY);
        let head = client::Connection::open(gateway.address()).send(&head);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let got = gateway.get(path).send();
        assert_eq!(head.header("content-type"), got.header("content-type"));
    }
    let refused = client::request(gateway.address(), "PUT", "/v1/models").send();
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn of_a_paging_parameter_that_is_there_twice_the_last_counts() {
    let gateway = one_route(&Upstream::start(), Protocol::OpenAi)
        .model("n", [("alpha", "up-n")])
        .model("o", [("alpha", "up-o")])
        .start();
    let list = |query: &str| {
        let request = gateway.get(&format!("/v1/models?{query}"));
        let answer = request.header("anthropic-version", "2023-06-01").send();
        answer.json()["data"].as_array().map(Vec::len)
    };
    assert_eq!(list("limit=1&limit=2"), Some(2));
    assert_eq!(list("x=1&limit=1&x=2"), Some(1));
    assert_eq!(list("limit=2&after_id=m&limit=3"), Some(2));
}

#[test]
fn a_path_written_with_escapes_keeps_its_protocol() {
    let gateway = one_route(&Upstream::start(), Protocol::OpenAi).start();
    let answer = client::post(gateway.address(), "/v1/%6dessages")
        .json(&question())
        .send();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["type"], "error", "{}", answer.text());
    assert!(answer.header("request-id").is_some());
}
