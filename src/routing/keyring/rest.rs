//! The rest of one thing (a key, a key for one model, a provider): a ban, and a backoff with its half-open probe.
//! It knows neither keys nor models.

use std::time::{Duration, Instant};

use crate::routing::outcome::{Class, RestKind};

/// The first rest after an accident, unless the cooldown is shorter.
const FIRST_STEP: Duration = Duration::from_secs(5);
/// Longer rests are cut, so that adding them to an `Instant` cannot overflow.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Both reasons to rest, kept apart so that neither hides the other.
#[derive(Debug, Default)]
pub(super) struct Rest {
    ban: Option<Ban>,
    backoff: Option<Backoff>,
}

#[derive(Debug, Clone, Copy)]
struct Ban {
    until: Instant,
    /// The upstream named the time.
    asked: bool,
    why: Class,
}

#[derive(Debug, Clone, Copy)]
struct Backoff {
    until: Instant,
    /// Length of the latest step.
    step: Duration,
    failures: u32,
    why: Class,
    /// The lease that finds out whether it works again.
    probe: Option<u64>,
}

/// One failure, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) kind: RestKind,
    /// How long; of an accident the longest step, unless `asked`.
    pub(super) duration: Duration,
    /// The upstream named the time.
    pub(super) asked: bool,
    pub(super) why: Class,
}

/// One of the reasons to rest as it stands: what is shown, written down and read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) kind: RestKind,
    pub(super) until: Instant,
    pub(super) asked: bool,
    pub(super) why: Class,
    /// Length of the latest step of a backoff; zero for a ban.
    pub(super) step: Duration,
    /// Failures in a row of a backoff; zero for a ban.
    pub(super) failures: u32,
    pub(super) probing: bool,
}

/// When something is to be called again, and why not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) kind: RestKind,
}

impl Due {
    /// When both are over.
    pub(super) fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        let kind = match (self.kind, other.kind) {
            (RestKind::Transient, RestKind::Transient) => RestKind::Transient,
            _ => RestKind::Banned,
        };
        Self {
            at: self.at.max(other.at),
            kind,
        }
    }

    /// When the later of two, each perhaps over already, is over.
    pub(super) fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match one {
            Some(due) => Some(due.and(other)),
            None => other,
        }
    }
}

impl Rest {
    /// Why this may not be called at `now`; `None`: it may.
    ///
    /// While a probe is under way the backoff counts as if the probe failed right now.
    pub(super) fn due(&self, now: Instant) -> Option<Due> {
        let ban = self.ban.filter(|ban| ban.until > now).map(|ban| Due {
            at: ban.until,
            kind: RestKind::Banned,
        });
        let backoff = self.backoff.and_then(|backoff| {
            let at = match backoff.probe {
                _ if backoff.until > now => backoff.until,
                Some(_) => after(now, backoff.step),
                None => return None,
            };
            Some(Due {
                at,
                kind: RestKind::Transient,
            })
        });
        Due::both(ban, backoff)
    }

    /// Adds a failure. A deadline never moves closer.
    ///
    /// A backoff doubles when a failure comes after its end. What fails while it lasts had begun before: one
    /// outage met by many calls is one failure.
    pub(super) fn add(&mut self, now: Instant, failure: Failure) {
        let Failure {
            kind,
            duration,
            asked,
            why,
        } = failure;
        match kind {
            RestKind::Banned => {
                let until = after(now, duration);
                if self.ban.is_none_or(|ban| ban.until <= until) {
                    self.ban = Some(Ban { until, asked, why });
                }
            }
            RestKind::Transient => {
                let backoff = self.backoff.get_or_insert(Backoff {
                    until: now,
                    step: Duration::ZERO,
                    failures: 0,
                    why,
                    probe: None,
                });
                if backoff.until <= now {
                    backoff.failures = backoff.failures.saturating_add(1);
                }
                backoff.step = if asked {
                    duration
                } else {
                    step(backoff.failures, duration)
                };
                backoff.until = backoff.until.max(after(now, backoff.step));
                backoff.why = why;
            }
        }
    }

    /// A call succeeded: accidents are forgotten, and so is a ban whose length was our own guess. A time that the
    /// upstream named stands, since a call that succeeds during a ban began before it. Whether anything ended.
    pub(super) fn succeed(&mut self, now: Instant) -> bool {
        let ban = self.ban.filter(|ban| ban.asked && ban.until > now);
        let ended = self.backoff.is_some() || ban.is_none() != self.ban.is_none();
        self.backoff = None;
        self.ban = ban;
        ended
    }

    /// The reasons that still hold, a backoff also while it is being probed.
    pub(super) fn reasons(&self, now: Instant) -> impl Iterator<Item = Reason> {
        let ban = self.ban.filter(|ban| ban.until > now).map(|ban| Reason {
            kind: RestKind::Banned,
            until: ban.until,
            asked: ban.asked,
            why: ban.why,
            step: Duration::ZERO,
            failures: 0,
            probing: false,
        });
        let backoff = self
            .backoff
            .filter(|backoff| backoff.until > now || backoff.probe.is_some())
            .map(|backoff| Reason {
                kind: RestKind::Transient,
                until: backoff.until,
                asked: false,
                why: backoff.why,
                step: backoff.step,
                failures: backoff.failures,
                probing: backoff.probe.is_some(),
            });
        ban.into_iter().chain(backoff)
    }

    /// Takes a reason back that was written down. What is there already is kept if it lasts longer.
    pub(super) fn restore(&mut self, reason: Reason) {
        match reason.kind {
            RestKind::Banned if self.ban.is_none_or(|ban| ban.until < reason.until) => {
                self.ban = Some(Ban {
                    until: reason.until,
                    asked: reason.asked,
                    why: reason.why,
                });
            }
            RestKind::Transient
                if self
                    .backoff
                    .is_none_or(|backoff| backoff.until < reason.until) =>
            {
                self.backoff = Some(Backoff {
                    until: reason.until,
                    step: reason.step.min(LONGEST),
                    failures: reason.failures,
                    why: reason.why,
                    probe: None,
                });
            }
            RestKind::Banned | RestKind::Transient => {}
        }
    }

    /// Makes this lease the probe if one is needed and none is under way; whether it is.
    pub(super) fn claim(&mut self, lease: u64) -> bool {
        match &mut self.backoff {
            Some(backoff) if backoff.probe.is_none() => {
                backoff.probe = Some(lease);
                true
            }
            _ => false,
        }
    }

    /// The lease is over; if it was the probe, another may be.
    pub(super) fn free(&mut self, lease: u64) {
        if let Some(backoff) = &mut self.backoff
            && backoff.probe == Some(lease)
        {
            backoff.probe = None;
        }
    }

    /// Whether a deadline lies ahead.
    pub(super) fn is_active(&self, now: Instant) -> bool {
        self.ban.is_some_and(|ban| ban.until > now)
            || self.backoff.is_some_and(|backoff| backoff.until > now)
    }
}

/// The n-th step: doubled from [`FIRST_STEP`] up to the cooldown.
fn step(failures: u32, cooldown: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    FIRST_STEP.saturating_mul(1 << doublings).min(cooldown)
}

fn after(now: Instant, duration: Duration) -> Instant {
    now.checked_add(duration.min(LONGEST)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn failure(kind: RestKind, duration: Duration, asked: bool) -> Failure {
        Failure {
            kind,
            duration,
            asked,
            why: Class::Transient,
        }
    }

    fn rests_for(rest: &Rest, now: Instant) -> Option<(u64, RestKind)> {
        rest.due(now)
            .map(|due| ((due.at - now).as_secs(), due.kind))
    }

    #[test]
    fn backoff_doubles_from_five_seconds_up_to_the_cooldown() {
        let mut now = Instant::now();
        let mut rest = Rest::default();
        for expected in [5, 10, 20, 40, 60, 60] {
            rest.add(now, failure(RestKind::Transient, seconds(60), false));
            assert_eq!(rests_for(&rest, now), Some((expected, RestKind::Transient)));
            now += seconds(expected);
            assert_eq!(rests_for(&rest, now), None);
        }
        rest.succeed(now);
        rest.add(now, failure(RestKind::Transient, seconds(3), false));
        assert_eq!(rests_for(&rest, now), Some((3, RestKind::Transient)));
    }

    #[test]
    fn many_calls_that_meet_one_outage_are_one_failure() {
        let now = Instant::now();
        let mut rest = Rest::default();
        for _ in 0..50 {
            rest.add(now, failure(RestKind::Transient, seconds(300), false));
        }
        assert_eq!(rests_for(&rest, now), Some((5, RestKind::Transient)));
    }

    #[test]
    fn an_asked_time_is_taken_as_it_is_for_an_accident_too() {
        let now = Instant::now();
        let mut rest = Rest::default();
        rest.add(now, failure(RestKind::Transient, seconds(30), true));
        assert_eq!(rests_for(&rest, now), Some((30, RestKind::Transient)));
        rest.add(now, failure(RestKind::Transient, seconds(1), true));
        assert_eq!(rests_for(&rest, now), Some((30, RestKind::Transient)));
    }

    #[test]
    fn a_ban_hides_no_backoff_and_no_backoff_hides_a_ban() {
        let now = Instant::now();
        let mut rest = Rest::default();
        rest.add(now, failure(RestKind::Transient, seconds(300), true));
        rest.add(now, failure(RestKind::Banned, seconds(7), false));
        assert_eq!(rests_for(&rest, now), Some((300, RestKind::Banned)));
        let later = now + seconds(7);
        assert_eq!(rests_for(&rest, later), Some((293, RestKind::Transient)));
    }

    #[test]
    fn a_success_ends_what_we_guessed_and_not_what_the_upstream_asked_for() {
        let now = Instant::now();
        let mut guessed = Rest::default();
        guessed.add(now, failure(RestKind::Banned, seconds(300), false));
        guessed.succeed(now);
        assert_eq!(rests_for(&guessed, now), None);
        let mut asked = Rest::default();
        asked.add(now, failure(RestKind::Banned, seconds(300), true));
        asked.succeed(now + seconds(1));
        assert_eq!(rests_for(&asked, now), Some((300, RestKind::Banned)));
        asked.succeed(now + seconds(300));
        assert!(asked.ban.is_none());
    }

    #[test]
    fn one_probe_at_a_time_follows_a_backoff() {
        let now = Instant::now();
        let mut rest = Rest::default();
        assert!(!rest.claim(1), "nothing to find out");
        rest.add(now, failure(RestKind::Transient, seconds(300), false));
        let over = now + seconds(5);
        assert_eq!(rests_for(&rest, over), None);
        assert!(rest.claim(2));
        assert_eq!(rests_for(&rest, over), Some((5, RestKind::Transient)));
        rest.free(1);
        assert!(rest.due(over).is_some(), "another lease frees nothing");
        rest.free(2);
        assert_eq!(rests_for(&rest, over), None);
    }

    #[test]
    fn a_rest_of_centuries_does_not_overflow() {
        let now = Instant::now();
        let mut rest = Rest::default();
        rest.add(now, failure(RestKind::Banned, Duration::MAX, true));
        rest.add(now, failure(RestKind::Transient, Duration::MAX, true));
        assert!(rest.is_active(now + LONGEST - seconds(1)));
    }
}
