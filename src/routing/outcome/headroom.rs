//! What an upstream says is left for a key, read from the head of a successful answer.
//! It knows header names and fractions, not what a key is preferred or rested for.

use std::time::{Duration, SystemTime};

use super::limits::{LIMITS, count, reset_time};
use super::{Class, Failure, KeyEffect, RestKind, Scope, judge};
use crate::config::catalog::Route;

/// All of a limit, in the unit of [`Headroom::left`].
const WHOLE: f64 = 1000.0;

/// What is left for a key, by the scarcest of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// What is left of that limit, in thousandths.
    pub left: u16,
    /// Until that limit is whole again, and this is no news any more; `None`: the upstream does not say.
    pub reset: Option<Duration>,
    /// Until something is left again of every limit, where one has nothing left and tells when it resets.
    pub spent: Option<Duration>,
}

/// Reads what is left; `None` if no limit tells it. A limit that does not tell how much it is in all counts only when
/// nothing is left of it. A reset in the past is none.
pub fn headroom<'h>(header: impl Fn(&str) -> Option<&'h str>, now: SystemTime) -> Option<Headroom> {
    let mut scarcest: Option<Headroom> = None;
    let mut spent: Option<Duration> = None;
    for names in LIMITS {
        let Some(remaining) = header(names.remaining).and_then(count) else {
            continue;
        };
        let whole = header(names.limit).and_then(count).filter(|all| *all > 0.0);
        let left = match whole {
            _ if remaining <= 0.0 => 0,
            Some(whole) => thousandths(remaining / whole),
            None => continue,
        };
        let reset = header(names.reset)
            .and_then(|value| reset_time(value, now))
            .filter(|reset| !reset.is_zero());
        if left == 0 && remaining <= 0.0 {
            spent = spent.max(reset);
        }
        if scarcest.is_none_or(|known| (left, known.reset) < (known.left, reset)) {
            scarcest = Some(Headroom {
                left,
                reset,
                spent: None,
            });
        }
    }
    scarcest.map(|scarcest| Headroom { spent, ..scarcest })
}

/// The rest of a key of which nothing is left: as long as a 429 that named this time would make it rest, if it would,
/// and never wider than for the model that was called.
pub fn spent(headroom: &Headroom, route: &Route, max_cooldown: Duration) -> KeyEffect {
    let Some(wait) = headroom.spent else {
        return KeyEffect::None;
    };
    let refusal = Failure {
        status: Some(429),
        retry_after: Some(wait),
        ..Failure::default()
    };
    match judge(&refusal, route, max_cooldown).key {
        KeyEffect::Rest { duration, .. } => KeyEffect::Rest {
            scope: Scope::KeyModel,
            kind: RestKind::Banned,
            duration,
            asked: true,
            why: Class::RateLimited,
        },
        nothing => nothing,
    }
}

/// A share between 0 and 1; what little is left is never nothing.
fn thousandths(share: f64) -> u16 {
    let bounded = (share * WHOLE).clamp(1.0, WHOLE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded just above"
    )]
    let whole = bounded as u16;
    whole
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::catalog::{ErrorAction, ErrorRule};
    use crate::routing::samples;

    const MAX: Duration = Duration::from_secs(3_600);

    /// 2026-11-22T12:00:00Z.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800)
    }

    fn read(headers: &[(&str, &str)]) -> Option<Headroom> {
        let header = |name: &str| {
            let found = headers.iter().find(|(found, _)| *found == name);
            found.map(|(_, value)| *value)
        };
        headroom(header, now())
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn told(left: u16, reset: Option<Duration>, spent: Option<Duration>) -> Option<Headroom> {
        Some(Headroom { left, reset, spent })
    }

    #[test]
    fn the_scarcest_limit_tells_what_is_left() {
        let mut headers = vec![
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-limit-tokens", "30000"),
            ("x-ratelimit-remaining-tokens", "7500"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        assert_eq!(read(&headers), told(250, seconds(360), None));
        headers[4].1 = "0";
        assert_eq!(read(&headers), told(0, seconds(360), seconds(360)));
        headers[1].1 = "0";
        headers[2].1 = "1s";
        assert_eq!(
            read(&headers),
            told(0, seconds(360), seconds(360)),
            "both must be free again"
        );
    }

    #[test]
    fn anthropic_s_headers_are_read_with_their_times() {
        let headers = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-22T12:00:01Z"),
            ("anthropic-ratelimit-input-tokens-limit", "30000"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            (
                "anthropic-ratelimit-input-tokens-reset",
                "2026-11-22T12:00:30Z",
            ),
            ("anthropic-priority-input-tokens-limit", "10000"),
            ("anthropic-priority-input-tokens-remaining", "0"),
            (
                "anthropic-priority-input-tokens-reset",
                "2026-11-22T12:09:00Z",
            ),
        ];
        assert_eq!(read(&headers), told(0, seconds(30), seconds(30)));
    }

    #[test]
    fn windows_of_days_and_minutes_are_read_too() {
        let headers = [
            ("x-ratelimit-limit-requests-day", "14400"),
            ("x-ratelimit-remaining-requests-day", "1440"),
            ("x-ratelimit-reset-requests-day", "33011"),
            ("x-ratelimit-limit-tokens-minute", "60000"),
            ("x-ratelimit-remaining-tokens-minute", "59000"),
            ("x-ratelimit-reset-tokens-minute", "11.38"),
        ];
        assert_eq!(read(&headers), told(100, seconds(33_011), None));
    }

    #[test]
    fn a_limit_without_its_size_counts_only_when_nothing_is_left() {
        let remaining = "x-ratelimit-remaining-req-minute";
        assert_eq!(read(&[(remaining, "3")]), None);
        assert_eq!(read(&[(remaining, "0")]), told(0, None, None));
        let over = [
            (remaining, "0"),
            ("x-ratelimit-reset-req-minute", "2026-11-22T11:00:00Z"),
        ];
        assert_eq!(read(&over), told(0, None, None), "that reset is over");
    }

    #[test]
    fn what_cannot_be_read_tells_nothing() {
        for value in ["-1", "many", "", "NaN", "inf"] {
            let headers = [
                ("x-ratelimit-limit-requests", "10"),
                ("x-ratelimit-remaining-requests", value),
            ];
            assert_eq!(read(&headers), None, "{value}");
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn a_little_is_never_nothing_and_never_more_than_all() {
        let share = |remaining| {
            read(&[
                ("x-ratelimit-limit-tokens", "1000000"),
                ("x-ratelimit-remaining-tokens", remaining),
            ])
        };
        assert_eq!(share("1"), told(1, None, None));
        assert_eq!(share("2000000"), told(1_000, None, None));
    }

    #[test]
    fn a_spent_key_rests_as_a_429_that_names_the_time_would_make_it() {
        let spent_for = |wait, change: &dyn Fn(&mut Route)| {
            let mut route = samples::route(&Arc::new(samples::provider("acme", 1)), "m");
            change(&mut route);
            let headroom = Headroom {
                left: 0,
                reset: wait,
                spent: wait,
            };
            spent(&headroom, &route, MAX)
        };
        let rest = |seconds| KeyEffect::Rest {
            scope: Scope::KeyModel,
            kind: RestKind::Banned,
            duration: Duration::from_secs(seconds),
            asked: true,
            why: Class::RateLimited,
        };
        assert_eq!(spent_for(seconds(30), &|_| {}), rest(30));
        assert_eq!(spent_for(seconds(86_400), &|_| {}), rest(3_600), "capped");
        assert_eq!(spent_for(None, &|_| {}), KeyEffect::None);
        let off = |route: &mut Route| route.cooldowns_off = true;
        assert_eq!(spent_for(seconds(30), &off), KeyEffect::None);
        let rule = |action| {
            move |route: &mut Route| {
                let mut provider = samples::provider("acme", 1);
                let cooldown = None;
                provider
                    .error_rules
                    .insert(429, ErrorRule { action, cooldown });
                route.provider = Arc::new(provider);
            }
        };
        let wide = rule(Some(ErrorAction::ProviderCooldown));
        assert_eq!(spent_for(seconds(30), &wide), rest(30), "not wider");
        let none = rule(Some(ErrorAction::FallbackNoCooldown));
        assert_eq!(spent_for(seconds(30), &none), KeyEffect::None);
    }
}
