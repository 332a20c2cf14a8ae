//! A client's limits as headers, in the dialect of its protocol.

use std::time::{Duration, SystemTime};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::protocol::Protocol;
use crate::routing::window::{Gauge, Gauges};

/// Writes the gauges of a client.
pub fn write(headers: &mut HeaderMap, protocol: Protocol, gauges: &Gauges, now: SystemTime) {
    let pairs = [("requests", &gauges.requests), ("tokens", &gauges.tokens)];
    for (what, gauge) in pairs {
        let Some(gauge) = gauge else { continue };
        let names = match protocol {
            Protocol::OpenAi => {
                ["limit", "remaining", "reset"].map(|field| format!("x-ratelimit-{field}-{what}"))
            }
            Protocol::Anthropic => ["limit", "remaining", "reset"]
                .map(|field| format!("anthropic-ratelimit-{what}-{field}")),
        };
        let values = [
            gauge.limit.to_string(),
            gauge.remaining.to_string(),
            reset(protocol, gauge, now),
        ];
        for (name, value) in names.into_iter().zip(values) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.insert(name, value);
            }
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

fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let millis = duration.subsec_millis();
    match (seconds / 60, seconds % 60) {
        (0, 0) => format!("{millis}ms"),
        (0, seconds) if millis == 0 => format!("{seconds}s"),
        (0, seconds) => format!("{seconds}.{millis:03}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
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
            (1500, "1.500s"),
            (60_000, "1m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
