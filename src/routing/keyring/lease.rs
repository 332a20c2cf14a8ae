//! Taking a key: which of those that may be had, whose turn it is, and how turns go on.

use std::sync::Arc;
use std::time::Instant;

use super::news::preferred;
use super::rest::Due;
use super::{Choice, Keyring, Leased, Resting, admit, resting, sooner};
use crate::config::catalog::ProviderKey;
use crate::secret::Digest;

/// A list of keys, told from others by its ends and length: a route's list keeps its turn over reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct List {
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

/// A key that may be leased.
struct Candidate<'k> {
    key: &'k Arc<ProviderKey>,
    /// Its place, counted from the turn.
    offset: usize,
    /// When its rest ends.
    at: Instant,
    /// What the upstream said is left, in thousandths.
    left: Option<u16>,
}

impl Keyring {
    /// Takes a key of `allowed` as the choice says; of several that would do equally well, the next in turn.
    ///
    /// Of ready keys those with little left are passed over as [`preferred`] says. A pinned key is taken if it is ready,
    /// and leaves the turn where it is.
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
        let mut candidates = Vec::new();
        let mut soonest: Option<Due> = None;
        let (before, after) = allowed.split_at_checked(start).unwrap_or((&[], allowed));
        for (offset, key) in after.iter().chain(before).enumerate() {
            if !choice.names(&key.digest) {
                continue;
            }
            let state = admit(&mut self.keys, key);
            let due = Due::both(provider, state.due(now, model, self.most_in_flight));
            match due.filter(|due| !choice.disregards(due.kind)) {
                Some(due) => soonest = sooner(soonest, due),
                None => candidates.push(Candidate {
                    key,
                    offset,
                    at: due.map_or(now, |due| due.at),
                    left: state.news.get(model).and_then(|news| news.left(now)),
                }),
            }
        }
        let is_pinned = |candidate: &&Candidate<'_>| choice.pin() == Some(candidate.key.digest);
        if let Some(Candidate { key, .. }) = candidates.iter().find(is_pinned) {
            return Ok(self.take(key, model));
        }
        let Some(Candidate { key, offset, .. }) = best(&candidates) else {
            return Err(resting(now, soonest));
        };
        self.pass_turn(allowed, start.saturating_add(*offset), key.digest);
        Ok(self.take(key, model))
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

/// Those due first; of them the first in turn that has enough left.
fn best<'c, 'k>(candidates: &'c [Candidate<'k>]) -> Option<&'c Candidate<'k>> {
    let at = candidates.iter().map(|candidate| candidate.at).min()?;
    let due_first = || {
        candidates
            .iter()
            .filter(move |candidate| candidate.at == at)
    };
    let enough = preferred(due_first().map(|candidate| candidate.left));
    due_first().find(|candidate| enough.holds(candidate.left))
}
