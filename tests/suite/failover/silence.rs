//! Routes that say nothing in time: left for the next one, and no key of theirs asked twice.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{
    BOTH, answer, at_once, broken, events, model_with, openai_routes, opening, order, path,
    question, routes, story, stream, streamed,
};
use crate::support::gateway::provider_json;
use crate::support::upstream::bodies::{openai_answer, openai_delta};
use crate::support::upstream::{Answer, Upstream, silence, sse};

/// Everything that is not content, for ever.
fn silent_ways(protocol: Protocol) -> Vec<(&'static str, Answer)> {
    let ping = match protocol {
        Protocol::OpenAi => ": ping\n\n",
        Protocol::Anthropic => "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    };
    let pings = |event: &str| sse(vec![event; 200]).pause(10);
    let mut ways = vec![
        ("no head", silence()),
        ("a head alone", stream(protocol, &["late"]).only(0).stall()),
        (
            "what precedes content",
            stream(protocol, &["late"]).only(opening(protocol)).stall(),
        ),
        ("pings", pings(ping)),
        ("comments", pings(": still here\n\n")),
    ];
    if protocol == Protocol::OpenAi {
        let empty = openai_delta(&json!({"content": ""}), None);
        ways.push(("empty deltas", sse(vec![empty; 200]).pause(10)));
    }
    ways
}

#[test]
fn a_stream_without_content_in_time_is_left_for_the_next_route() {
    let ways = |protocol| {
        silent_ways(protocol)
            .into_iter()
            .map(move |way| (protocol, way))
    };
    at_once(
        BOTH.into_iter().flat_map(ways),
        |(protocol, (way, silent))| {
            let (first, second) = (Upstream::start(), Upstream::start());
            first.always(silent);
            second.always(stream(protocol, &["saved"]));
            let gateway = routes([(&first, protocol), (&second, protocol)])
                .model_file("m", &slow_first())
                .setting("max_retries", 2)
                .keys("alpha", ["key-a", "key-b"])
                .start();
            let stream = gateway
                .post(path(protocol))
                .json(&streamed())
                .send_streaming();
            assert_eq!(stream.header("x-model-proxy-attempts"), Some("2"), "{way}");
            let heard = order::complete(protocol, &stream.read_to_end());
            assert_eq!(heard.text, "saved", "{way}");
            // neither the same key again nor the route's other key
            assert_eq!(first.requests().len(), 1, "{way}");
            assert!(
                first.wait_for_hangup(Duration::from_secs(1)),
                "{way}: not cancelled"
            );
            let told = story(&gateway.only_row());
            assert!(
                told[0].ends_with(" timeout") && told[1] == "beta 200 ok",
                "{way}: {told:?}"
            );
        },
    );
}

#[test]
fn a_silent_last_route_has_its_other_keys_asked_once_each() {
    for streaming in [true, false] {
        let upstream = Upstream::start();
        upstream.always(silence());
        let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
        file["request_config"] = json!({"timeout_seconds": 0.2, "max_retries": 2});
        let gateway = openai_routes([&upstream])
            .provider_file("alpha", &file)
            .setting("max_key_retry_cycles", 3)
            .keys("alpha", ["key-a", "key-b", "key-c"])
            .start();
        let body = if streaming { streamed() } else { question() };
        let refused = gateway.chat(&body);
        assert_eq!(refused.status, 504, "{}", refused.text());
        let mut used = upstream.keys_used();
        used.sort();
        assert_eq!(used, ["key-a", "key-b", "key-c"]);
        assert_eq!(refused.header("x-model-proxy-attempts"), Some("3"));
    }
}

#[test]
fn another_key_of_a_silent_last_route_may_answer() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(broken());
    let tried = std::sync::atomic::AtomicBool::new(false);
    second.judge_by(move |_| {
        if tried.swap(true, std::sync::atomic::Ordering::AcqRel) {
            answer(Protocol::OpenAi, true, "found")
        } else {
            silence()
        }
    });
    let gateway = openai_routes([&first, &second])
        .setting("first_token_seconds", 0.6)
        .keys("beta", ["key-a", "key-b"])
        .start();
    let finished = gateway.chat_streaming(&streamed()).read_to_end();
    assert_eq!(order::complete(Protocol::OpenAi, &finished).text, "found");
    assert_eq!(
        story(&gateway.only_row()),
        ["alpha 500 transient", "beta - timeout", "beta 200 ok"]
    );
}

#[test]
fn an_answer_that_is_not_complete_in_time_is_left_for_the_next_route() {
    let half = openai_answer("half").chunked().only(0).stall();
    for slow in [silence(), half] {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(slow);
        second.always(openai_answer("saved"));
        let gateway = openai_routes([&first, &second])
            .setting("max_retries", 2)
            .model_file("m", &slow_first())
            .start();
        let answer = gateway.chat(&question());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(first.requests().len(), 1);
        assert_eq!(
            story(&gateway.only_row()),
            ["alpha - timeout", "beta 200 ok"]
        );
    }
}

/// Whose first route has a quarter of a second for an attempt or a first token.
fn slow_first() -> serde_json::Value {
    let mut file = model_with::<2>(json!({}));
    file["model_routings"][0]["timeout_seconds"] = json!(0.25);
    file
}

#[test]
fn a_silent_key_rests_and_the_next_request_does_not_wait_for_it() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(silence());
    second.always(answer(Protocol::OpenAi, true, "saved"));
    let gateway = openai_routes([&first, &second])
        .model_file("m", &slow_first())
        .start();
    for attempts in ["2", "1", "1"] {
        let stream = gateway.chat_streaming(&streamed());
        assert_eq!(stream.status, 200);
        assert_eq!(stream.header("x-model-proxy-attempts"), Some(attempts));
        stream.read_to_end();
    }
    assert_eq!(first.requests().len(), 1);
}

#[test]
fn content_that_comes_slowly_is_not_silence() {
    let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
    at_once(BOTH, |protocol| {
        let upstream = Upstream::start();
        let slow = sse(events(protocol, &words)).pause(100);
        upstream.always(slow);
        // longer than the time to the first token, and than the total, which ends with the first content
        let gateway = routes([(&upstream, protocol)])
            .setting("first_token_seconds", 0.8)
            .setting("total_seconds", 0.8)
            .setting("idle_seconds", 5)
            .start();
        let stream = gateway
            .post(path(protocol))
            .json(&streamed())
            .send_streaming();
        let heard = order::complete(protocol, &stream.read_to_end());
        assert_eq!(heard.text, "abcdefgh");
    });
}
