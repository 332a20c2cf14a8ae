//! Limits, settlement, and random traffic that no window may let over a limit in any minute.

use proptest::prelude::*;

use super::*;

fn limits(requests: u64, tokens: u64, slots: u64) -> Limits {
    let some = |limit: u64| (limit > 0).then_some(limit);
    Limits {
        requests_per_minute: some(requests),
        tokens_per_minute: some(tokens),
        concurrent_requests: some(slots),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn requests_are_admitted_up_to_the_limit_of_a_sliding_minute() {
    let limits = limits(2, 0, 0);
    let start = Instant::now();
    let mut window = Window::default();
    assert!(window.admit(start, &limits, 0).is_ok());
    assert!(window.admit(start + seconds(20), &limits, 0).is_ok());
    let refusal = window.admit(start + seconds(30), &limits, 0).unwrap_err();
    assert_eq!(refusal.which, LimitKind::Requests);
    assert_eq!(refusal.retry_after, seconds(30));
    assert_eq!(
        refusal.gauges.requests,
        Some(Gauge {
            limit: 2,
            remaining: 0,
            reset: seconds(50)
        })
    );
    assert!(window.admit(start + seconds(60), &limits, 0).is_ok());
    assert!(window.admit(start + seconds(61), &limits, 0).is_err());
}

#[test]
fn a_burst_that_is_counted_together_leaves_with_its_latest() {
    let limits = limits(2, 0, 0);
    let start = Instant::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let mut window = Window::default();
    assert!(window.admit(at(0), &limits, 0).is_ok());
    assert!(window.admit(at(200), &limits, 0).is_ok());
    let refusal = window.admit(at(60_100), &limits, 0).unwrap_err();
    assert_eq!(refusal.retry_after, Duration::from_millis(100));
    assert!(window.admit(at(60_200), &limits, 0).is_ok());
}

#[test]
fn what_is_refused_consumes_nothing() {
    let limits = limits(5, 100, 5);
    let now = Instant::now();
    let mut window = Window::default();
    let admission = window.admit(now, &limits, 60).unwrap();
    for _ in 0..10 {
        let refusal = window.admit(now, &limits, 60).unwrap_err();
        assert_eq!(refusal.which, LimitKind::Tokens);
    }
    let gauges = window.gauges(now, &limits);
    assert_eq!(gauges.requests.unwrap().remaining, 4);
    assert_eq!(gauges.tokens.unwrap().remaining, 40);
    assert_eq!(window.in_flight(), 1);
    window.release(admission);
}

#[test]
fn a_lone_request_is_never_refused_however_large() {
    let limits = limits(1, 100, 1);
    let now = Instant::now();
    let mut window = Window::default();
    let admission = window.admit(now, &limits, 1_000_000).unwrap();
    let gauges = window.gauges(now, &limits);
    assert_eq!(gauges.tokens.unwrap().remaining, 0);
    window.release(admission);
}

#[test]
fn without_limits_everything_is_admitted_and_nothing_is_gauged() {
    let limits = Limits::default();
    let now = Instant::now();
    let mut window = Window::default();
    for _ in 0..10_000 {
        let admission = window.admit(now, &limits, u64::MAX).unwrap();
        window.release(admission);
    }
    assert_eq!(window.gauges(now, &limits), Gauges::default());
    assert_eq!(window.entries.len(), 1);
}

#[test]
fn slots_are_counted_until_they_are_released() {
    let limits = limits(0, 0, 2);
    let now = Instant::now();
    let mut window = Window::default();
    let first = window.admit(now, &limits, 0).unwrap();
    let _second = window.admit(now, &limits, 0).unwrap();
    let later = now + seconds(3_600);
    let refusal = window.admit(later, &limits, 0).unwrap_err();
    assert_eq!(
        (refusal.which, refusal.retry_after),
        (LimitKind::Slots, SLOT_WAIT)
    );
    window.release(first);
    assert!(window.admit(later, &limits, 0).is_ok());
}

#[test]
fn the_limit_with_the_longest_wait_is_named() {
    let limits = limits(1, 100, 1);
    let start = Instant::now();
    let mut window = Window::default();
    let _held = window.admit(start, &limits, 10).unwrap();
    let refusal = window.admit(start + seconds(1), &limits, 0).unwrap_err();
    assert_eq!(refusal.which, LimitKind::Requests);
    assert_eq!(refusal.retry_after, seconds(59));
}

#[test]
fn too_much_reserved_comes_back_and_too_little_counts_from_now() {
    let limits = limits(0, 1_000, 0);
    let start = Instant::now();
    let mut window = Window::default();
    let mut admission = window.admit(start, &limits, 800).unwrap();
    window.settle(start, &mut admission, 100);
    let remaining =
        |window: &mut Window, now| window.gauges(now, &limits).tokens.unwrap().remaining;
    assert_eq!(remaining(&mut window, start), 900);
    window.settle(start + seconds(30), &mut admission, 400);
    assert_eq!(remaining(&mut window, start + seconds(30)), 600);
    assert_eq!(remaining(&mut window, start + seconds(61)), 700);
    assert_eq!(remaining(&mut window, start + seconds(91)), 1_000);
    window.settle(start + seconds(91), &mut admission, 400);
    assert_eq!(remaining(&mut window, start + seconds(91)), 1_000);
    window.settle(start + seconds(91), &mut admission, 0);
    assert_eq!(remaining(&mut window, start + seconds(91)), 1_000);
    window.release(admission);
    assert!(window.is_idle(start + seconds(91)));
}

#[test]
fn settling_down_never_takes_what_others_reserved() {
    let limits = limits(0, 1_000, 0);
    let now = Instant::now();
    let mut window = Window::default();
    let mut ours = window.admit(now, &limits, 100).unwrap();
    let theirs = window.admit(now, &limits, 500).unwrap();
    window.settle(now + seconds(1), &mut ours, 300);
    window.settle(now + seconds(1), &mut ours, 0);
    let gauges = window.gauges(now + seconds(1), &limits);
    assert_eq!(gauges.tokens.unwrap().remaining, 1_000 - 500 - 200);
    window.release(ours);
    window.release(theirs);
}

#[test]
fn more_used_than_allowed_refuses_until_it_has_left() {
    let limits = limits(0, 1_000, 0);
    let start = Instant::now();
    let mut window = Window::default();
    let mut admission = window.admit(start, &limits, 10).unwrap();
    window.settle(start + seconds(10), &mut admission, 50_000);
    window.release(admission);
    let refusal = window.admit(start + seconds(11), &limits, 1).unwrap_err();
    assert_eq!(refusal.retry_after, seconds(59));
    assert_eq!(refusal.gauges.tokens.unwrap().remaining, 0);
    assert!(window.admit(start + seconds(70), &limits, 1).is_ok());
}

#[test]
fn a_limit_that_shrinks_on_reload_holds_at_once() {
    let now = Instant::now();
    let mut window = Window::default();
    for _ in 0..5 {
        let admission = window.admit(now, &limits(10, 0, 0), 0).unwrap();
        window.release(admission);
    }
    assert!(window.admit(now, &limits(3, 0, 0), 0).is_err());
    assert!(window.admit(now, &limits(6, 0, 0), 0).is_ok());
}

#[test]
fn a_window_is_idle_when_its_minute_is_over_and_nothing_is_in_flight() {
    let limits = Limits::default();
    let start = Instant::now();
    let mut window = Window::default();
    assert!(window.is_idle(start));
    let admission = window.admit(start, &limits, 1).unwrap();
    assert!(!window.is_idle(start + seconds(3_600)), "in flight");
    window.release(admission);
    let admission = window.admit(start + seconds(3_600), &limits, 1).unwrap();
    window.release(admission);
    assert!(!window.is_idle(start + seconds(3_601)), "in its minute");
    assert!(window.is_idle(start + seconds(3_660)));
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let limits = limits(1, 0, 0);
    let start = Instant::now() + seconds(100);
    let mut window = Window::default();
    let admission = window.admit(start, &limits, 0).unwrap();
    window.release(admission);
    let refusal = window.admit(start - seconds(90), &limits, 0).unwrap_err();
    assert_eq!(refusal.retry_after, seconds(60));
}

#[test]
fn memory_is_bounded_whatever_the_traffic() {
    let limits = Limits::default();
    let mut now = Instant::now();
    let mut window = Window::default();
    for _ in 0..100_000 {
        let admission = window.admit(now, &limits, 1).unwrap();
        window.release(admission);
        now += Duration::from_millis(3);
        assert!(window.entries.len() <= 241);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Admit(u64),
    Settle(usize, u64),
    Release(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..400u64).prop_map(Step::Admit),
        1 => (any::<usize>(), 0..600u64).prop_map(|(which, actual)| Step::Settle(which, actual)),
        2 => any::<usize>().prop_map(Step::Release),
        3 => (0..25_000u64).prop_map(Step::Wait),
        3 => (0..300u64).prop_map(Step::Wait),
    ]
}

/// One admitted request as the test saw it.
struct Seen {
    at: Instant,
    reserved: u64,
}

/// The most that was admitted in any minute, by requests and by reserved tokens.
fn busiest_minute(seen: &[Seen]) -> (u64, u64) {
    let minute = |from: Instant| {
        seen.iter()
            .filter(move |seen| seen.at >= from && seen.at < from + SPAN)
    };
    seen.iter()
        .map(|first| {
            let requests = minute(first.at).count() as u64;
            let tokens = minute(first.at).map(|seen| seen.reserved).sum();
            (requests, tokens)
        })
        .fold((0, 0), |(requests, tokens), (one, other)| {
            (requests.max(one), tokens.max(other))
        })
}

proptest! {
    #[test]
    fn no_traffic_gets_over_a_limit_in_any_minute(
        steps in prop::collection::vec(step(), 1..150),
        requests in 0..12u64,
        tokens in 0..1_000u64,
        slots in 0..5u64,
    ) {
        let limits = limits(requests, tokens, slots);
        let mut now = Instant::now();
        let mut window = Window::default();
        let mut held: Vec<Admission> = Vec::new();
        let mut seen: Vec<Seen> = Vec::new();
        let mut settled = false;
        for step in steps {
            match step {
                Step::Admit(cost) => {
                    let before = window.gauges(now, &limits);
                    match window.admit(now, &limits, cost) {
                        Ok(admission) => {
                            seen.push(Seen { at: now, reserved: admission.tokens });
                            held.push(admission);
                        }
                        Err(refusal) => {
                            prop_assert_eq!(before, window.gauges(now, &limits));
                            prop_assert_eq!(before, refusal.gauges);
                            prop_assert!(!copy(&window).is_idle(now), "a lone request");
                            if refusal.which != LimitKind::Slots && (slots == 0 || window.in_flight < slots) {
                                let early = now + refusal.retry_after - Duration::from_nanos(1);
                                prop_assert!(copy(&window).admit(early, &limits, cost).is_err());
                                let due = now + refusal.retry_after;
                                prop_assert!(copy(&window).admit(due, &limits, cost).is_ok());
                            }
                        }
                    }
                }
                Step::Settle(which, actual) if !held.is_empty() => {
                    let which = which % held.len();
                    settled = true;
                    window.settle(now, &mut held[which], actual);
                }
                Step::Release(which) if !held.is_empty() => {
                    let admission = held.swap_remove(which % held.len());
                    window.release(admission);
                }
                Step::Settle(..) | Step::Release(_) => {}
                Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
            }
            prop_assert_eq!(window.in_flight(), held.len() as u64);
            prop_assert!(slots == 0 || held.len() as u64 <= slots);
            prop_assert_eq!(window.requests, window.entries.iter().map(|entry| entry.requests).sum::<u64>());
            prop_assert_eq!(window.tokens, window.entries.iter().map(|entry| entry.tokens).sum::<u64>());
        }
        let (busiest_requests, busiest_tokens) = busiest_minute(&seen);
        prop_assert!(requests == 0 || busiest_requests <= requests);
        prop_assert!(tokens == 0 || settled || busiest_tokens <= tokens);
        for admission in held {
            window.release(admission);
        }
        prop_assert!(window.is_idle(now + SPAN));
    }
}

proptest! {
    /// Bursts that share an entry, and attempts around the moment at which they leave.
    #[test]
    fn no_burst_gets_over_a_limit_in_any_minute(
        gaps in prop::collection::vec(prop_oneof![0..260u64, 59_500..60_300u64], 1..60),
        limit in 1..6u64,
    ) {
        let limits = limits(limit, 0, 0);
        let mut now = Instant::now();
        let mut window = Window::default();
        let mut seen: Vec<Seen> = Vec::new();
        for gap in gaps {
            now += Duration::from_millis(gap);
            if let Ok(admission) = window.admit(now, &limits, 0) {
                seen.push(Seen { at: now, reserved: 0 });
                window.release(admission);
            }
        }
        prop_assert!(busiest_minute(&seen).0 <= limit);
    }
}

fn copy(window: &Window) -> Window {
    Window {
        entries: window.entries.clone(),
        ..*window
    }
}
