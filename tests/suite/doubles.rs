//! The scripted upstream and the raw client, checked against each other.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::support::Stop;
use crate::support::client::{Connection, get, post};
use crate::support::events::text_of;
use crate::support::upstream::bodies::{
    anthropic_answer, anthropic_error, anthropic_stream, anthropic_tool_events, openai_answer,
    openai_error, openai_events, openai_stream, openai_stream_with_usage, openai_tool_events,
};
use crate::support::upstream::{Gate, Upstream, html, raw, reply, silence, sse, vanish};

const SOON: Duration = Duration::from_secs(5);

fn address(upstream: &Upstream) -> SocketAddr {
    let url = upstream.url();
    let address = url.strip_prefix("http://").expect("a URL");
    address.parse().expect("an address")
}

#[test]
fn a_request_is_recorded_as_it_was_sent() {
    let upstream = Upstream::start();
    upstream.answer(reply(200).json(&json!({"ok": true})).header("X-Kept", "1"));
    let sent = post(address(&upstream), "/v1/messages?beta=true")
        .api_key("sk-1")
        .header("X-Odd-Case", "Yes")
        .json(&json!({"a": [1, 2]}));
    let response = sent.send();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-kept"), Some("1"));
    assert_eq!(response.json(), json!({"ok": true}));
    let request = upstream.only_request();
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/v1/messages?beta=true");
    assert_eq!(request.key(), Some("sk-1"));
    assert_eq!(request.json(), json!({"a": [1, 2]}));
    assert!(
        request
            .headers
            .contains(&("X-Odd-Case".to_owned(), "Yes".to_owned()))
    );
    upstream.finish();
}

#[test]
fn a_connection_serves_many_requests_and_is_counted_once() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hello"));
    let mut connection = Connection::open(address(&upstream));
    let request = post(address(&upstream), "/").key("k").json(&json!({}));
    for nth in 1..=3 {
        assert_eq!(connection.send(&request).status, 200);
        let last = upstream
            .wait_for_requests(nth, SOON)
            .pop()
            .expect("a request");
        assert_eq!((last.connection, last.nth, last.key()), (1, nth, Some("k")));
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.close_idle_connections(SOON), 1);
    assert!(connection.closes_within(SOON));
}

#[test]
fn answers_are_taken_from_the_queue_first_and_then_by_judgement() {
    let upstream = Upstream::start();
    upstream
        .answer(reply(429).retry_after(7))
        .judge_by(|request| {
            let missing = request.target == "/missing";
            reply(if missing { 404 } else { 204 })
        });
    let first = get(address(&upstream), "/missing").send();
    assert_eq!(
        (first.status, first.header("retry-after")),
        (429, Some("7"))
    );
    assert_eq!(get(address(&upstream), "/missing").send().status, 404);
    assert_eq!(get(address(&upstream), "/").send().status, 204);
}

#[test]
#[should_panic(expected = "no answer is scripted")]
fn a_request_without_a_script_fails_the_test() {
    let upstream = Upstream::start();
    let connection = get(address(&upstream), "/").send_head(0);
    drop(connection);
    upstream.wait_for_requests(1, SOON);
    upstream.finish();
}

#[test]
fn a_stream_arrives_event_by_event_and_ends_properly() {
    for answer in [
        openai_stream(&["Hello", " world"]),
        openai_stream_with_usage(&["Hello", " world"]),
        anthropic_stream(&["Hello", " world"]),
        openai_stream(&["Hello", " world"]).bytewise(),
        openai_stream(&["Hello", " world"]).split_at(77),
        openai_stream(&["Hello", " world"]).pause(1),
        openai_stream(&["Hello", " world"])
            .without_done()
            .without_finish(),
    ] {
        let upstream = Upstream::start();
        upstream.always(answer);
        let finished = get(address(&upstream), "/").send_streaming().read_to_end();
        assert!(finished.properly());
        assert_eq!(text_of(&finished.events), "Hello world");
        assert!(finished.events[0].json().is_object());
    }
}

#[test]
fn what_is_left_out_of_a_stream_is_not_there() {
    let upstream = Upstream::start();
    upstream.answer(openai_stream(&["a"]).without_done());
    upstream.answer(openai_stream(&["a"]).without_finish());
    upstream.answer(anthropic_stream(&["a"]).without_done());
    upstream.answer(anthropic_stream(&["a"]).without_finish());
    let read = || {
        get(address(&upstream), "/")
            .send_streaming()
            .read_to_end()
            .text()
    };
    let text = read();
    assert!(text.contains("\"finish_reason\":\"stop\"") && !text.contains("[DONE]"));
    let text = read();
    assert!(!text.contains("\"finish_reason\":\"stop\"") && text.contains("[DONE]"));
    let text = read();
    assert!(text.contains("message_delta") && !text.contains("message_stop"));
    let text = read();
    assert!(!text.contains("message_delta") && text.contains("message_stop"));
}

#[test]
fn a_gate_holds_a_stream_until_it_is_opened() {
    let upstream = Upstream::start();
    let (before_head, in_stream) = (Gate::new(), Gate::new());
    let answer = sse(["data: 1\n\n", ": note\n\n", "event: x\ndata: 2\n\n"]);
    upstream.answer(answer.wait(&before_head).wait_after(2, &in_stream));
    let request = get(address(&upstream), "/");
    let connection = request.send_head(0);
    upstream.wait_for_requests(1, SOON);
    before_head.open();
    let mut stream = connection.read_streaming(SOON).expect("a head");
    assert_eq!(stream.expect_event().data, "1");
    assert_eq!(stream.expect_event().comment.as_deref(), Some("note"));
    assert_eq!(stream.next_event(Duration::from_millis(20)), None);
    in_stream.open();
    let last = stream.expect_event();
    assert_eq!((last.name.as_deref(), last.data.as_str()), (Some("x"), "2"));
    assert!(stream.read_to_end().properly());
}

#[test]
fn a_cut_a_reset_and_a_close_differ_for_the_client() {
    let upstream = Upstream::start();
    let words = || openai_stream(&["a", "b"]).only(2);
    upstream.answer(words().cut());
    upstream.answer(words().reset());
    upstream.answer(words().close());
    let read = || get(address(&upstream), "/").send_streaming().read_to_end();
    assert_eq!(read().ended, Err(Stop::Closed));
    assert_eq!(read().ended, Err(Stop::Broken));
    let closed = read();
    assert!(closed.properly());
    assert_eq!(text_of(&closed.events), "a");
}

#[test]
fn an_upstream_may_say_nothing_at_all_or_nothing_more() {
    let upstream = Upstream::start();
    upstream.answer(silence());
    upstream.answer(sse(["data: 1\n\n"]).stall());
    upstream.answer(vanish());
    let request = get(address(&upstream), "/");
    let silent = request
        .send_head(0)
        .read_streaming(Duration::from_millis(30));
    assert_eq!(silent.err(), Some(Stop::Late));
    assert!(upstream.wait_for_hangup(SOON));
    let mut stalled = request.send_streaming();
    assert_eq!(stalled.expect_event().data, "1");
    assert_eq!(stalled.next_event(Duration::from_millis(20)), None);
    assert_eq!(upstream.hangups(), 1);
    stalled.hang_up();
    assert!(upstream.wait_for_hangups(2, SOON));
    let mut vanished = request.send_head(0);
    assert!(vanished.closes_within(SOON));
}

#[test]
fn an_upstream_may_lie_about_its_body() {
    let upstream = Upstream::start();
    upstream.answer(reply(200).body("text/plain", "short").claiming_length(50));
    upstream.answer(openai_answer("plain").claiming_gzip());
    upstream.answer(html(502));
    upstream.answer(raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
    upstream.answer(reply(200).body("text/plain", "in chunks").chunked());
    let read = || get(address(&upstream), "/").send();
    assert_eq!(read().ended, Err(Stop::Closed));
    assert_eq!(read().header("content-encoding"), Some("gzip"));
    assert!(read().text().starts_with("<!DOCTYPE html>"));
    assert_eq!(read().text(), "ok");
    let chunked = read();
    assert_eq!(
        (chunked.text().as_str(), chunked.ended),
        ("in chunks", Ok(()))
    );
}

#[test]
fn a_line_of_ten_mebibytes_arrives_whole() {
    let upstream = Upstream::start();
    let line = format!("data: {}\n\n", "x".repeat(10 * 1024 * 1024));
    upstream.answer(sse([line]));
    let stream = get(address(&upstream), "/").send_streaming();
    assert_eq!(stream.status, 200);
    assert!(
        stream
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    );
    let finished = stream.read_to_end();
    assert_eq!(finished.events[0].data.len(), 10 * 1024 * 1024);
}

#[test]
fn a_delayed_answer_comes_no_sooner() {
    let upstream = Upstream::start();
    upstream.answer(reply(204).delay(30));
    get(address(&upstream), "/").send();
    assert!(upstream.only_request().at.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_body_may_be_sent_in_pieces() {
    let upstream = Upstream::start();
    upstream.answer(reply(201));
    let mut connection = post(address(&upstream), "/").send_head(6);
    assert!(connection.write(b"abc"));
    assert!(upstream.requests().is_empty());
    assert!(connection.write(b"def"));
    assert_eq!(connection.read_response(false).status, 201);
    assert_eq!(upstream.only_request().body, b"abcdef");
}

#[test]
fn ready_made_answers_have_the_shape_of_the_real_ones() {
    let upstream = Upstream::start();
    upstream.answer(anthropic_answer("hi"));
    upstream.answer(openai_error(
        429,
        "tokens",
        Some("rate_limit_exceeded"),
        "slow down",
    ));
    upstream.answer(anthropic_error(529, "overloaded_error", "busy"));
    let read = || get(address(&upstream), "/").send();
    assert_eq!(read().json()["content"][0]["text"], "hi");
    assert_eq!(read().json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(read().json()["error"]["type"], "overloaded_error");
    assert_eq!(openai_events(&["a"]).len(), 4);
    assert!(openai_tool_events("f", &["{", "}"])[0].contains("\"name\":\"f\""));
    assert!(anthropic_tool_events("f", &["{}"])[1].contains("tool_use"));
}
