//! Long waits before the first token: the head goes out, pings follow, and failover goes on behind them.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    BOTH, answer, at_once, error, model_with, order, pairs, path, question, routes, story, stream,
    streamed, whole, with_timeouts,
};
use crate::support::client::Streaming;
use crate::support::events::Event;
use crate::support::gateway::{Builder, Gateway};
use crate::support::upstream::{Gate, Upstream, silence};

fn patient<const N: usize>(upstreams: [&Upstream; N], protocol: Protocol) -> Builder {
    routes(upstreams.map(|upstream| (upstream, protocol))).setting("keepalive_seconds", 0.1)
}

#[track_caller]
fn ask(gateway: &Gateway, protocol: Protocol) -> Streaming {
    let stream = gateway
        .post(path(protocol))
        .json(&streamed())
        .send_streaming();
    assert_eq!(stream.status, 200);
    stream
}

/// A ping, in the protocol's own words.
#[track_caller]
fn assert_ping(protocol: Protocol, event: &Event) {
    match protocol {
        Protocol::OpenAi => assert!(event.comment.is_some(), "{event:?}"),
        Protocol::Anthropic => {
            assert_eq!(event.name.as_deref(), Some("ping"));
            assert_eq!(event.json(), json!({"type": "ping"}));
        }
    }
}

/// Reads so many pings, and nothing else.
#[track_caller]
fn expect_pings(stream: &mut Streaming, protocol: Protocol, count: usize) {
    for _ in 0..count {
        assert_ping(protocol, &stream.expect_event());
    }
}

#[test]
fn a_stream_that_waits_long_gets_its_head_and_pings_and_then_its_answer() {
    for protocol in BOTH {
        let upstream = Upstream::start();
        let gate = Gate::new();
        upstream.always(stream(protocol, &["at ", "last"]).wait(&gate));
        let gateway = patient([&upstream], protocol).start();
        let mut stream = ask(&gateway, protocol);
        for name in ["x-model-proxy-model", "x-model-proxy-attempts"] {
            assert_eq!(stream.header(name), None, "nobody knows yet who answers");
        }
        let kind = stream.header("content-type").expect("a content type");
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        assert!(stream.header("x-request-id").is_some());
        expect_pings(&mut stream, protocol, 3);
        gate.open();
        let heard = order::complete(protocol, &stream.read_to_end());
        assert_eq!(heard.text, "at last");
        let row = gateway.only_row();
        assert_eq!(story(&row), ["alpha 200 ok"]);
        assert!(row.is_null("error_type"));
        assert!(row.number("first_token_ms") >= 300, "{row:?}");
    }
}

#[test]
fn a_stream_that_answers_in_time_gets_no_ping_and_all_its_headers() {
    for protocol in BOTH {
        let upstream = Upstream::start();
        upstream.always(stream(protocol, &["hi"]));
        let gateway = routes([(&upstream, protocol)])
            .setting("keepalive_seconds", 5)
            .start();
        let stream = ask(&gateway, protocol);
        assert_eq!(stream.header("x-model-proxy-model"), Some("alpha/up-alpha"));
        let heard = order::complete(protocol, &stream.read_to_end());
        // one ping is the upstream's own
        let theirs = usize::from(protocol == Protocol::Anthropic);
        assert_eq!(heard.pings, theirs);
    }
}

#[test]
fn a_request_still_moves_on_after_pings() {
    let impatient = with_timeouts(
        model_with::<3>(json!({})),
        1,
        json!({"first_token_seconds": 0.5}),
    );
    at_once(BOTH, |protocol| {
        let upstreams = [(); 3].map(|()| Upstream::start());
        let [first, second, third] = &upstreams;
        let gate = Gate::new();
        first.always(error(protocol, 500, "api_error", "first words").wait(&gate));
        second.always(silence());
        third.always(stream(protocol, &["saved"]));
        let gateway = patient(upstreams.each_ref(), protocol)
            .model_file("m", &impatient)
            .start();
        let mut stream = ask(&gateway, protocol);
        expect_pings(&mut stream, protocol, 2);
        gate.open();
        let finished = stream.read_to_end();
        assert_eq!(order::complete(protocol, &finished).text, "saved");
        assert!(!finished.text().contains("first words"));
        assert_eq!(
            story(&gateway.only_row()),
            ["alpha 500 transient", "beta - timeout", "gamma 200 ok"]
        );
    });
}

#[test]
fn pings_go_on_while_a_repeat_is_waited_for() {
    for protocol in BOTH {
        let upstream = Upstream::start();
        let limited = error(protocol, 429, "rate_limit_error", "slow down");
        upstream.answer(limited.header("retry-after-ms", 600));
        upstream.always(stream(protocol, &["now"]));
        let gateway = patient([&upstream], protocol)
            .setting("max_retries", 1)
            .start();
        let mut stream = ask(&gateway, protocol);
        expect_pings(&mut stream, protocol, 2);
        let heard = order::complete(protocol, &stream.read_to_end());
        assert_eq!(heard.text, "now");
    }
}

#[test]
fn a_failure_after_pings_is_an_error_event_of_the_protocol() {
    let words = "words of the upstream";
    let ways = [
        (
            Some((400, "invalid_request_error")),
            true,
            "upstream_refused",
        ),
        (Some((500, "api_error")), true, "upstream_refused"),
        (
            Some((401, "authentication_error")),
            false,
            "upstream_unavailable",
        ),
        (None, false, "upstream_timeout"),
    ];
    at_once(
        pairs(&BOTH, &ways),
        |(protocol, (refusal, is_told, error_type))| {
            let upstream = Upstream::start();
            let gate = Gate::new();
            let refusal = refusal.map_or_else(silence, |(status, kind)| {
                error(protocol, status, kind, words)
            });
            upstream.always(refusal.wait(&gate));
            let gateway = patient([&upstream], protocol)
                .setting("total_seconds", 1.5)
                .start();
            let mut stream = ask(&gateway, protocol);
            expect_pings(&mut stream, protocol, 2);
            gate.open();
            let finished = stream.read_to_end();
            let heard = order::broken(protocol, &finished);
            assert_eq!(heard.text, "");
            let message = heard.error.expect("an error")["message"].to_string();
            assert_eq!(message.contains(words), is_told, "{message}");
            let row = gateway.only_row();
            assert_eq!(row.number("response_status"), 200, "what was sent");
            assert_eq!(row.text("error_type"), error_type);
            assert!(!row.is_null("error_message"));
        },
    );
}

#[test]
fn a_whole_answer_gets_no_ping_however_long_it_takes() {
    for protocol in BOTH {
        let upstream = Upstream::start();
        upstream.answer(whole(protocol, "late").delay(400));
        upstream.answer(error(protocol, 500, "api_error", "broken").delay(400));
        let gateway = patient([&upstream], protocol)
            .setting("key_cooldown_seconds", 0)
            .start();
        let ask = || gateway.post(path(protocol)).json(&question()).send();
        let answer = ask();
        assert_eq!(answer.status, 200);
        assert!(answer.text().starts_with('{'), "{}", answer.text());
        assert_eq!(answer.header("x-model-proxy-attempts"), Some("1"));
        assert_eq!(ask().status, 500, "a true status");
    }
}

#[test]
fn a_model_says_for_itself_when_pings_begin_and_whether_they_do() {
    let ways = [
        (0.1, json!(0), false),
        (0.0, json!(0.1), true),
        (0.0, Value::Null, false),
        (30.0, json!(0.1), true),
    ];
    at_once(ways, |(setting, member, pings)| {
        let upstream = Upstream::start();
        upstream.answer(answer(Protocol::OpenAi, true, "late").delay(600));
        let gateway = routes([(&upstream, Protocol::OpenAi)])
            .setting("keepalive_seconds", setting)
            .model_file("m", &model_with::<1>(json!({"keepalive_seconds": member})))
            .start();
        let stream = ask(&gateway, Protocol::OpenAi);
        assert_eq!(
            stream.header("x-model-proxy-attempts").is_none(),
            pings,
            "{member}"
        );
        let heard = order::complete(Protocol::OpenAi, &stream.read_to_end());
        assert_eq!(heard.pings > 0, pings, "{setting} and {member}");
        assert_eq!(heard.text, "late");
    });
}

#[test]
fn without_pings_a_late_failure_keeps_its_true_status() {
    let upstream = Upstream::start();
    upstream.always(error(Protocol::OpenAi, 503, "overloaded", "busy").delay(400));
    let gateway = patient([&upstream], Protocol::OpenAi)
        .model_file("m", &model_with::<1>(json!({"keepalive_seconds": 0})))
        .start();
    assert_eq!(gateway.chat(&streamed()).status, 503);
}

#[test]
fn pings_come_about_as_often_as_they_should() {
    let upstream = Upstream::start();
    upstream.always(answer(Protocol::OpenAi, true, "late").delay(1050));
    let gateway = patient([&upstream], Protocol::OpenAi).start();
    let finished = ask(&gateway, Protocol::OpenAi).read_for(Duration::from_secs(10));
    let heard = order::complete(Protocol::OpenAi, &finished);
    assert!(
        (3..=11).contains(&heard.pings),
        "{} pings in a second",
        heard.pings
    );
}
