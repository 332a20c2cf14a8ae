//! Clients that leave, in each phase of a request: the upstream is cancelled within a second, the row says 499, and the
//! key is free for the next one.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    BOTH, SOON, answer, begun, error, model, model_with, path, provider, question, routes, story,
    stream, streamed, to_model, until,
};
use crate::support::client::{Connection, Streaming};
use crate::support::gateway::Gateway;
use crate::support::rows::Row;
use crate::support::upstream::{Gate, Upstream, silence};

const WITHIN: Duration = Duration::from_secs(1);

/// Two routes with one key each that takes one call at a time, pings all along, and a model for each provider alone.
fn start(upstreams: [&Upstream; 2], protocol: Protocol, members: Value) -> Gateway {
    let mut builder = routes(upstreams.map(|upstream| (upstream, protocol)))
        .setting("keepalive_seconds", 0.05)
        .setting("max_retries", 1)
        .model_file("m", &model_with::<2>(members));
    for (name, upstream) in super::NAMES.into_iter().zip(upstreams) {
        let mut file = provider(name, upstream, protocol, json!({}));
        file["rate_limiting"] = json!({"max_in_flight_per_key": 1});
        let alone = format!("only-{name}");
        builder = builder
            .provider_file(name, &file)
            .model_file(&alone, &model(&alone, &[name]));
    }
    builder.start()
}

/// Sends it without waiting for anything to come back.
fn send(gateway: &Gateway, protocol: Protocol, body: &Value) -> Connection {
    let body = body.to_string();
    let request = gateway.post(path(protocol));
    let request = request.header("content-type", "application/json");
    let connection = request.send_head(body.len());
    connection.write(body.as_bytes());
    connection
}

fn ask(gateway: &Gateway, protocol: Protocol) -> Streaming {
    let stream = gateway
        .post(path(protocol))
        .json(&streamed())
        .send_streaming();
    assert_eq!(stream.status, 200);
    stream
}

#[track_caller]
fn expect_pings(stream: &mut Streaming, count: usize) {
    for _ in 0..count {
        let event = stream.expect_event();
        let is_ping = event.comment.is_some() || event.name.as_deref() == Some("ping");
        assert!(is_ping, "{event:?}");
    }
}

#[track_caller]
fn expect_text(stream: &mut Streaming, text: &str) {
    let mut heard = String::new();
    while heard != text {
        heard.push_str(&stream.expect_event().text().unwrap_or_default());
        assert!(text.starts_with(&heard), "{heard:?}");
    }
}

/// The upstream is told, whoever asks its provider next gets the only key; and the row of the one who left.
#[track_caller]
fn assert_left(gateway: &Gateway, protocol: Protocol, provider: &str, upstream: &Upstream) -> Row {
    assert!(
        upstream.wait_for_hangup(WITHIN),
        "the upstream was not cancelled"
    );
    let row = row_of_the_left(gateway);
    upstream.always(answer(protocol, false, "next"));
    assert_key_is_free(gateway, protocol, provider);
    row
}

#[track_caller]
fn row_of_the_left(gateway: &Gateway) -> Row {
    let mut left = None;
    until("the row of the request that was left", || {
        let mut rows = gateway.rows().into_iter();
        left = rows.find(|row| row.number("response_status") == 499);
        left.is_some()
    });
    let row = left.expect("a row");
    assert_eq!(row.text("error_type"), "client_left");
    row
}

#[track_caller]
fn assert_key_is_free(gateway: &Gateway, protocol: Protocol, provider: &str) {
    let body = to_model(question(), &format!("only-{provider}"));
    let next = gateway.post(path(protocol)).json(&body).send();
    assert_eq!(next.status, 200, "{}", next.text());
    assert_eq!(next.header("x-model-proxy-attempts"), Some("1"));
}

#[test]
fn a_client_that_leaves_before_any_head_frees_its_key() {
    for protocol in BOTH {
        for body in [question(), streamed()] {
            let (one, two) = (Upstream::start(), Upstream::start());
            one.always(silence());
            let gateway = start([&one, &two], protocol, json!({"keepalive_seconds": 0}));
            let connection = send(&gateway, protocol, &body);
            one.wait_for_requests(1, SOON);
            connection.hang_up();
            let row = assert_left(&gateway, protocol, "alpha", &one);
            assert_eq!(story(&row), ["alpha - client_left"]);
            assert_eq!(two.requests().len(), 0);
        }
    }
}

#[test]
fn a_client_that_leaves_while_an_answer_is_under_way_frees_its_key() {
    for protocol in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        one.always(super::whole(protocol, "late").chunked().only(0).stall());
        let gateway = start([&one, &two], protocol, json!({}));
        let connection = send(&gateway, protocol, &question());
        one.wait_for_requests(1, SOON);
        connection.hang_up();
        assert_left(&gateway, protocol, "alpha", &one);
    }
}

#[test]
fn a_client_that_leaves_while_it_hears_pings_frees_its_key() {
    for protocol in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        one.always(silence());
        let gateway = start([&one, &two], protocol, json!({}));
        let mut stream = ask(&gateway, protocol);
        expect_pings(&mut stream, 2);
        stream.hang_up();
        let row = assert_left(&gateway, protocol, "alpha", &one);
        assert_eq!(story(&row), ["alpha - client_left"]);
        assert_eq!(two.requests().len(), 0);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_stream_frees_its_key() {
    for protocol in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        one.always(begun(protocol, &["one ", "two"]).stall());
        let gateway = start([&one, &two], protocol, json!({}));
        let mut stream = ask(&gateway, protocol);
        expect_text(&mut stream, "one two");
        stream.hang_up();
        let row = assert_left(&gateway, protocol, "alpha", &one);
        assert_eq!(row.text("response_content"), "one two");
        assert_eq!(story(&row), ["alpha 200 client_left"]);
        assert_eq!(two.requests().len(), 0, "nobody continues for nobody");
    }
}

#[test]
fn a_client_that_leaves_during_a_wait_is_not_called_for_again() {
    for protocol in BOTH {
        for body in [question(), streamed()] {
            let (one, two) = (Upstream::start(), Upstream::start());
            one.judge_by(move |request| {
                if request.json()["model"] == "up-wait" {
                    let limited = error(protocol, 429, "rate_limit_error", "slow down");
                    limited.header("retry-after-ms", 4000)
                } else {
                    answer(protocol, false, "next")
                }
            });
            let waiting = json!([{"provider": "alpha", "model": "up-wait"}]);
            let gateway = start([&one, &two], protocol, json!({"model_routings": waiting}));
            let connection = send(&gateway, protocol, &body);
            one.wait_for_requests(1, SOON);
            // the key, which takes one call at a time, is free while its time is waited for
            assert_key_is_free(&gateway, protocol, "alpha");
            connection.hang_up();
            let row = row_of_the_left(&gateway);
            assert_eq!(story(&row), ["alpha 429 rate_limited"]);
            assert_key_is_free(&gateway, protocol, "alpha");
            assert_eq!(one.requests().len(), 3);
        }
    }
}

#[test]
fn a_client_that_leaves_while_the_next_route_is_waited_for_frees_its_key() {
    for protocol in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        one.always(begun(protocol, &["one ", "two"]).cut());
        two.always(silence());
        let gateway = start([&one, &two], protocol, json!({}));
        let mut stream = ask(&gateway, protocol);
        expect_text(&mut stream, "one two");
        expect_pings(&mut stream, 2);
        stream.hang_up();
        let row = assert_left(&gateway, protocol, "beta", &two);
        assert_eq!(story(&row), ["alpha 200 transient", "beta - client_left"]);
        assert_eq!(
            row.text("response_content"),
            "one two",
            "what the client had"
        );
    }
}

#[test]
fn a_client_that_leaves_while_its_text_is_repeated_frees_its_key() {
    for protocol in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        one.always(begun(protocol, &["one ", "two"]).cut());
        two.always(begun(protocol, &["one "]).stall());
        let gateway = start([&one, &two], protocol, json!({}));
        let mut stream = ask(&gateway, protocol);
        expect_text(&mut stream, "one two");
        two.wait_for_requests(1, SOON);
        expect_pings(&mut stream, 3);
        stream.hang_up();
        let row = assert_left(&gateway, protocol, "beta", &two);
        assert_eq!(story(&row)[0], "alpha 200 transient");
        assert!(
            story(&row)[1].ends_with(" client_left"),
            "{:?}",
            story(&row)
        );
        assert_eq!(
            row.text("response_content"),
            "one two",
            "what the client had"
        );
    }
}

#[test]
fn a_client_that_leaves_while_its_answer_is_held_back_frees_its_key() {
    for protocol in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        let gate = Gate::new();
        let answer = stream(protocol, &["one ", "two"]);
        one.always(answer.wait_after(super::opening(protocol) + 1, &gate));
        let gateway = start([&one, &two], protocol, json!({"stream_recovery": "hold"}));
        let mut stream = ask(&gateway, protocol);
        expect_pings(&mut stream, 2);
        stream.hang_up();
        assert_left(&gateway, protocol, "alpha", &one);
        assert_eq!(two.requests().len(), 0);
    }
}

#[test]
fn many_clients_that_leave_at_once_leave_no_key_behind() {
    let protocol = Protocol::OpenAi;
    let (one, two) = (Upstream::start(), Upstream::start());
    one.always(silence());
    two.always(silence());
    let file = |name, upstream| {
        let mut file = provider(name, upstream, protocol, json!({}));
        file["rate_limiting"] = json!({"max_in_flight_per_key": 10});
        file
    };
    let gateway = routes([(&one, protocol), (&two, protocol)])
        .setting("workers", 2)
        .provider_file("alpha", &file("alpha", &one))
        .provider_file("beta", &file("beta", &two))
        .start();
    let mut left: Vec<_> = (0..20)
        .map(|_| send(&gateway, protocol, &streamed()))
        .collect();
    one.wait_for_requests(10, SOON);
    two.wait_for_requests(10, SOON);
    for connection in left.drain(..) {
        connection.hang_up();
    }
    assert!(one.wait_for_hangups(10, WITHIN * 3) && two.wait_for_hangups(10, WITHIN * 3));
    let rows = super::rows(&gateway, 20);
    assert!(rows.iter().all(|row| row.number("response_status") == 499));
    one.always(answer(protocol, true, "free"));
    let again: Vec<_> = (0..10)
        .map(|_| send(&gateway, protocol, &streamed()))
        .collect();
    for connection in again {
        let stream = connection.read_streaming(SOON).expect("a head");
        assert_eq!(stream.header("x-model-proxy-model"), Some("alpha/up-alpha"));
        stream.read_to_end();
    }
}
