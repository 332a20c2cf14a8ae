//! Whose turn it is: keys, repeats, routes and fallback models, in which order and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    NAMES, at_once, broken, error, gaps, model, model_with, openai_routes, provider, question,
    rows, story, to_model,
};
use crate::support::gateway::{Builder, Gateway};
use crate::support::upstream::bodies::openai_answer;
use crate::support::upstream::{Answer, Upstream, vanish};

const OPENAI: Protocol = Protocol::OpenAi;

fn status(status: u16) -> Answer {
    error(OPENAI, status, "server_error", "no")
}

/// One route with these members of `request_config`, and `beta` after it.
fn two_routes(upstream: &Upstream, spare: &Upstream, request_config: Value) -> Builder {
    openai_routes([upstream, spare]).provider_file(
        "alpha",
        &provider("alpha", upstream, OPENAI, request_config),
    )
}

/// Waits about as long as the backoff before repeat number `nth`, from 0.
#[track_caller]
fn assert_backoff(gap: Duration, nth: u32) {
    let middle = Duration::from_millis(400) * 2_u32.pow(nth);
    assert!(gap >= middle.mul_f64(0.75), "too early: {gap:?}");
    assert!(
        gap <= middle.mul_f64(1.25) + Duration::from_secs(1),
        "too late: {gap:?}"
    );
}

#[test]
fn each_ready_key_of_a_route_is_called_once_before_the_next_route() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(broken());
    second.always(openai_answer("saved"));
    let gateway = openai_routes([&first, &second])
        .keys("alpha", ["key-a", "key-b", "key-c"])
        .start();
    assert_eq!(gateway.chat(&question()).status, 200);
    let used: BTreeSet<_> = first.keys_used().into_iter().collect();
    assert_eq!((used.len(), first.requests().len()), (3, 3));
    let row = gateway.only_row();
    assert_eq!(story(&row)[2..], ["alpha 500 transient", "beta 200 ok"]);
    assert_eq!(row.number("provider_retries"), 3);
    assert!(
        gaps(&first)
            .iter()
            .all(|gap| *gap < Duration::from_millis(300)),
        "no wait"
    );
}

#[test]
fn keys_are_called_in_the_order_of_the_ring() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = openai_routes([&upstream])
        .setting("key_cooldown_seconds", 0)
        .keys("alpha", ["key-a", "key-b", "key-c"])
        .start();
    for _ in 0..3 {
        gateway.chat(&question());
    }
    let turns = upstream.keys_used();
    upstream.always(broken());
    gateway.chat(&question());
    assert_eq!(
        upstream.keys_used()[3..],
        turns,
        "every key again, in the same order"
    );
}

#[test]
fn as_many_repeats_are_made_as_the_provider_file_allows_with_growing_waits() {
    at_once([0, 1, 2], |repeats| {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(broken());
        second.always(openai_answer("saved"));
        let gateway = two_routes(&first, &second, json!({"max_retries": repeats}))
            .setting("max_retries", 7)
            .start();
        assert_eq!(gateway.chat(&question()).status, 200);
        let gaps = gaps(&first);
        assert_eq!(gaps.len(), repeats, "{gaps:?}");
        for (nth, gap) in (0..).zip(gaps) {
            assert_backoff(gap, nth);
        }
    });
}

#[test]
fn the_settings_say_how_many_repeats_where_the_provider_file_does_not() {
    let upstream = Upstream::start();
    upstream.always(broken());
    let gateway = openai_routes([&upstream]).setting("max_retries", 1).start();
    let refused = gateway.chat(&question());
    // two calls: the words are ours
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.header("x-model-proxy-attempts"), Some("2"));
    assert!(
        refused.json()["error"]["message"]
            .to_string()
            .contains("2 calls made")
    );
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_repeat_that_succeeds_ends_the_rest_of_its_key() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.answer(broken());
    first.always(openai_answer("back"));
    let gateway = two_routes(&first, &second, json!({"max_retries": 1})).start();
    for attempts in ["2", "1"] {
        let answer = gateway.chat(&question());
        assert_eq!(answer.header("x-model-proxy-attempts"), Some(attempts));
        assert!(answer.text().contains("back"));
    }
    assert_eq!(
        story(&rows(&gateway, 2)[0]),
        ["alpha 500 transient", "alpha 200 ok"]
    );
}

#[test]
fn only_listed_statuses_are_repeated_and_every_other_moves_on_all_the_same() {
    let ways = [
        (json!([503]), status(500), 1),
        (json!([503]), status(503), 2),
        (json!([503]), status(529), 2),
        (json!([500]), status(529), 1),
        (json!([]), status(503), 1),
        // what is not listed by default, and what no list can make right
        (Value::Null, status(401), 1),
        (json!([401]), status(401), 1),
        (json!([404]), status(404), 1),
    ];
    at_once(ways, |(listed, answer, calls)| {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(answer);
        second.always(openai_answer("saved"));
        let config = json!({"max_retries": 1, "retry_on_status": listed});
        let gateway = two_routes(&first, &second, config).start();
        assert_eq!(gateway.chat(&question()).status, 200);
        assert_eq!(
            first.requests().len(),
            calls,
            "{listed} {}",
            story(&gateway.only_row())[0]
        );
        assert_eq!(second.requests().len(), 1);
    });
}

#[test]
fn a_lost_connection_is_repeated_whatever_statuses_are_listed() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.answer(vanish());
    first.always(openai_answer("back"));
    let config = json!({"max_retries": 1, "retry_on_status": []});
    let gateway = two_routes(&first, &second, config).start();
    assert!(gateway.chat(&question()).text().contains("back"));
    assert_eq!(
        story(&gateway.only_row()),
        ["alpha - transient", "alpha 200 ok"]
    );
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn a_second_pass_over_the_keys_counts_as_repeats_and_waits_once() {
    at_once([(2, 4), (1, 3), (3, 5)], |(retries, calls)| {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(broken());
        second.always(openai_answer("saved"));
        let gateway = two_routes(&first, &second, json!({"max_retries": retries}))
            .setting("max_key_retry_cycles", 2)
            .keys("alpha", ["key-a", "key-b"])
            .start();
        assert_eq!(gateway.chat(&question()).status, 200);
        let gaps = gaps(&first);
        assert_eq!(gaps.len() + 1, calls, "with {retries} repeats: {gaps:?}");
        assert!(gaps[0] < Duration::from_millis(300), "{gaps:?}");
        assert_backoff(gaps[1], 0);
        if calls > 3 {
            assert!(gaps[2] < Duration::from_millis(300), "{gaps:?}");
            let used: BTreeSet<_> = first.keys_used().split_off(2).into_iter().collect();
            assert_eq!(used.len(), 2, "each key again");
        }
    });
}

#[test]
fn a_cap_of_calls_leaves_every_later_route_its_one() {
    for (cap, calls) in [
        (1, [1, 1, 1]),
        (3, [1, 1, 1]),
        (4, [2, 1, 1]),
        (6, [4, 1, 1]),
        (9, [4, 4, 1]),
    ] {
        let upstreams = [(); 3].map(|()| Upstream::start());
        for upstream in &upstreams {
            upstream.always(broken());
        }
        let [first, second, third] = &upstreams;
        let many = ["key-a", "key-b", "key-c", "key-d"];
        let gateway = openai_routes([first, second, third])
            .setting("max_attempts", cap)
            .keys("alpha", many)
            .keys(
                "beta",
                many.map(|key| if key == "key-a" { "key-e" } else { key }),
            )
            .start();
        assert_eq!(gateway.chat(&question()).status, 503);
        assert_eq!(
            upstreams.each_ref().map(|one| one.requests().len()),
            calls,
            "cap {cap}"
        );
    }
}

#[test]
fn a_cap_of_calls_ends_the_repeats_of_the_last_route_too() {
    let upstream = Upstream::start();
    upstream.always(broken());
    let gateway = openai_routes([&upstream])
        .setting("max_retries", 5)
        .setting("max_attempts", 2)
        .start();
    let refused = gateway.chat(&question());
    assert_eq!(refused.header("x-model-proxy-attempts"), Some("2"));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn fallbacks_that_form_diamonds_and_cycles_are_asked_once_each_in_order() {
    let upstream = Upstream::start();
    upstream.always(broken());
    let fallbacks = [
        ("m", "alpha", json!(["left", "right"])),
        ("left", "beta", json!(["bottom"])),
        ("right", "gamma", json!(["bottom", "left"])),
        ("bottom", "delta", json!(["m", "bottom", "right"])),
    ];
    let mut builder = Gateway::builder().setting("max_retries", 0);
    for (name, provider, next) in fallbacks {
        let mut file = model(name, &[provider]);
        file["fallback_model_routings"] = next;
        builder = builder
            .provider(provider, &upstream, OPENAI)
            .model_file(name, &file);
    }
    let gateway = builder.start();
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 503);
    // left's own fallback comes before its sibling
    let calls = ["alpha", "beta", "delta", "gamma"].map(|name| format!("{name} 500 transient"));
    assert_eq!(story(&gateway.only_row()), calls);
    assert_eq!(refused.header("x-model-proxy-attempts"), Some("4"));
}

#[test]
fn a_fallback_model_serves_a_client_of_the_other_protocol() {
    for (client, theirs) in [(OPENAI, Protocol::Anthropic), (Protocol::Anthropic, OPENAI)] {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(error(client, 503, "overloaded_error", "busy"));
        second.always(super::whole(theirs, "saved"));
        let gateway = super::routes([(&first, client), (&second, theirs)])
            .model_file(
                "m",
                &model_with::<1>(json!({"fallback_model_routings": ["spare"]})),
            )
            .model("spare", [(NAMES[1], "up-spare")])
            .start();
        let answer = gateway.post(super::path(client)).json(&question()).send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("saved"));
        assert_eq!(answer.header("x-model-proxy-model"), Some("beta/up-spare"));
    }
}

#[test]
fn keys_that_die_one_after_the_other_are_replaced_until_none_is_left() {
    let upstream = Upstream::start();
    let gateway = openai_routes([&upstream])
        .keys("alpha", ["key-a", "key-b", "key-c"])
        .model("other", [("alpha", "up-other")])
        .start();
    let mut calls = 0;
    for dead in [
        &[][..],
        &["key-b"],
        &["key-b", "key-a"],
        &["key-b", "key-a", "key-c"],
    ] {
        upstream.judge_by(move |request| match request.key() {
            Some(key) if dead.contains(&key) => error(OPENAI, 401, "authentication_error", "dead"),
            _ => openai_answer("alive"),
        });
        for _ in 0..4 {
            let answer = gateway.chat(&question());
            let expected = if dead.len() == 3 {
                [503, 429]
            } else {
                [200, 200]
            };
            assert!(
                expected.contains(&answer.status),
                "{dead:?}: {}",
                answer.text()
            );
        }
        let used = upstream.keys_used().split_off(calls);
        for key in dead {
            let times = used.iter().filter(|one| one == key).count();
            assert!(times <= 1, "{key} was called {times} times after it died");
        }
        calls += used.len();
    }
    // banned for all models: nobody is called any more
    let refused = gateway.chat(&to_model(question(), "other"));
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(upstream.requests().len(), calls);
}
