//! A gateway that stops while requests wait, hear pings, or are continued: each hears of it, and each has its row.

use std::time::Duration;

use serde_json::json;

use super::{
    BOTH, SOON, at_once, begun, error, model_with, order, path, question, routes, streamed,
};
use crate::support::client::Streaming;
use crate::support::gateway::Builder;
use crate::support::upstream::{Upstream, silence};

fn brief(builder: Builder) -> Builder {
    builder
        .setting("keepalive_seconds", 0.05)
        .setting("shutdown_timeout_seconds", 0.3)
}

#[track_caller]
fn expect_pings(stream: &mut Streaming, count: usize) {
    let mut pings = 0;
    while pings < count {
        let event = stream.expect_event();
        let is_ping = event.comment.is_some() || event.name.as_deref() == Some("ping");
        pings += usize::from(is_ping);
    }
}

#[test]
fn a_stream_that_hears_pings_when_the_gateway_stops_is_told_so() {
    at_once(BOTH, |protocol| {
        let upstream = Upstream::start();
        upstream.always(silence());
        let gateway = brief(routes([(&upstream, protocol)])).start();
        let mut stream = gateway
            .post(path(protocol))
            .json(&streamed())
            .send_streaming();
        expect_pings(&mut stream, 2);
        gateway.begin_stop();
        let heard = order::broken(protocol, &stream.read_to_end());
        assert_eq!(heard.text, "");
        assert!(upstream.wait_for_hangup(Duration::from_secs(1)));
        let rows = gateway.stop();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].number("response_status"), 200);
        assert_eq!(rows[0].text("error_type"), "stopping");
    });
}

#[test]
fn a_stream_that_is_being_continued_when_the_gateway_stops_ends_with_one_error() {
    at_once(BOTH, |protocol| {
        for second in [silence(), begun(protocol, &["one "]).stall()] {
            let (one, two) = (Upstream::start(), Upstream::start());
            one.always(begun(protocol, &["one ", "two"]).cut());
            two.always(second);
            let gateway = brief(routes([(&one, protocol), (&two, protocol)])).start();
            let mut stream = gateway
                .post(path(protocol))
                .json(&streamed())
                .send_streaming();
            two.wait_for_requests(1, SOON);
            expect_pings(&mut stream, 3);
            gateway.begin_stop();
            let finished = stream.read_to_end();
            assert!(finished.properly());
            let text = finished.text();
            assert_eq!(text.matches("\"error\":").count(), 1, "{text}");
            assert!(!text.contains("[DONE]") && !text.contains("message_stop"));
            assert!(two.wait_for_hangup(Duration::from_secs(1)));
            let rows = gateway.stop();
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].number("response_status"), 200);
            assert!(!rows[0].is_null("error_type"));
            assert_eq!(rows[0].text("response_content"), "one two");
        }
    });
}

#[test]
fn a_request_that_waits_for_its_key_when_the_gateway_stops_is_answered_503() {
    at_once(BOTH, |protocol| {
        let upstream = Upstream::start();
        let limited = error(protocol, 429, "rate_limit_error", "slow down");
        upstream.always(limited.header("retry-after-ms", 4500));
        let gateway = brief(routes([(&upstream, protocol)]))
            .setting("max_retries", 1)
            .model_file("m", &model_with::<1>(json!({"keepalive_seconds": 0})))
            .start();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gateway.post(path(protocol)).json(&question()).send());
            upstream.wait_for_requests(1, SOON);
            gateway.begin_stop();
            let refused = waiting.join().expect("no panic");
            assert_eq!(refused.status, 503, "{}", refused.text());
            assert!(refused.json()["error"]["message"].is_string());
        });
        assert_eq!(upstream.requests().len(), 1);
        let rows = gateway.stop();
        assert_eq!(rows[0].text("error_type"), "stopping");
    });
}
