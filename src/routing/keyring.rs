//! Keys of one provider: rotation, rests and what is in flight, over snapshots of the configuration that come and go.
//! It holds labels and digests, never a secret, and has no clock of its own.

mod choice;
mod kept;
mod lease;
mod news;
mod rest;
mod view;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::HashMap;

use crate::config::catalog::ProviderKey;
use crate::secret::Digest;

use super::outcome::{Headroom, KeyEffect, RestKind, Scope};
use lease::List;
use news::Told;
use rest::{Due, Failure, Rest};

pub use choice::Choice;
pub use kept::{Clocks, KeptRest};
pub use view::{KeyView, RestView, RingStatus, Span};

/// Rests of so many models per key, and news of so many, are kept before what is over is thrown away.
const MODELS_KEPT: usize = 32;

/// Nobody knows when a call of a busy key ends; so long is a fair guess, as for the slots of a client.
const BUSY: Duration = Duration::from_secs(1);

/// The keys of one provider.
#[derive(Default)]
pub struct Keyring {
    keys: HashMap<Digest, KeyState>,
    /// Where the next lease begins to look, by list of keys.
    turns: HashMap<List, usize>,
    /// The key leased last; where a list that is seen for the first time begins.
    last: Option<Digest>,
    /// What the upstream said is left for its keys, by its name of the model.
    told: HashMap<String, Told>,
    /// The provider as a whole.
    rest: Rest,
    /// Calls that one key may have under way.
    most_in_flight: Option<u64>,
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
        for told in self.told.values_mut() {
            told.keep(|key| self.keys.contains_key(key));
        }
        self.turns.clear();
    }

    /// How many calls each key may have under way; `None`: any number.
    pub fn limit_in_flight(&mut self, most: Option<u64>) {
        self.most_in_flight = most;
    }

    /// Gives a key back. What the call came to is [`report`](Self::report)ed apart, if it came to anything.
    pub fn release(&mut self, leased: Leased) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(state) = self.keys.get_mut(&leased.key.digest) else {
            return;
        };
        state.in_flight = state.in_flight.saturating_sub(1);
        if leased.is_probe {
            state.free(leased.number);
        }
        if state.standing == Standing::Retired && state.in_flight == 0 {
            self.keys.remove(&leased.key.digest);
            self.forget(&leased.key.digest);
        }
    }

    /// A call has begun to bring content. It may go on for long and break yet, but others need not wait for its end to
    /// find out whether the key works.
    pub fn answers(&mut self, leased: &mut Leased) {
        if std::mem::take(&mut leased.is_probe)
            && let Some(state) = self.keys.get_mut(&leased.key.digest)
        {
            state.free(leased.number);
        }
    }

    /// What a call with this key, for this upstream model, does to the ring; whether any rest began, grew or ended.
    /// Keys that have left are passed over. A provider's rest is always a ban: no single call could tell that all of it
    /// works again.
    pub fn report(
        &mut self,
        now: Instant,
        digest: &Digest,
        model: &str,
        effect: KeyEffect,
    ) -> bool {
        let (scope, mut failure) = match effect {
            KeyEffect::None => return false,
            KeyEffect::Success => return self.succeed(now, digest, model),
            KeyEffect::Rest {
                scope,
                kind,
                duration,
                asked,
                why,
            } => (
                scope,
                Failure {
                    kind,
                    duration,
                    asked,
                    why,
                },
            ),
        };
        if failure.duration.is_zero() {
            return false;
        }
        let rest = match (scope, self.keys.get_mut(digest)) {
            (Scope::Provider, _) => {
                failure.kind = RestKind::Banned;
                &mut self.rest
            }
            (Scope::Key, Some(state)) => &mut state.rest,
            (Scope::KeyModel, Some(state)) => state.rest_for(now, model),
            (Scope::Key | Scope::KeyModel, None) => return false,
        };
        rest.add(now, failure);
        true
    }

    /// What the upstream says is left for a key and a model. Keys that have left are passed over.
    pub fn learn(&mut self, now: Instant, digest: &Digest, model: &str, headroom: Headroom) {
        if !self.keys.contains_key(digest) {
            return;
        }
        if let Some(told) = self.told.get_mut(model) {
            told.add(now, *digest, headroom);
            return;
        }
        if self.told.len() >= MODELS_KEPT {
            self.told.retain(|_, told| told.most(now).is_some());
        }
        let told = self.told.entry(model.to_owned()).or_default();
        told.add(now, *digest, headroom);
    }

    /// Nothing is said of a key any more.
    fn forget(&mut self, digest: &Digest) {
        for told in self.told.values_mut() {
            told.keep(|key| key != digest);
        }
    }

    /// A provider's rest is what its file asked for and ends by time alone. Whether a rest ended.
    fn succeed(&mut self, now: Instant, digest: &Digest, model: &str) -> bool {
        let Some(state) = self.keys.get_mut(digest) else {
            return false;
        };
        let mut ended = state.rest.succeed(now);
        if let Some(rest) = state.models.get_mut(model) {
            ended |= rest.succeed(now);
            if rest.due(now).is_none() {
                state.models.remove(model);
            }
        }
        ended
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
            let due = state.and_then(|state| state.due(now, model, self.most_in_flight));
            soonest = sooner(soonest, Due::both(provider, due)?);
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

    /// Ends the rests of the key with this label, or those of all keys and of the provider, and forgets what is said to
    /// be left for them; how many keys there were to do it for.
    pub fn reset(&mut self, label: Option<&str>) -> usize {
        if label.is_none() {
            self.rest = Rest::default();
        }
        let mut count = 0;
        let is_meant = |state: &KeyState| label.is_none_or(|label| state.label == label);
        for state in self.keys.values_mut().filter(|state| is_meant(state)) {
            state.rest = Rest::default();
            state.models.clear();
            count += usize::from(state.standing == Standing::Member);
        }
        for told in self.told.values_mut() {
            told.keep(|key| !self.keys.get(key).is_some_and(is_meant));
        }
        count
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
    /// Why it may not be called; a key at its cap counts as banned until one of its calls may have ended.
    fn due(&self, now: Instant, model: &str, most_in_flight: Option<u64>) -> Option<Due> {
        let for_model = self.models.get(model).and_then(|rest| rest.due(now));
        let busy = self.is_busy(most_in_flight).then(|| Due {
            at: now + BUSY,
            kind: RestKind::Banned,
        });
        Due::both(Due::both(self.rest.due(now), for_model), busy)
    }

    fn is_busy(&self, most_in_flight: Option<u64>) -> bool {
        most_in_flight.is_some_and(|most| self.in_flight >= most)
    }

    /// The rest for one model, made where there is none; rests that are over make room first.
    fn rest_for(&mut self, now: Instant, model: &str) -> &mut Rest {
        if self.models.len() >= MODELS_KEPT {
            self.models.retain(|_, rest| rest.is_active(now));
        }
        self.models.entry(model.to_owned()).or_default()
    }

    fn claim(&mut self, model: &str, lease: u64) -> bool {
        let for_model = self
            .models
            .get_mut(model)
            .is_some_and(|rest| rest.claim(lease));
        self.rest.claim(lease) | for_model
    }

    /// If this lease was a probe, another may be.
    fn free(&mut self, lease: u64) {
        self.rest.free(lease);
        for rest in self.models.values_mut() {
            rest.free(lease);
        }
    }
}

fn admit<'k>(keys: &'k mut HashMap<Digest, KeyState>, key: &ProviderKey) -> &'k mut KeyState {
    keys.entry(key.digest).or_insert_with(|| KeyState {
        label: key.label.clone(),
        standing: Standing::Guest,
        in_flight: 0,
        rest: Rest::default(),
        models: HashMap::default(),
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
