//! A client's limits as headers, in the dialect of its protocol.

use std::time::{Duration, SystemTime};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::respond::number;
use crate::protocol::Protocol;
use crate::routing::window::{Gauge, Gauges};

/// Limit, remaining and reset of requests, then of tokens.
type Names = [[HeaderName; 3]; 2];

const OPENAI: Names = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];

const ANTHROPIC: Names = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
];

/// Writes the gauges of a client.
pub fn write(headers: &mut HeaderMap, protocol: Protocol, gauges: &Gauges, now: SystemTime) {
    let names = match protocol {
        Protocol::OpenAi => OPENAI,
        Protocol::Anthropic => ANTHROPIC,
    };
    for (names, gauge) in names.into_iter().zip([&gauges.requests, &gauges.tokens]) {
        let Some(gauge) = gauge else { continue };
        let [limit, remaining, until] = names;
        headers.insert(limit, number(gauge.limit));
        headers.insert(remaining, number(gauge.remaining));
        if let Ok(value) = HeaderValue::try_from(reset(protocol, gauge, now)) {
            headers.insert(until, value);
        }
    }
}

/// OpenAI says how long, in Go's spelling; Anthropic says when, in RFC 3339.
fn reset(protocol: Protocol, gauge: &Gauge, now: SystemTime) -> String {
    match protocol {
        Protocol::OpenAi => go_duration(gauge.reset),
        Protocol::Anthropic => Timestamp::try_from(now + gauge.reset).map_or_else(
            |_| String::new(),
            |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ),
    }
}

/// Without `format!`, which costs every answer as much as all other headers of limits together.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let millis = duration.subsec_millis();
    let mut digits = itoa::Buffer::new();
    match (seconds / 60, seconds % 60) {
        (0, 0) => [digits.format(millis), "ms"].concat(),
        (0, seconds) if millis == 0 => [digits.format(seconds), "s"].concat(),
        (0, seconds) => {
            let mut padded = itoa::Buffer::new();
            let millis = padded.format(1000 + millis).get(1..).unwrap_or_default();
            [digits.format(seconds), ".", millis, "s"].concat()
        }
        (minutes, seconds) => {
            let mut rest = itoa::Buffer::new();
            [digits.format(minutes), "m", rest.format(seconds), "s"].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_as_openai_does() {
        for (millis, text) in [
            (20, "20ms"),
            (1000, "1s"),
            (1042, "1.042s"),
            (11_111, "11.111s"),
            (1500, "1.500s"),
            (60_000, "1m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
