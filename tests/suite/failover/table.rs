//! The table of failures, before content: where each moves the request, what the client hears, what the key does next,
//! and what the log tells of it.

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    answer, at_once, error, error_body, error_event, model, opening, path, provider, question,
    rows, story, stream, streamed, to_model,
};
use crate::support::client::Response;
use crate::support::gateway::{Builder, Gateway, provider_json};
use crate::support::rows::Row;
use crate::support::upstream::bodies::openai_error_body;
use crate::support::upstream::{Answer, Upstream, html, reply, silence, sse, vanish};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

#[derive(Clone, Copy)]
enum How {
    Status(u16, &'static str),
    NoMoney,
    Silence,
    Lost,
    Nobody,
    ErrorInside,
    Nothing,
    Cut,
    Page,
}

struct Case {
    how: How,
    /// The status that a client is told whose only route fails so.
    told: u16,
    /// The request goes on to the next route.
    goes_on: bool,
    /// The key is not called again at once.
    rests: bool,
    /// `attempts` in the log: status and outcome.
    noted: &'static str,
}

const fn case(how: How, told: u16, goes_on: bool, rests: bool, noted: &'static str) -> Case {
    Case {
        how,
        told,
        goes_on,
        rests,
        noted,
    }
}

const CASES: [Case; 25] = [
    case(
        How::Status(400, "invalid_request_error"),
        400,
        false,
        false,
        "400 client_fault",
    ),
    case(
        How::Status(401, "authentication_error"),
        503,
        true,
        true,
        "401 bad_key",
    ),
    case(
        How::Status(402, "billing_error"),
        503,
        true,
        true,
        "402 quota",
    ),
    case(
        How::Status(403, "permission_error"),
        503,
        true,
        true,
        "403 bad_key",
    ),
    case(
        How::Status(404, "not_found_error"),
        503,
        true,
        false,
        "404 misconfigured",
    ),
    case(
        How::Status(405, "invalid_request_error"),
        503,
        true,
        false,
        "405 misconfigured",
    ),
    case(
        How::Status(408, "timeout_error"),
        503,
        true,
        true,
        "408 transient",
    ),
    case(
        How::Status(409, "conflict_error"),
        409,
        false,
        false,
        "409 client_fault",
    ),
    case(
        How::Status(413, "request_too_large"),
        413,
        false,
        false,
        "413 client_fault",
    ),
    case(
        How::Status(415, "invalid_request_error"),
        503,
        true,
        false,
        "415 misconfigured",
    ),
    case(
        How::Status(422, "invalid_request_error"),
        422,
        false,
        false,
        "422 client_fault",
    ),
    case(
        How::Status(429, "rate_limit_error"),
        429,
        true,
        true,
        "429 rate_limited",
    ),
    case(How::NoMoney, 429, true, true, "429 quota"),
    case(
        How::Status(500, "api_error"),
        500,
        true,
        true,
        "500 transient",
    ),
    case(
        How::Status(502, "api_error"),
        502,
        true,
        true,
        "502 transient",
    ),
    case(
        How::Status(503, "overloaded_error"),
        503,
        true,
        true,
        "503 transient",
    ),
    case(
        How::Status(504, "timeout_error"),
        504,
        true,
        true,
        "504 transient",
    ),
    case(
        How::Status(529, "overloaded_error"),
        529,
        true,
        true,
        "529 transient",
    ),
    case(How::Silence, 504, true, true, "- timeout"),
    case(How::Lost, 502, true, true, "- transient"),
    case(How::Nobody, 503, true, true, "- transient"),
    case(How::ErrorInside, 502, true, true, "- transient"),
    case(How::Nothing, 502, true, true, "- transient"),
    case(How::Cut, 502, true, true, "- transient"),
    case(How::Page, 502, true, true, "- transient"),
];

const WORDS: &str = "words of the upstream";

impl How {
    fn answer(self, protocol: Protocol, streaming: bool) -> Answer {
        match self {
            Self::Status(status, kind) => error(protocol, status, kind, WORDS),
            Self::NoMoney => reply(429).json(&no_money(protocol)),
            Self::Silence => silence(),
            Self::Lost => vanish(),
            Self::Nobody => html(500),
            Self::ErrorInside if streaming => sse([error_event(protocol, "api_error", WORDS)]),
            Self::ErrorInside => reply(200).json(&error_body(protocol, "api_error", WORDS)),
            Self::Nothing if streaming => sse(Vec::<String>::new()),
            Self::Nothing => reply(200).body("application/json", ""),
            Self::Cut if streaming => stream(protocol, &["x"]).only(opening(protocol)).cut(),
            Self::Cut => reply(200)
                .body("application/json", "{\"id\": \"x\", ")
                .claiming_length(1000),
            Self::Page => html(200),
        }
    }

    fn file(self, name: &str, upstream: &Upstream, protocol: Protocol) -> Value {
        match self {
            Self::Nobody => provider_json(name, NOBODY, protocol),
            Self::Silence => provider(name, upstream, protocol, json!({"timeout_seconds": 0.3})),
            _ => provider(name, upstream, protocol, json!({})),
        }
    }
}

fn no_money(protocol: Protocol) -> Value {
    match protocol {
        Protocol::OpenAi => {
            openai_error_body("insufficient_quota", Some("insufficient_quota"), WORDS)
        }
        Protocol::Anthropic => error_body(protocol, "insufficient_quota", WORDS),
    }
}

/// For each case a provider that fails so, model `alone-N` with that route only, and `m-N` with `spare` after it.
fn gateway(
    protocol: Protocol,
    streaming: bool,
    upstreams: &[Upstream],
    spare: &Upstream,
) -> Gateway {
    let mut builder = Gateway::builder()
        .setting("max_retries", 0)
        .setting("workers", 1)
        .provider("spare", spare, protocol);
    for (number, (case, upstream)) in CASES.iter().zip(upstreams).enumerate() {
        upstream.always(case.how.answer(protocol, streaming));
        for name in [format!("single{number}"), format!("first{number}")] {
            let file = case.how.file(&name, upstream, protocol);
            let key = format!("key-of-{name}");
            builder = builder
                .provider_file(&name, &file)
                .keys(&name, [key.as_str()]);
        }
        builder = models(builder, number);
    }
    builder.start()
}

fn models(builder: Builder, number: usize) -> Builder {
    let (single, first) = (format!("single{number}"), format!("first{number}"));
    let (alone, two) = (format!("alone-{number}"), format!("m-{number}"));
    builder
        .model_file(&alone, &model(&alone, &[&single]))
        .model_file(&two, &model(&two, &[&first, "spare"]))
}

fn play(protocol: Protocol, streaming: bool) {
    let upstreams: Vec<_> = CASES.iter().map(|_| Upstream::start()).collect();
    let spare = Upstream::start();
    spare.always(answer(protocol, streaming, "saved"));
    let gateway = gateway(protocol, streaming, &upstreams, &spare);
    let body = if streaming { streamed() } else { question() };
    let ask = |model: String| {
        let request = gateway.post(path(protocol));
        request.json(&to_model(body.clone(), &model)).send()
    };
    at_once(CASES.iter().enumerate(), |(number, case)| {
        assert_told(protocol, case, &ask(format!("alone-{number}")));
        assert_went_on(case, &ask(format!("m-{number}")));
        let second = ask(format!("m-{number}"));
        let expected = if case.goes_on { 200 } else { case.told };
        assert_eq!(second.status, expected, "{}: {}", case.noted, second.text());
    });
    let rows = rows(&gateway, 3 * CASES.len());
    for (number, case) in CASES.iter().enumerate() {
        assert_noted(number, case, &rows);
    }
}

#[track_caller]
fn assert_noted(number: usize, case: &Case, rows: &[Row]) {
    let noted = case.noted;
    let of_model = |model: String| {
        let rows = rows.iter();
        let rows = rows.filter(move |row| row.text("requested_model") == model);
        rows.collect::<Vec<_>>()
    };
    let alone = of_model(format!("alone-{number}"))[0];
    assert_eq!(story(alone), [format!("single{number} {noted}")]);
    let told = alone.number("response_status");
    assert_eq!(told, i64::from(case.told), "{noted}");
    assert!(!alone.is_null("error_type"), "{noted}");
    let mut calls = vec![format!("first{number} {noted}")];
    if case.goes_on {
        calls.push("spare 200 ok".to_owned());
    }
    let routed = of_model(format!("m-{number}"));
    assert_eq!(story(routed[0]), calls);
    if case.rests {
        calls.remove(0);
    }
    assert_eq!(story(routed[1]), calls, "the second request after {noted}");
}

#[track_caller]
fn assert_told(protocol: Protocol, case: &Case, response: &Response) {
    let (noted, text) = (case.noted, response.text());
    assert_eq!(response.status, case.told, "{noted}: {text}");
    assert_eq!(
        response.header("x-model-proxy-attempts"),
        Some("1"),
        "{noted}"
    );
    assert_eq!(
        response.header("content-type"),
        Some("application/json"),
        "{noted}"
    );
    let body = response.json();
    if protocol == Protocol::Anthropic {
        assert_eq!(body["type"], "error", "{noted}: {text}");
    }
    let error = &body["error"];
    assert!(
        error["type"].is_string() && error["message"].is_string(),
        "{noted}: {text}"
    );
    // 429 and 5xx of the only call, and what is the client's own fault, are told in the upstream's words; nothing else is
    if let How::Status(status, kind) = case.how {
        let theirs = status == case.told;
        assert_eq!(error["message"] == WORDS, theirs, "{noted}: {text}");
        assert!(!theirs || error["type"] == kind, "{noted}: {text}");
    }
    if error["message"] != WORDS {
        let message = error["message"].to_string();
        assert!(message.contains("`alone-"), "{noted}: {text}");
        assert!(
            !text.contains("single") && !text.contains("up-"),
            "{noted}: {text}"
        );
    }
}

#[track_caller]
fn assert_went_on(case: &Case, response: &Response) {
    let (noted, text) = (case.noted, response.text());
    let (status, attempts) = if case.goes_on {
        (200, "2")
    } else {
        (case.told, "1")
    };
    assert_eq!(response.status, status, "{noted}: {text}");
    assert_eq!(
        response.header("x-model-proxy-attempts"),
        Some(attempts),
        "{noted}"
    );
    if case.goes_on {
        assert!(text.contains("saved"), "{noted}: {text}");
        assert_eq!(
            response.header("x-model-proxy-model"),
            Some("spare/up-spare"),
            "{noted}"
        );
    }
}

#[test]
fn each_failure_of_a_chat_completion_means_what_the_table_says() {
    play(Protocol::OpenAi, false);
}

#[test]
fn each_failure_of_a_message_means_what_the_table_says() {
    play(Protocol::Anthropic, false);
}

#[test]
fn each_failure_before_the_content_of_a_streamed_chat_completion_means_what_the_table_says() {
    play(Protocol::OpenAi, true);
}

#[test]
fn each_failure_before_the_content_of_a_streamed_message_means_what_the_table_says() {
    play(Protocol::Anthropic, true);
}
