//! How long a route takes to say something: a moving average that follows a rise at once and a fall bit by bit
//! (peak-EWMA). It has no clock of its own.

use std::time::{Duration, Instant};

/// After so long without news a value is worth 1/e of the next one.
pub const FORGETTING: Duration = Duration::from_secs(30);
/// A call that failed counts as one that took so long, unless it took longer.
pub const FAILED: Duration = Duration::from_secs(60);
/// However fast values follow each other, the newest counts so much: calls of models are few.
const LEAST_SHARE: f64 = 0.3;

/// What has been measured of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    value: Option<Measured>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Measured {
    seconds: f64,
    at: Instant,
}

impl Pace {
    /// The present value; `None`: nothing has been measured.
    pub fn value(&self) -> Option<Duration> {
        let measured = self.value?;
        Duration::try_from_secs_f64(measured.seconds).ok()
    }

    /// A call took so long to say something.
    pub fn took(&mut self, now: Instant, time: Duration) {
        let new = time.as_secs_f64();
        let seconds = match self.value {
            Some(old) if old.seconds > new => {
                let age = now.saturating_duration_since(old.at).as_secs_f64();
                let kept = (-age / FORGETTING.as_secs_f64())
                    .exp()
                    .min(1.0 - LEAST_SHARE);
                old.seconds * kept + new * (1.0 - kept)
            }
            _ => new,
        };
        self.value = Some(Measured { seconds, at: now });
    }

    /// A call failed after this time.
    pub fn failed(&mut self, now: Instant, time: Duration) {
        self.took(now, time.max(FAILED));
    }

    /// A call was given up after this time, by somebody who had heard nothing: it would have taken longer.
    pub fn abandoned(&mut self, now: Instant, time: Duration) {
        if self.value().is_none_or(|value| value <= time) {
            self.took(now, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn value(pace: &Pace) -> f64 {
        pace.value().unwrap().as_secs_f64()
    }

    #[test]
    fn nothing_is_known_before_the_first_call() {
        assert_eq!(Pace::default().value(), None);
    }

    #[test]
    fn a_rise_counts_at_once() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.took(now, seconds(0.5));
        pace.took(now, seconds(4.0));
        assert_eq!(value(&pace), 4.0);
    }

    #[test]
    fn a_fall_counts_bit_by_bit_and_more_the_older_the_value_is() {
        let now = Instant::now();
        let after = |age: f64| {
            let mut pace = Pace::default();
            pace.took(now, seconds(10.0));
            pace.took(now + seconds(age), seconds(1.0));
            value(&pace)
        };
        assert!((after(0.0) - 7.3).abs() < 1e-9, "{}", after(0.0));
        let one_e = 1.0 + 9.0 * (-1.0_f64).exp();
        assert!((after(30.0) - one_e).abs() < 1e-6, "{}", after(30.0));
        assert!(after(300.0) < 1.001, "{}", after(300.0));
    }

    #[test]
    fn a_dead_route_is_not_a_fast_one() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.failed(now, seconds(0.001));
        assert_eq!(pace.value(), Some(FAILED));
        pace.failed(now, seconds(300.0));
        assert_eq!(value(&pace), 300.0);
    }

    #[test]
    fn a_call_that_was_given_up_counts_only_if_it_says_something_new() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.took(now, seconds(1.0));
        pace.abandoned(now, seconds(0.2));
        assert_eq!(value(&pace), 1.0);
        pace.abandoned(now, seconds(9.0));
        assert_eq!(value(&pace), 9.0);
    }

    proptest! {
        #[test]
        fn the_value_lies_between_the_last_time_and_the_longest(
            times in prop::collection::vec((0.0..100.0_f64, 0.0..100.0_f64), 1..50),
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::default();
            let mut longest = 0.0_f64;
            for (later, time) in times {
                now += seconds(later);
                pace.took(now, seconds(time));
                longest = longest.max(time);
                prop_assert!(value(&pace) >= time - 1e-6);
                prop_assert!(value(&pace) <= longest + 1e-6);
            }
        }

        #[test]
        fn it_comes_down_to_what_a_route_takes_now(rate in 0.01..60.0_f64) {
            let mut now = Instant::now();
            let mut pace = Pace::default();
            pace.failed(now, Duration::ZERO);
            for _ in 0..40 {
                now += seconds(rate);
                pace.took(now, seconds(0.5));
            }
            prop_assert!(value(&pace) < 0.501, "{}", value(&pace));
        }
    }
}
