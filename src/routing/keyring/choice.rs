//! Which of a route's keys a call is after. It knows no key's state.

use crate::routing::outcome::RestKind;
use crate::secret::Digest;

/// Which of a route's keys a call is after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// One that is ready now, in the ring's order.
    Ready {
        /// Not these: the request has tried them.
        except: Vec<Digest>,
    },
    /// The same, but this key if it is ready.
    Pinned {
        /// The one that the session was answered with last.
        key: Digest,
        /// Not these.
        except: Vec<Digest>,
    },
    /// One that failed in this very request, to call it again: the one due first. It may rest for an accident, its own
    /// or another request's, and another request may be probing it: the repeats of a request are few, and what holds
    /// others back would hold every repeat back. A banned key is not called again.
    Again {
        /// These.
        among: Vec<Digest>,
    },
    /// Any that is ready or rests for an accident, the one due first: when nothing else is left to try.
    LastResort,
}

impl Choice {
    /// The same choice, made for a session that was answered with this key last.
    #[must_use]
    pub fn pinned(self, key: Option<Digest>) -> Self {
        match (self, key) {
            (Self::Ready { except }, Some(key)) => Self::Pinned { key, except },
            (choice, _) => choice,
        }
    }

    /// The key that is taken whenever it can be had.
    pub(super) fn pin(&self) -> Option<Digest> {
        match self {
            Self::Pinned { key, .. } => Some(*key),
            Self::Ready { .. } | Self::Again { .. } | Self::LastResort => None,
        }
    }

    /// Whether it is after this key at all.
    pub fn names(&self, digest: &Digest) -> bool {
        match self {
            Self::Ready { except } | Self::Pinned { except, .. } => !except.contains(digest),
            Self::Again { among } => among.contains(digest),
            Self::LastResort => true,
        }
    }

    /// Whether a rest of this kind keeps the key from being had.
    pub(super) fn disregards(&self, kind: RestKind) -> bool {
        match self {
            Self::Ready { .. } | Self::Pinned { .. } => false,
            Self::Again { .. } | Self::LastResort => kind == RestKind::Transient,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::routing::keyring::{Keyring, Leased, Resting};
    use crate::routing::outcome::{Class, KeyEffect, Scope};
    use crate::routing::samples;

    fn rest(kind: RestKind, seconds: u64) -> KeyEffect {
        KeyEffect::Rest {
            scope: Scope::KeyModel,
            kind,
            duration: Duration::from_secs(seconds),
            asked: true,
            why: Class::Transient,
        }
    }

    /// Three keys: one rests ten seconds for an accident, one five, one is banned for one.
    fn shaken(now: Instant) -> Keyring {
        let keys = samples::keys(3);
        let mut ring = Keyring::new();
        ring.sync(&keys);
        ring.report(now, &keys[0].digest, "m", rest(RestKind::Transient, 10));
        ring.report(now, &keys[1].digest, "m", rest(RestKind::Transient, 5));
        ring.report(now, &keys[2].digest, "m", rest(RestKind::Banned, 1));
        ring
    }

    fn lease(ring: &mut Keyring, now: Instant, choice: &Choice) -> Result<Leased, Resting> {
        ring.lease(now, "m", &samples::keys(3), choice)
    }

    fn take(ring: &mut Keyring, now: Instant, choice: &Choice) -> Result<String, Resting> {
        let leased = lease(ring, now, choice)?;
        let label = leased.key().label.clone();
        ring.release(leased);
        Ok(label)
    }

    fn again(numbers: &[usize]) -> Choice {
        Choice::Again {
            among: numbers
                .iter()
                .map(|number| samples::key(*number).digest)
                .collect(),
        }
    }

    fn wait(seconds: u64, kind: RestKind) -> Resting {
        Resting {
            soonest: Some(Duration::from_secs(seconds)),
            kind,
        }
    }

    #[test]
    fn a_request_repeats_its_own_call_on_the_key_due_first() {
        let now = Instant::now();
        let mut ring = shaken(now);
        assert_eq!(
            take(&mut ring, now, &again(&[1, 2, 3])).unwrap(),
            "KEY_2",
            "due first, and not the banned one"
        );
        assert_eq!(take(&mut ring, now, &again(&[1])).unwrap(), "KEY_1");
    }

    #[test]
    fn a_ready_key_is_repeated_before_one_that_rests() {
        let now = Instant::now();
        let mut ring = shaken(now);
        ring.report(now, &samples::key(1).digest, "m", KeyEffect::Success);
        assert_eq!(take(&mut ring, now, &again(&[1, 2])).unwrap(), "KEY_1");
        assert_eq!(take(&mut ring, now, &Choice::LastResort).unwrap(), "KEY_1");
    }

    #[test]
    fn a_banned_key_is_not_repeated_before_its_time() {
        let now = Instant::now();
        let mut ring = shaken(now);
        let refused = take(&mut ring, now, &again(&[3])).unwrap_err();
        assert_eq!(refused, wait(1, RestKind::Banned));
        let later = now + Duration::from_secs(1);
        assert_eq!(take(&mut ring, later, &again(&[3])).unwrap(), "KEY_3");
        let nobody = take(&mut ring, now, &again(&[])).unwrap_err();
        assert_eq!(nobody.soonest, None);
    }

    #[test]
    fn the_last_resort_passes_over_accidents_and_not_over_bans() {
        let now = Instant::now();
        let mut ring = shaken(now);
        assert_eq!(take(&mut ring, now, &Choice::LastResort).unwrap(), "KEY_2");
        for key in samples::keys(3).iter() {
            ring.report(now, &key.digest, "m", rest(RestKind::Banned, 20));
        }
        let refused = take(&mut ring, now, &Choice::LastResort).unwrap_err();
        assert_eq!(refused, wait(20, RestKind::Banned));
    }

    #[test]
    fn a_repeat_goes_on_beside_another_request_s_probe_and_takes_its_place_from_nobody() {
        let start = Instant::now();
        let mut ring = shaken(start);
        let now = start + Duration::from_secs(10);
        let ready = Choice::Ready {
            except: vec![samples::key(2).digest, samples::key(3).digest],
        };
        let probe = lease(&mut ring, now, &ready).unwrap();
        assert!(
            lease(&mut ring, now, &ready).is_err(),
            "one probe at a time"
        );
        assert_eq!(take(&mut ring, now, &again(&[1])).unwrap(), "KEY_1");
        assert!(
            lease(&mut ring, now, &ready).is_err(),
            "the repeat's end is not the probe's"
        );
        ring.release(probe);
        assert_eq!(take(&mut ring, now, &ready).unwrap(), "KEY_1");
    }

    #[test]
    fn a_repeat_that_outlasts_the_rest_is_the_probe() {
        let start = Instant::now();
        let mut ring = shaken(start);
        let repeat = lease(&mut ring, start, &again(&[1])).unwrap();
        let now = start + Duration::from_secs(10);
        let ready = Choice::Ready {
            except: vec![samples::key(2).digest, samples::key(3).digest],
        };
        assert!(lease(&mut ring, now, &ready).is_err());
        ring.release(repeat);
        assert_eq!(take(&mut ring, now, &ready).unwrap(), "KEY_1");
    }

    #[test]
    fn a_pinned_key_is_taken_while_it_is_ready_and_nobody_loses_a_turn_by_it() {
        let now = Instant::now();
        let keys = samples::keys(3);
        let mut ring = Keyring::new();
        let pinned = |except: &[usize]| {
            let except = except.iter().map(|number| samples::key(*number).digest);
            let ready = Choice::Ready {
                except: except.collect(),
            };
            ready.pinned(Some(keys[1].digest))
        };
        let ready = Choice::Ready { except: Vec::new() };
        assert_eq!(take(&mut ring, now, &pinned(&[])).unwrap(), "KEY_2");
        assert_eq!(take(&mut ring, now, &ready).unwrap(), "KEY_1");
        assert_eq!(take(&mut ring, now, &pinned(&[])).unwrap(), "KEY_2");
        assert_eq!(take(&mut ring, now, &ready).unwrap(), "KEY_2");
        assert_eq!(take(&mut ring, now, &pinned(&[2])).unwrap(), "KEY_3");
        ring.report(now, &keys[1].digest, "m", rest(RestKind::Banned, 5));
        assert_ne!(take(&mut ring, now, &pinned(&[])).unwrap(), "KEY_2");
        let later = now + Duration::from_secs(5);
        assert_eq!(take(&mut ring, later, &pinned(&[])).unwrap(), "KEY_2");
    }
}
