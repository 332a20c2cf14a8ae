//! Taking a key, giving it back and telling what came of the call, by how many keys there are. That is the same for any
//! number as long as a good part of the keys can be had; what rests or is spared before the next that can be had is
//! gone through.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use model_proxy::config::catalog::ProviderKey;
use model_proxy::routing::keyring::{Choice, Keyring};
use model_proxy::routing::outcome::{Class, Headroom, KeyEffect, RestKind, Scope};
use model_proxy::secret::Digest;

use crate::samples;

const COUNTS: [usize; 4] = [1, 10, 100, 1_000];
const SOME: [usize; 3] = [10, 100, 1_000];
/// So many that every key has its turn.
const CALLS: u32 = 2_000;
const MODEL: &str = "acme-large";

const LIMITED: KeyEffect = KeyEffect::Rest {
    scope: Scope::KeyModel,
    kind: RestKind::Banned,
    duration: Duration::from_secs(3_600),
    asked: true,
    why: Class::RateLimited,
};

type Keys = Arc<[Arc<ProviderKey>]>;

fn ring(count: usize) -> (Keyring, Keys, Instant) {
    let keys = samples::keys(count);
    let mut ring = Keyring::new();
    ring.sync(&keys);
    (ring, keys, Instant::now())
}

fn ready() -> Choice {
    Choice::Ready { except: Vec::new() }
}

/// One call that succeeds.
fn call(ring: &mut Keyring, now: Instant, keys: &Keys, choice: &Choice) {
    let leased = ring.lease(now, MODEL, keys, choice).expect("a ready key");
    ring.report(now, &leased.key().digest, MODEL, KeyEffect::Success);
    ring.release(leased);
}

#[divan::bench(args = COUNTS, sample_size = CALLS)]
fn all_ready(bencher: Bencher<'_, '_>, count: usize) {
    let (mut ring, keys, now) = ring(count);
    bencher.bench_local(|| call(&mut ring, now, &keys, &ready()));
}

#[divan::bench(args = SOME, sample_size = CALLS)]
fn every_second_rests(bencher: Bencher<'_, '_>, count: usize) {
    let (mut ring, keys, now) = ring(count);
    for key in keys.iter().step_by(2) {
        ring.report(now, &key.digest, MODEL, LIMITED);
    }
    bencher.bench_local(|| call(&mut ring, now, &keys, &ready()));
}

#[divan::bench(args = SOME, sample_size = CALLS / 20)]
fn all_but_one_rest(bencher: Bencher<'_, '_>, count: usize) {
    let (mut ring, keys, now) = ring(count);
    for key in &keys[1..] {
        ring.report(now, &key.digest, MODEL, LIMITED);
    }
    bencher.bench_local(|| call(&mut ring, now, &keys, &ready()));
}

/// A session stays with its key.
#[divan::bench(args = SOME, sample_size = CALLS)]
fn pinned(bencher: Bencher<'_, '_>, count: usize) {
    let (mut ring, keys, now) = ring(count);
    let choice = ready().pinned(Some(keys[count / 2].digest));
    bencher.bench_local(|| call(&mut ring, now, &keys, &choice));
}

/// The upstream says with every answer what is left, and it is about the same for all keys.
#[divan::bench(args = COUNTS, sample_size = CALLS)]
fn all_told_alike(bencher: Bencher<'_, '_>, count: usize) {
    told(bencher, count, |number| 500 + (number % 100) as u16);
}

/// Every second key has little left and is passed over.
#[divan::bench(args = SOME, sample_size = CALLS)]
fn every_second_is_spared(bencher: Bencher<'_, '_>, count: usize) {
    told(bencher, count, |number| 100 + 800 * (number % 2) as u16);
}

/// Answers tell of the key with that number that so much is left of it.
fn told(bencher: Bencher<'_, '_>, count: usize, left: fn(usize) -> u16) {
    let (mut ring, keys, now) = ring(count);
    let numbers: HashMap<Digest, usize> = keys.iter().map(|key| key.digest).zip(0..).collect();
    let headroom = |number| Headroom {
        left: left(number),
        reset: Some(Duration::from_secs(60)),
        spent: None,
    };
    for (number, key) in keys.iter().enumerate() {
        ring.learn(now, &key.digest, MODEL, headroom(number));
    }
    let mut calls = 0;
    bencher.bench_local(|| {
        let leased = ring.lease(now, MODEL, &keys, &ready()).expect("a key");
        let digest = leased.key().digest;
        calls += 2;
        ring.learn(now, &digest, MODEL, headroom(numbers[&digest] + calls));
        ring.report(now, &digest, MODEL, KeyEffect::Success);
        ring.release(leased);
    });
}
