//! Keys that rest when a request arrives: passed over while anybody is ready, asked as the last resort, or told about.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    BOTH, answer, broken, error, openai_routes, path, provider, question, routes, rows, story,
    streamed,
};
use crate::support::gateway::Builder;
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::openai_answer;

/// One route whose key is banned for so long by its first refusal.
fn banned_for(upstream: &Upstream, seconds: f64, retries: u32) -> Builder {
    let mut file = provider(
        "alpha",
        upstream,
        Protocol::OpenAi,
        json!({"max_retries": retries}),
    );
    file["error_handling"] = json!({"401": {"cooldown_seconds": seconds}});
    openai_routes([upstream]).provider_file("alpha", &file)
}

fn dead() -> crate::support::upstream::Answer {
    error(Protocol::OpenAi, 401, "authentication_error", "no")
}

#[test]
fn a_key_that_rests_for_an_accident_is_called_at_once_when_nobody_else_is_left() {
    for protocol in BOTH {
        let upstream = Upstream::start();
        upstream.answer(error(protocol, 500, "api_error", "broken"));
        upstream.answer(error(protocol, 503, "api_error", "still broken"));
        upstream.always(answer(protocol, false, "back"));
        let gateway = routes([(&upstream, protocol)]).start();
        let ask = || gateway.post(path(protocol)).json(&question()).send();
        assert_eq!(ask().status, 500);
        assert_eq!(ask().status, 503, "the only call, so its own status");
        let begun = Instant::now();
        assert_eq!(ask().status, 200);
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(upstream.requests().len(), 3);
    }
}

#[test]
fn the_last_resort_is_one_call_however_many_keys_and_repeats_there_are() {
    let upstream = Upstream::start();
    upstream.always(broken());
    let config = json!({"max_retries": 0});
    let gateway = openai_routes([&upstream])
        .provider_file(
            "alpha",
            &provider("alpha", &upstream, Protocol::OpenAi, config),
        )
        .keys("alpha", ["key-a", "key-b", "key-c"])
        .start();
    gateway.chat(&question());
    assert_eq!(upstream.requests().len(), 3);
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 500, "the only call of this request");
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn a_ready_key_of_any_later_route_comes_before_the_last_resort() {
    let upstreams = [(); 3].map(|()| Upstream::start());
    let [first, second, third] = &upstreams;
    first.always(broken());
    second.always(broken());
    third.always(openai_answer("saved"));
    let gateway = openai_routes([first, second, third]).start();
    for _ in 0..3 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    assert_eq!(
        upstreams.each_ref().map(|one| one.requests().len()),
        [1, 1, 3]
    );
    // the ready one fails: the others have rested since before the request came, and are left alone
    third.always(error(Protocol::OpenAi, 503, "overloaded", "busy"));
    assert_eq!(gateway.chat(&question()).status, 503);
    assert_eq!(
        upstreams.each_ref().map(|one| one.requests().len()),
        [1, 1, 4]
    );
}

#[test]
fn a_banned_key_that_is_due_soon_is_waited_for_once() {
    let upstream = Upstream::start();
    upstream.answer(dead());
    upstream.answer(openai_answer("back"));
    let gateway = banned_for(&upstream, 0.6, 1).start();
    assert_eq!(gateway.chat(&question()).status, 503);
    let answer = gateway.chat(&question());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-model-proxy-attempts"), Some("1"));
    let gap = super::gaps(&upstream)[0];
    assert!(gap >= Duration::from_millis(600), "{gap:?}");
}

#[test]
fn a_key_that_was_waited_for_and_fails_again_ends_the_request() {
    let upstream = Upstream::start();
    upstream.always(dead());
    let gateway = banned_for(&upstream, 0.5, 5).start();
    for calls in [1, 2] {
        assert_eq!(gateway.chat(&question()).status, 503);
        assert_eq!(upstream.requests().len(), calls);
    }
}

#[test]
fn a_banned_key_is_not_waited_for_by_those_who_may_not_wait() {
    for (seconds, retries, longest) in [(2.0, 0, 5.0), (2.0, 1, 0.5), (60.0, 2, 5.0)] {
        let upstream = Upstream::start();
        upstream.always(dead());
        let gateway = banned_for(&upstream, seconds, retries)
            .setting("max_wait_seconds", longest)
            .start();
        assert_eq!(gateway.chat(&question()).status, 503);
        let refused = gateway.chat(&question());
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[test]
fn when_every_key_is_banned_for_long_the_answer_takes_milliseconds_and_no_call() {
    for protocol in BOTH {
        let (first, second) = (Upstream::start(), Upstream::start());
        let limited = |seconds| error(protocol, 429, "rate_limit_error", "no").retry_after(seconds);
        first.always(limited(90));
        second.always(limited(40));
        let gateway = routes([(&first, protocol), (&second, protocol)])
            .setting("max_retries", 2)
            .keys("alpha", ["key-a", "key-b"])
            .start();
        let ask = |body: &Value| gateway.post(path(protocol)).json(body).send();
        assert_eq!(ask(&question()).status, 429);
        let mut quickest = Duration::MAX;
        for body in [question(), streamed(), question(), streamed(), question()] {
            let begun = Instant::now();
            let refused = ask(&body);
            quickest = quickest.min(begun.elapsed());
            assert_eq!(refused.status, 429);
            let seconds = refused.header("retry-after").expect("retry-after");
            let seconds: u64 = seconds.parse().expect("whole seconds");
            assert!(
                (30..=40).contains(&seconds),
                "of the soonest key: {seconds}"
            );
            assert_eq!(refused.header("x-model-proxy-attempts"), None, "no call");
            let kind = refused.json()["error"]["type"].clone();
            if protocol == Protocol::Anthropic {
                assert_eq!(kind, "rate_limit_error");
            }
        }
        // an unoptimised build on a busy machine; nothing may be waited for
        assert!(quickest < Duration::from_millis(50), "{quickest:?}");
        assert_eq!((first.requests().len(), second.requests().len()), (2, 1));
        let last = rows(&gateway, 6).remove(5);
        assert_eq!(story(&last), Vec::<String>::new());
        assert_eq!(last.number("response_status"), 429);
    }
}

#[test]
fn a_key_at_its_cap_is_passed_over_for_the_next_one_and_for_the_next_route() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gate = crate::support::upstream::Gate::new();
    first.always(openai_answer("slow").wait(&gate));
    second.always(openai_answer("saved"));
    let mut file = provider("alpha", &first, Protocol::OpenAi, json!({}));
    file["rate_limiting"] = json!({"max_in_flight_per_key": 1});
    let gateway = openai_routes([&first, &second])
        .provider_file("alpha", &file)
        .keys("alpha", ["key-a", "key-b"])
        .start();
    std::thread::scope(|scope| {
        let slow = [(); 2].map(|()| scope.spawn(|| gateway.chat(&question())));
        first.wait_for_requests(2, super::SOON);
        let answer = gateway.chat(&question());
        assert!(answer.text().contains("saved"), "{}", answer.text());
        assert_eq!(answer.header("x-model-proxy-attempts"), Some("1"));
        gate.open();
        for one in slow {
            assert_eq!(one.join().expect("no panic").status, 200);
        }
    });
    let used: std::collections::BTreeSet<_> = first.keys_used().into_iter().collect();
    assert_eq!(used.len(), 2, "{used:?}");
}
