//! Durations as people write them: seconds, fractions allowed.

use std::time::Duration;

/// Nobody means more: a year. It also keeps every sum of times far from overflow.
const LONGEST: f64 = 365.0 * 24.0 * 3600.0;

/// Whether zero has a meaning ("none", "no limit") or would be a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zero {
    /// Zero is a value like any other.
    Allowed,
    /// Zero would make the thing impossible.
    Refused,
}

/// A duration, or what it must be instead.
pub(crate) fn duration(seconds: f64, zero: Zero) -> Result<Duration, &'static str> {
    if !seconds.is_finite() || seconds < 0.0 {
        return Err("must be 0 or more seconds");
    }
    if seconds > LONGEST {
        return Err("is longer than a year (the unit is seconds)");
    }
    let duration = Duration::from_secs_f64(seconds);
    if duration.is_zero() && zero == Zero::Refused {
        return Err("must be more than 0 seconds");
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_kept() {
        assert_eq!(
            duration(0.25, Zero::Refused),
            Ok(Duration::from_millis(250))
        );
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
            assert!(duration(seconds, Zero::Allowed).is_err(), "{seconds}");
        }
        assert!(duration(0.0, Zero::Refused).is_err());
        assert_eq!(duration(0.0, Zero::Allowed), Ok(Duration::ZERO));
    }
}
