//! Answers that are held back whole: nothing is shown before the end, so that a break anywhere is invisible, within bounds.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{
    BOTH, at_once, begun, error_event, events, model_with, opening, order, pairs, path, routes,
    story, stream, streamed, with_timeouts,
};
use crate::support::client::Streaming;
use crate::support::gateway::{Builder, Gateway};
use crate::support::upstream::{Answer, Gate, Upstream, sse};

fn holding<const N: usize>(upstreams: [(&Upstream, Protocol); N]) -> Builder {
    routes(upstreams).model_file("m", &model_with::<N>(json!({"stream_recovery": "hold"})))
}

fn ask(gateway: &Gateway, client: Protocol) -> Streaming {
    let stream = gateway
        .post(path(client))
        .json(&streamed())
        .send_streaming();
    assert_eq!(stream.status, 200);
    stream
}

#[test]
fn an_answer_that_is_held_back_shows_nothing_before_it_is_complete() {
    for client in BOTH {
        let upstream = Upstream::start();
        let gate = Gate::new();
        let answer = stream(client, &["one ", "two"]);
        upstream.always(answer.wait_after(opening(client) + 1, &gate));
        let gateway = holding([(&upstream, client)])
            .setting("keepalive_seconds", 0.1)
            .start();
        let mut stream = ask(&gateway, client);
        for _ in 0..3 {
            let event = stream.expect_event();
            let is_ping = event.comment.is_some() || event.name.as_deref() == Some("ping");
            assert!(is_ping, "{event:?}");
        }
        gate.open();
        let heard = order::complete(client, &stream.read_to_end());
        assert_eq!(heard.text, "one two");
        assert_eq!(story(&gateway.only_row()), ["alpha 200 ok"]);
    }
}

fn breaks(protocol: Protocol) -> [Answer; 5] {
    let said = || begun(protocol, &["one ", "two ", "three"]);
    let mut told = events(protocol, &["one ", "two"]);
    told.truncate(opening(protocol) + 2);
    told.push(error_event(protocol, "api_error", "first words"));
    [
        said().cut(),
        said().reset(),
        said().stall(),
        said(),
        sse(told),
    ]
}

#[test]
fn an_answer_that_breaks_while_it_is_held_back_is_replaced_invisibly() {
    let held = model_with::<2>(json!({"stream_recovery": "hold"}));
    let impatient = with_timeouts(held, 0, json!({"idle_seconds": 0.3}));
    at_once(pairs(&BOTH, &BOTH), |(client, second)| {
        for broken in breaks(client) {
            let (one, two) = (Upstream::start(), Upstream::start());
            one.always(broken);
            two.always(stream(second, &["something ", "else"]));
            let gateway = holding([(&one, client), (&two, second)])
                .model_file("m", &impatient)
                .start();
            let stream = ask(&gateway, client);
            assert_eq!(stream.header("x-model-proxy-attempts"), Some("2"));
            assert_eq!(stream.header("x-model-proxy-model"), Some("beta/up-beta"));
            let finished = stream.read_to_end();
            assert_eq!(order::complete(client, &finished).text, "something else");
            for word in ["one", "three", "first words"] {
                assert!(!finished.text().contains(word), "{}", finished.text());
            }
            assert_eq!(story(&gateway.only_row())[1], "beta 200 ok");
        }
    });
}

#[test]
fn an_answer_that_breaks_while_it_is_held_back_has_a_true_status_if_nobody_is_left() {
    for client in BOTH {
        let upstream = Upstream::start();
        upstream.always(begun(client, &["one"]).cut());
        let gateway = holding([(&upstream, client)]).start();
        let refused = gateway.post(path(client)).json(&streamed()).send();
        assert_eq!(refused.status, 502, "{}", refused.text());
        assert!(!refused.text().contains("one"));
    }
}

#[test]
fn an_answer_too_large_to_hold_back_goes_out_as_it_comes() {
    let block = "x".repeat(512 * 1024);
    let words = vec![block.as_str(); 10];
    at_once(BOTH, |client| {
        let (one, two) = (Upstream::start(), Upstream::start());
        let gate = Gate::new();
        let large = begun(client, &words);
        one.always(large.wait_after(opening(client) + 9, &gate).cut());
        two.always(stream(client, &["never"]));
        let gateway = holding([(&one, client), (&two, client)]).start();
        let mut stream = ask(&gateway, client);
        // nine blocks have been said, and the bound is eight
        let mut heard = 0;
        while heard < 9 * block.len() {
            let event = stream.next_event(Duration::from_secs(20));
            let text = event.expect("what was said so far").text();
            heard += text.map_or(0, |text| text.len());
        }
        gate.open();
        let finished = stream.read_to_end();
        let end = finished.body.len().saturating_sub(500);
        let end = String::from_utf8_lossy(&finished.body[end..]);
        assert!(end.contains("\"error\""), "{end}");
        assert!(
            !end.contains("[DONE]") && !end.contains("message_stop"),
            "{end}"
        );
        // once it has been shown it is too late for another route
        assert_eq!(two.requests().len(), 0);
        assert_eq!(gateway.only_row().text("error_type"), "upstream_cut");
    });
}
