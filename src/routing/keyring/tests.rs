//! Rotation, rests, reloads; and random schedules that no ring may survive with a false count.

mod headroom;
mod schedules;
mod turns;

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::routing::outcome::Class;
use crate::routing::samples;

const COOLDOWN: Duration = Duration::from_secs(300);

fn rest(scope: Scope, kind: RestKind, seconds: u64) -> KeyEffect {
    KeyEffect::Rest {
        scope,
        kind,
        duration: Duration::from_secs(seconds),
        asked: false,
        why: Class::Transient,
    }
}

fn asked(seconds: u64) -> KeyEffect {
    KeyEffect::Rest {
        scope: Scope::KeyModel,
        kind: RestKind::Banned,
        duration: Duration::from_secs(seconds),
        asked: true,
        why: Class::Transient,
    }
}

fn ready() -> Choice {
    except(&[])
}

fn except(tried: &[Digest]) -> Choice {
    Choice::Ready {
        except: tried.to_vec(),
    }
}

/// Leases and gives back at once; the label, or how many seconds until the soonest.
fn take(
    ring: &mut Keyring,
    now: Instant,
    model: &str,
    keys: &[Arc<ProviderKey>],
) -> Result<String, Option<u64>> {
    match ring.lease(now, model, keys, &ready()) {
        Ok(leased) => {
            let label = leased.key().label.clone();
            ring.release(leased);
            Ok(label)
        }
        Err(resting) => Err(resting.soonest.map(|wait| wait.as_secs())),
    }
}

fn label(number: usize) -> Result<String, Option<u64>> {
    Ok(format!("KEY_{number}"))
}

#[test]
fn keys_take_turns_in_their_order() {
    let keys = samples::keys(3);
    let now = Instant::now();
    let mut ring = Keyring::new();
    let taken: Vec<_> = (0..7)
        .map(|_| take(&mut ring, now, "m", &keys).unwrap())
        .collect();
    assert_eq!(
        taken,
        [
            "KEY_1", "KEY_2", "KEY_3", "KEY_1", "KEY_2", "KEY_3", "KEY_1"
        ]
    );
}

#[test]
fn lists_of_keys_take_turns_on_their_own() {
    let keys = samples::keys(3);
    let single = &keys[..1];
    let now = Instant::now();
    let mut ring = Keyring::new();
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(take(&mut ring, now, "m", &keys).unwrap());
        assert_eq!(take(&mut ring, now, "n", single), label(1));
    }
    assert_eq!(taken, ["KEY_1", "KEY_2", "KEY_3"]);
}

#[test]
fn the_turn_goes_on_after_a_reload() {
    let keys = samples::keys(3);
    let now = Instant::now();
    let mut ring = Keyring::new();
    assert_eq!(take(&mut ring, now, "m", &keys), label(1));
    ring.sync(&keys);
    assert_eq!(take(&mut ring, now, "m", &keys), label(2));
    let more = samples::keys(4);
    ring.sync(&more);
    assert_eq!(take(&mut ring, now, "m", &more), label(3));
    assert_eq!(take(&mut ring, now, "m", &more), label(4));
}

#[test]
fn tried_keys_are_passed_over_and_all_tried_is_no_wait() {
    let keys = samples::keys(2);
    let now = Instant::now();
    let mut ring = Keyring::new();
    let tried = [keys[0].digest];
    let leased = ring.lease(now, "m", &keys, &except(&tried)).unwrap();
    assert_eq!(leased.key().label, "KEY_2");
    ring.release(leased);
    let tried = [keys[0].digest, keys[1].digest];
    let resting = ring.lease(now, "m", &keys, &except(&tried)).unwrap_err();
    assert_eq!(resting.soonest, None);
    assert_eq!(
        ring.lease(now, "m", &[], &ready()).unwrap_err().soonest,
        None,
        "nor is no key at all"
    );
}

#[test]
fn a_limited_key_rests_for_its_model_and_a_banned_one_for_all() {
    let keys = samples::keys(2);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    ring.report(now, &keys[0].digest, "m", asked(7));
    assert_eq!(take(&mut ring, now, "m", &keys), label(2));
    assert_eq!(take(&mut ring, now, "m", &keys), label(2));
    assert_eq!(take(&mut ring, now, "other", &keys[..1]), label(1));
    let banned = rest(Scope::Key, RestKind::Banned, 300);
    ring.report(now, &keys[1].digest, "m", banned);
    assert_eq!(take(&mut ring, now, "m", &keys), Err(Some(7)));
    assert_eq!(take(&mut ring, now, "other", &keys[1..]), Err(Some(300)));
    let later = now + Duration::from_secs(7);
    assert_eq!(take(&mut ring, later, "m", &keys), label(1));
}

#[test]
fn a_resting_provider_rests_with_all_keys_and_its_rest_ends_by_time_alone() {
    let keys = samples::keys(2);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    let effect = rest(Scope::Provider, RestKind::Banned, 60);
    ring.report(now, &keys[0].digest, "m", effect);
    ring.report(now, &keys[0].digest, "m", KeyEffect::Success);
    assert_eq!(take(&mut ring, now, "other", &keys), Err(Some(60)));
    assert_eq!(ring.status(now).ready, 0);
    let later = now + Duration::from_secs(60);
    assert_eq!(take(&mut ring, later, "other", &keys), label(1));
}

#[test]
fn a_later_failure_never_shortens_a_rest() {
    let keys = samples::keys(1);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    for seconds in [60, 5, 61] {
        ring.report(now, &keys[0].digest, "m", asked(seconds));
    }
    ring.report(
        now,
        &keys[0].digest,
        "m",
        rest(Scope::KeyModel, RestKind::Transient, 300),
    );
    assert_eq!(take(&mut ring, now, "m", &keys), Err(Some(61)));
}

#[test]
fn a_success_ends_the_rests_of_its_key_for_its_model() {
    let keys = samples::keys(1);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    let digest = &keys[0].digest;
    ring.report(now, digest, "m", rest(Scope::Key, RestKind::Banned, 300));
    for model in ["m", "n"] {
        let effect = rest(Scope::KeyModel, RestKind::Transient, 300);
        ring.report(now, digest, model, effect);
    }
    ring.report(now, digest, "m", KeyEffect::Success);
    assert_eq!(take(&mut ring, now, "m", &keys), label(1));
    assert_eq!(take(&mut ring, now, "n", &keys), Err(Some(5)));
}

#[test]
fn after_an_accident_one_probe_at_a_time_finds_out() {
    let keys = samples::keys(1);
    let start = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    let shaken = rest(Scope::KeyModel, RestKind::Transient, 300);
    ring.report(start, &keys[0].digest, "m", shaken);
    let now = start + Duration::from_secs(5);
    let probe = ring.lease(now, "m", &keys, &ready()).unwrap();
    let resting = ring.lease(now, "m", &keys, &ready()).unwrap_err();
    assert_eq!(resting.kind, RestKind::Transient);
    assert_eq!(resting.soonest, Some(Duration::from_secs(5)));
    let other_model = ring.lease(now, "n", &keys, &ready()).unwrap();
    ring.release(other_model);
    assert!(ring.lease(now, "m", &keys, &ready()).is_err());
    ring.release(probe);
    let probe = ring.lease(now, "m", &keys, &ready()).unwrap();
    ring.report(now, &keys[0].digest, "m", shaken);
    ring.release(probe);
    assert_eq!(take(&mut ring, now, "m", &keys), Err(Some(10)), "doubled");
    let now = now + Duration::from_secs(10);
    let probe = ring.lease(now, "m", &keys, &ready()).unwrap();
    ring.report(now, &keys[0].digest, "m", KeyEffect::Success);
    let free = ring.lease(now, "m", &keys, &ready()).unwrap();
    ring.release(probe);
    ring.release(free);
    assert!(ring.is_idle(now));
}

#[test]
fn a_reload_keeps_rests_and_counts_of_keys_that_stay() {
    let keys = samples::keys(2);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    let leased = ring.lease(now, "m", &keys, &ready()).unwrap();
    ring.report(now, &keys[1].digest, "m", asked(60));
    let reread: Vec<_> = vec![samples::key(2), samples::key(3), samples::key(1)];
    ring.sync(&reread);
    let status = ring.status(now);
    assert_eq!((status.keys, status.in_flight), (3, 1));
    assert_eq!(take(&mut ring, now, "m", &reread[..1]), Err(Some(60)));
    ring.release(leased);
    assert_eq!(ring.status(now).in_flight, 0);
}

#[test]
fn a_key_that_is_gone_leaves_with_its_last_lease() {
    let keys = samples::keys(2);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    let first = ring.lease(now, "m", &keys, &ready()).unwrap();
    let second = ring.lease(now, "m", &keys, &ready()).unwrap();
    ring.release(second);
    ring.sync(&[]);
    assert_eq!(ring.keys.len(), 1);
    assert_eq!(ring.status(now).keys, 0);
    ring.report(now, &keys[0].digest, "m", asked(60));
    ring.release(first);
    assert_eq!(ring.keys.len(), 0);
    ring.report(now, &keys[0].digest, "m", asked(60));
    assert!(
        ring.is_idle(now),
        "nobody keeps a report on a key that left"
    );
}

#[test]
fn a_request_with_another_snapshot_brings_its_keys_along() {
    let keys = samples::keys(1);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&[]);
    assert_eq!(take(&mut ring, now, "m", &keys), label(1));
    ring.report(now, &keys[0].digest, "m", asked(60));
    assert_eq!(take(&mut ring, now, "m", &keys), Err(Some(60)));
    assert_eq!(ring.status(now).keys, 0);
    ring.sync(&keys);
    assert_eq!(take(&mut ring, now, "m", &keys), Err(Some(60)));
    assert_eq!(ring.status(now).keys, 1);
}

#[test]
fn status_counts_what_rests_for_all_models_as_cooling() {
    let keys = samples::keys(3);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    ring.report(now, &keys[0].digest, "m", asked(60));
    let banned = rest(Scope::Key, RestKind::Banned, 300);
    ring.report(now, &keys[1].digest, "m", banned);
    let expected = RingStatus {
        keys: 3,
        ready: 2,
        cooling: 1,
        in_flight: 0,
    };
    assert_eq!(ring.status(now), expected);
    let views = ring.list(now);
    let rests = |view: &KeyView| -> Vec<(Span, Duration)> {
        let rests = view.rests.iter();
        rests.map(|rest| (rest.span.clone(), rest.left)).collect()
    };
    assert_eq!(
        rests(&views[0]),
        [(Span::Model("m".to_owned()), Duration::from_secs(60))]
    );
    assert_eq!(rests(&views[1]), [(Span::Key, COOLDOWN)]);
    assert_eq!(rests(&views[2]), []);
    assert_eq!(ring.reset(None), 3);
    assert_eq!(ring.status(now).ready, 3);
    assert!(ring.is_idle(now));
}

#[test]
fn soonest_tells_when_a_route_can_be_called_again() {
    let keys = samples::keys(2);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    assert_eq!(ring.soonest(now, "m", &keys), None);
    assert_eq!(ring.soonest(now, "m", &[]), None);
    ring.report(now, &keys[0].digest, "m", asked(60));
    assert_eq!(ring.soonest(now, "m", &keys), None, "one is ready");
    ring.report(
        now,
        &keys[1].digest,
        "m",
        rest(Scope::KeyModel, RestKind::Transient, 300),
    );
    let expected = Resting {
        soonest: Some(Duration::from_secs(5)),
        kind: RestKind::Transient,
    };
    assert_eq!(ring.soonest(now, "m", &keys), Some(expected));
}

#[test]
fn nothing_that_prints_shows_a_secret() {
    let keys = samples::keys(2);
    let now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    let leased = ring.lease(now, "m", &keys, &ready()).unwrap();
    let printed = format!("{ring:?} {leased:?} {:?}", ring.list(now));
    assert!(printed.contains("KEY_1") && !printed.contains("secret-1"));
    ring.release(leased);
}

#[test]
fn models_long_forgotten_take_no_room() {
    let keys = samples::keys(1);
    let mut now = Instant::now();
    let mut ring = Keyring::new();
    ring.sync(&keys);
    for number in 0..1_000 {
        ring.report(now, &keys[0].digest, &format!("m{number}"), asked(1));
        now += Duration::from_secs(1);
    }
    assert!(ring.keys[&keys[0].digest].models.len() <= MODELS_KEPT);
}

#[derive(Debug, Clone)]
enum Step {
    Lease {
        model: u8,
        tried: usize,
    },
    Release(usize),
    Fail {
        key: usize,
        model: u8,
        seconds: u64,
        banned: bool,
        scope: u8,
    },
    Succeed {
        key: usize,
        model: u8,
    },
    Sync(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u8, 0..3usize).prop_map(|(model, tried)| Step::Lease { model, tried }),
        3 => any::<usize>().prop_map(Step::Release),
        2 => (0..4usize, 0..3u8, 0..90u64, any::<bool>(), 0..3u8).prop_map(
            |(key, model, seconds, banned, scope)| Step::Fail { key, model, seconds, banned, scope }
        ),
        1 => (0..4usize, 0..3u8).prop_map(|(key, model)| Step::Succeed { key, model }),
        1 => (0..5usize).prop_map(Step::Sync),
        2 => (0..40u64).prop_map(Step::Wait),
    ]
}

/// What must not be leased before when, kept apart from the ring's own books.
#[derive(Default)]
struct Oracle {
    until: HashMap<(u8, usize, u8), Instant>,
}

impl Oracle {
    fn fail(&mut self, place: (u8, usize, u8), until: Instant) {
        let known = self.until.entry(place).or_insert(until);
        *known = until.max(*known);
    }

    fn may_lease(&self, now: Instant, key: usize, model: u8) -> bool {
        [(0, 0, 0), (1, key, 0), (2, key, model)]
            .iter()
            .all(|place| self.until.get(place).is_none_or(|until| *until <= now))
    }
}

proptest! {
    #[test]
    fn no_schedule_leases_a_resting_key_or_miscounts(steps in prop::collection::vec(step(), 1..120)) {
        let keys = samples::keys(4);
        let mut now = Instant::now();
        let mut ring = Keyring::new();
        let mut oracle = Oracle::default();
        let mut out: Vec<Leased> = Vec::new();
        ring.sync(&keys);
        for step in steps {
            match step {
                Step::Lease { model, tried } => {
                    let tried: Vec<Digest> = keys.iter().take(tried).map(|key| key.digest).collect();
                    let name = format!("m{model}");
                    match ring.lease(now, &name, &keys, &except(&tried)) {
                        Ok(leased) => {
                            let digest = leased.key().digest;
                            prop_assert!(!tried.contains(&digest));
                            let number = keys.iter().position(|key| key.digest == digest).unwrap();
                            prop_assert!(oracle.may_lease(now, number, model));
                            out.push(leased);
                        }
                        Err(resting) => {
                            prop_assert!(tried.len() == keys.len() || resting.soonest.is_some());
                            prop_assert!(resting.soonest != Some(Duration::ZERO));
                        }
                    }
                }
                Step::Release(which) if !out.is_empty() => {
                    let leased = out.swap_remove(which % out.len());
                    ring.release(leased);
                }
                Step::Release(_) => {}
                Step::Fail { key, model, seconds, banned, scope } => {
                    let (scope, place) = match scope {
                        0 => (Scope::Provider, (0, 0, 0)),
                        1 => (Scope::Key, (1, key, 0)),
                        _ => (Scope::KeyModel, (2, key, model)),
                    };
                    let kind = if banned { RestKind::Banned } else { RestKind::Transient };
                    let digest = keys[key].digest;
                    let known = ring.keys.contains_key(&digest);
                    ring.report(now, &digest, &format!("m{model}"), rest(scope, kind, seconds));
                    if known || scope == Scope::Provider {
                        let whole = banned || scope == Scope::Provider;
                        let least = if whole { seconds } else { seconds.min(5) };
                        oracle.fail(place, now + Duration::from_secs(least));
                    }
                }
                Step::Succeed { key, model } => {
                    ring.report(now, &keys[key].digest, &format!("m{model}"), KeyEffect::Success);
                    oracle.until.remove(&(1, key, 0));
                    oracle.until.remove(&(2, key, model));
                }
                Step::Sync(count) => {
                    ring.sync(&keys[..count.min(keys.len())]);
                    oracle.until.retain(|(scope, key, _), _| {
                        *scope == 0 || ring.keys.contains_key(&keys[*key].digest)
                    });
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
            }
            // A retired key takes its rests with it when its last lease ends.
            oracle.until.retain(|(scope, key, _), _| {
                *scope == 0 || ring.keys.contains_key(&keys[*key].digest)
            });
            prop_assert_eq!(ring.status(now).in_flight, out.len() as u64);
            let counted: u64 = ring.keys.values().map(|state| state.in_flight).sum();
            prop_assert_eq!(counted, out.len() as u64);
        }
        for leased in out {
            ring.release(leased);
        }
        prop_assert_eq!(ring.status(now).in_flight, 0);
        let years = now + Duration::from_secs(86_400);
        prop_assert!(ring.is_idle(years));
        prop_assert!(ring.lease(years, "m0", &keys, &ready()).is_ok(), "no probe is left behind");
    }

    #[test]
    fn whatever_fails_deadlines_only_move_away(
        failures in prop::collection::vec((0..200u64, any::<bool>(), any::<bool>(), 0..30u64), 1..40)
    ) {
        let keys = samples::keys(1);
        let mut now = Instant::now();
        let mut ring = Keyring::new();
        ring.sync(&keys);
        let mut deadline = now;
        for (seconds, banned, asked, wait) in failures {
            let effect = KeyEffect::Rest {
                scope: Scope::KeyModel,
                kind: if banned { RestKind::Banned } else { RestKind::Transient },
                duration: Duration::from_secs(seconds),
                asked,
                why: Class::Transient,
            };
            ring.report(now, &keys[0].digest, "m", effect);
            let soonest = ring.soonest(now, "m", &keys);
            let next = soonest.map_or(now, |resting| now + resting.soonest.unwrap());
            prop_assert!(next >= deadline);
            deadline = next;
            now += Duration::from_secs(wait);
            deadline = deadline.max(now);
        }
    }
}
