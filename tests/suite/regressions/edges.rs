//! The edge of HTTP: clients that send or read what nobody expects.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;

use super::{SOON, one_route, question, until};
use crate::support::client;
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::openai_answer;

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
    until("the connection is broken", || !connection.write(b"x"));
}
