//! Keys at their cap, keys of which little is left, and that no preference starves anybody.

use proptest::prelude::*;

use super::{except, ready, take};
use crate::routing::keyring::*;
use crate::routing::outcome::Class;
use crate::routing::samples;

fn told(left: u16, reset: u64) -> Headroom {
    Headroom {
        left,
        reset: Some(Duration::from_secs(reset)),
        spent: None,
    }
}

fn spent(seconds: u64) -> KeyEffect {
    KeyEffect::Rest {
        scope: Scope::KeyModel,
        kind: RestKind::Banned,
        duration: Duration::from_secs(seconds),
        asked: true,
        why: Class::RateLimited,
    }
}

fn ring(count: usize) -> (Keyring, Arc<[Arc<ProviderKey>]>, Instant) {
    let keys = samples::keys(count);
    let mut ring = Keyring::new();
    ring.sync(&keys);
    (ring, keys, Instant::now())
}

#[test]
fn a_key_at_its_cap_is_passed_over_until_a_call_ends() {
    let (mut ring, keys, now) = ring(2);
    ring.limit_in_flight(Some(1));
    let first = ring.lease(now, "m", &keys, &ready()).unwrap();
    let second = ring.lease(now, "other", &keys, &ready()).unwrap();
    assert_ne!(first.key().label, second.key().label);
    let busy = Resting {
        soonest: Some(BUSY),
        kind: RestKind::Banned,
    };
    assert_eq!(ring.lease(now, "m", &keys, &ready()).unwrap_err(), busy);
    assert_eq!(ring.soonest(now, "m", &keys), Some(busy));
    for choice in [
        Choice::LastResort,
        Choice::Again {
            among: vec![keys[0].digest],
        },
    ] {
        assert_eq!(
            ring.lease(now, "m", &keys, &choice).unwrap_err(),
            busy,
            "a cap is a cap"
        );
    }
    assert_eq!(ring.status(now).ready, 2, "busy is no cooldown");
    ring.release(first);
    assert_eq!(take(&mut ring, now, "m", &keys), Ok("KEY_1".to_owned()));
    ring.release(second);
}

#[test]
fn a_busy_key_that_rests_longer_is_due_when_it_has_rested() {
    let (mut ring, keys, now) = ring(1);
    ring.limit_in_flight(Some(1));
    let held = ring.lease(now, "m", &keys, &ready()).unwrap();
    ring.report(now, &keys[0].digest, "m", spent(30));
    assert_eq!(take(&mut ring, now, "m", &keys), Err(Some(30)));
    ring.release(held);
}

#[test]
fn a_key_with_little_left_is_spared_until_its_limit_resets() {
    let (mut ring, keys, now) = ring(2);
    ring.learn(now, &keys[0].digest, "m", told(150, 20));
    ring.learn(now, &keys[1].digest, "m", told(800, 20));
    for _ in 0..3 {
        assert_eq!(take(&mut ring, now, "m", &keys), Ok("KEY_2".to_owned()));
    }
    let mut others: Vec<_> = (0..2)
        .map(|_| take(&mut ring, now, "other", &keys).unwrap())
        .collect();
    others.sort();
    assert_eq!(others, ["KEY_1", "KEY_2"], "news is about one model");
    let later = now + Duration::from_secs(20);
    let taken: Vec<_> = (0..2)
        .map(|_| take(&mut ring, later, "m", &keys).unwrap())
        .collect();
    assert!(taken.contains(&"KEY_1".to_owned()), "{taken:?}");
}

#[test]
fn a_spared_key_is_used_when_the_others_have_been_tried() {
    let (mut ring, keys, now) = ring(2);
    ring.learn(now, &keys[0].digest, "m", told(10, 20));
    let choice = except(&[keys[1].digest]);
    let leased = ring.lease(now, "m", &keys, &choice).unwrap();
    assert_eq!(leased.key().label, "KEY_1");
    ring.release(leased);
}

#[test]
fn news_of_a_key_that_left_is_kept_by_nobody() {
    let (mut ring, keys, now) = ring(1);
    ring.sync(&[]);
    ring.learn(now, &keys[0].digest, "m", told(10, 20));
    assert!(ring.keys.is_empty() && ring.is_idle(now));
}

proptest! {
    /// A provider whose keys have limits of their own, told with every answer: no key is called beyond its limit while
    /// another has something left, and together they serve all that they may.
    #[test]
    fn no_call_is_wasted_on_a_spent_key_and_none_is_left_over(
        limits in prop::collection::vec(1..60u16, 1..5),
    ) {
        let (mut ring, keys, now) = ring(limits.len());
        let mut left: Vec<u16> = limits.clone();
        let total: u32 = limits.iter().copied().map(u32::from).sum();
        for call in 0..total {
            let leased = ring.lease(now, "m", &keys, &ready()).unwrap();
            let number = keys.iter().position(|key| key.digest == leased.key().digest).unwrap();
            prop_assert!(left[number] > 0, "call {call} met a spent key");
            left[number] -= 1;
            let share = u32::from(left[number]) * 1000 / u32::from(limits[number]);
            let headroom = told(u16::try_from(share).unwrap(), 60);
            ring.learn(now, &keys[number].digest, "m", headroom);
            if left[number] == 0 {
                ring.report(now, &keys[number].digest, "m", spent(60));
            }
            ring.report(now, &keys[number].digest, "m", KeyEffect::Success);
            ring.release(leased);
        }
        prop_assert_eq!(take(&mut ring, now, "m", &keys), Err(Some(60)));
        let reset = now + Duration::from_secs(60);
        prop_assert!(take(&mut ring, reset, "m", &keys).is_ok());
    }

    /// Whatever was told: keys that are alike take turns to the call, and a key without news is never starved.
    #[test]
    fn keys_that_are_preferred_take_turns_evenly(
        shares in prop::collection::vec(prop::option::of(0..=1000u16), 2..6),
        rounds in 1..5usize,
    ) {
        let (mut ring, keys, now) = ring(shares.len());
        for (key, share) in keys.iter().zip(&shares) {
            if let Some(share) = share {
                ring.learn(now, &key.digest, "m", told(*share, 60));
            }
        }
        let mut all = news::Shares::default();
        for share in &shares {
            all.add(*share);
        }
        let enough = all.enough();
        let preferred: Vec<bool> = shares.iter().map(|share| enough.holds(*share)).collect();
        let turns = preferred.iter().filter(|is| **is).count();
        let mut taken = vec![0; keys.len()];
        for _ in 0..turns * rounds {
            let label = take(&mut ring, now, "m", &keys).unwrap();
            let number: usize = label.trim_start_matches("KEY_").parse().unwrap();
            taken[number - 1] += 1;
        }
        for (count, is_preferred) in taken.into_iter().zip(preferred) {
            prop_assert_eq!(count, if is_preferred { rounds } else { 0 });
        }
    }
}
