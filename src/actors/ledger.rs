//! What the workers share: key rings by provider, windows by client. Plain state behind short locks, never held across
//! an await; it outlives catalogs and knows neither actors nor messages.

mod ring;
mod traffic;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use foldhash::HashMap;

use crate::config::catalog::Client;
use crate::routing::keyring::RingStatus;
use crate::routing::window::{Admission, Gauges, Refusal, Window};
use crate::secret::Digest;

pub(super) use ring::{Held, Ring, Wake};
use traffic::Traffic;
pub use traffic::{RouteCall, Selection};

/// The state of all providers' keys and all clients' limits. One for the process, behind an `Arc`.
#[derive(Debug, Default)]
pub struct Ledger {
    rings: Mutex<HashMap<String, Arc<Ring>>>,
    windows: Mutex<HashMap<Digest, Window>>,
    retirements: AtomicU64,
    traffic: Traffic,
}

impl Ledger {
    /// An empty ledger; rings and windows come with their first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys of a provider in numbers; all zero if nobody has used or configured it.
    pub fn status(&self, provider: &str, now: Instant) -> RingStatus {
        let ring = lock(&self.rings).get(provider).map(Arc::clone);
        ring.map(|ring| ring.status(now)).unwrap_or_default()
    }

    /// The ring of a provider, made where there is none.
    pub(super) fn ring(&self, provider: &str) -> Arc<Ring> {
        let mut rings = lock(&self.rings);
        if let Some(ring) = rings.get(provider) {
            return Arc::clone(ring);
        }
        let ring = Arc::new(Ring::default());
        rings.insert(provider.to_owned(), Arc::clone(&ring));
        ring
    }

    /// Names of the providers that have a ring.
    pub(super) fn providers(&self) -> Vec<String> {
        lock(&self.rings).keys().cloned().collect()
    }

    /// Throws a provider's ring away if nothing would be lost; whether it is gone.
    pub(super) fn retire(&self, provider: &str, now: Instant) -> bool {
        let mut rings = lock(&self.rings);
        let gone = rings.get(provider).is_none_or(|ring| ring.retire(now));
        if gone && rings.remove(provider).is_some() {
            self.retirements.fetch_add(1, Ordering::Release);
        }
        gone
    }

    /// Grows whenever a ring is thrown away.
    pub(super) fn retirements(&self) -> u64 {
        self.retirements.load(Ordering::Acquire)
    }

    /// Asks a client's window for one request, one slot and so many tokens.
    pub(super) fn admit(
        &self,
        now: Instant,
        client: &Client,
        tokens: u64,
    ) -> Result<(Admission, Gauges), Refusal> {
        let mut windows = lock(&self.windows);
        let window = windows.entry(client.digest).or_default();
        let admission = window.admit(now, &client.limits, tokens)?;
        Ok((admission, window.gauges(now, &client.limits)))
    }

    /// Replaces the tokens reserved for an admission by those really used.
    pub(super) fn settle(
        &self,
        now: Instant,
        client: &Digest,
        admission: &mut Admission,
        tokens: u64,
    ) {
        if let Some(window) = lock(&self.windows).get_mut(client) {
            window.settle(now, admission, tokens);
        }
    }

    /// Frees the slot of an admission.
    pub(super) fn release(&self, client: &Digest, admission: Admission) {
        if let Some(window) = lock(&self.windows).get_mut(client) {
            window.release(admission);
        }
    }

    /// Throws idle windows and sessions away; how many windows are left.
    pub(super) fn sweep(&self, now: Instant) -> usize {
        let mut windows = lock(&self.windows);
        windows.retain(|_, window| !window.is_idle(now));
        windows.shrink_to_fit();
        let left = windows.len();
        drop(windows);
        self.traffic.sweep(now);
        left
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::catalog::Limits;
    use crate::routing::keyring::Choice;
    use crate::routing::outcome::{Class, KeyEffect, RestKind, Scope};
    use crate::routing::samples;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ready() -> Choice {
        Choice::Ready { except: Vec::new() }
    }

    fn client() -> Client {
        Client {
            name: "client-1".to_owned(),
            digest: [1; 32],
            limits: Limits {
                requests_per_minute: Some(1),
                ..Limits::default()
            },
        }
    }

    #[test]
    fn a_ring_is_shared_by_all_who_ask_for_it() {
        let ledger = Ledger::new();
        assert_eq!(ledger.status("acme", Instant::now()), RingStatus::default());
        assert!(ledger.providers().is_empty(), "asking makes no ring");
        let ring = ledger.ring("acme");
        assert!(Arc::ptr_eq(&ring, &ledger.ring("acme")));
        assert!(!Arc::ptr_eq(&ring, &ledger.ring("other")));
    }

    #[test]
    fn a_ring_retires_only_when_nothing_would_be_lost() {
        let ledger = Ledger::new();
        let now = Instant::now();
        let ring = ledger.ring("acme");
        let route = samples::route(&Arc::new(samples::provider("acme", 1)), "m");
        let held = ring.acquire(now, &route, &ready()).unwrap().unwrap();
        assert!(!ledger.retire("acme", now), "a lease is out");
        let effect = KeyEffect::Rest {
            scope: Scope::Key,
            kind: RestKind::Banned,
            duration: MINUTE,
            asked: false,
            why: Class::BadKey,
        };
        ring.report(now, &held.key().digest, "m", effect);
        ring.release(held);
        assert!(!ledger.retire("acme", now), "a key rests");
        assert!(ledger.retire("acme", now + MINUTE));
        assert_eq!(ledger.retirements(), 1);
        assert!(
            ring.acquire(now, &route, &ready()).is_none(),
            "nobody uses it any more"
        );
        assert!(ledger.retire("acme", now), "gone is gone");
        assert_eq!(ledger.retirements(), 1);
    }

    #[test]
    fn windows_are_swept_when_they_are_idle() {
        let ledger = Ledger::new();
        let now = Instant::now();
        let (admission, gauges) = ledger.admit(now, &client(), 1).unwrap();
        assert_eq!(gauges.requests.unwrap().remaining, 0);
        assert!(ledger.admit(now, &client(), 1).is_err());
        assert_eq!(ledger.sweep(now + MINUTE), 1, "in flight");
        ledger.release(&client().digest, admission);
        assert_eq!(ledger.sweep(now + MINUTE), 0);
    }
}
