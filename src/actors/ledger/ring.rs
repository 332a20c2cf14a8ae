//! One provider's keyring and its own limits, behind one lock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::catalog::{Limits, Provider, ProviderKey, Route};
use crate::routing::keyring::{
    Choice, Clocks, KeptRest, KeyView, Keyring, Leased, Resting, RingStatus,
};
use crate::routing::outcome::{Headroom, KeyEffect, RestKind};
use crate::routing::window::{Admission, Window};
use crate::secret::Digest;

/// Reserved for a call whose tokens nobody knows yet: a full window refuses it, any other takes it.
const TOKENS_OF_A_CALL: u64 = 1;

/// The shared state of one provider.
#[derive(Debug, Default)]
pub(in crate::actors) struct Ring {
    state: Mutex<RingState>,
}

#[derive(Debug, Default)]
struct RingState {
    keyring: Keyring,
    /// The provider's own limits, over all clients.
    window: Window,
    /// It has been taken out of the ledger; whoever finds this asks the ledger again.
    retired: bool,
    /// Rests have changed since they were last written down.
    changed: bool,
    watcher: Option<Wake>,
}

/// Who wants to know that rests have changed. It is called on whatever thread changed them and must only pass it on.
pub(in crate::actors) struct Wake(Arc<dyn Fn() + Send + Sync>);

impl Wake {
    pub(in crate::actors) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wake")
    }
}

/// A key and a place within the provider's limits. It goes back by [`Ring::release`], once.
#[derive(Debug)]
#[must_use]
pub(in crate::actors) struct Held {
    leased: Leased,
    admission: Option<Admission>,
}

impl Held {
    pub(in crate::actors) fn key(&self) -> &Arc<ProviderKey> {
        self.leased.key()
    }
}

impl Ring {
    /// A key for one call; `None`: the ring is retired.
    pub(in crate::actors) fn acquire(
        &self,
        now: Instant,
        route: &Route,
        choice: &Choice,
    ) -> Option<Result<Held, Resting>> {
        let mut state = self.lock();
        if state.retired {
            return None;
        }
        let leased = match state.keyring.lease(now, &route.model, &route.keys, choice) {
            Ok(leased) => leased,
            Err(resting) => return Some(Err(resting)),
        };
        let limits = &route.provider.limits;
        if *limits == Limits::default() {
            let admission = None;
            return Some(Ok(Held { leased, admission }));
        }
        match state.window.admit(now, limits, TOKENS_OF_A_CALL) {
            Ok(admission) => Some(Ok(Held {
                leased,
                admission: Some(admission),
            })),
            Err(refusal) => {
                state.keyring.release(leased);
                Some(Err(full(refusal.retry_after)))
            }
        }
    }

    /// A call has brought a complete answer; the tokens that it took count towards the provider's own limits.
    pub(in crate::actors) fn succeed(
        &self,
        now: Instant,
        held: &mut Held,
        model: &str,
        tokens: Option<u64>,
    ) {
        let digest = held.key().digest;
        self.change(|state| {
            if let (Some(admission), Some(tokens)) = (&mut held.admission, tokens) {
                state.window.settle(now, admission, tokens);
            }
            state
                .keyring
                .report(now, &digest, model, KeyEffect::Success)
        });
    }

    /// A call has begun to bring content.
    pub(in crate::actors) fn answers(&self, held: &mut Held) {
        self.lock().keyring.answers(&mut held.leased);
    }

    /// Takes a key back.
    pub(in crate::actors) fn release(&self, held: Held) {
        let mut state = self.lock();
        state.keyring.release(held.leased);
        if let Some(admission) = held.admission {
            state.window.release(admission);
        }
    }

    /// What a call came to.
    pub(in crate::actors) fn report(
        &self,
        now: Instant,
        digest: &Digest,
        model: &str,
        effect: KeyEffect,
    ) {
        self.change(|state| state.keyring.report(now, digest, model, effect));
    }

    /// What an answer's head told: what is left for the key, and what that does to it.
    pub(in crate::actors) fn learn(
        &self,
        now: Instant,
        digest: &Digest,
        model: &str,
        headroom: Headroom,
        effect: KeyEffect,
    ) {
        self.change(|state| {
            state.keyring.learn(now, digest, model, headroom);
            state.keyring.report(now, digest, model, effect)
        });
    }

    /// When a route's first key can be had; `None`: now, or the route has none.
    pub(in crate::actors) fn soonest(&self, now: Instant, route: &Route) -> Option<Resting> {
        self.lock().keyring.soonest(now, &route.model, &route.keys)
    }

    /// Takes the keys of a new catalog over, and how they may be used; false: the ring is retired.
    pub(in crate::actors) fn sync(&self, provider: &Provider) -> bool {
        let mut state = self.lock();
        if !state.retired {
            state.keyring.sync(&provider.ring);
            state
                .keyring
                .limit_in_flight(provider.max_in_flight_per_key);
        }
        !state.retired
    }

    /// Retires the ring if nothing would be lost; whether it is retired.
    pub(in crate::actors) fn retire(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let idle = state.keyring.is_idle(now) && state.window.is_idle(now);
        state.retired |= idle;
        state.retired
    }

    pub(in crate::actors) fn is_retired(&self) -> bool {
        self.lock().retired
    }

    pub(in crate::actors) fn status(&self, now: Instant) -> RingStatus {
        self.lock().keyring.status(now)
    }

    pub(in crate::actors) fn list(&self, now: Instant) -> Vec<KeyView> {
        self.lock().keyring.list(now)
    }

    /// Ends the rests of the key with this label, or all; how many keys there were to do it for.
    pub(in crate::actors) fn reset(&self, label: Option<&str>) -> usize {
        let mut count = 0;
        self.change(|state| {
            count = state.keyring.reset(label);
            true
        });
        count
    }

    /// Has `wake` called when rests have changed since they were last [`kept`](Self::kept): once, whatever follows.
    pub(in crate::actors) fn watch(&self, wake: Wake) {
        let mut state = self.lock();
        let wake = state.watcher.insert(wake).0.clone();
        if state.changed {
            drop(state);
            wake();
        }
    }

    /// The rests that lie ahead, to be written down.
    pub(in crate::actors) fn kept(&self, clocks: Clocks) -> Vec<KeptRest> {
        let mut state = self.lock();
        state.changed = false;
        state.keyring.kept(clocks)
    }

    /// Whether rests have changed since they were last [`kept`](Self::kept).
    pub(in crate::actors) fn has_changed(&self) -> bool {
        self.lock().changed
    }

    /// Takes rests back that were written down.
    pub(in crate::actors) fn restore(&self, clocks: Clocks, longest: Duration, kept: &[KeptRest]) {
        self.lock().keyring.restore(clocks, longest, kept);
    }

    /// Does something that says whether rests have changed, and tells who watches.
    fn change(&self, action: impl FnOnce(&mut RingState) -> bool) {
        let mut state = self.lock();
        if !action(&mut state) || state.changed {
            return;
        }
        state.changed = true;
        let wake = state.watcher.as_ref().map(|wake| Arc::clone(&wake.0));
        drop(state);
        if let Some(wake) = wake {
            wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, RingState> {
        super::lock(&self.state)
    }
}

/// The provider's own limits are full: as if all its keys were banned until there is room.
fn full(retry_after: Duration) -> Resting {
    Resting {
        soonest: Some(retry_after),
        kind: RestKind::Banned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::samples;

    fn ready() -> Choice {
        Choice::Ready { except: Vec::new() }
    }

    fn route(limits: Limits) -> Route {
        let provider = Provider {
            limits,
            ..samples::provider("acme", 2)
        };
        samples::route(&Arc::new(provider), "m")
    }

    #[test]
    fn a_provider_s_own_limit_refuses_over_all_keys_and_consumes_nothing() {
        let route = route(Limits {
            requests_per_minute: Some(1),
            ..Limits::default()
        });
        let now = Instant::now();
        let ring = Ring::default();
        let held = ring.acquire(now, &route, &ready()).unwrap().unwrap();
        ring.release(held);
        let resting = ring.acquire(now, &route, &ready()).unwrap().unwrap_err();
        assert_eq!(resting, full(Duration::from_secs(60)));
        assert_eq!(ring.status(now).in_flight, 0);
        let later = now + Duration::from_secs(60);
        let held = ring.acquire(later, &route, &ready()).unwrap().unwrap();
        ring.release(held);
    }

    #[test]
    fn settled_tokens_count_towards_a_provider_s_own_limit() {
        let route = route(Limits {
            tokens_per_minute: Some(100),
            ..Limits::default()
        });
        let now = Instant::now();
        let ring = Ring::default();
        let mut held = ring.acquire(now, &route, &ready()).unwrap().unwrap();
        ring.succeed(now, &mut held, "m", Some(500));
        ring.release(held);
        assert!(ring.acquire(now, &route, &ready()).unwrap().is_err());
    }

    #[test]
    fn a_provider_s_slots_are_freed_with_the_lease() {
        let route = route(Limits {
            concurrent_requests: Some(1),
            ..Limits::default()
        });
        let now = Instant::now();
        let ring = Ring::default();
        let held = ring.acquire(now, &route, &ready()).unwrap().unwrap();
        assert!(ring.acquire(now, &route, &ready()).unwrap().is_err());
        ring.release(held);
        let held = ring.acquire(now, &route, &ready()).unwrap().unwrap();
        ring.release(held);
    }
}
