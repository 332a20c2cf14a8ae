//! The way of one request through its routes: which key is asked next, after which wait, and when nobody is left.
//! It makes no call and reads no clock; whoever does both tells it what came of them.

mod visit;

use std::time::{Duration, Instant};

use super::keyring::{Choice, Resting};
use super::outcome::{Class, Judgement, Next, RestKind};
use super::plan::PlannedRoute;
use crate::config::catalog::Route;
use crate::secret::Digest;
use visit::{Bounds, Visit};

/// Added to waits for a resting key: its rest began a moment after the failure was judged.
const SLACK: Duration = Duration::from_millis(10);

/// What bounds a course beside its routes' own limits.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Calls in all; a route that has had none is still allowed its first.
    pub max_attempts: usize,
    /// Passes over the keys of a route, at least 1.
    pub key_cycles: u32,
    /// The longest wait for a key that asked for time.
    pub max_wait: Duration,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Ask for a key and make a call with it.
    Call {
        /// On this route.
        route: PlannedRoute,
        /// With such a key.
        choice: Choice,
        /// Not before this has passed.
        wait: Duration,
    },
    /// Nobody is left to ask.
    End(End),
}

/// Why a course is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every route has had its calls.
    Exhausted,
    /// The time for all attempts together is over.
    OutOfTime,
    /// A failure that goes back to the client.
    Returned,
}

/// Where a request is on its way. After each [`Step::Call`] exactly one of [`Course::no_key`] and [`Course::called`] is
/// told, unless its time was over before it began; after the latter, unless the call succeeded, one of
/// [`Course::failed`] and [`Course::repaired`].
#[derive(Debug)]
pub struct Course {
    routes: Vec<PlannedRoute>,
    policy: Policy,
    began: Instant,
    position: usize,
    calls: usize,
    visit: Visit,
    /// Routes that were passed over without a call, and when their first key can be had.
    rested: Vec<Rested>,
    /// Provider and model of routes for which the request is too long.
    too_long: Vec<(String, String)>,
    /// A route that stayed silent, until a later one is called: if none is, its other keys are asked.
    silent: Option<(usize, Visit)>,
    /// The silent route is asked again, because no later one has a key.
    came_back: bool,
    /// The time of some route was over before its calls were.
    out_of_time: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Routes,
    LastResort,
    Over(End),
}

#[derive(Debug)]
struct Rested {
    position: usize,
    due: Option<Instant>,
    kind: RestKind,
}

impl Course {
    /// A course through these routes that begins now, for a request that has made `calls` already.
    pub fn new(routes: Vec<PlannedRoute>, policy: Policy, calls: usize, now: Instant) -> Self {
        Self {
            routes,
            policy,
            began: now,
            position: 0,
            calls,
            visit: Visit::default(),
            rested: Vec::new(),
            too_long: Vec::new(),
            silent: None,
            came_back: false,
            out_of_time: false,
            stage: Stage::Routes,
        }
    }

    /// The routes of the course, in order.
    pub fn routes(&self) -> &[PlannedRoute] {
        &self.routes
    }

    /// The routes after the one that was called last, as a course of its own would take them.
    pub fn rest(&self) -> Vec<PlannedRoute> {
        self.after().cloned().collect()
    }

    /// When the attempts on a route have to be over.
    pub fn deadline(&self, route: &Route) -> Instant {
        self.began + route.timeouts.total
    }

    /// What to do next. `jitter` between 0 and 1 spreads the waits of requests that failed together.
    pub fn next(&mut self, now: Instant, jitter: f64) -> Step {
        loop {
            match self.stage {
                Stage::Over(end) => return Step::End(end),
                Stage::LastResort => return self.last_resort(now),
                Stage::Routes => {}
            }
            let Some(planned) = self.routes.get(self.position).cloned() else {
                self.come_back_or_end();
                continue;
            };
            if self.is_pointless(&planned.route) {
                self.advance();
                continue;
            }
            let deadline = self.deadline(&planned.route);
            self.out_of_time |= now >= deadline;
            if now >= deadline || self.is_capped() {
                self.advance();
                continue;
            }
            let bounds = Bounds {
                max_repeats: planned.route.provider.max_retries,
                max_wait: self.policy.max_wait,
                cycles: self.policy.key_cycles,
            };
            match self.visit.next(now, jitter, bounds) {
                Some((choice, wait)) if now + wait < deadline => {
                    return Step::Call {
                        route: planned,
                        choice,
                        wait,
                    };
                }
                _ => self.advance(),
            }
        }
    }

    /// No such key can be had.
    pub fn no_key(&mut self, now: Instant, resting: Resting) {
        if !matches!(self.stage, Stage::Routes) {
            return;
        }
        if self.visit.calls == 0 {
            self.rested.push(Rested {
                position: self.position,
                due: resting.soonest.map(|soonest| now + soonest),
                kind: resting.kind,
            });
            self.advance();
        } else if !self.visit.keys_used_up(self.policy.key_cycles) {
            self.advance();
        }
    }

    /// The request cannot be put as the route wants it: no call was made.
    pub fn unfit(&mut self) {
        match self.stage {
            Stage::Routes => self.advance(),
            _ => self.stage = Stage::Over(End::Exhausted),
        }
    }

    /// The request cannot be put for any route.
    pub fn end(&mut self) {
        self.stage = Stage::Over(End::Returned);
    }

    /// A call with this key is made.
    pub fn called(&mut self, key: Digest) {
        self.calls = self.calls.saturating_add(1);
        self.silent = None;
        self.visit.called(key);
    }

    /// The call came to nothing.
    pub fn failed(&mut self, now: Instant, judgement: &Judgement) {
        let is_silent = judgement.class == Class::Timeout;
        // The time of this route is over; that of a later one need not be.
        let is_late = is_silent && judgement.next == Next::Return;
        self.out_of_time |= is_late;
        if judgement.next == Next::Return && !is_late {
            self.stage = Stage::Over(End::Returned);
            return;
        }
        if !matches!(self.stage, Stage::Routes) {
            return;
        }
        if judgement.class == Class::ContextLength
            && let Some(planned) = self.routes.get(self.position)
        {
            let route = &planned.route;
            let name = (route.provider.name.clone(), route.model.clone());
            self.too_long.push(name);
        }
        // A key that let a call time out is never asked again, but where no route is left the others are.
        if is_late {
            self.advance();
        } else if is_silent && self.later() > 0 {
            self.silent = Some((self.position, std::mem::take(&mut self.visit)));
            self.advance();
        } else if judgement.next == Next::Route && !is_silent {
            self.advance();
        } else {
            self.visit.failed(now, judgement);
        }
    }

    /// The request has been mended since: the same key is asked once more.
    pub fn repaired(&mut self) {
        self.visit.ask_again();
    }

    /// No later route loses its one call.
    fn is_capped(&self) -> bool {
        let kept = self.calls.saturating_add(self.later());
        self.visit.calls > 0 && kept >= self.policy.max_attempts
    }

    /// Every route has been tried, or has no key.
    fn come_back_or_end(&mut self) {
        match self.silent.take() {
            Some((position, visit)) => {
                self.position = position;
                self.visit = visit;
                self.came_back = true;
            }
            None if self.out_of_time => self.stage = Stage::Over(End::OutOfTime),
            None if self.came_back => self.stage = Stage::Over(End::Exhausted),
            None => self.stage = Stage::LastResort,
        }
    }

    /// How many routes may still be called after this one.
    fn later(&self) -> usize {
        if self.came_back {
            0
        } else {
            self.after().count()
        }
    }

    /// The routes after this one that may take the request.
    fn after(&self) -> impl Iterator<Item = &PlannedRoute> {
        let later = self.routes.iter().skip(self.position.saturating_add(1));
        later.filter(|planned| !self.is_pointless(&planned.route))
    }

    /// A prompt too long for a model is too long for the same model elsewhere in the plan.
    fn is_pointless(&self, route: &Route) -> bool {
        self.too_long
            .iter()
            .any(|(provider, model)| *provider == route.provider.name && *model == route.model)
    }

    fn advance(&mut self) {
        self.position = if self.came_back {
            self.routes.len()
        } else {
            self.position.saturating_add(1)
        };
        self.visit = Visit::default();
    }

    /// Nobody has been called because every key rests: the one that is due first, if that is soon or its rest only a guess.
    fn last_resort(&mut self, now: Instant) -> Step {
        self.stage = Stage::Over(End::Exhausted);
        let soonest = self
            .rested
            .iter()
            .filter_map(|rested| Some((rested.due?, rested)))
            .min_by_key(|(due, _)| *due);
        let (0, Some((due, rested))) = (self.calls, soonest) else {
            return Step::End(End::Exhausted);
        };
        let Some(route) = self.routes.get(rested.position).cloned() else {
            return Step::End(End::Exhausted);
        };
        if rested.kind == RestKind::Transient {
            return Step::Call {
                route,
                choice: Choice::LastResort,
                wait: Duration::ZERO,
            };
        }
        let wait = due.saturating_duration_since(now);
        let is_worth_it = wait <= self.policy.max_wait && route.route.provider.max_retries > 0;
        if !is_worth_it || now + wait >= self.deadline(&route.route) {
            return Step::End(End::Exhausted);
        }
        Step::Call {
            route,
            choice: Choice::Ready { except: Vec::new() },
            wait: wait + SLACK,
        }
    }
}

#[cfg(test)]
mod tests;
