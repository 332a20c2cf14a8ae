//! Pools that come and go with catalogs, and what the administrator asks of them.

use actix::System;

use super::*;
use crate::routing::keyring::Choice;
use crate::routing::outcome::{Class, KeyEffect, RestKind, Scope};
use crate::routing::samples;

const DEADLINE: Duration = Duration::from_secs(10);

fn ready() -> Choice {
    Choice::Ready { except: Vec::new() }
}

fn catalog(providers: &[(&str, usize)]) -> Catalog {
    let mut catalog = Catalog::default();
    for (name, keys) in providers {
        let provider = Arc::new(samples::provider(name, *keys));
        catalog.providers.insert((*name).to_owned(), provider);
    }
    catalog
}

fn pools() -> (Arc<Ledger>, KeyPools) {
    let ledger = Arc::new(Ledger::new());
    let arbiter = System::current().arbiter().clone();
    (Arc::clone(&ledger), KeyPools::new(ledger, arbiter, None))
}

fn keys(ledger: &Ledger, provider: &str) -> usize {
    ledger.status(provider, Instant::now()).keys
}

/// Waits until the condition holds, and fails where it does not in time.
pub(super) async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn pools_start_follow_and_stop_with_the_catalogs() {
    System::new().block_on(async {
        let (ledger, pools) = pools();
        pools.sync(&catalog(&[("acme", 1), ("other", 2)])).await;
        assert_eq!((keys(&ledger, "acme"), keys(&ledger, "other")), (1, 2));
        pools.sync(&catalog(&[("acme", 3)])).await;
        assert_eq!(keys(&ledger, "acme"), 3);
        until(|| ledger.providers() == ["acme"] && pools.get("other").is_none()).await;
        assert_eq!(
            pools.get("acme").unwrap().send(Status).await.unwrap().keys,
            3
        );
    });
}

#[test]
fn a_provider_that_comes_back_while_its_calls_end_keeps_its_ring() {
    System::new().block_on(async {
        let (ledger, pools) = pools();
        let with = catalog(&[("acme", 1)]);
        pools.sync(&with).await;
        let route = samples::route(&with.providers["acme"], "m");
        let ring = ledger.ring("acme");
        let held = ring
            .acquire(Instant::now(), &route, &ready())
            .unwrap()
            .unwrap();
        pools.sync(&catalog(&[])).await;
        pools.sync(&with).await;
        ring.release(held);
        actix_rt::task::yield_now().await;
        assert!(Arc::ptr_eq(&ring, &ledger.ring("acme")));
        assert_eq!(keys(&ledger, "acme"), 1);
        pools.sync(&catalog(&[])).await;
        until(|| ledger.providers().is_empty()).await;
        pools.sync(&with).await;
        assert_eq!(keys(&ledger, "acme"), 1);
    });
}

#[test]
fn a_provider_that_is_gone_keeps_its_ring_until_the_last_call_ends() {
    System::new().block_on(async {
        let (ledger, pools) = pools();
        let with = catalog(&[("acme", 1)]);
        pools.sync(&with).await;
        let route = samples::route(&with.providers["acme"], "m");
        let ring = ledger.ring("acme");
        let held = ring
            .acquire(Instant::now(), &route, &ready())
            .unwrap()
            .unwrap();
        pools.sync(&catalog(&[])).await;
        let pool = pools.get("acme").unwrap();
        assert_eq!(pool.send(Status).await.unwrap().in_flight, 1);
        ring.release(held);
        until(|| ledger.providers().is_empty() && !pool.connected()).await;
    });
}

#[test]
fn a_ring_made_by_a_request_with_an_old_snapshot_goes_with_the_next_catalog() {
    System::new().block_on(async {
        let (ledger, pools) = pools();
        ledger.ring("ghost");
        pools.sync(&catalog(&[])).await;
        until(|| ledger.providers().is_empty()).await;
    });
}

#[test]
fn keys_are_listed_by_label_and_reset() {
    System::new().block_on(async {
        let (ledger, pools) = pools();
        pools.sync(&catalog(&[("acme", 2)])).await;
        let effect = KeyEffect::Rest {
            scope: Scope::Key,
            kind: RestKind::Banned,
            duration: Duration::from_secs(60),
            asked: false,
            why: Class::BadKey,
        };
        let digest = samples::key(2).digest;
        ledger
            .ring("acme")
            .report(Instant::now(), &digest, "m", effect);
        let pool = pools.get("acme").unwrap();
        let listed = pool.send(List).await.unwrap();
        assert_eq!(listed[0].label, "KEY_1");
        assert!(listed[0].rests.is_empty() && !listed[1].rests.is_empty());
        assert_eq!(pool.send(Status).await.unwrap().cooling, 1);
        let other = Some("KEY_1".to_owned());
        assert_eq!(pool.send(Reset { key: other }).await.unwrap(), 1);
        assert_eq!(pool.send(Status).await.unwrap().cooling, 1);
        assert_eq!(pool.send(Reset { key: None }).await.unwrap(), 2);
        assert_eq!(pool.send(Status).await.unwrap().cooling, 0);
    });
}
