//! Streams that ended otherwise than they should have.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;

use super::{assert_no_key_rests, one_route, outcome, question, streamed, two_keys};
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::{
    anthropic_events, openai_answer, openai_events, openai_stream,
};
use crate::support::upstream::{Answer, sse};

/// Everything but the protocol's last marker.
fn unmarked(mut events: Vec<String>) -> Answer {
    events.pop();
    sse(events)
}

#[test]
fn a_stream_that_told_its_finish_reason_is_complete_however_its_connection_ends() {
    for ending in [Answer::stall, Answer::reset, Answer::cut] {
        for (protocol, path, events) in [
            (
                Protocol::OpenAi,
                "/v1/chat/completions",
                openai_events(&["a"]),
            ),
            (
                Protocol::Anthropic,
                "/v1/messages",
                anthropic_events(&["a"]),
            ),
        ] {
            let upstream = Upstream::start();
            upstream.answer(ending(unmarked(events.clone())));
            let gateway = two_keys(&upstream, protocol)
                .setting("idle_seconds", 0.2)
                .start();
            let stream = gateway.post(path).json(&streamed()).send_streaming();
            let finished = stream.read_to_end();
            assert!(finished.properly());
            let marker = match protocol {
                Protocol::OpenAi => "data: [DONE]\n\n",
                Protocol::Anthropic => "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            };
            assert_eq!(
                finished
                    .text()
                    .replace(": \"message_stop\"", ":\"message_stop\""),
                events[..events.len() - 1].concat() + marker
            );
            let row = gateway.only_row();
            assert!(row.is_null("error_type"), "{row:?}");
            assert_no_key_rests(&gateway, &upstream, protocol);
        }
    }
}

#[test]
fn a_stream_without_content_that_told_its_finish_reason_is_complete_too() {
    let upstream = Upstream::start();
    upstream.answer(unmarked(openai_events(&[])).reset());
    let gateway = two_keys(&upstream, Protocol::OpenAi).start();
    let finished = gateway.chat_streaming(&streamed());
    assert_eq!(finished.status, 200);
    assert!(finished.read_to_end().text().ends_with("data: [DONE]\n\n"));
    assert_no_key_rests(&gateway, &upstream, Protocol::OpenAi);
}

#[test]
fn a_silent_stream_ends_when_the_longest_time_for_streams_is_over() {
    let upstream = Upstream::start();
    upstream.answer(openai_stream(&["a", "b"]).only(2).stall());
    let gateway = two_keys(&upstream, Protocol::OpenAi)
        .setting("stream_max_seconds", 0.3)
        .start();
    let begun = Instant::now();
    let stream = gateway.chat_streaming(&streamed());
    let finished = stream.read_for(Duration::from_secs(2));
    assert!(finished.properly(), "{:?}", finished.ended);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let last = finished.events.last().expect("an error event").json();
    let message = last["error"]["message"].to_string();
    assert!(message.contains("stream_max_seconds"), "{message}");
    assert_eq!(
        gateway.only_row().text("error_type"),
        "upstream_timeout_total"
    );
    assert_no_key_rests(&gateway, &upstream, Protocol::OpenAi);
}

#[test]
fn a_call_of_a_stream_that_its_client_does_not_read_is_noted_as_stalled() {
    let upstream = Upstream::start();
    let block = "x".repeat(1024 * 1024);
    upstream.answer(openai_stream(&vec![block.as_str(); 32]));
    let gateway = two_keys(&upstream, Protocol::OpenAi)
        .setting("client_stall_seconds", 0.3)
        .start();
    // the head is read, and then nothing more
    let _stream = gateway.chat_streaming(&streamed());
    assert!(upstream.wait_for_hangup(super::SOON));
    assert_eq!(outcome(&gateway, 0), "client_stalled");
    assert_no_key_rests(&gateway, &upstream, Protocol::OpenAi);
}

#[test]
fn a_prompt_whose_stream_has_begun_keeps_no_other_prompt_out() {
    let upstream = Upstream::start();
    upstream.answer(openai_stream(&["a", "b"]).only(2).stall());
    upstream.always(openai_answer("hi"));
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("body_limit_bytes", 200_000)
        .setting("body_budget_bytes", 200_000)
        .start();
    let large = |mut body: serde_json::Value| {
        body["messages"][0]["content"] = "x".repeat(150_000).into();
        body
    };
    let mut stream = gateway.chat_streaming(&large(streamed()));
    while stream.expect_event().text().is_none() {}
    let answer = gateway.chat(&large(question()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    stream.hang_up();
}

#[test]
fn a_terminal_event_without_its_last_blank_line_ends_the_stream_and_nothing_panics() {
    let upstream = Upstream::start();
    let mut events = openai_events(&["One ", "two"]);
    events.pop();
    events.push("data: [DONE]".to_owned());
    upstream.always(sse(events));
    let gateway = one_route(&upstream, Protocol::OpenAi).start();
    for _ in 0..3 {
        let finished = gateway.chat_streaming(&streamed()).read_to_end();
        assert!(finished.properly());
        assert_eq!(finished.events.last().expect("events").data, "[DONE]");
    }
}
