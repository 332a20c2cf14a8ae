//! The request log: one row a request, whatever its end, with every column true and no secret in it.

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::client::post;
use crate::support::gateway::{CLIENT_KEY, Gateway, provider_json};
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::{
    anthropic_answer, anthropic_stream, anthropic_usage, openai_answer, openai_error,
    openai_stream_with_usage, openai_usage,
};

fn question() -> Value {
    json!({"model": "m", "max_tokens": 9, "temperature": 0.5, "messages": [{"role": "user", "content": "good morning"}]})
}

#[test]
fn a_row_tells_everything_about_a_request() {
    let upstream = Upstream::start();
    upstream.answer(openai_answer("good evening"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let answer = gateway
        .post("/v1/chat/completions?x=1")
        .json(&question())
        .send();
    let row = gateway.only_row();
    assert_eq!(
        row.text("request_id"),
        answer.header("x-request-id").expect("an id")
    );
    assert_eq!(row.text("endpoint"), "/v1/chat/completions");
    assert_eq!(row.text("method"), "POST");
    assert_eq!(row.text("client"), "client-1");
    assert_eq!(row.text("client_api_key_hash").len(), 64);
    assert_eq!(row.text("requested_model"), "m");
    assert_eq!(row.text("resolved_provider"), "alpha");
    assert_eq!(row.text("resolved_model"), "up-m");
    assert_eq!(row.number("response_status"), 200);
    assert!(row.number("response_time_ms") >= 0);
    assert_eq!(
        row.json("parameters"),
        json!({"max_tokens": 9, "temperature": 0.5})
    );
    assert_eq!(row.json("messages"), question()["messages"]);
    assert!(row.text("response_content").contains("good evening"));
    assert_eq!(row.json("response_usage"), openai_usage(11, 7));
    assert_eq!(row.text("provider_api_key_used"), "ALPHA_API_KEY_1");
    assert_eq!(row.number("provider_retries"), 0);
    assert_eq!(row.number("is_streaming"), 0);
    for column in ["error_message", "error_type", "loss"] {
        assert!(row.is_null(column), "{column}");
    }
    let tokens = [
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "reasoning_tokens",
    ];
    assert_eq!(tokens.map(|column| row.number(column)), [11, 7, 4, 2]);
    let attempts = row.json("attempts");
    let attempt = &attempts[0];
    assert_eq!(attempt["provider"], "alpha");
    assert_eq!(attempt["model"], "up-m");
    assert_eq!(attempt["protocol"], "openai");
    assert_eq!(attempt["key"], "ALPHA_API_KEY_1");
    assert_eq!(attempt["status"], 200);
    let timestamp = row.text("timestamp");
    assert!(
        timestamp.len() == 24 && timestamp.ends_with('Z'),
        "{timestamp}"
    );
}

#[test]
fn input_tokens_of_messages_are_counted_with_their_cached_ones() {
    let upstream = Upstream::start();
    upstream.answer(anthropic_answer("hi"));
    upstream.answer(anthropic_stream(&["hi"]));
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let mut body = question();
    gateway.messages(&body);
    body["stream"] = json!(true);
    gateway.messages_streaming(&body).read_to_end();
    let rows = gateway.rows();
    for row in &rows {
        let tokens = [
            "prompt_tokens",
            "completion_tokens",
            "cached_tokens",
            "cache_write_tokens",
        ];
        assert_eq!(tokens.map(|column| row.number(column)), [18, 7, 4, 3]);
        assert!(row.text("response_content").contains("hi"));
    }
    assert_eq!(rows[0].json("response_usage"), anthropic_usage(11, 7));
    assert_eq!(
        [0, 1].map(|index| rows[index].number("is_streaming")),
        [0, 1]
    );
    assert!(rows[1].number("first_token_ms") <= rows[1].number("response_time_ms"));
}

#[test]
fn every_end_has_its_row_but_a_stranger_has_none() {
    let upstream = Upstream::start();
    upstream.answer(openai_error(
        400,
        "invalid_request_error",
        None,
        "bad temperature",
    ));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    gateway.chat(&question());
    gateway.chat(&json!({"model": "nobody", "messages": [{}]}));
    gateway
        .post("/v1/chat/completions")
        .body("application/json", "{")
        .send();
    post(gateway.address(), "/v1/chat/completions")
        .key("wrong")
        .json(&question())
        .send();
    gateway.get("/v1/models").send();
    let rows = gateway.rows();
    let statuses: Vec<_> = rows
        .iter()
        .map(|row| row.number("response_status"))
        .collect();
    assert_eq!(statuses[1..], [404, 400]);
    assert_eq!(statuses[0], 400);
    assert!(rows[0].text("error_message").contains("bad temperature"));
    assert_eq!(rows[1].text("error_type"), "model_not_found");
    assert!(rows[1].is_null("resolved_provider"));
    assert_eq!(rows[2].text("error_type"), "invalid_request");
}

#[test]
fn content_is_cut_at_its_limit_or_left_out() {
    let upstream = Upstream::start();
    let long = "é".repeat(500);
    upstream.always(openai_answer(&long));
    let mut body = question();
    body["messages"][0]["content"] = json!(long);
    let gateway = |name: &str, value: &str| {
        Gateway::builder()
            .setting(name, value)
            .provider("alpha", &upstream, Protocol::OpenAi)
            .model("m", [("alpha", "up-m")])
            .start()
    };
    let cut = gateway("log_content_max_bytes", "101");
    assert_eq!(cut.chat(&body).status, 200);
    let row = cut.only_row();
    for column in ["messages", "response_content"] {
        let text = row.text(column);
        let (kept, note) = text.split_once("…[cut: ").expect("a note");
        assert!(kept.len() <= 101 && note.ends_with(" bytes]"), "{text}");
    }
    let bare = gateway("log_content", "metadata");
    assert_eq!(bare.chat(&body).status, 200);
    let row = bare.only_row();
    assert!(!format!("{row:?}").contains("éé"), "{row:?}");
    assert_eq!(row.number("prompt_tokens"), 11);
}

#[test]
fn no_key_is_in_a_row_or_an_answer_even_if_the_upstream_repeats_it() {
    let upstream = Upstream::start();
    let secret = "provider-secret-123456";
    let telling = format!("your key {secret} and {CLIENT_KEY} are bad");
    upstream.answer(openai_error(400, "invalid_request_error", None, &telling));
    upstream.answer(openai_error(500, "server_error", None, &telling));
    upstream.answer(openai_stream_with_usage(&[&telling]));
    let gateway = Gateway::builder()
        .setting("max_retries", 0)
        .setting("key_cooldown_seconds", 0)
        .provider_file(
            "alpha",
            &provider_json("alpha", &upstream.url(), Protocol::OpenAi),
        )
        .keys("alpha", [secret])
        .model("m", [("alpha", "up-m")])
        .start();
    for _ in 0..2 {
        let answer = gateway.chat(&question()).text();
        assert!(
            !answer.contains(secret) && !answer.contains(CLIENT_KEY),
            "{answer}"
        );
    }
    let mut body = question();
    body["stream"] = json!(true);
    gateway.chat_streaming(&body).read_to_end();
    let rows = format!("{:?}", gateway.rows());
    assert!(
        !rows.contains(secret) && !rows.contains(CLIENT_KEY),
        "{rows}"
    );
}
