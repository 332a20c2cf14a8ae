//! Taking a key: which of those that may be had, whose turn it is, and how turns go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::news::{Enough, Shares};
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
    pub(super) fn of(keys: &[Arc<ProviderKey>]) -> Option<Self> {
        Some(Self {
            first: keys.first()?.digest,
            last: keys.last()?.digest,
            length: keys.len(),
        })
    }
}

/// A key that may be leased.
#[derive(Clone, Copy)]
struct Candidate<'k> {
    key: &'k Arc<ProviderKey>,
    /// Its place, counted from the turn.
    offset: usize,
    /// What the upstream said is left, in thousandths.
    left: Option<u16>,
}

impl Keyring {
    /// Takes a key of `allowed` as the choice says; of several that would do equally well, the next in turn.
    ///
    /// Of ready keys those with little left are passed over as [`Shares::enough`] says. A pinned key is taken if it is
    /// ready, and leaves the turn where it is.
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
        let provider = self.rest.due(now);
        if let Some(key) = self.pinned(now, model, allowed, choice) {
            return Ok(self.take(key, model));
        }
        let start = self.turn(allowed);
        let mut told = self.told.get_mut(model);
        let most = told.as_mut().and_then(|told| told.most(now));
        let mut contest = Contest::new(now, most);
        let mut soonest: Option<Due> = None;
        let (before, after) = allowed.split_at_checked(start).unwrap_or((&[], allowed));
        for (offset, key) in after.iter().chain(before).enumerate() {
            if !choice.names(&key.digest) {
                continue;
            }
            let state = admit(&mut self.keys, key);
            let due = Due::both(provider, state.due(now, model, self.most_in_flight));
            if let Some(due) = due.filter(|due| !choice.disregards(due.kind)) {
                soonest = sooner(soonest, due);
                continue;
            }
            let left = told.as_ref().and_then(|told| told.left(now, &key.digest));
            let candidate = Candidate { key, offset, left };
            contest.enter(due.map_or(now, |due| due.at), candidate);
            if contest.is_decided() {
                break;
            }
        }
        let Some(Candidate { key, offset, .. }) = contest.first else {
            return Err(resting(now, soonest));
        };
        self.pass_turn(allowed, start.saturating_add(offset), key.digest);
        Ok(self.take(key, model))
    }

    /// The key that the choice wants whatever the turn, if it is ready.
    fn pinned<'k>(
        &self,
        now: Instant,
        model: &str,
        allowed: &'k [Arc<ProviderKey>],
        choice: &Choice,
    ) -> Option<&'k Arc<ProviderKey>> {
        let pin = choice.pin().filter(|pin| choice.names(pin))?;
        let key = allowed.iter().find(|key| key.digest == pin)?;
        let state = self.keys.get(&pin);
        let due = state.and_then(|state| state.due(now, model, self.most_in_flight));
        Due::both(self.rest.due(now), due).is_none().then_some(key)
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

    pub(super) fn turn(&self, allowed: &[Arc<ProviderKey>]) -> usize {
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

/// Finds, of the keys due first, the first in turn that has enough left. What is enough depends on all of them; but it
/// only rises with each, and never over what the most that is left anywhere would ask. So as a rule the first key that is
/// ready decides, however many follow.
struct Contest<'k> {
    now: Instant,
    /// What is enough whoever is still to come.
    surely: Enough,
    /// When those are due who have entered.
    at: Option<Instant>,
    shares: Shares,
    /// The first who has enough so far.
    first: Option<Candidate<'k>>,
    /// Those after it who may have enough, in turn.
    next: VecDeque<Candidate<'k>>,
}

impl<'k> Contest<'k> {
    /// `most`: no key has more left.
    fn new(now: Instant, most: Option<u16>) -> Self {
        Self {
            now,
            surely: Shares::at_most(most).enough(),
            at: None,
            shares: Shares::default(),
            first: None,
            next: VecDeque::new(),
        }
    }

    /// The next in turn, due at that time.
    fn enter(&mut self, at: Instant, candidate: Candidate<'k>) {
        match self.at {
            Some(known) if known < at => return,
            Some(known) if known == at => {}
            _ => {
                self.at = Some(at);
                self.shares = Shares::default();
                self.first = None;
                self.next.clear();
            }
        }
        self.shares.add(candidate.left);
        match self.first {
            None => self.first = Some(candidate),
            Some(_) => self.next.push_back(candidate),
        }
        let enough = self.shares.enough();
        while self.first.is_some_and(|first| !enough.holds(first.left)) {
            self.first = self.next.pop_front();
        }
    }

    /// Whether the first stays first, whoever is still to come.
    fn is_decided(&self) -> bool {
        let is_sure = |first: Candidate<'_>| self.surely.holds(first.left);
        self.at == Some(self.now) && self.first.is_some_and(is_sure)
    }
}
