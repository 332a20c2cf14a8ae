//! The table of failures in the middle of a stream: what the client hears in each recovery mode, what the key does next,
//! and what the log tells of it.

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{
    BOTH, begun, error_event, events, model, opening, order, path, provider, rows, story, stream,
    streamed, to_model,
};
use crate::support::client::Finished;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream, sse};

const WORDS: &str = "words of the upstream";

struct Break {
    name: &'static str,
    answer: fn(Protocol) -> Answer,
    /// Another route is asked to continue.
    is_spliced: bool,
    /// The key is not called again at once.
    rests: bool,
    outcome: &'static str,
    error_type: &'static str,
}

/// A stream that says `one two`, then this error.
fn told(protocol: Protocol, kind: &str, words: &str) -> Answer {
    let mut events = events(protocol, &["one ", "two"]);
    events.truncate(opening(protocol) + 2);
    events.push(error_event(protocol, kind, words));
    sse(events)
}

fn said(protocol: Protocol) -> Answer {
    begun(protocol, &["one ", "two"])
}

const BREAKS: [Break; 9] = [
    Break {
        name: "cut",
        answer: |protocol| said(protocol).cut(),
        is_spliced: true,
        rests: true,
        outcome: "transient",
        error_type: "upstream_cut",
    },
    Break {
        name: "reset",
        answer: |protocol| said(protocol).reset(),
        is_spliced: true,
        rests: true,
        outcome: "transient",
        error_type: "upstream_",
    },
    Break {
        name: "an orderly end of the body alone",
        answer: said,
        is_spliced: true,
        rests: true,
        outcome: "transient",
        error_type: "upstream_cut",
    },
    Break {
        name: "the last marker without a reason",
        answer: |protocol| {
            let whole = events(protocol, &["one ", "two"]);
            let marker = whole.last().cloned();
            let said = whole.into_iter().take(opening(protocol) + 2);
            sse(said.chain(marker))
        },
        is_spliced: true,
        rests: true,
        outcome: "transient",
        error_type: "upstream_cut",
    },
    Break {
        name: "silence",
        answer: |protocol| said(protocol).stall(),
        is_spliced: true,
        rests: true,
        outcome: "timeout",
        error_type: "upstream_timeout_idle",
    },
    Break {
        name: "an error of the server",
        answer: |protocol| told(protocol, "api_error", WORDS),
        is_spliced: true,
        rests: true,
        outcome: "transient",
        error_type: "upstream_error_event",
    },
    Break {
        name: "an overloaded server",
        answer: |protocol| told(protocol, "overloaded_error", WORDS),
        is_spliced: true,
        rests: true,
        outcome: "transient",
        error_type: "upstream_error_event",
    },
    Break {
        name: "an error that blames the request",
        answer: |protocol| told(protocol, "invalid_request_error", WORDS),
        is_spliced: true,
        rests: false,
        outcome: "transient",
        error_type: "upstream_error_event",
    },
    Break {
        name: "a refusal of content",
        answer: |protocol| {
            let words = "words of the upstream: blocked by content filtering policy";
            told(protocol, "invalid_request_error", words)
        },
        is_spliced: false,
        rests: false,
        outcome: "content_policy",
        error_type: "upstream_error_event",
    },
];

fn gateway(protocol: Protocol, mode: &str, upstreams: &[Upstream], spare: &Upstream) -> Gateway {
    let mut builder = Gateway::builder()
        .setting("max_retries", 0)
        .setting("workers", 1)
        .provider("spare", spare, protocol);
    for (number, (one, upstream)) in BREAKS.iter().zip(upstreams).enumerate() {
        upstream.always((one.answer)(protocol));
        let name = format!("first{number}");
        let idle = if one.outcome == "timeout" { 0.3 } else { 60.0 };
        let timeouts = json!({"timeouts": {"idle_seconds": idle}});
        let file = provider(&name, upstream, protocol, timeouts);
        let key = format!("key-of-{name}");
        let logical = format!("m-{number}");
        let mut routed = model(&logical, &[&name, "spare"]);
        routed["stream_recovery"] = json!(mode);
        builder = builder
            .provider_file(&name, &file)
            .keys(&name, [key.as_str()])
            .model_file(&logical, &routed);
    }
    builder.start()
}

/// Plays each break twice and looks at what is the same in every mode.
fn play(mode: &str, look: impl Fn(Protocol, &Break, &Finished)) {
    for protocol in BOTH {
        let upstreams: Vec<_> = BREAKS.iter().map(|_| Upstream::start()).collect();
        let spare = Upstream::start();
        spare.always(stream(protocol, &["o", "ne tw", "o three"]));
        let gateway = gateway(protocol, mode, &upstreams, &spare);
        for (number, one) in BREAKS.iter().enumerate() {
            let body = to_model(streamed(), &format!("m-{number}"));
            let request = gateway.post(path(protocol)).json(&body);
            let first = request.send_streaming();
            assert_eq!(first.status, 200, "{}", one.name);
            look(protocol, one, &first.read_to_end());
            request.send_streaming().read_to_end();
            let rows = rows(&gateway, 2 * (number + 1));
            let [first, second] = &rows[2 * number..] else {
                panic!("two rows");
            };
            let name = one.name;
            assert_eq!(first.number("response_status"), 200, "{name}");
            let status = if mode == "hold" { "-" } else { "200" };
            let mut calls = vec![format!("first{number} {status} {}", one.outcome)];
            if mode != "error" && one.is_spliced {
                calls.push("spare 200 ok".to_owned());
                assert!(first.is_null("error_type"), "{name}: {first:?}");
                assert!(
                    first.text("response_content").contains("one two three"),
                    "{name}"
                );
            } else {
                assert!(
                    first.text("error_type").starts_with(one.error_type),
                    "{name}: {first:?}"
                );
                assert!(first.text("response_content").contains("one two"), "{name}");
            }
            assert_eq!(story(first), calls, "{name}");
            let is_asked_again = story(second)[0].starts_with("first");
            assert_eq!(is_asked_again, !one.rests, "{name}: {:?}", story(second));
        }
    }
}

fn assert_error(protocol: Protocol, one: &Break, finished: &Finished) {
    let heard = order::broken(protocol, finished);
    assert_eq!(heard.text, "one two", "{}", one.name);
    let message = heard.error.expect("an error")["message"].to_string();
    let is_theirs = one.error_type == "upstream_error_event";
    assert_eq!(
        message.contains(WORDS),
        is_theirs,
        "{}: {message}",
        one.name
    );
}

#[test]
fn without_recovery_a_stream_that_breaks_after_content_ends_with_an_error_event() {
    play("error", assert_error);
}

#[test]
fn a_stream_that_breaks_after_content_is_continued_by_the_next_route() {
    play("splice", |protocol, one, finished| {
        if !one.is_spliced {
            return assert_error(protocol, one, finished);
        }
        let heard = order::complete(protocol, finished);
        assert_eq!(heard.text, "one two three", "{}", one.name);
    });
}
