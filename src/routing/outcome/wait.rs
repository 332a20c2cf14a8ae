//! When an upstream wants to be called again, read from the headers of its answer.
//! It knows header names and spellings, not what the time is used for.

use std::time::{Duration, SystemTime};

use super::limits::{LIMITS, Names, PRIORITY, count, reset_time, seconds, until};

/// The time that an upstream's answer asks for; `None` if it names none that can be read.
///
/// `retry-after-ms` and `Retry-After` come first ([`retry_after_header`]). Then the reset times of its limits: of
/// those that have nothing remaining the latest, since all of them must be free; if none tells what remains, the
/// earliest, since one call too early costs less than a key that rests for a day. A time in the past is zero.
pub fn retry_after<'h>(
    header: impl Fn(&str) -> Option<&'h str>,
    now: SystemTime,
) -> Option<Duration> {
    retry_after_header(&header, now).or_else(|| reset(header, now))
}

/// The time that `retry-after-ms` or `Retry-After` (seconds, fractions too, or an HTTP date) asks for.
pub fn retry_after_header<'h>(
    header: impl Fn(&str) -> Option<&'h str>,
    now: SystemTime,
) -> Option<Duration> {
    let milliseconds = header("retry-after-ms")
        .and_then(|value| value.trim().parse::<f64>().ok())
        .and_then(|value| seconds(value / 1000.0));
    milliseconds.or_else(|| {
        let value = header("retry-after")?.trim();
        match value.parse::<f64>() {
            Ok(number) => seconds(number),
            Err(_) => httpdate::parse_http_date(value)
                .ok()
                .map(|date| until(date, now)),
        }
    })
}

fn reset<'h>(header: impl Fn(&str) -> Option<&'h str>, now: SystemTime) -> Option<Duration> {
    let mut used_up: Option<Duration> = None;
    let mut untold: Option<Duration> = None;
    for Names {
        remaining, reset, ..
    } in LIMITS.into_iter().chain(PRIORITY)
    {
        let Some(time) = header(reset).and_then(|value| reset_time(value, now)) else {
            continue;
        };
        match header(remaining).and_then(count) {
            Some(left) if left <= 0.0 => used_up = used_up.max(Some(time)),
            Some(_) => {}
            None => untold = Some(untold.map_or(time, |known| known.min(time))),
        }
    }
    used_up.or(untold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::outcome::limits::compound_duration;

    /// 2026-11-22T12:00:00Z.
    const NOW: u64 = 1_795_348_800;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn read(headers: &[(&str, &str)]) -> Option<Duration> {
        let header = |name: &str| {
            headers
                .iter()
                .find(|(found, _)| *found == name)
                .map(|(_, value)| *value)
        };
        retry_after(header, now())
    }

    fn ms(milliseconds: u64) -> Option<Duration> {
        Some(Duration::from_millis(milliseconds))
    }

    #[test]
    fn milliseconds_win_over_seconds_and_both_over_resets() {
        let mut headers = vec![
            ("x-ratelimit-reset-requests", "9s"),
            ("retry-after", "7"),
            ("retry-after-ms", "1500"),
        ];
        assert_eq!(read(&headers), ms(1_500));
        headers.pop();
        assert_eq!(read(&headers), ms(7_000));
        headers.pop();
        assert_eq!(read(&headers), ms(9_000));
        headers.pop();
        assert_eq!(read(&headers), None);
    }

    #[test]
    fn retry_after_takes_fractions_dates_and_spaces() {
        for (value, expected) in [
            ("0", ms(0)),
            ("1.5", ms(1_500)),
            (" 2 ", ms(2_000)),
            ("Sun, 22 Nov 2026 12:00:30 GMT", ms(30_000)),
            ("Sun, 22 Nov 2026 11:00:00 GMT", ms(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
        ] {
            assert_eq!(read(&[("retry-after", value)]), expected, "{value}");
        }
    }

    #[test]
    fn an_unreadable_header_leaves_the_word_to_the_next() {
        let headers = [("retry-after-ms", "soon"), ("retry-after", "3")];
        assert_eq!(read(&headers), ms(3_000));
        let headers = [("retry-after", "soon"), ("x-ratelimit-reset", "4")];
        assert_eq!(read(&headers), ms(4_000));
    }

    #[test]
    fn resets_are_read_in_every_spelling() {
        for (value, expected) in [
            ("1s", ms(1_000)),
            ("6m0s", ms(360_000)),
            ("20ms", ms(20)),
            ("1h2m3.5s", ms(3_723_500)),
            ("1m30.951s", ms(90_951)),
            ("2d", ms(172_800_000)),
            ("12", ms(12_000)),
            ("0.25", ms(250)),
            ("1795348860", ms(60_000)),
            ("1795348860500", ms(60_500)),
            ("1795348700", ms(0)),
            ("2026-11-22T12:01:00Z", ms(60_000)),
            ("2026-11-22T14:01:00+02:00", ms(60_000)),
            ("2026-11-22T11:00:00Z", ms(0)),
            ("Sun, 22 Nov 2026 12:00:30 GMT", ms(30_000)),
            ("", None),
            ("s", None),
            ("1", ms(1_000)),
            ("1x", None),
            ("1s2", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1s µ", None),
            ("tomorrow", None),
        ] {
            assert_eq!(
                read(&[("x-ratelimit-reset-tokens", value)]),
                expected,
                "{value}"
            );
        }
        assert_eq!(compound_duration("5µs"), Some(Duration::from_micros(5)));
    }

    #[test]
    fn only_the_limit_that_is_used_up_counts() {
        let headers = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "2s"),
            ("x-ratelimit-remaining-tokens", "900"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        assert_eq!(read(&headers), ms(2_000));
        let headers = [
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-22T13:00:00Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            (
                "anthropic-ratelimit-output-tokens-reset",
                "2026-11-22T12:00:05Z",
            ),
        ];
        assert_eq!(read(&headers), ms(5_000));
    }

    #[test]
    fn of_several_used_up_limits_the_latest_counts() {
        let headers = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "2s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        assert_eq!(read(&headers), ms(360_000));
    }

    #[test]
    fn without_a_word_on_what_remains_the_earliest_reset_counts() {
        let headers = [
            ("x-ratelimit-reset-requests-day", "80000"),
            ("x-ratelimit-reset-tokens-minute", "12.5"),
        ];
        assert_eq!(read(&headers), ms(12_500));
    }

    #[test]
    fn limits_that_are_not_used_up_ask_for_nothing() {
        let headers = [
            ("x-ratelimit-remaining-requests", "1"),
            ("x-ratelimit-reset-requests", "2s"),
        ];
        assert_eq!(read(&headers), None);
    }
}
