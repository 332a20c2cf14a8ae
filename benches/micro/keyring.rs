//! Taking a key, giving it back and telling what came of the call, by how many keys there are. All of them cost the same
//! within a tenth or so; where most keys rest, or must be spared, somebody has to look for the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use model_proxy::config::catalog::ProviderKey;
use model_proxy::routing::keyring::{Choice, Keyring};
use model_proxy::routing::outcome::{Class, Headroom, KeyEffect, RestKind, Scope};

use crate::samples;

const COUNTS: [usize; 4] = [1, 10, 100, 1_000];
const SOME: [usize; 3] = [10, 100, 1_000];
const MODEL: &str = "acme-large";

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

#[divan::bench(args = COUNTS)]
fn all_ready(bencher: Bencher<'_, '_>, count: usize) {
    let (mut ring, keys, now) = ring(count);
    bencher.bench_local(|| call(&mut ring, now, &keys, &ready()));
}

#[divan::bench(args = SOME)]
fn every_second_rests(bencher: Bencher<'_, '_>, count: usize) {
    let (mut ring, keys, now) = ring(count);
    for key in keys.iter().step_by(2) {
        let effect = KeyEffect::Rest {
            scope: Scope::KeyModel,
            kind: RestKind::Banned,
            duration: Duration::from_secs(3_600),
            asked: true,
            why: Class::RateLimited,
        };
        ring.report(now, &key.digest, MODEL, effect);
    }
    bencher.bench_local(|| call(&mut ring, now, &keys, &ready()));
}

/// A session stays with its key.
#[divan::bench(args = SOME)]
fn pinned(bencher: Bencher<'_, '_>, count: usize) {
    let (mut ring, keys, now) = ring(count);
    let choice = ready().pinned(Some(keys[count / 2].digest));
    bencher.bench_local(|| call(&mut ring, now, &keys, &choice));
}

/// The upstream says with every answer what is left, and it is about the same for all keys.
#[divan::bench(args = COUNTS)]
fn all_told_alike(bencher: Bencher<'_, '_>, count: usize) {
    told(bencher, count, |call| 500 + (call % 100) as u16);
}

/// Some have much left, some little: those are passed over.
#[divan::bench(args = SOME)]
fn told_from_none_to_all(bencher: Bencher<'_, '_>, count: usize) {
    told(bencher, count, |call| (call * 613 % 1_000) as u16);
}

fn told(bencher: Bencher<'_, '_>, count: usize, left: impl Fn(usize) -> u16) {
    let (mut ring, keys, now) = ring(count);
    let headroom = |number| Headroom {
        left: left(number),
        reset: Some(Duration::from_secs(60)),
        spent: None,
    };
    for (number, key) in keys.iter().enumerate() {
        ring.learn(now, &key.digest, MODEL, headroom(number));
    }
    let mut number = 0;
    bencher.bench_local(|| {
        let leased = ring.lease(now, MODEL, &keys, &ready()).expect("a key");
        let digest = leased.key().digest;
        ring.learn(now, &digest, MODEL, headroom(number));
        ring.report(now, &digest, MODEL, KeyEffect::Success);
        ring.release(leased);
        number += 1;
    });
}
