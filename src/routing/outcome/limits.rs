//! How upstreams name their limits in headers, and how they spell the time at which one is full again.
//! It knows no answer and decides nothing.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// The headers that tell of one limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// How much it is in all.
    pub(super) limit: &'static str,
    /// What is left of it.
    pub(super) remaining: &'static str,
    /// When it is whole again.
    pub(super) reset: &'static str,
}

/// Every limit that is known to end in a refusal.
pub(super) const LIMITS: [Names; 21] = [
    Names {
        limit: "x-ratelimit-limit-requests",
        remaining: "x-ratelimit-remaining-requests",
        reset: "x-ratelimit-reset-requests",
    },
    Names {
        limit: "x-ratelimit-limit-tokens",
        remaining: "x-ratelimit-remaining-tokens",
        reset: "x-ratelimit-reset-tokens",
    },
    Names {
        limit: "x-ratelimit-limit-project-tokens",
        remaining: "x-ratelimit-remaining-project-tokens",
        reset: "x-ratelimit-reset-project-tokens",
    },
    Names {
        limit: "x-ratelimit-limit-requests-minute",
        remaining: "x-ratelimit-remaining-requests-minute",
        reset: "x-ratelimit-reset-requests-minute",
    },
    Names {
        limit: "x-ratelimit-limit-requests-hour",
        remaining: "x-ratelimit-remaining-requests-hour",
        reset: "x-ratelimit-reset-requests-hour",
    },
    Names {
        limit: "x-ratelimit-limit-requests-day",
        remaining: "x-ratelimit-remaining-requests-day",
        reset: "x-ratelimit-reset-requests-day",
    },
    Names {
        limit: "x-ratelimit-limit-tokens-minute",
        remaining: "x-ratelimit-remaining-tokens-minute",
        reset: "x-ratelimit-reset-tokens-minute",
    },
    Names {
        limit: "x-ratelimit-limit-tokens-hour",
        remaining: "x-ratelimit-remaining-tokens-hour",
        reset: "x-ratelimit-reset-tokens-hour",
    },
    Names {
        limit: "x-ratelimit-limit-tokens-day",
        remaining: "x-ratelimit-remaining-tokens-day",
        reset: "x-ratelimit-reset-tokens-day",
    },
    Names {
        limit: "x-ratelimit-limit-req-month",
        remaining: "x-ratelimit-remaining-req-month",
        reset: "x-ratelimit-reset-req-month",
    },
    Names {
        limit: "x-ratelimit-limit-tokens-month",
        remaining: "x-ratelimit-remaining-tokens-month",
        reset: "x-ratelimit-reset-tokens-month",
    },
    Names {
        limit: "x-ratelimit-limit-req-minute",
        remaining: "x-ratelimit-remaining-req-minute",
        reset: "x-ratelimit-reset-req-minute",
    },
    Names {
        limit: "x-ratelimit-limit-input-tokens",
        remaining: "x-ratelimit-remaining-input-tokens",
        reset: "x-ratelimit-reset-input-tokens",
    },
    Names {
        limit: "x-ratelimit-limit-output-tokens",
        remaining: "x-ratelimit-remaining-output-tokens",
        reset: "x-ratelimit-reset-output-tokens",
    },
    Names {
        limit: "x-ratelimit-limit",
        remaining: "x-ratelimit-remaining",
        reset: "x-ratelimit-reset",
    },
    Names {
        limit: "ratelimit-limit",
        remaining: "ratelimit-remaining",
        reset: "ratelimit-reset",
    },
    Names {
        limit: "anthropic-ratelimit-requests-limit",
        remaining: "anthropic-ratelimit-requests-remaining",
        reset: "anthropic-ratelimit-requests-reset",
    },
    Names {
        limit: "anthropic-ratelimit-tokens-limit",
        remaining: "anthropic-ratelimit-tokens-remaining",
        reset: "anthropic-ratelimit-tokens-reset",
    },
    Names {
        limit: "anthropic-ratelimit-input-tokens-limit",
        remaining: "anthropic-ratelimit-input-tokens-remaining",
        reset: "anthropic-ratelimit-input-tokens-reset",
    },
    Names {
        limit: "anthropic-ratelimit-output-tokens-limit",
        remaining: "anthropic-ratelimit-output-tokens-remaining",
        reset: "anthropic-ratelimit-output-tokens-reset",
    },
    Names {
        limit: "anthropic-ratelimit-unified-limit",
        remaining: "anthropic-ratelimit-unified-remaining",
        reset: "anthropic-ratelimit-unified-reset",
    },
];

/// A share of better service: beyond it calls are answered all the same, but a refusal's reset time counts.
pub(super) const PRIORITY: [Names; 2] = [
    Names {
        limit: "anthropic-priority-input-tokens-limit",
        remaining: "anthropic-priority-input-tokens-remaining",
        reset: "anthropic-priority-input-tokens-reset",
    },
    Names {
        limit: "anthropic-priority-output-tokens-limit",
        remaining: "anthropic-priority-output-tokens-remaining",
        reset: "anthropic-priority-output-tokens-reset",
    },
];

/// Numbers from here on are seconds since 1970, not seconds from now.
const EARLIEST_TIMESTAMP: f64 = 1_000_000_000.0;
/// Numbers from here on are milliseconds since 1970.
const EARLIEST_MILLISECONDS: f64 = 100_000_000_000.0;

/// A count: whole, or with the fraction that some write. `None` for what is negative or no number.
pub(super) fn count(value: &str) -> Option<f64> {
    let number = value.trim().parse::<f64>().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// A reset time in any spelling: seconds, a time since 1970, `6m0s`, RFC 3339, an HTTP date.
pub(super) fn reset_time(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(number) = value.parse::<f64>() {
        let since_epoch = if number >= EARLIEST_MILLISECONDS {
            seconds(number / 1000.0)?
        } else if number >= EARLIEST_TIMESTAMP {
            seconds(number)?
        } else {
            return seconds(number);
        };
        return Some(until(SystemTime::UNIX_EPOCH.checked_add(since_epoch)?, now));
    }
    if let Some(duration) = compound_duration(value) {
        return Some(duration);
    }
    let date = match value.parse::<Timestamp>() {
        Ok(timestamp) => SystemTime::from(timestamp),
        Err(_) => httpdate::parse_http_date(value).ok()?,
    };
    Some(until(date, now))
}

/// Numbers with units, such as `1s`, `6m0s`, `20ms`, `1h2m3.5s`.
pub(super) fn compound_duration(value: &str) -> Option<Duration> {
    let mut rest = value;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number_end =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at_checked(number_end)?;
        let unit_end = tail
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let factor = match unit.trim() {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    (!value.is_empty()).then(|| seconds(total)).flatten()
}

/// `None` for what is negative, infinite or no number.
pub(super) fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

pub(super) fn until(date: SystemTime, now: SystemTime) -> Duration {
    date.duration_since(now).unwrap_or_default()
}
