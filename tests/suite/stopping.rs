//! The end: nothing is accepted any more, streams finish or end themselves, and no row is lost.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::binary::model_proxy;
use crate::support::client::{Connection, post};
use crate::support::gateway::{CLIENT_KEY, Gateway, model_json, provider_json};
use crate::support::rows;
use crate::support::upstream::bodies::{anthropic_stream, openai_answer, openai_stream};
use crate::support::upstream::{Gate, Upstream};

const SOON: Duration = Duration::from_secs(5);

fn question(stream: bool) -> Value {
    json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

#[test]
fn two_hundred_requests_in_flight_at_the_end_lose_no_row() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.always(openai_answer("hi").wait(&gate));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let body = question(false).to_string();
    let mut connections: Vec<Connection> = (0..200)
        .map(|_| {
            let request = gateway.post("/v1/chat/completions");
            let connection = request
                .header("content-type", "application/json")
                .send_head(body.len());
            connection.write(body.as_bytes());
            connection
        })
        .collect();
    upstream.wait_for_requests(200, Duration::from_secs(20));
    gateway.begin_stop();
    gate.open();
    for connection in &mut connections {
        assert_eq!(connection.read_response(false).status, 200);
    }
    let rows = gateway.stop();
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().all(|row| row.number("response_status") == 200));
}

#[test]
fn streams_that_never_end_are_ended_with_an_error_event_and_a_row_each() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.target.as_str() {
        "/v1/messages" => anthropic_stream(&["a", "b"]).only(4).stall(),
        _ => openai_stream(&["a", "b"]).only(2).stall(),
    });
    let gateway = Gateway::builder()
        .setting("shutdown_timeout_seconds", 1)
        .provider("alpha", &upstream, Protocol::OpenAi)
        .provider("beta", &upstream, Protocol::Anthropic)
        .model("m", [("alpha", "up-m"), ("beta", "up-m")])
        .start();
    let mut streams: Vec<_> = (0..20)
        .map(|index| match index % 2 {
            0 => gateway.chat_streaming(&question(true)),
            _ => gateway.messages_streaming(&question(true)),
        })
        .collect();
    for stream in &mut streams {
        while stream.expect_event().text().is_none() {}
    }
    let begun = Instant::now();
    gateway.begin_stop();
    for stream in streams {
        let finished = stream.read_to_end();
        assert!(finished.properly());
        let last = finished.events.last().expect("an error event").json();
        assert!(last["error"]["message"].is_string(), "{last}");
    }
    let rows = gateway.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(rows.len(), 20);
    assert!(
        rows.iter().all(|row| row.text("error_type") == "stopping"),
        "{rows:?}"
    );
}

#[test]
fn a_stream_may_finish_while_nobody_new_is_let_in() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.answer(openai_stream(&["a", "b"]).wait_after(2, &gate));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let address = gateway.address();
    let mut stream = gateway.chat_streaming(&question(true));
    while stream.expect_event().text().is_none() {}
    gateway.begin_stop();
    let until = Instant::now() + SOON;
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < until, "it still listens");
        std::thread::sleep(Duration::from_millis(5));
    }
    gate.open();
    let finished = stream.read_to_end();
    assert!(
        finished.text().ends_with("data: [DONE]\n\n"),
        "{}",
        finished.text()
    );
    let rows = gateway.stop();
    assert!(rows[0].is_null("error_type"));
}

#[test]
fn sigterm_ends_the_process_in_order_and_a_second_signal_at_once() {
    for second_signal in [false, true] {
        let upstream = Upstream::start();
        let gate = Gate::new();
        upstream.answer(openai_answer("quick"));
        upstream.answer(openai_stream(&["a", "b"]).wait_after(2, &gate));
        let serve = model_proxy(["serve"])
            .env("PORT", "0")
            .env("CLIENT_API_KEY", CLIENT_KEY)
            .env("ALPHA_API_KEY", "key-of-alpha")
            .file(
                "config/providers/alpha.json",
                &provider_json("alpha", &upstream.url(), Protocol::OpenAi).to_string(),
            )
            .file(
                "config/models/m.json",
                &model_json("m", [("alpha", "up-m")]).to_string(),
            )
            .start();
        let address = serve.address();
        let ask = |stream| {
            post(address, "/v1/chat/completions")
                .key(CLIENT_KEY)
                .json(&question(stream))
        };
        assert_eq!(ask(false).send().status, 200);
        let mut stream = ask(true).send_streaming();
        while stream.expect_event().text().is_none() {}
        let database = serve.directory().join("model-proxy.db");
        serve.signal("TERM");
        serve.wait_until_printed(|text| text.contains("stopping").then_some(()));
        if second_signal {
            serve.signal("TERM");
        } else {
            gate.open();
            assert!(stream.read_to_end().text().contains("[DONE]"));
        }
        let (ended, count) = serve.wait_and(|| rows::read(&database).len());
        assert_eq!(ended.code() == 0, !second_signal, "{}", ended.printed);
        assert!(
            second_signal || count == 2,
            "{count} rows; {}",
            ended.printed
        );
    }
}

#[test]
fn a_signal_that_comes_as_soon_as_the_address_is_printed_ends_it_in_order() {
    for _ in 0..10 {
        let serve = model_proxy(["serve"]).env("PORT", "0").start();
        serve.address();
        serve.signal("TERM");
        let ended = serve.wait();
        assert_eq!(ended.code(), 0, "{}", ended.printed);
    }
}
