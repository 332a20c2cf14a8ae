//! Stops that took too long, lost rows or cut answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;

use super::{one_route, question, streamed};
use crate::support::client::Connection;
use crate::support::gateway::{Gateway, provider_json};
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::{openai_answer, openai_delta};

/// More than the patience of a second, less than what once was waited for.
const PROMPT: Duration = Duration::from_millis(3500);

/// An upstream whose one stream always has a next event, as fast as they are taken.
fn endless() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        // the request is small and its content of no interest
        let _ = socket.read(&mut [0; 65536]).expect("a request");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).expect("a head");
        let delta = serde_json::json!({"content": "x".repeat(1000)});
        let event = openai_delta(&delta, None);
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        while socket.write_all(chunk.as_bytes()).is_ok() {}
    });
    (address, thread)
}

fn before_endless(address: SocketAddr) -> Gateway {
    let file = provider_json("alpha", &format!("http://{address}"), Protocol::OpenAi);
    Gateway::builder()
        .setting("shutdown_timeout_seconds", 1)
        .provider_file("alpha", &file)
        .keys("alpha", ["key-of-alpha"])
        .model("m", [("alpha", "up-m")])
        .start()
}

#[test]
fn clients_that_have_sent_part_of_their_body_neither_hold_the_stop_up_nor_lose_their_rows() {
    let upstream = Upstream::start();
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("shutdown_timeout_seconds", 1)
        .start();
    let body = question().to_string();
    let mut connections: Vec<Connection> = (0..50)
        .map(|_| {
            let request = gateway.post("/v1/chat/completions");
            let connection = request
                .header("content-type", "application/json")
                .send_head(body.len());
            connection.write(&body.as_bytes()[..20]);
            connection
        })
        .collect();
    super::until("fifty requests in flight", || {
        let detail = gateway.get("/health/detailed").send().json();
        detail["requests_in_flight"] == 50
    });
    let begun = Instant::now();
    gateway.begin_stop();
    for connection in &mut connections {
        assert_eq!(connection.read_response(false).status, 503);
    }
    let rows = gateway.stop();
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    assert_eq!(rows.len(), 50);
    for row in &rows {
        assert_eq!(row.text("error_type"), "stopping");
    }
}

#[test]
fn a_stream_that_its_client_does_not_read_does_not_outlive_the_stop() {
    let (address, upstream) = endless();
    let gateway = before_endless(address);
    // the head is read, and then nothing more
    let stream = gateway.chat_streaming(&streamed());
    let begun = Instant::now();
    let rows = gateway.stop();
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    drop(stream);
    upstream.join().expect("an upstream that was let go");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].number("response_status"), 200);
    assert_eq!(rows[0].text("error_type"), "stopping");
    assert_eq!(rows[0].json("attempts")[0]["outcome"], "stopping");
}

#[test]
fn a_stream_whose_upstream_is_always_ready_does_not_outlive_the_stop() {
    let (address, upstream) = endless();
    let gateway = before_endless(address);
    let stream = gateway.chat_streaming(&streamed());
    let reader = std::thread::spawn(move || stream.read_to_end());
    let begun = Instant::now();
    let rows = gateway.stop();
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    let finished = reader.join().expect("a reader");
    upstream.join().expect("an upstream that was let go");
    assert!(finished.properly(), "{:?}", finished.ended);
    let last = finished.events.last().expect("an event").json();
    assert!(last["error"]["message"].is_string(), "{last}");
    assert_eq!(rows[0].number("response_status"), 200);
    assert_eq!(rows[0].text("error_type"), "stopping");
    assert_eq!(rows[0].json("attempts")[0]["outcome"], "stopping");
}

#[test]
fn an_answer_that_is_being_written_when_the_stop_begins_arrives_whole() {
    // larger than what sockets hold
    let large = "x".repeat(14 * 1024 * 1024);
    let upstream = Upstream::start();
    upstream.answer(openai_answer(&large));
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("shutdown_timeout_seconds", 10)
        .start();
    let body = question().to_string();
    let request = gateway.post("/v1/chat/completions");
    let mut slow = request
        .header("content-type", "application/json")
        .send_head(body.len());
    slow.write(body.as_bytes());
    // for the gateway it is finished, and nobody has read a byte of it
    assert!(gateway.only_row().is_null("error_type"));
    gateway.begin_stop();
    // longer than a stop waits at least for what is written, shorter than its patience
    std::thread::sleep(Duration::from_millis(1200));
    let answer = slow.read_response(false);
    assert!(answer.ended.is_ok(), "{:?}", answer.ended);
    assert!(answer.body.len() > large.len());
}
