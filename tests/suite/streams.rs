//! Streams that do not go well: cut, split, stalled, lying, left by the client. None of them may look like a good end.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::client::Finished;
use crate::support::events::text_of;
use crate::support::gateway::Gateway;
use crate::support::upstream::bodies::{
    anthropic_error_body, anthropic_events, anthropic_stream, data, named, openai_delta,
    openai_error_body, openai_events, openai_stream, openai_stream_with_usage,
};
use crate::support::upstream::{Answer, Gate, Upstream, html, reply, silence, sse};

const SOON: Duration = Duration::from_secs(5);

fn question(protocol: Protocol) -> (&'static str, Value) {
    let body = json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    match protocol {
        Protocol::OpenAi => ("/v1/chat/completions", body),
        Protocol::Anthropic => ("/v1/messages", body),
    }
}

/// One route, one key, one call: what goes wrong is not mended.
fn before(upstream: &Upstream, protocol: Protocol) -> Gateway {
    Gateway::builder()
        .setting("max_retries", 0)
        .setting("idle_seconds", 0.3)
        .setting("first_token_seconds", 0.5)
        .setting("key_cooldown_seconds", 0)
        .provider("alpha", upstream, protocol)
        .model("m", [("alpha", "up-m")])
        .start()
}

fn ask(protocol: Protocol, answer: Answer) -> (Finished, Gateway) {
    let upstream = Upstream::start();
    upstream.answer(answer);
    let gateway = before(&upstream, protocol);
    let (path, body) = question(protocol);
    let stream = gateway.post(path).json(&body).send_streaming();
    assert_eq!(stream.status, 200);
    (stream.read_to_end(), gateway)
}

/// Ended as the protocol says that a stream fails, and not as it says that one succeeds.
#[track_caller]
fn assert_failed(protocol: Protocol, finished: &Finished) {
    let text = finished.text();
    let last = finished.events.last().expect("an event");
    match protocol {
        Protocol::OpenAi => {
            assert!(last.json()["error"]["message"].is_string(), "{text}");
            assert!(!text.contains("[DONE]"), "{text}");
        }
        Protocol::Anthropic => {
            assert_eq!(last.name.as_deref(), Some("error"), "{text}");
            assert_eq!(last.json()["type"], "error", "{text}");
            assert!(!text.contains("message_stop"), "{text}");
        }
    }
}

#[test]
fn a_stream_cut_before_its_end_is_an_error() {
    for (protocol, answer) in [
        (Protocol::OpenAi, openai_stream(&["a", "b"]).only(3).cut()),
        (Protocol::OpenAi, openai_stream(&["a", "b"]).only(3).reset()),
        // its HTTP body ends as it should: only the protocol tells that something is missing
        (Protocol::OpenAi, openai_stream(&["a", "b"]).only(3)),
        (
            Protocol::OpenAi,
            openai_stream(&["a", "b"]).without_finish(),
        ),
        (
            Protocol::Anthropic,
            anthropic_stream(&["a", "b"]).only(5).cut(),
        ),
        (Protocol::Anthropic, anthropic_stream(&["a", "b"]).only(5)),
        (
            Protocol::Anthropic,
            anthropic_stream(&["a", "b"]).without_finish(),
        ),
    ] {
        let (finished, gateway) = ask(protocol, answer);
        assert_failed(protocol, &finished);
        assert_eq!(text_of(&finished.events), "ab");
        let row = gateway.only_row();
        assert_eq!(row.number("response_status"), 200);
        assert!(row.text("error_type").starts_with("upstream_"), "{row:?}");
    }
}

#[test]
fn a_stream_that_lacks_only_its_last_marker_is_complete_and_gets_it() {
    let (finished, _gateway) = ask(Protocol::OpenAi, openai_stream(&["a"]).without_done());
    assert_eq!(finished.text(), openai_events(&["a"]).concat());
    let (finished, gateway) = ask(Protocol::Anthropic, anthropic_stream(&["a"]).without_done());
    let last = finished.events.last().expect("an event");
    assert_eq!(last.name.as_deref(), Some("message_stop"));
    assert!(gateway.only_row().is_null("error_type"));
}

#[test]
fn a_stream_that_goes_silent_ends_as_an_error() {
    for (protocol, answer) in [
        (Protocol::OpenAi, openai_stream(&["a", "b"]).only(3).stall()),
        (
            Protocol::Anthropic,
            anthropic_stream(&["a", "b"]).only(5).stall(),
        ),
    ] {
        let (finished, gateway) = ask(protocol, answer);
        assert_failed(protocol, &finished);
        assert_eq!(
            gateway.only_row().text("error_type"),
            "upstream_timeout_idle"
        );
    }
}

#[test]
fn an_error_in_a_stream_is_passed_on_and_nothing_follows_it() {
    let mut events = openai_events(&["a"]);
    events.truncate(2);
    events.push(data(&openai_error_body("server_error", None, "it broke")));
    let (finished, gateway) = ask(Protocol::OpenAi, sse(events));
    assert_failed(Protocol::OpenAi, &finished);
    assert!(finished.text().contains("it broke"));
    assert_eq!(
        gateway.only_row().text("error_type"),
        "upstream_error_event"
    );

    let mut events = anthropic_events(&["a"]);
    events.truncate(4);
    events.push(named(
        &json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
    ));
    let (finished, _gateway) = ask(Protocol::Anthropic, sse(events));
    assert_failed(Protocol::Anthropic, &finished);
    assert!(finished.text().contains("busy"));
}

#[test]
fn what_fails_before_content_has_a_true_status() {
    let opening = || openai_stream(&["a"]).only(1);
    for (answer, status) in [
        (opening().cut(), 502),
        (opening().reset(), 502),
        (opening().stall(), 504),
        (silence(), 504),
        (
            reply(200).json(&openai_error_body("server_error", None, "no")),
            502,
        ),
        (html(200), 502),
        (html(502), 502),
        (sse(Vec::<String>::new()), 502),
        (reply(503).body("text/plain", "no"), 503),
        (
            reply(500).json(&openai_error_body("server_error", None, "no")),
            500,
        ),
        (
            reply(200).json(&anthropic_error_body("api_error", "no")),
            502,
        ),
    ] {
        let upstream = Upstream::start();
        upstream.answer(answer);
        let gateway = before(&upstream, Protocol::OpenAi);
        let (path, body) = question(Protocol::OpenAi);
        let response = gateway.post(path).json(&body).send();
        assert_eq!(response.status, status, "{}", response.text());
        assert!(response.json()["error"]["message"].is_string());
        assert_eq!(
            gateway.only_row().number("response_status"),
            i64::from(status)
        );
    }
}

#[test]
fn events_split_at_every_byte_arrive_whole() {
    let whole = openai_stream_with_usage(&["é\u{1f30d}", "b"]);
    let length = whole.body_bytes().len();
    let upstream = Upstream::start();
    let gateway = before(&upstream, Protocol::OpenAi);
    let (path, mut body) = question(Protocol::OpenAi);
    body["stream_options"] = json!({"include_usage": true});
    for position in 1..length {
        upstream.answer(whole.clone().split_at(position));
        let finished = gateway
            .post(path)
            .json(&body)
            .send_streaming()
            .read_to_end();
        assert_eq!(finished.body, whole.body_bytes(), "split at {position}");
    }
}

#[test]
fn events_that_arrive_byte_by_byte_are_passed_on_whole() {
    for (protocol, answer, events) in [
        (
            Protocol::OpenAi,
            openai_stream(&["a", "b"]),
            openai_events(&["a", "b"]),
        ),
        (
            Protocol::Anthropic,
            anthropic_stream(&["a", "b"]),
            anthropic_events(&["a", "b"]),
        ),
    ] {
        let (finished, _gateway) = ask(protocol, answer.bytewise());
        assert_eq!(finished.text(), events.concat());
    }
}

#[test]
fn each_event_is_passed_on_as_soon_as_it_comes() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.answer(openai_stream(&["a", "b"]).wait_after(2, &gate));
    let gateway = before(&upstream, Protocol::OpenAi);
    let (path, body) = question(Protocol::OpenAi);
    let mut stream = gateway.post(path).json(&body).send_streaming();
    stream.expect_event();
    assert_eq!(stream.expect_event().text().as_deref(), Some("a"));
    gate.open();
    assert_eq!(stream.expect_event().text().as_deref(), Some("b"));
    assert!(stream.read_to_end().properly());
}

#[test]
fn events_that_do_not_parse_are_dropped_and_the_rest_passes() {
    let mut events = openai_events(&["a", "b"]);
    events.insert(2, "data: {\"choices\": [\n\n".to_owned());
    events.insert(3, "event: nothing\n\n".to_owned());
    let (finished, _gateway) = ask(Protocol::OpenAi, sse(events));
    assert_eq!(finished.text(), openai_events(&["a", "b"]).concat());
}

#[test]
fn line_ends_of_every_kind_are_understood() {
    let events = openai_events(&["a", "b"]).concat();
    for ends in ["\r\n", "\r"] {
        let (finished, gateway) = ask(Protocol::OpenAi, sse([events.replace('\n', ends)]));
        assert_eq!(finished.text().replace(ends, "\n"), events);
        assert!(gateway.only_row().is_null("error_type"));
    }
}

#[test]
fn a_large_event_passes_and_an_endless_one_does_not() {
    let large = "x".repeat(10 * 1024 * 1024);
    let (finished, _gateway) = ask(Protocol::OpenAi, openai_stream(&[&large]));
    assert_eq!(text_of(&finished.events).len(), large.len());

    let endless = "x".repeat(17 * 1024 * 1024);
    let mut events = openai_events(&["a"]);
    events.insert(2, openai_delta(&json!({"content": endless}), None));
    let (finished, gateway) = ask(Protocol::OpenAi, sse(events));
    assert_failed(Protocol::OpenAi, &finished);
    assert_eq!(gateway.only_row().text("error_type"), "upstream_malformed");
}

#[test]
fn a_client_that_leaves_cancels_the_upstream_within_a_second() {
    for (protocol, answer) in [
        (Protocol::OpenAi, openai_stream(&["a", "b"]).only(2).stall()),
        (
            Protocol::Anthropic,
            anthropic_stream(&["a", "b"]).only(4).stall(),
        ),
    ] {
        let upstream = Upstream::start();
        upstream.answer(answer);
        let gateway = Gateway::before(&upstream, protocol);
        let (path, body) = question(protocol);
        let mut stream = gateway.post(path).json(&body).send_streaming();
        while stream.expect_event().text().is_none() {}
        let left = Instant::now();
        stream.hang_up();
        assert!(
            upstream.wait_for_hangup(Duration::from_secs(1)),
            "{:?}",
            left.elapsed()
        );
        let row = gateway.only_row();
        assert_eq!(row.number("response_status"), 499);
        assert!(row.text("response_content").contains('a'), "{row:?}");
    }
}

#[test]
fn a_client_that_leaves_before_anything_was_sent_cancels_too() {
    for answer in [silence(), openai_stream(&["a"]).only(1).stall()] {
        let upstream = Upstream::start();
        upstream.answer(answer);
        let gateway = Gateway::before(&upstream, Protocol::OpenAi);
        let (path, body) = question(Protocol::OpenAi);
        let body = body.to_string();
        let request = gateway
            .post(path)
            .header("content-type", "application/json");
        let connection = request.send_head(body.len());
        connection.write(body.as_bytes());
        upstream.wait_for_requests(1, SOON);
        connection.hang_up();
        assert!(upstream.wait_for_hangup(Duration::from_secs(1)));
        assert_eq!(gateway.only_row().number("response_status"), 499);
    }
}

#[test]
fn a_whole_answer_that_is_cut_short_is_an_error() {
    let half = || reply(200).body("application/json", "{\"id\":\"x\",\"choices\":[");
    for answer in [
        half().claiming_length(10_000),
        half().chunked().cut(),
        half().chunked().reset(),
        half().close(),
        reply(200).body("application/json", "").close(),
    ] {
        let upstream = Upstream::start();
        upstream.answer(answer);
        let gateway = before(&upstream, Protocol::OpenAi);
        let response = gateway.chat(&json!({"model": "m", "messages": [{"role": "user"}]}));
        assert_eq!(response.status, 502, "{}", response.text());
        assert!(response.json()["error"]["message"].is_string());
    }
}

#[test]
fn a_client_that_stops_reading_is_given_up() {
    let upstream = Upstream::start();
    let block = "x".repeat(1024 * 1024);
    let words = vec![block.as_str(); 64];
    upstream.answer(openai_stream(&words));
    let gateway = Gateway::builder()
        .setting("client_stall_seconds", 0.5)
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    let (path, body) = question(Protocol::OpenAi);
    // the head is read, and then nothing more
    let _stream = gateway.post(path).json(&body).send_streaming();
    assert!(upstream.wait_for_hangup(SOON));
    let row = gateway.only_row();
    assert_eq!(row.text("error_type"), "client_stalled");
}

#[test]
fn small_events_are_not_held_back() {
    let upstream = Upstream::start();
    let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
    upstream.always(openai_stream(&words).pause(1));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let (path, body) = question(Protocol::OpenAi);
    let times = (0..5).map(|_| {
        let begun = Instant::now();
        gateway
            .post(path)
            .json(&body)
            .send_streaming()
            .read_to_end();
        begun.elapsed()
    });
    // delayed acknowledgements take 40 ms; a busy machine may slow some rounds, not all
    let quickest = times.min().expect("five rounds");
    assert!(quickest < Duration::from_millis(35), "{quickest:?}");
}

#[test]
fn our_own_words_name_the_model_and_the_number_of_calls() {
    for answer in [html(502), reply(503).body("text/plain", "no"), html(200)] {
        let upstream = Upstream::start();
        upstream.answer(answer);
        let gateway = before(&upstream, Protocol::OpenAi);
        let body = json!({"model": "m", "messages": [{"role": "user"}]});
        let error = gateway.chat(&body).json();
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains("`m`") && message.contains('1'),
            "{message}"
        );
        assert!(
            !message.contains("alpha") && !message.contains("up-m"),
            "{message}"
        );
    }
}
