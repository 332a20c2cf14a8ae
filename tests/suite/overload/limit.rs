//! `max_in_flight`: who is refused, how, and when there is room again.

use std::time::Instant;

use model_proxy::protocol::Protocol;

use super::{BOTH, SOON, assert_shed, events, opening, path, question, streamed, wait_until};
use crate::support::client::{Connection, get};
use crate::support::gateway::{Builder, Gateway};
use crate::support::upstream::bodies::{openai_answer, openai_error};
use crate::support::upstream::{Gate, Upstream, silence, sse};

fn at_most(requests: usize, upstream: &Upstream) -> Builder {
    Gateway::builder()
        .setting("max_in_flight", requests)
        .provider("alpha", upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
}

/// A request whose answer nobody reads yet.
fn begin(gateway: &Gateway) -> Connection {
    let body = question("m").to_string();
    let request = gateway
        .post(path(Protocol::OpenAi))
        .header("content-type", "application/json");
    let connection = request.send_head(body.len());
    connection.write(body.as_bytes());
    connection
}

#[test]
fn a_request_too_many_is_refused_before_its_body_whatever_its_worker_and_calls_nobody() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.always(openai_answer("hi").wait(&gate));
    let gateway = at_most(1, &upstream).start();
    let mut held = begin(&gateway);
    upstream.wait_for_requests(1, SOON);
    // new connections go to the two workers in turn
    for _ in 0..3 {
        for protocol in BOTH {
            for target in [path(protocol), "/v1/messages/count_tokens"] {
                let asked = Instant::now();
                let mut connection = gateway.post(target).send_head(1_000_000);
                let refused = connection.read_response(false);
                assert!(asked.elapsed() < SOON / 2);
                let is_count = target.ends_with("count_tokens");
                let protocol = if is_count {
                    Protocol::Anthropic
                } else {
                    protocol
                };
                assert_shed(protocol, &refused);
            }
        }
    }
    assert_eq!(upstream.requests().len(), 1);
    // what is not about a conversation goes on
    assert_eq!(get(gateway.address(), "/health").send().status, 200);
    assert_eq!(gateway.get("/v1/models").send().status, 200);
    let detailed = gateway.get("/health/detailed").send();
    assert_eq!(detailed.status, 200);
    assert_eq!(detailed.json()["requests_in_flight"], 1);
    gate.open();
    assert_eq!(held.read_response(false).status, 200);
    let rows = gateway.stop();
    assert_eq!(rows.len(), 13);
    let (shed, answered): (Vec<_>, Vec<_>) = rows
        .iter()
        .partition(|row| row.number("response_status") == 503);
    assert_eq!(answered.len(), 1);
    for row in shed {
        assert_eq!(row.text("error_type"), "overloaded");
        assert_eq!(row.json("attempts"), serde_json::json!([]));
    }
}

#[test]
fn nobody_waits_in_a_queue_for_a_slot() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.always(openai_answer("hi").wait(&gate));
    let gateway = at_most(8, &upstream).start();
    let mut connections: Vec<_> = (0..8).map(|_| begin(&gateway)).collect();
    upstream.wait_for_requests(8, SOON);
    // all that are too many have their answers while those that were admitted have none
    let crowd: Vec<_> = (0..56).map(|_| begin(&gateway)).collect();
    for mut connection in crowd {
        assert_shed(Protocol::OpenAi, &connection.read_response(false));
    }
    assert_eq!(upstream.requests().len(), 8);
    gate.open();
    for connection in &mut connections {
        assert_eq!(connection.read_response(false).status, 200);
    }
    assert_eq!(gateway.chat(&question("m")).status, 200);
}

#[test]
fn a_stream_holds_its_slot_until_it_ends() {
    for client in BOTH {
        let upstream = Upstream::start();
        let gate = Gate::new();
        let stream = sse(events(Protocol::OpenAi, &["one ", "two"]));
        upstream.answer(stream.wait_after(opening(Protocol::OpenAi) + 1, &gate));
        upstream.always(openai_answer("hi"));
        let gateway = at_most(1, &upstream).start();
        let request = gateway.post(path(client)).json(&streamed("m"));
        let mut stream = request.send_streaming();
        while stream.expect_event().text().is_none() {}
        let refused = gateway.post(path(client)).json(&question("m")).send();
        assert_shed(client, &refused);
        gate.open();
        assert!(stream.read_to_end().properly());
        is_free_again(&gateway);
    }
}

#[test]
fn a_slot_is_free_again_however_its_request_ended() {
    let upstream = Upstream::start();
    let gateway = at_most(1, &upstream)
        .setting("max_retries", 0)
        .setting("key_cooldown_seconds", 0)
        .start();
    let free = || {
        upstream.answer(openai_answer("hi"));
        is_free_again(&gateway);
    };
    free();
    // refused upstream, and by the gateway itself
    upstream.answer(openai_error(400, "invalid_request_error", None, "no"));
    assert_eq!(gateway.chat(&question("m")).status, 400);
    free();
    upstream.answer(openai_error(500, "server_error", None, "no"));
    assert_eq!(gateway.chat(&question("m")).status, 500);
    free();
    assert_eq!(gateway.chat(&question("nobody")).status, 404);
    free();
    // its client left: without a body, before the answer, and in the middle of a stream
    gateway.post(path(Protocol::OpenAi)).send_head(9).hang_up();
    free();
    upstream.answer(silence());
    let asked = upstream.requests().len();
    let connection = begin(&gateway);
    upstream.wait_for_requests(asked + 1, SOON);
    connection.hang_up();
    free();
    let begun = sse(events(Protocol::OpenAi, &["one "])).only(2);
    upstream.answer(begun.clone().stall());
    let mut stream = gateway.chat_streaming(&streamed("m"));
    while stream.expect_event().text().is_none() {}
    stream.hang_up();
    free();
    // its stream broke
    upstream.answer(begun.cut());
    assert!(
        gateway
            .chat_streaming(&streamed("m"))
            .read_to_end()
            .properly()
    );
    free();
}

/// A departure is noticed in a moment, an end at once.
#[track_caller]
fn is_free_again(gateway: &Gateway) {
    let mut status = 503;
    wait_until("a slot is free", || {
        status = gateway.chat(&question("m")).status;
        status != 503
    });
    assert_eq!(status, 200);
}
