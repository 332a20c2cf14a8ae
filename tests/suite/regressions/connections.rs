//! Connections to upstreams that die between two requests: repeated only where nothing can have happened.

use model_proxy::protocol::Protocol;

use super::{one_route, question};
use crate::support::upstream::bodies::openai_answer;
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

#[test]
fn an_answer_without_length_never_leaves_its_connection_to_the_next_client() {
    let upstream = Upstream::start();
    let late = Gate::new();
    upstream.answer(
        raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n").wait_after(1, &late),
    );
    upstream.always(openai_answer("second"));
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("key_cooldown_seconds", 0)
        .setting("workers", 1)
        .start();
    assert_eq!(gateway.chat(&question()).status, 502);
    assert_eq!(gateway.chat(&question()).status, 200);
    let requests = upstream.requests();
    assert_ne!(requests[0].connection, requests[1].connection);
    late.open();
}
