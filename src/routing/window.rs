//! The sliding minute of one client (or provider): requests, tokens and slots, reserved at first and settled later.
//! It never admits over a limit in any 60 seconds, and has no clock of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::catalog::Limits;

/// The length of the window.
const SPAN: Duration = Duration::from_secs(60);
/// What is admitted within this time of an entry's beginning joins it and leaves with its latest: a window holds at
/// most 241 entries whatever the traffic, and requests further apart are counted to the instant.
const GRAIN: Duration = Duration::from_millis(250);
/// Nobody knows when a slot becomes free; so long is a fair guess.
const SLOT_WAIT: Duration = Duration::from_secs(1);

/// What was admitted in the last minute, and what is in flight.
#[derive(Debug, Default)]
pub struct Window {
    entries: VecDeque<Entry>,
    /// Number of the first entry, counted from the beginning of time.
    first: u64,
    requests: u64,
    tokens: u64,
    in_flight: u64,
    /// Clocks read on several threads may arrive in the wrong order; time here never goes back.
    latest: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    opened: Instant,
    last: Instant,
    requests: u64,
    tokens: u64,
}

/// One admitted request: it holds a slot until [`Window::release`].
#[derive(Debug)]
#[must_use]
pub struct Admission {
    /// Where it was counted.
    entry: u64,
    /// Tokens counted there.
    reserved: u64,
    /// All tokens counted for it; those beyond `reserved` are in later entries.
    tokens: u64,
}

/// The limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Requests in flight.
    Slots,
}

/// Why a request was not admitted. It consumed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that takes longest to have room again.
    pub which: LimitKind,
    /// After this time the same request is admitted if nothing else happens; for slots a guess.
    pub retry_after: Duration,
    /// The limits as they stand.
    pub gauges: Gauges,
}

/// The limits of a window as they stand; `None` where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Requests a minute.
    pub requests: Option<Gauge>,
    /// Tokens a minute.
    pub tokens: Option<Gauge>,
}

/// One limit as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

impl Window {
    /// Takes one request, one slot and `tokens` (no more than an empty window has) if all limits have room.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if one has not; then nothing is taken.
    pub fn admit(
        &mut self,
        now: Instant,
        limits: &Limits,
        tokens: u64,
    ) -> Result<Admission, Refusal> {
        let now = self.advance(now);
        let tokens = limits
            .tokens_per_minute
            .map_or(tokens, |limit| tokens.min(limit));
        if let Some((which, retry_after)) = self.longest_wait(now, limits, tokens) {
            return Err(Refusal {
                which,
                retry_after,
                gauges: self.gauges(now, limits),
            });
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Ok(Admission {
            entry: self.record(now, 1, tokens),
            reserved: tokens,
            tokens,
        })
    }

    /// Replaces the reserved tokens by those really used, as far as known now; may be called again.
    ///
    /// What was reserved too much comes back at once; what was used beyond it counts from now and stays counted.
    pub fn settle(&mut self, now: Instant, admission: &mut Admission, actual: u64) {
        let now = self.advance(now);
        let more = actual.saturating_sub(admission.tokens);
        if more > 0 {
            self.record(now, 0, more);
        }
        let less = admission
            .tokens
            .saturating_sub(actual)
            .min(admission.reserved);
        self.refund(admission.entry, less);
        admission.reserved = admission.reserved.saturating_sub(less);
        admission.tokens = admission.tokens.saturating_add(more).saturating_sub(less);
    }

    /// Frees the slot. What was reserved or settled stays until its minute is over.
    pub fn release(&mut self, admission: Admission) {
        let Admission { .. } = admission;
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// The limits as they stand.
    pub fn gauges(&mut self, now: Instant, limits: &Limits) -> Gauges {
        let now = self.advance(now);
        let gauge = |limit: u64, used: u64, measure: fn(&Entry) -> u64| Gauge {
            limit,
            remaining: limit.saturating_sub(used),
            reset: self
                .entries
                .iter()
                .rev()
                .find(|entry| measure(entry) > 0)
                .map_or(Duration::ZERO, |entry| entry.left(now)),
        };
        Gauges {
            requests: limits
                .requests_per_minute
                .map(|limit| gauge(limit, self.requests, |entry| entry.requests)),
            tokens: limits
                .tokens_per_minute
                .map(|limit| gauge(limit, self.tokens, |entry| entry.tokens)),
        }
    }

    /// Whether the window can be thrown away without losing anything.
    pub fn is_idle(&mut self, now: Instant) -> bool {
        self.advance(now);
        self.in_flight == 0 && self.entries.is_empty()
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    fn longest_wait(
        &self,
        now: Instant,
        limits: &Limits,
        tokens: u64,
    ) -> Option<(LimitKind, Duration)> {
        let slots = limits
            .concurrent_requests
            .filter(|limit| self.in_flight >= *limit)
            .map(|_| (LimitKind::Slots, SLOT_WAIT));
        let requests = limits.requests_per_minute.and_then(|limit| {
            let over = self.requests.saturating_add(1).checked_sub(limit)?;
            let wait = self.wait(now, over, |entry| entry.requests)?;
            Some((LimitKind::Requests, wait))
        });
        let tokens = limits.tokens_per_minute.and_then(|limit| {
            let over = self.tokens.saturating_add(tokens).checked_sub(limit)?;
            let wait = self.wait(now, over, |entry| entry.tokens)?;
            Some((LimitKind::Tokens, wait))
        });
        [slots, tokens, requests]
            .into_iter()
            .flatten()
            .max_by_key(|(_, wait)| *wait)
    }

    /// How long until entries that hold `over` in all have left; `None` if nothing has to.
    fn wait(&self, now: Instant, over: u64, measure: fn(&Entry) -> u64) -> Option<Duration> {
        if over == 0 {
            return None;
        }
        let mut freed: u64 = 0;
        let enough = self.entries.iter().find(|entry| {
            freed = freed.saturating_add(measure(entry));
            freed >= over
        });
        Some(enough.map_or(SPAN, |entry| entry.left(now)))
    }

    /// Counts into the newest entry or a new one; the entry's number.
    fn record(&mut self, now: Instant, requests: u64, tokens: u64) -> u64 {
        self.requests = self.requests.saturating_add(requests);
        self.tokens = self.tokens.saturating_add(tokens);
        match self.entries.back_mut() {
            Some(entry) if now.saturating_duration_since(entry.opened) < GRAIN => {
                entry.last = now;
                entry.requests = entry.requests.saturating_add(requests);
                entry.tokens = entry.tokens.saturating_add(tokens);
            }
            _ => self.entries.push_back(Entry {
                opened: now,
                last: now,
                requests,
                tokens,
            }),
        }
        self.first
            .saturating_add(self.entries.len() as u64)
            .saturating_sub(1)
    }

    /// Gives tokens back to an entry; one that has left has nothing to give.
    fn refund(&mut self, number: u64, tokens: u64) {
        let entry = number
            .checked_sub(self.first)
            .and_then(|index| self.entries.get_mut(usize::try_from(index).ok()?));
        if let Some(entry) = entry {
            let returned = tokens.min(entry.tokens);
            entry.tokens = entry.tokens.saturating_sub(returned);
            self.tokens = self.tokens.saturating_sub(returned);
        }
    }

    /// Lets go of what is a minute old; the time that counts.
    fn advance(&mut self, now: Instant) -> Instant {
        let now = self.latest.map_or(now, |latest| latest.max(now));
        self.latest = Some(now);
        while let Some(entry) = self.entries.front().copied()
            && entry.left(now).is_zero()
        {
            self.entries.pop_front();
            self.requests = self.requests.saturating_sub(entry.requests);
            self.tokens = self.tokens.saturating_sub(entry.tokens);
            self.first = self.first.saturating_add(1);
        }
        now
    }
}

impl Entry {
    /// How long until it leaves.
    fn left(&self, now: Instant) -> Duration {
        SPAN.saturating_sub(now.saturating_duration_since(self.last))
    }
}

#[cfg(test)]
mod tests;
