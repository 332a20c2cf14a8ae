//! Random schedules of every choice, with caps: what may never be leased, and that one probe at a time finds out.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{except, ready, rest};
use crate::routing::keyring::*;
use crate::routing::samples;

/// Few enough that schedules meet it.
const CAP: u64 = 2;

#[derive(Debug, Clone)]
enum Step {
    Lease {
        model: u8,
        choice: u8,
        keys: usize,
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
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2u8, 0..4u8, 0..4usize).prop_map(|(model, choice, keys)| Step::Lease { model, choice, keys }),
        3 => any::<usize>().prop_map(Step::Release),
        3 => (0..3usize, 0..2u8, 1..60u64, any::<bool>(), 0..3u8).prop_map(
            |(key, model, seconds, banned, scope)| Step::Fail { key, model, seconds, banned, scope }
        ),
        1 => (0..3usize, 0..2u8).prop_map(|(key, model)| Step::Succeed { key, model }),
        2 => (0..30u64).prop_map(Step::Wait),
    ]
}

/// Deadlines by kind and place, kept apart from the ring's own books: the earliest and the latest that they may be, since
/// the rest of an accident grows with each further one.
#[derive(Default)]
struct Books {
    until: HashMap<(bool, Place), Window>,
}

/// A scope, a key and a model.
type Place = (u8, usize, u8);
/// From the earliest to the latest.
type Window = (Instant, Instant);

impl Books {
    fn fail(&mut self, banned: bool, place: Place, until: Window) {
        let known = self.until.entry((banned, place)).or_insert(until);
        *known = (until.0.max(known.0), until.1.max(known.1));
    }

    fn succeed(&mut self, key: usize, model: u8) {
        self.until
            .retain(|(_, place), _| *place != (1, key, 0) && *place != (2, key, model));
    }

    /// Whether something of this kind lies ahead.
    fn rests(&self, banned: bool, now: Instant, key: usize, model: u8) -> bool {
        [(0, 0, 0), (1, key, 0), (2, key, model)]
            .into_iter()
            .any(|place| {
                let until = self.until.get(&(banned, place));
                until.is_some_and(|(earliest, _)| *earliest > now)
            })
    }

    /// Whether an accident may still keep it.
    fn may_rest(&self, now: Instant, key: usize, model: u8) -> bool {
        [(0, 0, 0), (1, key, 0), (2, key, model)]
            .into_iter()
            .any(|place| {
                let until = self.until.get(&(false, place));
                until.is_some_and(|(_, latest)| *latest > now)
            })
    }
}

proptest! {
    #[test]
    fn no_choice_leases_a_banned_key_or_a_busy_one_and_only_ready_heeds_accidents(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let keys = samples::keys(3);
        let mut now = Instant::now();
        let mut ring = Keyring::new();
        let mut books = Books::default();
        let mut out: Vec<Leased> = Vec::new();
        ring.sync(&keys);
        ring.limit_in_flight(Some(CAP));
        for step in steps {
            match step {
                Step::Lease { model, choice, keys: count } => {
                    let named: Vec<_> = keys.iter().take(count).map(|key| key.digest).collect();
                    let choice = match choice {
                        0 => except(&named),
                        1 => Choice::Again { among: named.clone() },
                        2 => except(&named).pinned(Some(keys[0].digest)),
                        _ => Choice::LastResort,
                    };
                    let in_flight = |key: &Arc<ProviderKey>| {
                        out.iter().filter(|leased| leased.key().digest == key.digest).count() as u64
                    };
                    let may = |number: usize, key: &Arc<ProviderKey>| {
                        let accident = books.rests(false, now, number, model);
                        in_flight(key) < CAP
                            && !books.rests(true, now, number, model)
                            && match &choice {
                                Choice::Ready { except } | Choice::Pinned { except, .. } => !except.contains(&key.digest) && !accident,
                                Choice::Again { among } => among.contains(&key.digest),
                                Choice::LastResort => true,
                            }
                    };
                    let allowed: Vec<_> = keys.iter().enumerate()
                        .filter(|(number, key)| may(*number, key))
                        .map(|(_, key)| key.digest)
                        .collect();
                    match ring.lease(now, &format!("m{model}"), &keys, &choice) {
                        Ok(leased) => {
                            prop_assert!(allowed.contains(&leased.key().digest));
                            out.push(leased);
                        }
                        // A probe under way is all that may keep a ready key back.
                        Err(resting) if matches!(choice, Choice::Ready { .. } | Choice::Pinned { .. }) => {
                            prop_assert!(resting.soonest != Some(Duration::ZERO));
                            let is_certain = keys.iter().enumerate().any(|(number, key)| {
                                allowed.contains(&key.digest) && !books.may_rest(now, number, model)
                            });
                            prop_assert!(!is_certain || out.iter().any(|leased| leased.is_probe));
                        }
                        Err(_) => prop_assert!(allowed.is_empty(), "somebody could be had"),
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
                    let banned = banned || scope == Scope::Provider;
                    let kind = if banned { RestKind::Banned } else { RestKind::Transient };
                    ring.report(now, &keys[key].digest, &format!("m{model}"), rest(scope, kind, seconds));
                    let least = if banned { seconds } else { seconds.min(5) };
                    let after = |seconds| now + Duration::from_secs(seconds);
                    books.fail(banned, place, (after(least), after(seconds)));
                }
                Step::Succeed { key, model } => {
                    ring.report(now, &keys[key].digest, &format!("m{model}"), KeyEffect::Success);
                    books.succeed(key, model);
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
            }
        }
    }

    /// One key and one model: until a call succeeds, whoever asks for a ready key after an accident is the only probe.
    #[test]
    fn one_probe_at_a_time_finds_out(
        steps in prop::collection::vec((0..5u8, any::<usize>(), 1..40u64), 1..100)
    ) {
        let keys = samples::keys(1);
        let digest = keys[0].digest;
        let mut now = Instant::now();
        let mut ring = Keyring::new();
        ring.sync(&keys);
        let mut out: Vec<Leased> = Vec::new();
        // Leases that probe since the last success, by number; and whether there was an accident since.
        let mut probes: Vec<u64> = Vec::new();
        let mut shaken = false;
        for (what, which, seconds) in steps {
            match what {
                0 | 1 => {
                    if let Ok(leased) = ring.lease(now, "m", &keys, &ready()) {
                        prop_assert_eq!(leased.is_probe, shaken);
                        if leased.is_probe {
                            prop_assert!(probes.is_empty(), "two probes at a time");
                            probes.push(leased.number);
                        }
                        out.push(leased);
                    }
                }
                2 if !out.is_empty() => {
                    let leased = out.swap_remove(which % out.len());
                    probes.retain(|probe| *probe != leased.number);
                    ring.release(leased);
                }
                3 => {
                    let accident = rest(Scope::KeyModel, RestKind::Transient, seconds);
                    ring.report(now, &digest, "m", accident);
                    shaken = true;
                }
                4 => {
                    ring.report(now, &digest, "m", KeyEffect::Success);
                    probes.clear();
                    shaken = false;
                    prop_assert_eq!(ring.soonest(now, "m", &keys), None, "a success ends rests");
                }
                _ => now += Duration::from_secs(seconds),
            }
            now += Duration::from_secs(seconds % 7);
        }
    }
}
