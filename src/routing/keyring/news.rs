//! What upstreams say is left for keys, and which of several ready keys that makes the better ones.
//! It knows neither models nor whether a key is ready, only shares in thousandths.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use foldhash::HashMap;

use crate::routing::outcome::Headroom;
use crate::secret::Digest;

/// A key with less left is spared while another has more.
const LOW: u16 = 200;
/// Keys whose shares differ by less take turns.
const SIGNIFICANT: u16 = 250;
/// The same among keys that all have little left.
const SIGNIFICANT_WHEN_LOW: u16 = 50;
/// Limits are by the minute where they do not say.
const USUAL_RESET: Duration = Duration::from_secs(60);
/// News this old is none, whatever limit it was about.
const LONGEST: Duration = Duration::from_secs(3600);

/// What an upstream said last, of each key of which it said anything.
#[derive(Debug, Default)]
pub(super) struct Told {
    by_key: HashMap<Digest, News>,
    /// The same by what is left.
    by_share: BTreeSet<(u16, Digest)>,
}

#[derive(Debug, Clone, Copy)]
struct News {
    left: u16,
    until: Instant,
}

impl Told {
    /// The upstream said so much of a key just now.
    pub(super) fn add(&mut self, now: Instant, key: Digest, headroom: Headroom) {
        let lasts = headroom.reset.unwrap_or(USUAL_RESET).min(LONGEST);
        let news = News {
            left: headroom.left,
            until: now + lasts,
        };
        if let Some(old) = self.by_key.insert(key, news) {
            self.by_share.remove(&(old.left, key));
        }
        self.by_share.insert((news.left, key));
    }

    /// What is left for a key, in thousandths; `None` if nothing was said, or its limit has been reset since.
    pub(super) fn left(&self, now: Instant, key: &Digest) -> Option<u16> {
        let news = self.by_key.get(key)?;
        (news.until > now).then_some(news.left)
    }

    /// What is left for the key that has most; `None` if there is no news of any.
    pub(super) fn most(&mut self, now: Instant) -> Option<u16> {
        while let Some((left, key)) = self.by_share.last() {
            if self.left(now, key).is_some() {
                return Some(*left);
            }
            self.by_key.remove(key);
            self.by_share.pop_last();
        }
        None
    }

    /// Forgets all other keys.
    pub(super) fn keep(&mut self, is_kept: impl Fn(&Digest) -> bool) {
        self.by_key.retain(|key, _| is_kept(key));
        self.by_share.retain(|(_, key)| is_kept(key));
    }
}

/// How much a key must have left to take its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Enough(u16);

impl Enough {
    /// Whether a key has it; one without news has all.
    pub(super) fn holds(self, left: Option<u16>) -> bool {
        left.is_none_or(|left| left >= self.0)
    }
}

/// What some ready keys have left.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shares {
    most: u16,
    /// There is no news of one of them.
    untold: bool,
}

impl Shares {
    /// Whatever keys these are, none has more left than `most`: of all such, those that ask most of a key.
    pub(super) fn at_most(most: Option<u16>) -> Self {
        Self {
            most: most.unwrap_or(0),
            untold: true,
        }
    }

    /// One more key.
    pub(super) fn add(&mut self, left: Option<u16>) {
        match left {
            Some(left) => self.most = self.most.max(left),
            None => self.untold = true,
        }
    }

    /// What to ask of these keys; the more they are, the more it is.
    ///
    /// A key is passed over if it has under 20 % and another has more than that or no news, or if another *told* of 25
    /// points more. A key without news never crowds out one that has 20 %: its upstream may never tell, and then the
    /// others would starve. Where all have under 20 %, five points decide. What a call uses up lowers the share of the
    /// key that it was given, so no preference lasts longer than its reason, and news ends with the limit's reset.
    pub(super) fn enough(self) -> Enough {
        Enough(if self.most >= LOW {
            self.most.saturating_sub(SIGNIFICANT).max(LOW)
        } else if self.untold {
            LOW
        } else {
            self.most.saturating_sub(SIGNIFICANT_WHEN_LOW)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn enough(shares: &[Option<u16>]) -> Enough {
        let mut all = Shares::default();
        for share in shares {
            all.add(*share);
        }
        all.enough()
    }

    /// Which of these shares may take their turn.
    fn chosen(shares: &[Option<u16>]) -> Vec<usize> {
        let enough = enough(shares);
        let positions = (0..shares.len()).filter(|place| enough.holds(shares[*place]));
        positions.collect()
    }

    #[test]
    fn without_news_all_take_turns() {
        assert_eq!(chosen(&[None, None, None]), [0, 1, 2]);
        assert_eq!(chosen(&[Some(900), None, Some(700)]), [0, 1, 2]);
    }

    #[test]
    fn a_significant_difference_decides_and_a_small_one_does_not() {
        assert_eq!(chosen(&[Some(900), Some(651)]), [0, 1]);
        assert_eq!(chosen(&[Some(900), Some(640)]), [0]);
    }

    #[test]
    fn a_key_with_little_left_is_spared_while_another_has_more() {
        assert_eq!(chosen(&[Some(190), Some(210)]), [1]);
        assert_eq!(chosen(&[Some(190), None]), [1]);
        assert_eq!(chosen(&[Some(0), Some(190), Some(150)]), [1, 2]);
        assert_eq!(chosen(&[Some(10)]), [0], "better than nobody");
    }

    #[test]
    fn a_key_without_news_crowds_out_nobody_who_has_enough() {
        assert_eq!(chosen(&[None, Some(200), Some(100)]), [0, 1]);
    }

    fn told(left: u16, reset: Option<Duration>) -> Headroom {
        Headroom {
            left,
            reset,
            spent: None,
        }
    }

    #[test]
    fn news_ends_with_the_reset() {
        let now = Instant::now();
        let key = [1; 32];
        let mut news = Told::default();
        news.add(now, key, told(100, Some(Duration::from_secs(2))));
        assert_eq!(news.left(now + Duration::from_secs(1), &key), Some(100));
        assert_eq!(news.left(now + Duration::from_secs(2), &key), None);
        news.add(now, key, told(100, None));
        assert_eq!(news.left(now + USUAL_RESET, &key), None);
        news.add(now, key, told(100, Some(Duration::MAX)));
        assert_eq!(news.left(now + LONGEST, &key), None);
    }

    #[test]
    fn the_most_is_that_of_news_that_still_holds() {
        let now = Instant::now();
        let mut news = Told::default();
        news.add(now, [1; 32], told(900, Some(Duration::from_secs(2))));
        news.add(now, [2; 32], told(400, Some(Duration::from_secs(9))));
        assert_eq!(news.most(now), Some(900));
        assert_eq!(news.most(now + Duration::from_secs(2)), Some(400));
        news.add(now, [2; 32], told(300, Some(Duration::from_secs(9))));
        assert_eq!(news.most(now + Duration::from_secs(2)), Some(300));
        news.keep(|key| *key != [2; 32]);
        assert_eq!(news.most(now), None);
        assert!(news.by_key.is_empty() && news.by_share.is_empty());
    }

    fn shares() -> impl Strategy<Value = Vec<Option<u16>>> {
        prop::collection::vec(prop::option::of(0..=1000u16), 1..6)
    }

    proptest! {
        #[test]
        fn further_keys_never_lower_what_is_enough(some in shares(), more in shares()) {
            let all: Vec<_> = some.iter().chain(&more).copied().collect();
            let most = all.iter().copied().flatten().max();
            prop_assert!(enough(&some) <= enough(&all));
            prop_assert!(enough(&all) <= Shares::at_most(most).enough());
        }
    }
}
