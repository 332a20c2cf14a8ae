//! What clients and operators do that we had not thought of.

use std::time::Duration;

use model_proxy::protocol::Protocol;

use super::{one_route, question, until};
use crate::support::binary::model_proxy;
use crate::support::client::{Connection, get, post, request};
use crate::support::gateway::{CLIENT_KEY, Gateway, model_json, provider_json};
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::openai_answer;

#[test]
fn a_slow_upload_does_not_use_up_the_time_for_the_answer() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .setting("total_seconds", 0.5)
        .start();
    let body = question().to_string();
    let request = gateway.post("/v1/chat/completions");
    let mut connection = request
        .header("content-type", "application/json")
        .send_head(body.len());
    let (first, second) = body.split_at(20);
    connection.write(first.as_bytes());
    // the slow client is what this is about
    std::thread::sleep(Duration::from_millis(700));
    connection.write(second.as_bytes());
    let answer = connection.read_response(false);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_has_its_row() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let body = question().to_string();
    let request = gateway.post("/v1/chat/completions");
    let connection = request
        .header("content-type", "application/json")
        .send_head(body.len());
    connection.write(&body.as_bytes()[..20]);
    connection.hang_up();
    let row = gateway.only_row();
    assert_eq!(row.number("response_status"), 499);
    assert_eq!(row.text("error_type"), "client_left");
}

#[test]
fn a_get_of_the_root_is_told_what_is_allowed_there() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    for method in ["GET", "POST", "DELETE"] {
        let refused = request(gateway.address(), method, "/").send();
        assert_eq!(refused.status, 405, "{method}: {}", refused.text());
        assert_eq!(refused.header("allow"), Some("HEAD"));
        assert!(refused.json()["error"]["message"].is_string());
    }
}

#[test]
fn a_dotenv_that_becomes_unreadable_keeps_its_keys_and_shows_in_health() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let keys = "CLIENT_API_KEY=client\nALPHA_API_KEY_1=key-of-alpha\n";
    let serve = model_proxy(["serve"])
        .env("PORT", "0")
        .env("RATE_LIMIT_REQUESTS_PER_MINUTE", "0")
        .file(".env", keys)
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
    let ask = post(address, "/v1/chat/completions")
        .key("client")
        .json(&question());
    let health = get(address, "/health/detailed").key("client");
    assert_eq!(ask.send().status, 200);
    assert_eq!(health.send().json()["status"], "healthy");
    // permissions do not stop a test that runs as root; a directory stops everybody
    let dotenv = serve.directory().join(".env");
    std::fs::remove_file(&dotenv).expect("a file");
    std::fs::create_dir(&dotenv).expect("a directory");
    until("a fault in health", || {
        let detail = health.send();
        assert_eq!(detail.status, 200, "{}", detail.text());
        detail.json()["status"] == "degraded" && detail.text().contains(".env")
    });
    assert_eq!(ask.send().status, 200);
    std::fs::remove_dir(&dotenv).expect("a directory");
    std::fs::write(&dotenv, keys).expect("a file");
    until("health", || {
        let detail = health.send();
        detail.status == 200 && detail.json()["status"] == "healthy"
    });
    assert_eq!(ask.send().status, 200);
}

#[test]
fn a_signal_right_after_the_start_report_ends_the_process_in_order() {
    for _ in 0..5 {
        let serve = model_proxy(["serve"])
            .env("PORT", "0")
            .env("CLIENT_API_KEY", CLIENT_KEY)
            .start();
        serve.wait_until_printed(|text| text.contains("listening on").then_some(()));
        serve.signal("TERM");
        let ended = serve.wait();
        assert_eq!(ended.code(), 0, "{}: {}", ended.status, ended.printed);
    }
}

#[test]
fn a_client_whose_body_is_badly_framed_reads_a_400() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let mut connection = Connection::open(gateway.address());
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CLIENT_KEY}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
    );
    assert!(connection.write(head.as_bytes()));
    assert_eq!(connection.read_response(false).status, 400);
}
