//! Whose turn it is does not depend on how soon the ring knows it: every lease is compared with one that looks at all keys.

use proptest::prelude::*;
use proptest::sample::select;

use super::{except, rest};
use crate::routing::keyring::lease::List;
use crate::routing::keyring::news::Shares;
use crate::routing::keyring::*;
use crate::routing::samples;

const KEYS: usize = 5;

/// A key that may be leased: when, what is left of it, and its place from the turn.
type Candidate = (Instant, Option<u16>, usize);

/// Which key is to be leased and the turn after it, or why there is none.
fn expected(
    ring: &Keyring,
    now: Instant,
    model: &str,
    allowed: &[Arc<ProviderKey>],
    choice: &Choice,
) -> Result<(Digest, Option<usize>), Resting> {
    let list = List::of(allowed).unwrap();
    let start = ring.turn(allowed);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut soonest = None;
    let place = |offset: usize| (start + offset) % allowed.len();
    for offset in 0..allowed.len() {
        let digest = allowed[place(offset)].digest;
        if !choice.names(&digest) {
            continue;
        }
        let state = ring.keys.get(&digest);
        let own = state.and_then(|state| state.due(now, model, ring.most_in_flight));
        let due = Due::both(ring.rest.due(now), own);
        let told = ring.told.get(model);
        match due.filter(|due| !choice.disregards(due.kind)) {
            Some(due) => soonest = sooner(soonest, due),
            None if choice.pin() == Some(digest) => {
                return Ok((digest, ring.turns.get(&list).copied()));
            }
            None => candidates.push((
                due.map_or(now, |due| due.at),
                told.and_then(|told| told.left(now, &digest)),
                offset,
            )),
        }
    }
    let Some(first) = candidates.iter().map(|(at, ..)| *at).min() else {
        return Err(resting(now, soonest));
    };
    candidates.retain(|(at, ..)| *at == first);
    let mut shares = Shares::default();
    for (_, left, _) in &candidates {
        shares.add(*left);
    }
    let is_enough = |left: Option<u16>| shares.enough().holds(left);
    let winner = candidates.iter().find(|(_, left, _)| is_enough(*left));
    let place = place(winner.unwrap().2);
    Ok((allowed[place].digest, Some((place + 1) % allowed.len())))
}

#[derive(Debug, Clone)]
enum Step {
    Lease {
        model: u8,
        choice: u8,
        named: usize,
        from: usize,
    },
    Release(usize),
    Learn {
        key: usize,
        model: u8,
        left: u16,
        reset: u64,
    },
    Fail {
        key: usize,
        model: u8,
        seconds: u64,
        banned: bool,
    },
    Succeed {
        key: usize,
        model: u8,
    },
    Sync(usize),
    Reset(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let share = select(vec![
        0, 40, 90, 150, 199, 200, 210, 430, 449, 460, 700, 1000,
    ]);
    prop_oneof![
        8 => (0..2u8, 0..4u8, 0..KEYS, 0..KEYS).prop_map(
            |(model, choice, named, from)| Step::Lease { model, choice, named, from }
        ),
        3 => any::<usize>().prop_map(Step::Release),
        6 => (0..KEYS, 0..2u8, share, 1..60u64).prop_map(
            |(key, model, left, reset)| Step::Learn { key, model, left, reset }
        ),
        2 => (0..KEYS, 0..2u8, 1..60u64, any::<bool>()).prop_map(
            |(key, model, seconds, banned)| Step::Fail { key, model, seconds, banned }
        ),
        1 => (0..KEYS, 0..2u8).prop_map(|(key, model)| Step::Succeed { key, model }),
        1 => (0..=KEYS).prop_map(Step::Sync),
        1 => (0..KEYS).prop_map(Step::Reset),
        2 => (0..20u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn the_first_that_is_surely_good_is_the_one_that_is_best_of_all(
        steps in prop::collection::vec(step(), 1..150)
    ) {
        let keys = samples::keys(KEYS);
        let mut now = Instant::now();
        let mut ring = Keyring::new();
        let mut out: Vec<Leased> = Vec::new();
        ring.sync(&keys);
        ring.limit_in_flight(Some(3));
        for step in steps {
            match step {
                Step::Lease { model, choice, named, from } => {
                    let model = format!("m{model}");
                    let allowed = &keys[from..];
                    let named: Vec<_> = keys.iter().take(named).map(|key| key.digest).collect();
                    let choice = match choice {
                        0 => except(&named),
                        1 => Choice::Again { among: named },
                        2 => except(&named).pinned(Some(keys[KEYS - 1].digest)),
                        _ => Choice::LastResort,
                    };
                    let expected = expected(&ring, now, &model, allowed, &choice);
                    match ring.lease(now, &model, allowed, &choice) {
                        Ok(leased) => {
                            let turn = ring.turns.get(&List::of(allowed).unwrap()).copied();
                            prop_assert_eq!(Ok((leased.key().digest, turn)), expected);
                            out.push(leased);
                        }
                        Err(resting) => prop_assert_eq!(Err(resting), expected),
                    }
                }
                Step::Release(which) if !out.is_empty() => {
                    let leased = out.swap_remove(which % out.len());
                    ring.release(leased);
                }
                Step::Release(_) => {}
                Step::Learn { key, model, left, reset } => {
                    let headroom = Headroom {
                        left,
                        reset: Some(Duration::from_secs(reset)),
                        spent: None,
                    };
                    ring.learn(now, &keys[key].digest, &format!("m{model}"), headroom);
                }
                Step::Fail { key, model, seconds, banned } => {
                    let kind = if banned { RestKind::Banned } else { RestKind::Transient };
                    let effect = rest(Scope::KeyModel, kind, seconds);
                    ring.report(now, &keys[key].digest, &format!("m{model}"), effect);
                }
                Step::Succeed { key, model } => {
                    ring.report(now, &keys[key].digest, &format!("m{model}"), KeyEffect::Success);
                }
                Step::Sync(count) => ring.sync(&keys[..count]),
                Step::Reset(key) => {
                    ring.reset(Some(&keys[key].label));
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
            }
        }
        for leased in out {
            ring.release(leased);
        }
    }
}
