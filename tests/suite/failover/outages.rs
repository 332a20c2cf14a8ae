//! Providers that go down and come back while clients go on asking.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    BOTH, SOON, answer, at_once, begun, error, model_with, openai_routes, order, path, question,
    routes, streamed, until, with_timeouts,
};
use crate::support::gateway::Gateway;
use crate::support::upstream::bodies::openai_answer;
use crate::support::upstream::{Answer, Gate, Upstream, silence, vanish};

fn served_by(gateway: &Gateway, protocol: Protocol, body: &Value) -> String {
    let response = gateway.post(path(protocol)).json(body).send();
    assert_eq!(response.status, 200, "{}", response.text());
    let name = response
        .header("x-model-proxy-model")
        .expect("who answered");
    name.split('/').next().unwrap_or_default().to_owned()
}

/// The primary is down for a while with requests all along, and used again afterwards.
fn play(protocol: Protocol, streaming: bool, failing: Answer) {
    let (primary, spare) = (Upstream::start(), Upstream::start());
    let down = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&down);
    primary.judge_by(move |_| {
        if state.load(Ordering::Acquire) {
            failing.clone()
        } else {
            answer(protocol, streaming, "primary")
        }
    });
    spare.always(answer(protocol, streaming, "spare"));
    let impatient = with_timeouts(
        model_with::<2>(json!({})),
        0,
        json!({"first_token_seconds": 0.3}),
    );
    let gateway = routes([(&primary, protocol), (&spare, protocol)])
        .setting("key_cooldown_seconds", 0.3)
        .model_file("m", &impatient)
        .start();
    let body = if streaming { streamed() } else { question() };
    let ask = || served_by(&gateway, protocol, &body);
    assert_eq!(ask(), "alpha");
    down.store(true, Ordering::Release);
    let before = primary.requests().len();
    let outage = Instant::now();
    let mut asked = 0;
    while outage.elapsed() < Duration::from_millis(1000) {
        assert_eq!(ask(), "beta");
        asked += 1;
    }
    // most requests did not knock there: one a cooldown does, not more
    let knocks = primary.requests().len() - before;
    assert!((1..=7).contains(&knocks), "{knocks} of {asked}");
    down.store(false, Ordering::Release);
    until("the primary is used again", || ask() == "alpha");
    assert_eq!(ask(), "alpha");
}

#[test]
fn a_provider_that_refuses_for_a_while_is_used_again_as_soon_as_it_works() {
    at_once(BOTH, |protocol| {
        play(
            protocol,
            false,
            error(protocol, 503, "overloaded_error", "down"),
        );
    });
}

#[test]
fn a_provider_that_drops_connections_for_a_while_is_used_again_as_soon_as_it_works() {
    at_once(BOTH, |protocol| {
        play(protocol, true, vanish());
    });
}

#[test]
fn a_provider_that_is_silent_for_a_while_is_used_again_as_soon_as_it_works() {
    play(Protocol::OpenAi, true, silence());
}

#[test]
fn streams_survive_an_outage_in_which_every_stream_is_cut() {
    for protocol in BOTH {
        let (primary, spare) = (Upstream::start(), Upstream::start());
        let down = Arc::new(AtomicBool::new(true));
        let state = Arc::clone(&down);
        primary.judge_by(move |_| {
            if state.load(Ordering::Acquire) {
                begun(protocol, &["One ", "tw"]).cut()
            } else {
                super::stream(protocol, &["One two ", "three"])
            }
        });
        spare.always(super::stream(protocol, &["One", " two", " three"]));
        let gateway = routes([(&primary, protocol), (&spare, protocol)])
            .setting("key_cooldown_seconds", 0.2)
            .start();
        let ask = || {
            let stream = gateway
                .post(path(protocol))
                .json(&streamed())
                .send_streaming();
            let provider = stream.header("x-model-proxy-model").map(str::to_owned);
            let heard = order::complete(protocol, &stream.read_to_end());
            assert_eq!(heard.text, "One two three");
            provider
        };
        let outage = Instant::now();
        while outage.elapsed() < Duration::from_millis(800) {
            ask();
        }
        assert!(primary.requests().len() >= 2, "it was tried again");
        down.store(false, Ordering::Release);
        until("the primary is used again", || {
            ask().as_deref() == Some("alpha/up-alpha")
        });
    }
}

#[test]
fn after_a_rest_one_request_finds_out_and_the_others_do_not_wait_for_it() {
    let (primary, spare) = (Upstream::start(), Upstream::start());
    primary.answer(super::broken());
    let gate = Gate::new();
    primary.always(openai_answer("primary").wait(&gate));
    spare.always(openai_answer("spare"));
    let gateway = openai_routes([&primary, &spare])
        .setting("key_cooldown_seconds", 0.2)
        .start();
    let ask = || served_by(&gateway, Protocol::OpenAi, &question());
    assert_eq!(ask(), "beta");
    std::thread::scope(|scope| {
        // whoever comes first after the rest waits at the gate; everybody else is served meanwhile
        let probes = Arc::new(AtomicUsize::new(0));
        let others: Vec<_> = (0..3)
            .map(|_| {
                let probes = Arc::clone(&probes);
                scope.spawn(move || {
                    until("a probe is under way", || {
                        if probes.load(Ordering::Acquire) > 0 {
                            return true;
                        }
                        if ask() == "alpha" {
                            probes.fetch_add(1, Ordering::AcqRel);
                        }
                        false
                    });
                })
            })
            .collect();
        primary.wait_for_requests(2, SOON);
        for _ in 0..5 {
            assert_eq!(ask(), "beta");
        }
        assert_eq!(primary.requests().len(), 2, "one probe at a time");
        gate.open();
        for one in others {
            one.join().expect("no panic");
        }
    });
    assert_eq!(ask(), "alpha");
}

#[test]
fn a_provider_without_a_spare_is_tried_by_every_request_and_works_at_once_when_it_is_back() {
    let upstream = Upstream::start();
    let down = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&down);
    upstream.judge_by(move |_| {
        if state.load(Ordering::Acquire) {
            super::broken()
        } else {
            openai_answer("back")
        }
    });
    let gateway = openai_routes([&upstream]).start();
    for calls in 1..=4 {
        assert_eq!(gateway.chat(&question()).status, 500);
        assert_eq!(upstream.requests().len(), calls);
    }
    down.store(false, Ordering::Release);
    assert_eq!(gateway.chat(&question()).status, 200);
}

#[test]
fn cooldowns_that_are_off_leave_every_key_in_use() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(error(Protocol::OpenAi, 429, "requests", "no").retry_after(60));
    second.always(openai_answer("saved"));
    let mut file = super::provider("alpha", &first, Protocol::OpenAi, json!({}));
    file["rate_limiting"] = json!({"cooldown_seconds": 100});
    let gateway = openai_routes([&first, &second])
        .setting("key_cooldown_seconds", 0)
        .provider_file("alpha", &file)
        .start();
    for calls in 1..=3 {
        assert_eq!(gateway.chat(&question()).status, 200);
        assert_eq!(first.requests().len(), calls);
    }
}
