//! Connections to upstreams that die between two requests: repeated only where nothing can have happened.

use std::collections::BTreeSet;

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{one_route, question, streamed};
use crate::support::upstream::bodies::{openai_answer, openai_events};
use crate::support::upstream::{Answer, Gate, Upstream, raw, vanish};

/// The second request of a connection meets this answer; whether the client has its answer, and how many calls were made.
fn second_meets(answer: Answer) -> (bool, usize) {
    let upstream = Upstream::start();
    upstream.answer(openai_answer("first"));
    upstream.answer(answer);
    upstream.always(openai_answer("again"));
    let gateway = one_route(&upstream, Protocol::OpenAi).start();
    assert_eq!(gateway.chat(&question()).status, 200);
    let second = gateway.chat(&question());
    let requests = upstream.requests();
    // otherwise this is about nothing: the connection was not taken from the pool
    assert_eq!(requests[1].nth, 2);
    (second.status == 200, requests.len())
}

#[test]
fn a_pooled_connection_that_dies_after_part_of_a_head_is_not_repeated() {
    for answer in [
        raw("HTTP/1.1 200 OK\r\ncontent-ty"),
        raw("HTTP/1.1 200 OK\r\ncontent-ty").reset(),
        raw("H"),
    ] {
        assert_eq!(second_meets(answer), (false, 2));
    }
}

#[test]
fn a_pooled_connection_that_dies_before_any_byte_is_repeated_even_if_it_was_reset() {
    for answer in [vanish(), vanish().reset()] {
        assert_eq!(second_meets(answer), (true, 3));
    }
}

#[test]
fn an_interim_response_never_leaves_its_connection_to_the_next_client() {
    for head in ["103 Early Hints", "100 Continue", "102 Processing"] {
        let upstream = Upstream::start();
        let late = Gate::new();
        upstream.answer(raw(format!("HTTP/1.1 {head}\r\n\r\n")).wait_after(1, &late));
        upstream.always(openai_answer("second"));
        let gateway = one_route(&upstream, Protocol::OpenAi)
            .setting("key_cooldown_seconds", 0)
            .setting("workers", 1)
            .start();
        assert_eq!(gateway.chat(&question()).status, 502, "{head}");
        let next = gateway.chat(&question());
        assert_eq!(next.status, 200, "{}", next.text());
        let requests = upstream.requests();
        assert_eq!(requests.len(), 2);
        assert_ne!(requests[0].connection, requests[1].connection);
        late.open();
    }
}

/// The head of an answer that ends with its connection.
fn without_length(kind: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n")
}

#[test]
fn an_answer_without_length_is_read_to_the_end_of_its_connection() {
    let upstream = Upstream::start();
    let whole = json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    });
    upstream.answer(raw(without_length("application/json") + &whole.to_string()));
    let events = openai_events(&["a", "b"]).concat();
    upstream.answer(raw(without_length("text/event-stream") + &events));
    upstream.answer(raw(
        without_length("application/json") + r#"{"id": "1", "choi"#
    ));
    upstream.always(openai_answer("last"));
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("key_cooldown_seconds", 0)
        .start();
    let answer = gateway.chat(&question());
    assert_eq!((answer.status, answer.json()), (200, whole));
    let stream = gateway.chat_streaming(&streamed()).read_to_end();
    assert_eq!(stream.text(), events);
    assert_eq!(gateway.chat(&question()).status, 502, "it was cut");
    assert_eq!(gateway.chat(&question()).status, 200);
    let connections: BTreeSet<_> = (upstream.requests().iter())
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections.len(), 4);
}

#[test]
fn an_answer_without_length_never_leaves_its_connection_to_the_next_client() {
    let upstream = Upstream::start();
    let late = Gate::new();
    upstream.answer(raw(without_length("application/json")).wait_after(1, &late));
    upstream.always(openai_answer("second"));
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("key_cooldown_seconds", 0)
        .setting("total_seconds", 0.3)
        .start();
    assert_eq!(gateway.chat(&question()).status, 504);
    assert_eq!(gateway.chat(&question()).status, 200);
    let requests = upstream.requests();
    assert_ne!(requests[0].connection, requests[1].connection);
    late.open();
}
