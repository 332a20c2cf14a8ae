//! Streams that broke after content and cannot be continued: they end as the first break said, with an error event, and
//! nothing of the other route is shown.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    BOTH, at_once, begun, error, error_event, events, model_with, order, path, routes, story,
    stream, streamed, with_timeouts,
};
use crate::support::client::Finished;
use crate::support::gateway::Builder;
use crate::support::upstream::bodies::{
    anthropic_start, anthropic_tool_events, named, openai_delta, openai_tool_events,
};
use crate::support::upstream::{Answer, Upstream, html, silence, sse, vanish};

const SECOND: &str = "words of the second";

fn two(one: &Upstream, two: &Upstream, protocol: Protocol) -> Builder {
    let timeouts = json!({"first_token_seconds": 0.4, "idle_seconds": 0.4});
    let file = with_timeouts(model_with::<2>(json!({})), 1, timeouts);
    routes([(one, protocol), (two, protocol)]).model_file("m", &file)
}

/// The first breaks after `said`, the second answers so.
fn play(protocol: Protocol, said: Answer, second: Answer) -> (Finished, Vec<String>, Upstream) {
    let upstreams = [(); 2].map(|()| Upstream::start());
    let [first, other] = &upstreams;
    first.always(said);
    other.always(second);
    let gateway = two(first, other, protocol).start();
    let stream = gateway
        .post(path(protocol))
        .json(&streamed())
        .send_streaming();
    assert_eq!(stream.status, 200);
    let finished = stream.read_to_end();
    let row = gateway.only_row();
    assert_eq!(row.number("response_status"), 200);
    assert!(row.text("error_type").starts_with("upstream_"), "{row:?}");
    let [_, other] = upstreams;
    (finished, story(&row), other)
}

#[test]
fn a_route_that_says_something_else_is_cancelled_and_not_heard() {
    for client in BOTH {
        for words in [
            // another beginning, another middle, and less than was said
            &["Good ", "evening"][..],
            &["Hel", "p me, "],
            &["hello"],
            &["Hel"],
        ] {
            let second = stream(client, words);
            let (finished, calls, _) =
                play(client, begun(client, &["Hello, ", "world"]).cut(), second);
            let heard = order::broken(client, &finished);
            assert_eq!(heard.text, "Hello, world", "{words:?}");
            assert_eq!(
                calls,
                ["alpha 200 transient", "beta 200 diverged"],
                "{words:?}"
            );
        }
    }
}

#[test]
fn a_route_that_diverges_is_not_read_to_its_end() {
    for client in BOTH {
        let second = begun(client, &["Something else"]).stall();
        let (finished, _, other) = play(client, begun(client, &["Hello"]).cut(), second);
        order::broken(client, &finished);
        assert!(other.wait_for_hangup(Duration::from_secs(1)));
    }
}

fn reasoning(protocol: Protocol) -> Vec<String> {
    match protocol {
        Protocol::OpenAi => vec![
            openai_delta(&json!({"role": "assistant", "content": ""}), None),
            openai_delta(&json!({"reasoning_content": "hm"}), None),
        ],
        Protocol::Anthropic => vec![
            anthropic_start(),
            named(&json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "thinking", "thinking": "", "signature": ""}})),
            named(&json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "thinking_delta", "thinking": "hm"}})),
        ],
    }
}

fn tool_call(protocol: Protocol) -> Vec<String> {
    let mut events = match protocol {
        Protocol::OpenAi => openai_tool_events("look", &["{\"a\":"]),
        Protocol::Anthropic => anthropic_tool_events("look", &["{\"a\":"]),
    };
    events.truncate(if protocol == Protocol::OpenAi { 2 } else { 4 });
    events
}

#[test]
fn what_was_more_than_text_is_not_asked_for_again() {
    for client in BOTH {
        for said in [reasoning(client), tool_call(client)] {
            let second = stream(client, &[SECOND]);
            let (finished, calls, other) = play(client, sse(said).cut(), second);
            order::broken(client, &finished);
            assert_eq!(calls, ["alpha 200 transient"]);
            assert_eq!(other.requests().len(), 0);
        }
    }
}

#[test]
fn a_route_that_reasons_or_calls_a_tool_before_it_repeats_the_text_diverges() {
    for client in BOTH {
        for said in [reasoning(client), tool_call(client)] {
            let (finished, calls, _) =
                play(client, begun(client, &["Hello"]).cut(), sse(said).stall());
            let heard = order::broken(client, &finished);
            assert_eq!(heard.text, "Hello");
            assert_eq!(calls[1], "beta 200 diverged");
        }
    }
}

#[test]
fn a_tool_call_after_the_repeated_text_reaches_the_client() {
    for client in BOTH {
        let upstreams = [(); 2].map(|()| Upstream::start());
        let [first, second] = &upstreams;
        first.always(begun(client, &["Let me ", "lo"]).cut());
        second.always(sse(text_and_call(client)));
        let gateway = two(first, second, client).start();
        let stream = gateway
            .post(path(client))
            .json(&streamed())
            .send_streaming();
        let finished = stream.read_to_end();
        assert_eq!(order::complete(client, &finished).text, "Let me look");
        let text = finished.text();
        assert!(text.contains("\"look\"") && text.contains("{}"), "{text}");
    }
}

/// Says `Let me look` and calls the tool `look`.
fn text_and_call(protocol: Protocol) -> Vec<String> {
    let mut events = events(protocol, &["Let me", " look"]);
    match protocol {
        Protocol::OpenAi => {
            events.truncate(3);
            events.extend(openai_tool_events("look", &["{}"]).into_iter().skip(1));
            let call = json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                "function": {"name": "look", "arguments": ""}}]});
            events.insert(3, openai_delta(&call, None));
        }
        Protocol::Anthropic => {
            let end = events.split_off(6);
            let call = anthropic_tool_events("look", &["{}"]);
            let call = call
                .into_iter()
                .skip(1)
                .take(4)
                .filter(|event| !event.contains("ping"));
            events.extend(call.map(|event| event.replace("\"index\":0", "\"index\":1")));
            events.extend(
                end.into_iter()
                    .map(|event| event.replace("end_turn", "tool_use")),
            );
        }
    }
    events
}

#[test]
fn a_refusal_of_the_second_route_is_never_what_the_client_reads() {
    at_once(BOTH, |client| {
        let ways = [
            (
                error(client, 400, "invalid_request_error", SECOND),
                "400 client_fault",
            ),
            (
                error(client, 401, "authentication_error", SECOND),
                "401 bad_key",
            ),
            (
                error(client, 429, "rate_limit_error", SECOND),
                "429 rate_limited",
            ),
            (error(client, 500, "api_error", SECOND), "500 transient"),
            (html(502), "502 transient"),
            (
                sse([error_event(client, "api_error", SECOND)]),
                "- transient",
            ),
            (silence(), "- timeout"),
            (vanish(), "- transient"),
        ];
        at_once(ways, |(second, noted)| {
            let said = begun(client, &["Hello"]).cut();
            let (finished, calls, other) = play(client, said, second);
            let heard = order::broken(client, &finished);
            assert_eq!(heard.text, "Hello");
            let text = finished.text();
            assert!(!text.contains(SECOND) && !text.contains("html"), "{text}");
            assert_eq!(calls, ["alpha 200 transient", &format!("beta {noted}")]);
            assert_eq!(other.requests().len(), 1);
        });
    });
}

#[test]
fn when_nobody_continues_the_client_reads_why_the_first_broke() {
    for client in BOTH {
        let first = "words of the first";
        let mut said = events(client, &["Hello"]);
        said.truncate(super::opening(client) + 1);
        said.push(error_event(client, "overloaded_error", first));
        let second = error(client, 500, "api_error", SECOND);
        let (finished, _, _) = play(client, sse(said), second);
        let error = order::broken(client, &finished).error.expect("an error");
        assert_eq!(error["message"], first);
        assert_eq!(error["type"], "overloaded_error");
    }
}

#[test]
fn a_second_break_while_text_is_repeated_ends_the_stream_if_nobody_is_left() {
    for client in BOTH {
        for second in [
            begun(client, &["Hel"]).cut(),
            begun(client, &["Hel"]).stall(),
        ] {
            let (finished, calls, _) = play(client, begun(client, &["Hello"]).cut(), second);
            assert_eq!(order::broken(client, &finished).text, "Hello");
            assert!(calls[1].starts_with("beta 200 t"), "{calls:?}");
        }
    }
}

#[test]
fn a_model_that_wants_no_recovery_asks_nobody_else() {
    for client in BOTH {
        let (one, other) = (Upstream::start(), Upstream::start());
        one.always(begun(client, &["Hello"]).cut());
        let gateway = two(&one, &other, client)
            .model_file("m", &model_with::<2>(json!({"stream_recovery": "error"})))
            .start();
        let stream = gateway
            .post(path(client))
            .json(&streamed())
            .send_streaming();
        assert_eq!(order::broken(client, &stream.read_to_end()).text, "Hello");
        assert_eq!(other.requests().len(), 0);
    }
}

#[test]
fn several_choices_and_very_long_texts_are_not_continued() {
    let long = "x".repeat(300 * 1024);
    let mut several: Value = streamed();
    several["n"] = json!(2);
    for (body, word) in [(several, "Hello"), (streamed(), long.as_str())] {
        let (one, other) = (Upstream::start(), Upstream::start());
        one.always(begun(Protocol::OpenAi, &[word]).cut());
        let gateway = two(&one, &other, Protocol::OpenAi).start();
        let finished = gateway.chat_streaming(&body).read_to_end();
        assert_eq!(order::broken(Protocol::OpenAi, &finished).text, word);
        assert_eq!(other.requests().len(), 0);
    }
}
