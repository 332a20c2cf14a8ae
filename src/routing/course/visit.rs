//! One route while it is tried: its keys, pass by pass, then a few repeats with waits between them.

use std::time::{Duration, Instant};

use super::SLACK;
use crate::routing::keyring::Choice;
use crate::routing::outcome::{Judgement, KeyEffect, RestKind};
use crate::secret::Digest;

/// The first wait after an accident; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(400);
/// Longer times are cut, so that adding them to an `Instant` cannot overflow; nobody waits so long.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Waits differ by so much of their length to either side.
const SPREAD: f64 = 0.25;

/// What bounds the calls on a route beyond one for each key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) max_repeats: u32,
    pub(super) max_wait: Duration,
    /// Passes over the keys.
    pub(super) cycles: u32,
}

/// What has been tried on a route.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// Calls on this route.
    pub(super) calls: usize,
    /// Keys of the current pass.
    tried: Vec<Digest>,
    /// Keys whose last failure allows another call.
    repeatable: Vec<Repeatable>,
    /// Passes that are over.
    passes: u32,
    repeats: u32,
    phase: Phase,
    /// The key that is asked once more, whatever the phase.
    again: Option<Digest>,
    /// That key is being asked for: should it not be had, the phase goes on where it was.
    awaits_again: bool,
    /// The key called last.
    current: Option<Digest>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Each ready key once.
    #[default]
    Keys,
    /// A further pass over them, its first call after a wait.
    Pass { waited: bool },
    /// Keys that failed, each after a wait.
    Repeats,
}

#[derive(Debug)]
struct Repeatable {
    key: Digest,
    /// When its failure said that it may be asked; `None`: an accident, which may be over at any moment.
    due: Option<Instant>,
}

impl Visit {
    /// The next call on this route, if there is one.
    pub(super) fn next(
        &mut self,
        now: Instant,
        jitter: f64,
        bounds: Bounds,
    ) -> Option<(Choice, Duration)> {
        if let Some(key) = self.again.take() {
            self.awaits_again = true;
            return Some((Choice::Again { among: vec![key] }, Duration::ZERO));
        }
        if self.phase == Phase::Keys {
            let except = self.tried.clone();
            return Some((Choice::Ready { except }, Duration::ZERO));
        }
        if self.repeats >= bounds.max_repeats {
            return None;
        }
        if self.phase != Phase::Repeats && self.left_in_pass().next().is_none() {
            self.end_pass(bounds.cycles);
        }
        let wait = match self.phase {
            Phase::Pass { waited: true } => Duration::ZERO,
            _ => self.wait(now, jitter)?,
        };
        if wait > bounds.max_wait.saturating_add(SLACK) {
            return None;
        }
        let among = self.left_in_pass().map(|one| one.key).collect();
        if let Phase::Pass { waited } = &mut self.phase {
            *waited = true;
        }
        Some((Choice::Again { among }, wait))
    }

    /// None of the keys asked for can be had; whether something else can be tried here.
    pub(super) fn keys_used_up(&mut self, cycles: u32) -> bool {
        if std::mem::take(&mut self.awaits_again) {
            return true;
        }
        let is_stuck = self.phase != Phase::Keys && self.tried.is_empty();
        if self.phase == Phase::Repeats || self.repeatable.is_empty() || is_stuck {
            return false;
        }
        self.end_pass(cycles);
        true
    }

    fn end_pass(&mut self, cycles: u32) {
        self.passes = self.passes.saturating_add(1);
        self.tried.clear();
        self.phase = if self.passes < cycles {
            Phase::Pass { waited: false }
        } else {
            Phase::Repeats
        };
    }

    /// Keys that failed and may be asked again, in a pass only those that have not had their turn.
    fn left_in_pass(&self) -> impl Iterator<Item = &Repeatable> {
        self.repeatable
            .iter()
            .filter(|one| self.phase == Phase::Repeats || !self.tried.contains(&one.key))
    }

    pub(super) fn called(&mut self, key: Digest) {
        self.calls = self.calls.saturating_add(1);
        self.awaits_again = false;
        if self.phase != Phase::Keys {
            self.repeats = self.repeats.saturating_add(1);
        }
        if !self.tried.contains(&key) {
            self.tried.push(key);
        }
        self.repeatable.retain(|one| one.key != key);
        self.current = Some(key);
    }

    pub(super) fn failed(&mut self, now: Instant, judgement: &Judgement) {
        let (Some(key), true) = (self.current, judgement.repeatable) else {
            return;
        };
        let banned = match judgement.key {
            KeyEffect::Rest {
                kind: RestKind::Banned,
                duration,
                ..
            } => Some(duration),
            _ => None,
        };
        let longest = banned.max(judgement.asked);
        let due = longest.map(|wait| now + wait.min(LONGEST) + SLACK);
        self.repeatable.push(Repeatable { key, due });
    }

    pub(super) fn ask_again(&mut self) {
        self.again = self.current;
    }

    /// Until the first of the keys that are left may be asked again.
    fn wait(&self, now: Instant, jitter: f64) -> Option<Duration> {
        let backoff = backoff(self.repeats, jitter);
        let wait = |one: &Repeatable| match one.due {
            Some(due) => due.saturating_duration_since(now),
            None => backoff,
        };
        self.left_in_pass().map(wait).min()
    }
}

/// 0.4 s, 0.8 s, 1.6 s and so on, a quarter more or less.
fn backoff(repeats: u32, jitter: f64) -> Duration {
    let factor = 1.0 - SPREAD + 2.0 * SPREAD * jitter.clamp(0.0, 1.0);
    let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(repeats.min(16)));
    doubled.mul_f64(factor)
}
