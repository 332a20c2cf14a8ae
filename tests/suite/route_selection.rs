//! Which of a model's routes comes first: in turn, by weight, by load, by speed, and where a session was before.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::client::Request;
use crate::support::gateway::{Builder, Gateway};
use crate::support::upstream::bodies::{openai_answer, openai_error, openai_stream};
use crate::support::upstream::{Answer, Gate, Upstream};

const PATIENCE: Duration = Duration::from_secs(10);

fn question() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

/// A gateway whose model `m` has these members, and a route to each of the upstreams `a` and `b`.
fn between(a: &Upstream, b: &Upstream, members: &Value) -> Builder {
    let mut file = json!({
        "logical_name": "m",
        "model_routings": [
            {"id": "a", "provider": "alpha", "model": "up-m"},
            {"id": "b", "provider": "beta", "model": "up-m"},
        ],
    });
    for (name, value) in members.as_object().expect("an object") {
        file[name] = value.clone();
    }
    Gateway::builder()
        .setting("max_retries", 0)
        .provider("alpha", a, Protocol::OpenAi)
        .provider("beta", b, Protocol::OpenAi)
        .model_file("m", &file)
}

fn two_upstreams() -> (Upstream, Upstream) {
    let (a, b) = (Upstream::start(), Upstream::start());
    a.always(openai_answer("from a"));
    b.always(openai_answer("from b"));
    (a, b)
}

fn calls(upstream: &Upstream) -> usize {
    upstream.requests().len()
}

#[track_caller]
fn ask(gateway: &Gateway) {
    assert_eq!(gateway.chat(&question()).status, 200);
}

/// A request of this session.
fn of_session(gateway: &Gateway, session: &str) -> Request {
    gateway
        .post("/v1/chat/completions")
        .header("x-session-id", session)
        .json(&question())
}

fn unavailable() -> Answer {
    openai_error(503, "server_error", None, "overloaded")
}

#[test]
fn a_model_without_a_strategy_keeps_to_its_first_route() {
    let (a, b) = two_upstreams();
    let gateway = between(&a, &b, &json!({})).start();
    for _ in 0..6 {
        ask(&gateway);
    }
    assert_eq!((calls(&a), calls(&b)), (6, 0));
}

#[test]
fn round_robin_alternates_between_routes() {
    let (a, b) = two_upstreams();
    let gateway = between(&a, &b, &json!({"strategy": "round_robin"})).start();
    for round in 1..=4 {
        ask(&gateway);
        ask(&gateway);
        assert_eq!((calls(&a), calls(&b)), (round, round));
    }
}

#[test]
fn round_robin_goes_on_with_the_other_route_where_one_fails() {
    let (a, b) = two_upstreams();
    a.always(unavailable());
    let gateway = between(&a, &b, &json!({"strategy": "round_robin"})).start();
    for _ in 0..4 {
        ask(&gateway);
    }
    assert_eq!(calls(&b), 4);
    assert_eq!(calls(&a), 1, "then its key rests");
}

#[test]
fn weighted_routes_get_their_shares() {
    let (a, b) = two_upstreams();
    let routes = json!([
        {"provider": "alpha", "model": "up-m", "weight": 4},
        {"provider": "beta", "model": "up-m"},
    ]);
    let members = json!({"strategy": "weighted", "model_routings": routes});
    let gateway = between(&a, &b, &members).start();
    for _ in 0..300 {
        ask(&gateway);
    }
    // 60 are expected, and seven is a standard deviation
    let second = calls(&b);
    assert!((20..=100).contains(&second), "{second} of 300");
    assert_eq!(calls(&a) + second, 300);
}

#[test]
fn a_route_without_weight_is_tried_only_after_the_others() {
    let (a, b) = two_upstreams();
    let routes = json!([
        {"provider": "alpha", "model": "up-m", "weight": 0},
        {"provider": "beta", "model": "up-m", "weight": 1},
    ]);
    let members = json!({"strategy": "weighted", "model_routings": routes});
    let gateway = between(&a, &b, &members).start();
    for _ in 0..10 {
        ask(&gateway);
    }
    assert_eq!((calls(&a), calls(&b)), (0, 10));
    b.always(unavailable());
    ask(&gateway);
    assert_eq!((calls(&a), calls(&b)), (1, 11));
}

#[test]
fn a_fallback_model_s_routes_stay_behind_and_follow_its_own_strategy() {
    let (a, b) = two_upstreams();
    let dead = Upstream::start();
    dead.always(openai_error(500, "server_error", None, "down"));
    let gateway = between(&a, &b, &json!({"strategy": "round_robin"}))
        .provider("gamma", &dead, Protocol::OpenAi)
        .model_file(
            "first",
            &json!({
                "logical_name": "first",
                "model_routings": [{"provider": "gamma", "model": "up-m"}],
                "fallback_model_routings": ["m"],
            }),
        )
        .start();
    let mut question = question();
    question["model"] = json!("first");
    for _ in 0..4 {
        assert_eq!(gateway.chat(&question).status, 200);
    }
    assert_eq!((calls(&a), calls(&b)), (2, 2));
}

#[test]
fn the_least_busy_route_is_not_the_one_with_a_stuck_request() {
    let (a, b) = two_upstreams();
    let gate = Gate::new();
    a.answer(openai_answer("at last").wait(&gate));
    let gateway = between(&a, &b, &json!({"strategy": "least_busy"})).start();
    std::thread::scope(|scope| {
        let stuck = scope.spawn(|| ask(&gateway));
        a.wait_for_requests(1, PATIENCE);
        for _ in 0..6 {
            ask(&gateway);
        }
        assert_eq!((calls(&a), calls(&b)), (1, 6));
        gate.open();
        stuck.join().expect("an answer");
    });
}

#[test]
fn a_stream_keeps_its_route_busy_until_its_end() {
    let (a, b) = two_upstreams();
    a.answer(openai_stream(&["Hel", "lo"]).only(2).stall());
    let gateway = between(&a, &b, &json!({"strategy": "least_busy"})).start();
    let mut asked = question();
    asked["stream"] = json!(true);
    let stream = gateway.chat_streaming(&asked);
    a.wait_for_requests(1, PATIENCE);
    for _ in 0..4 {
        ask(&gateway);
    }
    assert_eq!((calls(&a), calls(&b)), (1, 4));
    drop(stream);
    assert!(a.wait_for_hangup(PATIENCE));
    // both are idle now, and the turn decides
    let until = std::time::Instant::now() + PATIENCE;
    while calls(&a) == 1 {
        ask(&gateway);
        assert!(std::time::Instant::now() < until, "never idle again");
    }
}

#[test]
fn the_fastest_strategy_leaves_a_slow_route_and_comes_back_once_it_has_recovered() {
    let (a, b) = two_upstreams();
    a.always(openai_answer("from a").delay(500));
    b.always(openai_answer("from b").delay(30));
    let gateway = between(&a, &b, &json!({"strategy": "fastest"})).start();
    for _ in 0..40 {
        ask(&gateway);
    }
    // one call tells that it is slow, and one in twenty looks again
    let slow = calls(&a);
    assert!(
        (1..=12).contains(&slow),
        "{slow} of 40 went to the slow route"
    );
    a.always(openai_answer("from a"));
    let mut in_a_row = 0;
    for _ in 0..1000 {
        let before = calls(&a);
        ask(&gateway);
        in_a_row = if calls(&a) > before { in_a_row + 1 } else { 0 };
        if in_a_row == 5 {
            return;
        }
    }
    panic!("the recovered route was not found in 1000 requests");
}

#[test]
fn a_dead_route_is_not_the_fastest() {
    let (a, b) = two_upstreams();
    a.always(openai_error(404, "not_found_error", None, "no such model"));
    b.always(openai_answer("from b").delay(20));
    let gateway = between(&a, &b, &json!({"strategy": "fastest"})).start();
    for _ in 0..60 {
        ask(&gateway);
    }
    // a 404 rests no key: only its record keeps requests away
    assert!(calls(&a) <= 15, "{} of 60", calls(&a));
}

#[test]
fn a_session_keeps_its_route_and_key_while_others_take_turns() {
    let (a, b) = two_upstreams();
    let gateway = between(
        &a,
        &b,
        &json!({"strategy": "round_robin", "session_affinity": true}),
    )
    .keys("alpha", ["key-a1", "key-a2", "key-a3"])
    .start();
    for _ in 0..5 {
        assert_eq!(of_session(&gateway, "s-1").send().status, 200);
    }
    assert_eq!((calls(&a), calls(&b)), (5, 0));
    let used = a.keys_used();
    assert!(used.iter().all(|key| *key == used[0]), "{used:?}");
    // what tells no session goes round
    for _ in 0..4 {
        ask(&gateway);
    }
    assert_eq!((calls(&a), calls(&b)), (7, 2));
}

#[test]
fn a_session_moves_when_its_key_rests_and_then_stays_where_it_is() {
    let (a, b) = two_upstreams();
    let members = json!({
        "strategy": "round_robin",
        "session_affinity": true,
        "default_cooldown_seconds": 0.05,
    });
    let gateway = between(&a, &b, &members)
        .keys("alpha", ["key-a1", "key-a2"])
        .start();
    let session = of_session(&gateway, "s-1");
    session.send();
    let first = a.keys_used().remove(0);
    // its key rests for a second: the other key of the route takes over, and keeps the session
    a.answer(openai_error(429, "requests", None, "slow down").retry_after(1));
    session.send();
    let used = a.keys_used();
    assert_eq!(used[1], first);
    assert_ne!(used[2], first);
    for _ in 0..3 {
        session.send();
    }
    let used = a.keys_used();
    assert!(used[3..].iter().all(|key| *key == used[2]), "{used:?}");
    // the whole route fails: the other route takes over, and keeps the session though the first is well again
    a.answer(unavailable()).answer(unavailable());
    assert_eq!(session.send().status, 200);
    assert_eq!(calls(&b), 1);
    let until = std::time::Instant::now() + PATIENCE;
    let before = calls(&a);
    while calls(&a) == before {
        ask(&gateway);
        assert!(std::time::Instant::now() < until, "never well again");
    }
    let before = (calls(&a), calls(&b));
    for _ in 0..6 {
        assert_eq!(session.send().status, 200);
    }
    assert_eq!((calls(&a), calls(&b)), (before.0, before.1 + 6));
}

#[test]
fn two_clients_with_the_same_session_are_kept_apart() {
    let (a, b) = two_upstreams();
    let gateway = between(
        &a,
        &b,
        &json!({"strategy": "round_robin", "session_affinity": true}),
    )
    .setting("client_api_key", "client-one-key,client-two-key")
    .start();
    let ask = |key: &str| {
        let request = crate::support::client::post(gateway.address(), "/v1/chat/completions");
        let request = request.key(key).header("x-session-id", "same");
        assert_eq!(request.json(&question()).send().status, 200);
    };
    for _ in 0..3 {
        ask("client-one-key");
        ask("client-two-key");
    }
    assert_eq!((calls(&a), calls(&b)), (3, 3));
    let texts = a
        .requests()
        .iter()
        .all(|request| request.header("x-session-id").is_none());
    assert!(texts, "the header is ours");
}

#[test]
fn a_session_outlives_a_reload_of_its_model() {
    let (a, b) = two_upstreams();
    let members = json!({"strategy": "round_robin", "session_affinity": true});
    let gateway = between(&a, &b, &members).start();
    let session = of_session(&gateway, "s-1");
    session.send();
    // a third route; the session stays with the first
    let file = json!({
        "logical_name": "m", "strategy": "round_robin", "session_affinity": true, "strict": true,
        "model_routings": [
            {"id": "b", "provider": "beta", "model": "up-m"},
            {"id": "a", "provider": "alpha", "model": "up-m"},
            {"id": "c", "provider": "beta", "model": "up-new"},
        ],
    });
    gateway.write_model("m", &file.to_string());
    let until = std::time::Instant::now() + PATIENCE;
    let is_new = |upstream: &Upstream| {
        let requests = upstream.requests();
        requests
            .iter()
            .any(|request| request.json()["model"] == "up-new")
    };
    while !is_new(&b) {
        ask(&gateway);
        assert!(std::time::Instant::now() < until, "never reloaded");
    }
    let before = calls(&b);
    for _ in 0..6 {
        session.send();
    }
    assert_eq!(calls(&b), before);
}
