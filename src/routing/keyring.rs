//! Keys of one provider: rotation, rests and what is in flight, over snapshots of the configuration that come and go.
//! It holds labels and digests, never a secret, and has no clock of its own.

mod choice;
mod rest;
mod view;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::catalog::ProviderKey;
use crate::secret::Digest;

use super::outcome::{KeyEffect, RestKind, Scope};
use rest::{Due, Rest};

pub use choice::Choice;
pub use view::{KeyView, RingStatus};

/// Rests of so many models per key are kept before the ones that are over are thrown away.
const MODELS_KEPT: usize = 32;

/// The keys of one provider.
#[derive(Default)]
pub struct Keyring {
    keys: HashMap<Digest, KeyState>,
    /// Where the next lease begins to look, by list of keys.
    turns: HashMap<List, usize>,
    /// The key leased last; where a list that is seen for the first time begins.
    last: Option<Digest>,
    /// The provider as a whole.
    rest: Rest,
    leases: u64,
    in_flight: u64,
}

#[derive(Debug)]
struct KeyState {
    label: String,
    standing: Standing,
    in_flight: u64,
    /// For all models.
    rest: Rest,
    /// By the upstream's name of the model.
    models: HashMap<String, Rest>,
}

/// How a key came in, and so how it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The latest [`Keyring::sync`] named it.
    Member,
    /// A request brought it along whose snapshot is older or newer; the next sync decides.
    Guest,
    /// The latest sync did not name it; it leaves with its last lease.
    Retired,
}

/// A list of keys, told from others by its ends and length: a route's list keeps its turn over reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct List {
    first: Digest,
    last: Digest,
    length: usize,
}

impl List {
    fn of(keys: &[Arc<ProviderKey>]) -> Option<Self> {
        Some(Self {
            first: keys.first()?.digest,
            last: keys.last()?.digest,
            length: keys.len(),
        })
    }
}

/// A key taken for one call. It goes back by [`Keyring::release`], once.
#[must_use]
pub struct Leased {
    key: Arc<ProviderKey>,
    number: u64,
    is_probe: bool,
}

impl Leased {
    /// The key, with its secret.
    pub fn key(&self) -> &Arc<ProviderKey> {
        &self.key
    }
}

impl fmt::Debug for Leased {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Leased({})", self.key.label)
    }
}

/// A key that may be leased.
struct Candidate<'k> {
    key: &'k Arc<ProviderKey>,
    /// Its place, counted from the turn.
    offset: usize,
    /// When its rest ends.
    at: Instant,
}

/// No key can be had now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// How long until the first of them can be had; `None`: the choice names none of them, or there are none.
    pub soonest: Option<Duration>,
    /// Why that first one rests.
    pub kind: RestKind,
}

impl Keyring {
    /// A ring without keys; [`sync`](Self::sync) or the first lease brings them in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over the keys of a new configuration. Keys that stay keep their rests and counts; keys that are gone
    /// leave when their last lease ends.
    pub fn sync(&mut self, keys: &[Arc<ProviderKey>]) {
        for state in self.keys.values_mut() {
            state.standing = Standing::Retired;
        }
        for key in keys {
            let state = admit(&mut self.keys, key);
            state.standing = Standing::Member;
            key.label.clone_into(&mut state.label);
        }
        self.keys
            .retain(|_, state| state.standing != Standing::Retired || state.in_flight > 0);
        self.turns.clear();
    }

    /// Takes a key of `allowed` as the choice says; of several that would do equally well, the next in turn.
    ///
    /// # Errors
    ///
    /// [`Resting`] if none can be had.
    pub fn lease(
        &mut self,
        now: Instant,
        model: &str,
        allowed: &[Arc<ProviderKey>],
        choice: &Choice,
    ) -> Result<Leased, Resting> {
        let start = self.turn(allowed);
        let provider = self.rest.due(now);
        let mut best: Option<Candidate<'_>> = None;
        let mut soonest: Option<Due> = None;
        let (before, after) = allowed.split_at_checked(start).unwrap_or((&[], allowed));
        for (offset, key) in after.iter().chain(before).enumerate() {
            if !choice.names(&key.digest) {
                continue;
            }
            let state = admit(&mut self.keys, key);
            let due = Due::both(provider, state.due(now, model));
            if let Some(due) = due.filter(|due| !choice.disregards(due.kind)) {
                soonest = sooner(soonest, due);
                continue;
            }
            let at = due.map_or(now, |due| due.at);
            if best.as_ref().is_none_or(|best| at < best.at) {
                best = Some(Candidate { key, offset, at });
            }
        }
        match best {
            Some(Candidate { key, offset, .. }) => {
                self.pass_turn(allowed, start.saturating_add(offset), key.digest);
                Ok(self.take(key, model))
            }
            None => Err(resting(now, soonest)),
        }
    }

    fn take(&mut self, key: &Arc<ProviderKey>, model: &str) -> Leased {
        self.leases = self.leases.wrapping_add(1);
        self.in_flight = self.in_flight.saturating_add(1);
        let state = admit(&mut self.keys, key);
        state.in_flight = state.in_flight.saturating_add(1);
        Leased {
            key: Arc::clone(key),
            number: self.leases,
            is_probe: state.claim(model, self.leases),
        }
    }

    /// Gives a key back. What the call came to is [`report`](Self::report)ed apart, if it came to anything.
    pub fn release(&mut self, leased: Leased) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(state) = self.keys.get_mut(&leased.key.digest) else {
            return;
        };
        state.in_flight = state.in_flight.saturating_sub(1);
        if leased.is_probe {
            state.rest.free(leased.number);
            for rest in state.models.values_mut() {
                rest.free(leased.number);
            }
        }
        if state.standing == Standing::Retired && state.in_flight == 0 {
            self.keys.remove(&leased.key.digest);
        }
    }

    /// What a call with this key, for this upstream model, does to the ring. Keys that have left are passed over.
    /// A provider's rest is always a ban: no single call could tell that all of it works again.
    pub fn report(&mut self, now: Instant, digest: &Digest, model: &str, effect: KeyEffect) {
        let (scope, kind, duration, asked) = match effect {
            KeyEffect::None => return,
            KeyEffect::Success => return self.succeed(now, digest, model),
            KeyEffect::Rest {
                scope,
                kind,
                duration,
                asked,
            } => (scope, kind, duration, asked),
        };
        if duration.is_zero() {
            return;
        }
        let key = self.keys.get_mut(digest);
        let rest = match (scope, key) {
            (Scope::Provider, _) => return self.rest.add(now, RestKind::Banned, duration, asked),
            (Scope::Key, Some(state)) => &mut state.rest,
            (Scope::KeyModel, Some(state)) => {
                if state.models.len() >= MODELS_KEPT {
                    state.models.retain(|_, rest| rest.is_active(now));
                }
                state.models.entry(model.to_owned()).or_default()
            }
            (Scope::Key | Scope::KeyModel, None) => return,
        };
        rest.add(now, kind, duration, asked);
    }

    /// A provider's rest is what its file asked for and ends by time alone.
    fn succeed(&mut self, now: Instant, digest: &Digest, model: &str) {
        let Some(state) = self.keys.get_mut(digest) else {
            return;
        };
        state.rest.succeed(now);
        if let Some(rest) = state.models.get_mut(model) {
            rest.succeed(now);
            if rest.due(now).is_none() {
                state.models.remove(model);
            }
        }
    }

    /// When the first key of `allowed` can be had for this model; `None`: one can be had now, or there are none.
    pub fn soonest(
        &self,
        now: Instant,
        model: &str,
        allowed: &[Arc<ProviderKey>],
    ) -> Option<Resting> {
        let provider = self.rest.due(now);
        let mut soonest = None;
        for key in allowed {
            let state = self.keys.get(&key.digest);
            let due = Due::both(provider, state.and_then(|state| state.due(now, model)))?;
            soonest = sooner(soonest, due);
        }
        soonest.map(|due| resting(now, Some(due)))
    }

    /// Whether the ring can be thrown away without losing anything: no lease is out and nothing rests.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.in_flight == 0
            && !self.rest.is_active(now)
            && self.keys.values().all(|state| {
                !state.rest.is_active(now) && !state.models.values().any(|rest| rest.is_active(now))
            })
    }

    /// Ends every rest.
    pub fn reset(&mut self) {
        self.rest = Rest::default();
        for state in self.keys.values_mut() {
            state.rest = Rest::default();
            state.models.clear();
        }
    }

    fn turn(&self, allowed: &[Arc<ProviderKey>]) -> usize {
        let Some(list) = List::of(allowed) else {
            return 0;
        };
        if let Some(turn) = self.turns.get(&list) {
            return *turn;
        }
        allowed
            .iter()
            .position(|key| Some(key.digest) == self.last)
            .map_or(0, |position| position.saturating_add(1) % list.length)
    }

    /// `taken` counts from the beginning of the list and may go round it.
    fn pass_turn(&mut self, allowed: &[Arc<ProviderKey>], taken: usize, digest: Digest) {
        self.last = Some(digest);
        if let Some(list) = List::of(allowed) {
            let next = taken.saturating_add(1) % list.length;
            self.turns.insert(list, next);
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Keyring")
            .field("keys", &self.keys.values())
            .field("rest", &self.rest)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl KeyState {
    fn due(&self, now: Instant, model: &str) -> Option<Due> {
        let for_model = self.models.get(model).and_then(|rest| rest.due(now));
        Due::both(self.rest.due(now), for_model)
    }

    fn claim(&mut self, model: &str, lease: u64) -> bool {
        let for_model = self
            .models
            .get_mut(model)
            .is_some_and(|rest| rest.claim(lease));
        self.rest.claim(lease) | for_model
    }
}

fn admit<'k>(keys: &'k mut HashMap<Digest, KeyState>, key: &ProviderKey) -> &'k mut KeyState {
    keys.entry(key.digest).or_insert_with(|| KeyState {
        label: key.label.clone(),
        standing: Standing::Guest,
        in_flight: 0,
        rest: Rest::default(),
        models: HashMap::new(),
    })
}

fn sooner(known: Option<Due>, due: Due) -> Option<Due> {
    Some(match known {
        Some(known) if known.at <= due.at => known,
        _ => due,
    })
}

fn resting(now: Instant, soonest: Option<Due>) -> Resting {
    Resting {
        soonest: soonest.map(|due| due.at.saturating_duration_since(now)),
        kind: soonest.map_or(RestKind::Banned, |due| due.kind),
    }
}

#[cfg(test)]
mod tests;
