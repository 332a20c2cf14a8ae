//! Rests in a form that outlives the process: deadlines by the wall clock instead of the monotonic one.
//! It knows no database; both clocks are parameters.

use std::time::{Duration, Instant, SystemTime};

use super::Keyring;
use super::rest::{Reason, Rest};
use crate::routing::outcome::{Class, RestKind};
use crate::secret::Digest;

/// The two clocks, read at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// The clock that rests are measured by.
    pub monotonic: Instant,
    /// The clock that means the same in the next process.
    pub wall: SystemTime,
}

impl Clocks {
    /// Both clocks, now.
    pub fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// A deadline by the wall clock.
    fn to_wall(self, at: Instant) -> SystemTime {
        self.wall + at.saturating_duration_since(self.monotonic)
    }

    /// A deadline by the monotonic clock, `longest` from now at most: the wall clock may have been set back since.
    /// `None` if it is over.
    fn to_monotonic(self, at: SystemTime, longest: Duration) -> Option<Instant> {
        let left = at.duration_since(self.wall).ok()?.min(longest);
        (!left.is_zero()).then(|| self.monotonic + left)
    }
}

/// One rest, to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRest {
    /// The key, by digest and label; `None`: the provider rests.
    pub key: Option<(Digest, String)>,
    /// The upstream's name of the model; `None`: all models.
    pub model: Option<String>,
    /// Whether it is a ban or follows an accident.
    pub kind: RestKind,
    /// What the failure was.
    pub why: Class,
    /// The upstream named the time.
    pub asked: bool,
    /// When it ends.
    pub until: SystemTime,
    /// The latest step of a backoff; zero for a ban.
    pub step: Duration,
    /// Accidents in a row; zero for a ban.
    pub failures: u32,
}

impl Keyring {
    /// The rests that lie ahead, in a fixed order; those of keys that are gone are left out.
    pub fn kept(&self, clocks: Clocks) -> Vec<KeptRest> {
        let mut kept = Vec::new();
        let mut keep = |rest: &Rest, key: Option<(Digest, &str)>, model: Option<&str>| {
            let ahead = rest
                .reasons(clocks.monotonic)
                .filter(|reason| reason.until > clocks.monotonic);
            kept.extend(ahead.map(|reason| KeptRest {
                key: key.map(|(digest, label)| (digest, label.to_owned())),
                model: model.map(str::to_owned),
                kind: reason.kind,
                why: reason.why,
                asked: reason.asked,
                until: clocks.to_wall(reason.until),
                step: reason.step,
                failures: reason.failures,
            }));
        };
        keep(&self.rest, None, None);
        for (digest, state) in &self.keys {
            let key = Some((*digest, state.label.as_str()));
            keep(&state.rest, key, None);
            for (model, rest) in &state.models {
                keep(rest, key, Some(model));
            }
        }
        kept.sort_by(|one, other| (&one.key, &one.model).cmp(&(&other.key, &other.model)));
        kept
    }

    /// Takes rests back that were written down: those that lie ahead, of keys that are there, none longer than
    /// `longest`. What rests already rests no less.
    pub fn restore(&mut self, clocks: Clocks, longest: Duration, kept: &[KeptRest]) {
        for rest in kept {
            let Some(until) = clocks.to_monotonic(rest.until, longest) else {
                continue;
            };
            let place = match &rest.key {
                None => Some(&mut self.rest),
                Some((digest, _)) => {
                    self.keys
                        .get_mut(digest)
                        .map(|state| match rest.model.as_deref() {
                            None => &mut state.rest,
                            Some(model) => state.rest_for(clocks.monotonic, model),
                        })
                }
            };
            if let Some(place) = place {
                place.restore(Reason {
                    kind: rest.kind,
                    until,
                    asked: rest.asked,
                    why: rest.why,
                    step: rest.step,
                    failures: rest.failures,
                    probing: false,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::keyring::{Choice, Resting};
    use crate::routing::outcome::{KeyEffect, Scope};
    use crate::routing::samples;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn clocks() -> Clocks {
        Clocks {
            monotonic: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + seconds(1_795_348_800),
        }
    }

    impl Clocks {
        /// The clocks of a process that started so much later, whose monotonic clock began anew.
        fn of_the_next_process(self, later: Duration) -> Self {
            Self {
                monotonic: self.monotonic + seconds(7_777),
                wall: self.wall + later,
            }
        }
    }

    fn rest(scope: Scope, kind: RestKind, duration: u64, asked: bool) -> KeyEffect {
        KeyEffect::Rest {
            scope,
            kind,
            duration: seconds(duration),
            asked,
            why: Class::RateLimited,
        }
    }

    fn ring() -> Keyring {
        let mut ring = Keyring::new();
        ring.sync(&samples::keys(3));
        ring
    }

    fn restored(kept: &[KeptRest], clocks: Clocks) -> Keyring {
        let mut ring = ring();
        ring.restore(clocks, HOUR, kept);
        ring
    }

    fn due(ring: &mut Keyring, now: Instant, key: usize, model: &str) -> Option<Resting> {
        ring.soonest(now, model, &[samples::key(key)])
    }

    #[test]
    fn rests_of_every_scope_come_back_with_what_is_left_of_them() {
        let clocks = clocks();
        let mut before = ring();
        let (first, second) = (samples::key(1).digest, samples::key(2).digest);
        let banned = rest(Scope::Key, RestKind::Banned, 300, false);
        before.report(clocks.monotonic, &first, "m", banned);
        let limited = rest(Scope::KeyModel, RestKind::Banned, 60, true);
        before.report(clocks.monotonic, &second, "m", limited);
        let kept = before.kept(clocks);
        assert_eq!(kept.len(), 2);
        let later = clocks.of_the_next_process(seconds(20));
        let mut after = restored(&kept, later);
        let left = |ring: &mut Keyring, key, model| {
            due(ring, later.monotonic, key, model).map(|resting| resting.soonest)
        };
        assert_eq!(left(&mut after, 1, "any"), Some(Some(seconds(280))));
        assert_eq!(left(&mut after, 2, "m"), Some(Some(seconds(40))));
        assert_eq!(left(&mut after, 2, "other"), None);
        assert_eq!(left(&mut after, 3, "m"), None);
    }

    #[test]
    fn what_is_over_or_whose_key_is_gone_does_not_come_back() {
        let clocks = clocks();
        let mut before = ring();
        let limited = rest(Scope::KeyModel, RestKind::Banned, 60, true);
        before.report(clocks.monotonic, &samples::key(1).digest, "m", limited);
        let kept = before.kept(clocks);
        let late = clocks.of_the_next_process(seconds(60));
        assert!(restored(&kept, late).is_idle(late.monotonic));
        let later = clocks.of_the_next_process(seconds(1));
        let mut smaller = Keyring::new();
        smaller.sync(&[samples::key(3)]);
        smaller.restore(later, HOUR, &kept);
        assert!(smaller.is_idle(later.monotonic));
    }

    #[test]
    fn a_clock_that_was_set_back_rests_no_key_longer_than_the_cap() {
        let clocks = clocks();
        let mut before = ring();
        let limited = rest(Scope::Key, RestKind::Banned, 60, true);
        before.report(clocks.monotonic, &samples::key(1).digest, "m", limited);
        let mut yesterday = clocks.of_the_next_process(Duration::ZERO);
        yesterday.wall = clocks.wall - seconds(86_400);
        let mut after = restored(&before.kept(clocks), yesterday);
        let resting = due(&mut after, yesterday.monotonic, 1, "m").unwrap();
        assert_eq!(resting.soonest, Some(HOUR));
    }

    #[test]
    fn a_backoff_goes_on_doubling_where_it_was_and_is_probed_once() {
        let clocks = clocks();
        let mut before = ring();
        let digest = samples::key(1).digest;
        let shaken = rest(Scope::KeyModel, RestKind::Transient, 300, false);
        before.report(clocks.monotonic, &digest, "m", shaken);
        let second = Clocks {
            monotonic: clocks.monotonic + seconds(5),
            wall: clocks.wall + seconds(5),
        };
        before.report(second.monotonic, &digest, "m", shaken);
        let later = second.of_the_next_process(seconds(4));
        let mut after = restored(&before.kept(second), later);
        let now = later.monotonic + seconds(6);
        let only = [samples::key(1)];
        let ready = Choice::Ready { except: Vec::new() };
        let probe = after.lease(now, "m", &only, &ready).unwrap();
        assert!(after.lease(now, "m", &only, &ready).is_err());
        after.report(now, &digest, "m", shaken);
        after.release(probe);
        let resting = due(&mut after, now, 1, "m").unwrap();
        assert_eq!(resting.soonest, Some(seconds(20)), "the third step");
    }

    #[test]
    fn a_success_after_a_restart_ends_what_was_guessed() {
        let clocks = clocks();
        let mut before = ring();
        let digest = samples::key(1).digest;
        let guessed = rest(Scope::KeyModel, RestKind::Banned, 300, false);
        before.report(clocks.monotonic, &digest, "m", guessed);
        let later = clocks.of_the_next_process(seconds(1));
        let mut after = restored(&before.kept(clocks), later);
        assert!(after.report(later.monotonic, &digest, "m", KeyEffect::Success));
        assert_eq!(due(&mut after, later.monotonic, 1, "m"), None);
        assert!(!after.report(later.monotonic, &digest, "m", KeyEffect::Success));
    }

    proptest! {
        #[test]
        fn a_restart_keeps_every_deadline(
            failures in prop::collection::vec(
                (1..4usize, 0..3u8, 1..3_000u64, any::<bool>(), any::<bool>(), 0..50u64), 1..20
            ),
            away in 0..3_000u64,
        ) {
            let start = clocks();
            let mut now = start;
            let mut before = ring();
            for (key, model, duration, banned, asked, wait) in failures {
                let kind = if banned { RestKind::Banned } else { RestKind::Transient };
                let scope = match duration % 10 {
                    0 => Scope::Provider,
                    1..=3 => Scope::Key,
                    _ => Scope::KeyModel,
                };
                let effect = rest(scope, kind, duration, asked);
                before.report(now.monotonic, &samples::key(key).digest, &format!("m{model}"), effect);
                now.monotonic += seconds(wait);
                now.wall += seconds(wait);
            }
            let kept = before.kept(now);
            let later = now.of_the_next_process(seconds(away));
            let mut after = restored(&kept, later);
            prop_assert_eq!(&after.kept(later), &restored(&kept, now).kept(now).into_iter()
                .filter(|rest| rest.until > later.wall).collect::<Vec<_>>());
            for key in 1..4 {
                for model in 0..3 {
                    let model = format!("m{model}");
                    let at = now.monotonic + seconds(away);
                    prop_assert_eq!(
                        due(&mut before, at, key, &model),
                        due(&mut after, later.monotonic, key, &model)
                    );
                }
            }
        }
    }
}
