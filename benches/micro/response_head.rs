//! What the headers of an upstream's answer tell of a key's limits.

use std::time::{Duration, SystemTime};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use divan::Bencher;
use model_proxy::routing::outcome::{self, Failure, headroom, judge, retry_after};

use crate::samples;

const OPENAI: [(&str, &str); 6] = [
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1998212"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "53ms"),
];
const ANTHROPIC: [(&str, &str); 6] = [
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2026-11-22T12:00:01Z"),
    ("anthropic-ratelimit-tokens-limit", "480000"),
    ("anthropic-ratelimit-tokens-remaining", "470000"),
    ("anthropic-ratelimit-tokens-reset", "2026-11-22T12:00:02Z"),
];
const MAX_COOLDOWN: Duration = Duration::from_secs(3_600);

/// 2026-11-22T12:00:00Z.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800)
}

/// These among what every answer has.
fn headers(limits: &[(&'static str, &'static str)]) -> HeaderMap {
    let usual = [
        ("content-type", "application/json"),
        ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
        ("server", "cloudflare"),
        ("x-request-id", "req_011CRq"),
        ("strict-transport-security", "max-age=31536000"),
    ];
    let pairs = usual.iter().chain(limits);
    pairs
        .map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        })
        .collect()
}

#[divan::bench(sample_size = 1_000)]
fn success_of_openai(bencher: Bencher<'_, '_>) {
    success(bencher, &headers(&OPENAI));
}

#[divan::bench(sample_size = 1_000)]
fn success_of_anthropic(bencher: Bencher<'_, '_>) {
    success(bencher, &headers(&ANTHROPIC));
}

/// What is left, and whether the key rests for it.
fn success(bencher: Bencher<'_, '_>, headers: &HeaderMap) {
    let route = samples::route(&samples::provider(samples::keys(1)));
    let header = |name: &str| headers.get(name)?.to_str().ok();
    bencher.bench_local(|| {
        let headroom = headroom(header, now()).expect("limits");
        (headroom, outcome::spent(&headroom, &route, MAX_COOLDOWN))
    });
}

/// When the upstream wants to be asked again, and what that means for key and request.
#[divan::bench(sample_size = 1_000)]
fn refusal_of_openai(bencher: Bencher<'_, '_>) {
    let headers = headers(&OPENAI);
    let route = samples::route(&samples::provider(samples::keys(1)));
    let header = |name: &str| headers.get(name)?.to_str().ok();
    bencher.bench_local(|| {
        let failure = Failure {
            status: Some(429),
            retry_after: retry_after(header, now()),
            ..Failure::default()
        };
        judge(&failure, &route, MAX_COOLDOWN)
    });
}
