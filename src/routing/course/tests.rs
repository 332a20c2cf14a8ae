//! Courses, played with made-up failures.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::routing::outcome::{KeyEffect, Scope};
use crate::routing::samples;

const POLICY: Policy = Policy {
    max_attempts: 12,
    key_cycles: 1,
    max_wait: Duration::from_secs(5),
};

/// Routes of providers that have so many keys each, and so many repeats, and ten minutes in all.
fn routes(keys: &[usize], max_retries: u32) -> Vec<PlannedRoute> {
    routes_within(keys, max_retries, Duration::from_secs(600))
}

fn routes_within(keys: &[usize], max_retries: u32, total: Duration) -> Vec<PlannedRoute> {
    let planned = |(place, count): (usize, &usize)| {
        let provider = crate::config::catalog::Provider {
            max_retries,
            ..samples::provider(&format!("p{place}"), *count)
        };
        let mut route = samples::route(&Arc::new(provider), &format!("m{place}"));
        route.timeouts.total = total;
        PlannedRoute {
            logical_model: Arc::new(samples::model("m", Vec::new())),
            route: Arc::new(route),
        }
    };
    keys.iter().enumerate().map(planned).collect()
}

fn course(keys: &[usize], max_retries: u32, now: Instant) -> Course {
    Course::new(routes(keys, max_retries), POLICY, 0, now)
}

fn judgement(class: Class, next: Next, repeatable: bool) -> Judgement {
    Judgement {
        class,
        key: KeyEffect::None,
        next,
        repeatable,
        asked: None,
        repair: false,
    }
}

fn accident() -> Judgement {
    judgement(Class::Transient, Next::Key, true)
}

fn limited(seconds: u64) -> Judgement {
    Judgement {
        key: KeyEffect::Rest {
            scope: Scope::KeyModel,
            kind: RestKind::Banned,
            duration: Duration::from_secs(seconds),
            asked: true,
            why: Class::RateLimited,
        },
        ..judgement(Class::RateLimited, Next::Key, true)
    }
}

fn silence() -> Judgement {
    judgement(Class::Timeout, Next::Route, false)
}

fn resting(kind: RestKind, seconds: u64) -> Resting {
    Resting {
        soonest: Some(Duration::from_secs(seconds)),
        kind,
    }
}

/// The provider of the next call, what it is after and the wait before it; `None` at the end.
fn next(course: &mut Course, now: Instant) -> Option<(String, Choice, Duration)> {
    match course.next(now, 0.5) {
        Step::Call {
            route,
            choice,
            wait,
        } => Some((route.route.provider.name.clone(), choice, wait)),
        Step::End(_) => None,
    }
}

fn used_up() -> Resting {
    Resting {
        soonest: None,
        kind: RestKind::Banned,
    }
}

/// Plays a course to its end with keys that all fail alike; the calls as `provider key`, waits before them in brackets.
fn play(course: &mut Course, mut now: Instant, judgement: &Judgement) -> Vec<String> {
    let mut calls = Vec::new();
    while let Some((provider, choice, wait)) = next(course, now) {
        now += wait;
        let planned = course
            .routes()
            .iter()
            .find(|planned| planned.route.provider.name == provider)
            .unwrap();
        let keys = Arc::clone(&planned.route.keys);
        let Some(key) = keys.iter().find(|key| choice.names(&key.digest)) else {
            course.no_key(now, used_up());
            continue;
        };
        let pause = if wait.is_zero() {
            String::new()
        } else {
            format!("[{} ms] ", wait.as_millis())
        };
        calls.push(format!("{pause}{provider} {}", key.label));
        course.called(key.digest);
        course.failed(now, judgement);
    }
    calls
}

#[test]
fn each_ready_key_is_asked_once_then_repeats_follow_with_growing_waits_then_the_next_route() {
    let now = Instant::now();
    let calls = play(&mut course(&[2, 1], 2, now), now, &accident());
    assert_eq!(
        calls,
        [
            "p0 KEY_1",
            "p0 KEY_2",
            "[400 ms] p0 KEY_1",
            "[800 ms] p0 KEY_1",
            "p1 KEY_1",
            "[400 ms] p1 KEY_1",
            "[800 ms] p1 KEY_1",
        ]
    );
}

#[test]
fn without_repeats_each_key_is_asked_once() {
    let now = Instant::now();
    let calls = play(&mut course(&[2, 1], 0, now), now, &accident());
    assert_eq!(calls, ["p0 KEY_1", "p0 KEY_2", "p1 KEY_1"]);
}

#[test]
fn what_must_not_be_repeated_is_not() {
    let now = Instant::now();
    let once = judgement(Class::Transient, Next::Key, false);
    assert_eq!(play(&mut course(&[1], 2, now), now, &once), ["p0 KEY_1"]);
}

#[test]
fn further_passes_over_the_keys_count_as_repeats() {
    let now = Instant::now();
    let policy = Policy {
        key_cycles: 2,
        ..POLICY
    };
    let mut course = Course::new(routes(&[2], 3), policy, 0, now);
    assert_eq!(
        play(&mut course, now, &accident()),
        [
            "p0 KEY_1",
            "p0 KEY_2",
            "[400 ms] p0 KEY_1",
            "p0 KEY_2",
            "[1600 ms] p0 KEY_1",
        ]
    );
}

#[test]
fn a_short_rest_that_the_upstream_asked_for_is_waited_for_and_a_long_one_ends_the_route() {
    let now = Instant::now();
    let calls = play(&mut course(&[1, 1], 1, now), now, &limited(2));
    assert_eq!(
        calls,
        [
            "p0 KEY_1",
            "[2010 ms] p0 KEY_1",
            "p1 KEY_1",
            "[2010 ms] p1 KEY_1"
        ]
    );
    let calls = play(&mut course(&[1, 1], 1, now), now, &limited(60));
    assert_eq!(calls, ["p0 KEY_1", "p1 KEY_1"]);
}

#[test]
fn of_several_keys_that_failed_the_one_that_may_be_asked_first_sets_the_wait() {
    let now = Instant::now();
    let mut course = course(&[2], 1, now);
    let keys = samples::keys(2);
    for (key, judgement) in [(&keys[0], accident()), (&keys[1], limited(60))] {
        next(&mut course, now).unwrap();
        course.called(key.digest);
        course.failed(now, &judgement);
    }
    next(&mut course, now).unwrap();
    course.no_key(now, used_up());
    let (_, choice, wait) = next(&mut course, now).unwrap();
    assert!(matches!(choice, Choice::Again { .. }));
    assert_eq!(wait, Duration::from_millis(400));
}

#[test]
fn a_silent_route_is_left_at_once_and_the_last_one_only_after_its_other_keys() {
    let now = Instant::now();
    let calls = play(&mut course(&[2, 2], 2, now), now, &silence());
    assert_eq!(calls, ["p0 KEY_1", "p1 KEY_1", "p1 KEY_2"]);
}

#[test]
fn what_is_the_clients_fault_ends_the_course() {
    let now = Instant::now();
    let fault = judgement(Class::ClientFault, Next::Return, false);
    assert_eq!(
        play(&mut course(&[2, 2], 2, now), now, &fault),
        ["p0 KEY_1"]
    );
}

#[test]
fn a_prompt_too_long_is_not_sent_to_the_same_model_again() {
    let now = Instant::now();
    let too_long = judgement(Class::ContextLength, Next::Route, false);
    let mut planned = routes(&[2, 1], 2);
    planned.insert(1, planned[0].clone());
    let mut course = Course::new(planned, POLICY, 0, now);
    assert_eq!(play(&mut course, now, &too_long), ["p0 KEY_1", "p1 KEY_1"]);
}

#[test]
fn a_repaired_request_asks_the_same_key_once_more() {
    let now = Instant::now();
    let mut course = course(&[2], 0, now);
    let key = samples::key(1).digest;
    next(&mut course, now).unwrap();
    course.called(key);
    course.repaired();
    let (_, choice, wait) = next(&mut course, now).unwrap();
    assert_eq!(
        (choice, wait),
        (Choice::Again { among: vec![key] }, Duration::ZERO)
    );
}

#[test]
fn when_every_key_rests_for_an_accident_the_one_due_first_is_asked_at_once() {
    let now = Instant::now();
    let mut course = course(&[1, 1], 2, now);
    next(&mut course, now).unwrap();
    course.no_key(now, resting(RestKind::Transient, 9));
    next(&mut course, now).unwrap();
    course.no_key(now, resting(RestKind::Transient, 3));
    let last = next(&mut course, now).unwrap();
    assert_eq!(last, ("p1".to_owned(), Choice::LastResort, Duration::ZERO));
    course.called(samples::key(1).digest);
    course.failed(now, &accident());
    assert!(next(&mut course, now).is_none(), "once");
}

#[test]
fn when_every_key_is_banned_one_that_is_due_soon_is_waited_for_and_no_other() {
    let now = Instant::now();
    let banned = |seconds, max_retries| {
        let mut course = course(&[1], max_retries, now);
        next(&mut course, now).unwrap();
        course.no_key(now, resting(RestKind::Banned, seconds));
        next(&mut course, now).map(|(_, choice, wait)| (choice, wait.as_millis()))
    };
    let ready = Choice::Ready { except: Vec::new() };
    assert_eq!(banned(4, 2), Some((ready, 4010)));
    assert_eq!(banned(6, 2), None);
    assert_eq!(banned(4, 0), None, "who wants no repeats wants no waits");
}

#[test]
fn who_has_been_called_gets_no_last_resort() {
    let now = Instant::now();
    let mut course = course(&[1, 1], 0, now);
    next(&mut course, now).unwrap();
    course.no_key(now, resting(RestKind::Transient, 1));
    next(&mut course, now).unwrap();
    course.called(samples::key(1).digest);
    course.failed(now, &accident());
    next(&mut course, now).unwrap();
    course.no_key(now, used_up());
    assert!(next(&mut course, now).is_none());
}

#[test]
fn no_wait_goes_past_the_deadline() {
    let now = Instant::now();
    let planned = routes_within(&[1], 2, Duration::from_millis(300));
    let mut course = Course::new(planned, POLICY, 0, now);
    assert_eq!(play(&mut course, now, &accident()), ["p0 KEY_1"]);
}

#[test]
fn the_rest_of_a_course_is_what_comes_after_the_route_called_last() {
    let now = Instant::now();
    let mut course = course(&[1, 1, 1], 0, now);
    next(&mut course, now).unwrap();
    course.called(samples::key(1).digest);
    let names: Vec<_> = course
        .rest()
        .iter()
        .map(|planned| planned.route.provider.name.clone())
        .collect();
    assert_eq!(names, ["p1", "p2"]);
}

/// What happens to a call, or instead of it.
#[derive(Debug, Clone, Copy)]
enum Fate {
    NoKey(u64),
    Accident,
    Limited(u64),
    Silence,
    TooLong,
    Misconfigured,
    BadKey,
    Unfit,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        (0..20u64).prop_map(Fate::NoKey),
        Just(Fate::Accident),
        (0..20u64).prop_map(Fate::Limited),
        Just(Fate::Silence),
        Just(Fate::TooLong),
        Just(Fate::Misconfigured),
        Just(Fate::BadKey),
        Just(Fate::Unfit),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_course_ends_within_its_bounds(
        keys in prop::collection::vec(1..5usize, 1..5),
        max_retries in 0..4u32,
        key_cycles in 1..4u32,
        max_attempts in 1..15usize,
        total_seconds in 1..60u64,
        fates in prop::collection::vec((fate(), 0..3000u64), 0..200),
    ) {
        let began = Instant::now();
        let mut now = began;
        let total = Duration::from_secs(total_seconds);
        let planned = routes_within(&keys, max_retries, total);
        let policy = Policy { max_attempts, key_cycles, max_wait: Duration::from_secs(5) };
        let mut course = Course::new(planned, policy, 0, began);
        let mut fates = fates.into_iter().chain(std::iter::repeat((Fate::BadKey, 1)));
        let mut calls: Vec<(usize, usize)> = Vec::new();
        let mut silent: Vec<(usize, usize)> = Vec::new();
        let mut steps = 0;
        while let Step::Call { route, choice, wait } = course.next(now, 0.5) {
            steps += 1;
            prop_assert!(steps < 500, "it ends");
            prop_assert!(wait <= policy.max_wait + 2 * SLACK);
            now += wait;
            prop_assert!(now < began + total + SLACK, "no attempt after the deadline");
            let place = course.routes().iter().position(|one| Arc::ptr_eq(&one.route, &route.route)).unwrap();
            let (fate, took) = fates.next().unwrap();
            let key = route.route.keys.iter().position(|key| choice.names(&key.digest));
            let (Some(key), false) = (key, matches!(fate, Fate::NoKey(_) | Fate::Unfit)) else {
                match fate {
                    Fate::Unfit => course.unfit(),
                    Fate::NoKey(seconds) => course.no_key(now, resting(RestKind::Banned, seconds)),
                    _ => course.no_key(now, used_up()),
                }
                continue;
            };
            prop_assert!(!silent.contains(&(place, key)), "a silent key is never asked again");
            let is_first = calls.iter().all(|(called, _)| *called != place);
            prop_assert!(is_first || calls.len() < max_attempts, "only first calls go over the cap");
            calls.push((place, key));
            course.called(route.route.keys[key].digest);
            now += Duration::from_millis(took);
            let judgement = match fate {
                Fate::Accident => accident(),
                Fate::Limited(seconds) => limited(seconds),
                Fate::Silence => {
                    silent.push((place, key));
                    silence()
                }
                Fate::TooLong => judgement(Class::ContextLength, Next::Route, false),
                Fate::Misconfigured => judgement(Class::Misconfigured, Next::Route, false),
                _ => judgement(Class::BadKey, Next::Key, false),
            };
            course.failed(now, &judgement);
        }
        for (place, count) in keys.iter().enumerate() {
            let here = calls.iter().filter(|(called, _)| *called == place).count();
            let most = count + usize::try_from(max_retries).unwrap();
            prop_assert!(here <= most, "each key once, and the repeats");
        }
        prop_assert!(calls.len() <= max_attempts.max(keys.len()), "the cap leaves each route one call");
        prop_assert!(calls.is_sorted_by_key(|(place, _)| *place) || calls.len() == 1, "routes keep their order");
    }
}

#[test]
fn a_time_that_a_429_asked_for_is_waited_for_even_if_its_key_does_not_rest() {
    let now = Instant::now();
    for (seconds, calls) in [
        (2, &["p0 KEY_1", "[2010 ms] p0 KEY_1"][..]),
        (60, &["p0 KEY_1"]),
    ] {
        let asked = Judgement {
            asked: Some(Duration::from_secs(seconds)),
            ..judgement(Class::RateLimited, Next::Key, true)
        };
        assert_eq!(play(&mut course(&[1], 1, now), now, &asked), calls);
    }
}

#[test]
fn the_longest_wait_itself_is_still_waited() {
    let now = Instant::now();
    let calls = play(&mut course(&[1], 1, now), now, &limited(5));
    assert_eq!(calls, ["p0 KEY_1", "[5010 ms] p0 KEY_1"]);
    let calls = play(&mut course(&[1], 1, now), now, &limited(6));
    assert_eq!(calls, ["p0 KEY_1"]);
}

#[test]
fn a_silent_route_s_other_keys_are_asked_when_no_later_route_has_one() {
    let now = Instant::now();
    let mut course = course(&[3, 1], 2, now);
    let keys = samples::keys(3);
    next(&mut course, now).unwrap();
    course.called(keys[0].digest);
    course.failed(now, &silence());
    assert_eq!(next(&mut course, now).unwrap().0, "p1");
    course.no_key(now, resting(RestKind::Banned, 60));
    for key in &keys[1..] {
        let (provider, choice, _) = next(&mut course, now).unwrap();
        assert_eq!(provider, "p0");
        assert!(choice.names(&key.digest) && !choice.names(&keys[0].digest));
        course.called(key.digest);
        course.failed(now, &silence());
    }
    next(&mut course, now).unwrap();
    course.no_key(now, used_up());
    assert!(next(&mut course, now).is_none());
}

#[test]
fn a_route_whose_time_is_over_leaves_the_later_ones_theirs() {
    let now = Instant::now();
    let mut planned = routes_within(&[1], 0, Duration::from_secs(1));
    planned.extend(routes(&[1, 1], 0).into_iter().skip(1));
    let late = judgement(Class::Timeout, Next::Return, false);
    let mut course = Course::new(planned, POLICY, 0, now);
    next(&mut course, now).unwrap();
    course.called(samples::key(1).digest);
    let later = now + Duration::from_secs(1);
    course.failed(later, &late);
    assert_eq!(next(&mut course, later).unwrap().0, "p1");
    course.called(samples::key(1).digest);
    course.failed(later, &accident());
    next(&mut course, later).unwrap();
    course.no_key(later, used_up());
    assert!(matches!(course.next(later, 0.5), Step::End(End::OutOfTime)));
}

#[test]
fn a_repaired_request_whose_key_was_banned_meanwhile_asks_the_other_keys() {
    let now = Instant::now();
    let mut course = course(&[2, 1], 0, now);
    let keys = samples::keys(2);
    next(&mut course, now).unwrap();
    course.called(keys[0].digest);
    course.repaired();
    let (_, again, _) = next(&mut course, now).unwrap();
    assert!(again.names(&keys[0].digest) && !again.names(&keys[1].digest));
    course.no_key(now, resting(RestKind::Banned, 60));
    let (provider, choice, _) = next(&mut course, now).unwrap();
    assert_eq!(provider, "p0");
    assert!(choice.names(&keys[1].digest) && !choice.names(&keys[0].digest));
    course.no_key(now, used_up());
    assert_eq!(next(&mut course, now).unwrap().0, "p1");
}
