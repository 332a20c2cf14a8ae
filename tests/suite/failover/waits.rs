//! Times that an upstream asks for: waited for if they are short, never if they are long, and always to the point.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{
    BOTH, answer, at_once, error, gaps, openai_routes, path, question, routes, story, streamed,
};
use crate::support::upstream::bodies::openai_answer;
use crate::support::upstream::{Answer, Upstream};

/// How far from the time that was asked for a call may come.
const TOLERANCE: Duration = Duration::from_millis(200);

fn limited(protocol: Protocol) -> Answer {
    error(protocol, 429, "rate_limit_error", "slow down")
}

#[test]
fn a_key_is_called_again_when_its_429_said() {
    let ways = [
        ("retry-after", "1", 1000),
        ("retry-after-ms", "400", 400),
        ("x-ratelimit-reset-requests", "350ms", 350),
        ("retry-after", "0.5", 500),
    ];
    at_once(ways, |(name, value, asked)| {
        let asked = Duration::from_millis(asked);
        let upstream = Upstream::start();
        let gateway = openai_routes([&upstream]).setting("max_retries", 1).start();
        // a busy machine may make one round late; none may be early
        let mut latest = Duration::MAX;
        for _ in 0..3 {
            let before = upstream.requests().len();
            let refusal = limited(Protocol::OpenAi).header(name, value);
            // beside a limit that is hit, what is left of another one tells nothing
            upstream.answer(refusal.header("x-ratelimit-remaining-requests", 0));
            upstream.answer(openai_answer("now"));
            let answer = gateway.chat(&question());
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert_eq!(answer.header("x-model-proxy-attempts"), Some("2"));
            let gap = gaps(&upstream)[before];
            assert!(gap >= asked, "{name}: {value}, but called after {gap:?}");
            latest = latest.min(gap);
            if latest <= asked + TOLERANCE {
                break;
            }
        }
        assert!(
            latest <= asked + TOLERANCE,
            "{name}: {value}, but called after {latest:?}"
        );
    });
}

#[test]
fn a_stream_waits_for_its_key_as_an_answer_does() {
    for protocol in BOTH {
        let upstream = Upstream::start();
        upstream.answer(limited(protocol).header("retry-after-ms", 300));
        upstream.always(answer(protocol, true, "now"));
        let gateway = routes([(&upstream, protocol)])
            .setting("max_retries", 1)
            .start();
        let stream = gateway
            .post(path(protocol))
            .json(&streamed())
            .send_streaming();
        assert_eq!(stream.status, 200);
        assert_eq!(stream.header("x-model-proxy-attempts"), Some("2"));
        assert!(stream.read_to_end().text().contains("now"));
        assert!(gaps(&upstream)[0] >= Duration::from_millis(300));
    }
}

#[test]
fn with_cooldowns_off_what_a_429_asks_for_is_waited_for_all_the_same() {
    let upstream = Upstream::start();
    upstream.answer(limited(Protocol::OpenAi).retry_after(1));
    upstream.always(openai_answer("now"));
    let gateway = openai_routes([&upstream])
        .setting("max_retries", 1)
        .setting("key_cooldown_seconds", 0)
        .start();
    assert_eq!(gateway.chat(&question()).status, 200);
    let gap = gaps(&upstream)[0];
    assert!(gap >= Duration::from_secs(1), "called after {gap:?}");
}

#[test]
fn with_cooldowns_off_a_long_time_asked_for_ends_the_route_all_the_same() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(limited(Protocol::OpenAi).retry_after(60));
    second.always(openai_answer("saved"));
    let gateway = openai_routes([&first, &second])
        .setting("max_retries", 2)
        .setting("key_cooldown_seconds", 0)
        .start();
    assert!(gateway.chat(&question()).text().contains("saved"));
    assert_eq!(first.requests().len(), 1);
}

#[test]
fn a_longer_time_than_anybody_waits_moves_the_request_on_at_once() {
    for (header, value, longest) in [("retry-after", 60, 5.0), ("retry-after-ms", 900, 0.5)] {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(limited(Protocol::OpenAi).header(header, value));
        second.always(openai_answer("saved"));
        let gateway = openai_routes([&first, &second])
            .setting("max_retries", 2)
            .setting("max_wait_seconds", longest)
            .start();
        assert_eq!(gateway.chat(&question()).status, 200);
        let (refused, next) = (first.only_request(), second.only_request());
        let gap = next.at - refused.at;
        assert!(gap < Duration::from_millis(300), "{gap:?}");
        assert_eq!(
            story(&gateway.only_row()),
            ["alpha 429 rate_limited", "beta 200 ok"]
        );
    }
}

#[test]
fn a_limit_of_the_only_key_that_lasts_is_told_at_once_with_its_time() {
    for protocol in BOTH {
        let upstream = Upstream::start();
        upstream.always(limited(protocol).retry_after(30));
        let gateway = routes([(&upstream, protocol)])
            .setting("max_retries", 2)
            .start();
        let begun = Instant::now();
        let refused = gateway.post(path(protocol)).json(&question()).send();
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!(refused.status, 429);
        assert_eq!(refused.header("retry-after"), Some("30"));
        assert_eq!(refused.json()["error"]["message"], "slow down");
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[test]
fn keys_that_are_limited_in_turn_are_waited_for_by_the_soonest() {
    let upstream = Upstream::start();
    let limits = json!({"key-a": 4000, "key-b": 300});
    let seen = std::sync::Mutex::new(Vec::new());
    upstream.judge_by(move |request| {
        let key = request.key().expect("a key").to_owned();
        let mut seen = seen.lock().expect("no panic");
        if seen.contains(&key) {
            return openai_answer("now");
        }
        let asked = limits[&key].clone();
        seen.push(key);
        limited(Protocol::OpenAi).header("retry-after-ms", asked)
    });
    let gateway = openai_routes([&upstream])
        .setting("max_retries", 2)
        .keys("alpha", ["key-a", "key-b"])
        .start();
    let begun = Instant::now();
    assert_eq!(gateway.chat(&question()).status, 200);
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(upstream.keys_used()[2], "key-b");
}

#[test]
fn without_repeats_no_time_is_waited_for() {
    let upstream = Upstream::start();
    upstream.always(limited(Protocol::OpenAi).retry_after(1));
    let gateway = openai_routes([&upstream]).start();
    assert_eq!(gateway.chat(&question()).status, 429);
    assert_eq!(upstream.requests().len(), 1);
}
