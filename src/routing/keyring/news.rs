//! What upstreams say is left for a key, and which of several ready keys that makes the better ones.
//! It knows neither keys nor models, only shares in thousandths.

use std::time::{Duration, Instant};

use crate::routing::outcome::Headroom;

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

/// What an upstream said last.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    left: u16,
    until: Instant,
}

impl News {
    pub(super) fn new(now: Instant, headroom: Headroom) -> Self {
        let lasts = headroom.reset.unwrap_or(USUAL_RESET).min(LONGEST);
        Self {
            left: headroom.left,
            until: now + lasts,
        }
    }

    /// What is left, in thousandths; `None` once the limit has been reset.
    pub(super) fn left(self, now: Instant) -> Option<u16> {
        (self.until > now).then_some(self.left)
    }
}

/// How much a key must have left to take its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Enough(u16);

impl Enough {
    /// Whether a key has it; one without news has all.
    pub(super) fn holds(self, left: Option<u16>) -> bool {
        left.is_none_or(|left| left >= self.0)
    }
}

/// What to ask of ready keys that have so much left.
///
/// A key is passed over if it has under 20 % and another has more than that or no news, or if another *told* of 25
/// points more. A key without news never crowds out one that has 20 %: its upstream may never tell, and then the
/// others would starve. Where all have under 20 %, five points decide. What a call uses up lowers the share of the
/// key that it was given, so no preference lasts longer than its reason, and news ends with the limit's reset.
pub(super) fn preferred(shares: impl Iterator<Item = Option<u16>>) -> Enough {
    let (mut most, mut untold) = (0, false);
    for share in shares {
        match share {
            Some(left) => most = most.max(left),
            None => untold = true,
        }
    }
    Enough(if most >= LOW {
        most.saturating_sub(SIGNIFICANT).max(LOW)
    } else if untold {
        LOW
    } else {
        most.saturating_sub(SIGNIFICANT_WHEN_LOW)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these shares may take their turn.
    fn chosen(shares: &[Option<u16>]) -> Vec<usize> {
        let enough = preferred(shares.iter().copied());
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

    #[test]
    fn news_ends_with_the_reset() {
        let now = Instant::now();
        let told = |reset| Headroom {
            left: 100,
            reset,
            spent: None,
        };
        let short = News::new(now, told(Some(Duration::from_secs(2))));
        assert_eq!(short.left(now + Duration::from_secs(1)), Some(100));
        assert_eq!(short.left(now + Duration::from_secs(2)), None);
        let untold = News::new(now, told(None));
        assert_eq!(untold.left(now + USUAL_RESET), None);
        let endless = News::new(now, told(Some(Duration::MAX)));
        assert_eq!(endless.left(now + LONGEST), None);
    }
}
