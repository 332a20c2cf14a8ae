//! Calls and streams that another route or key took over, or should have.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{one_route, question, streamed, two_routes, until};
use crate::support::gateway::provider_json;
use crate::support::upstream::bodies::{
    anthropic_error, anthropic_stream, openai_answer, openai_error, openai_stream,
};
use crate::support::upstream::{Gate, Upstream};

#[test]
fn a_fault_of_the_client_stays_one_where_the_provider_file_repairs_tool_calls() {
    let upstream = Upstream::start();
    upstream.always(openai_error(
        422,
        "invalid_request_error",
        None,
        "temperature must not be 9",
    ));
    let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    file["error_handling"] = json!({"422": {"action": "auto_fix_tool_responses"}});
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .provider_file("alpha", &file)
        .start();
    let answer = gateway.chat(&question());
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("temperature"), "{}", answer.text());
}

#[test]
fn what_the_first_route_counted_is_not_forgotten_when_nobody_continues() {
    let (one, two) = (Upstream::start(), Upstream::start());
    // `message_start`, the start of the block, a ping, one word
    one.always(anthropic_stream(&["Hel", "lo"]).only(4).cut());
    two.always(anthropic_error(500, "api_error", "broken"));
    let gateway = two_routes(&one, &two, Protocol::Anthropic).start();
    let finished = gateway.messages_streaming(&streamed()).read_to_end();
    assert!(finished.text().contains("\"error\""), "{}", finished.text());
    let row = gateway.only_row();
    let counted = row.json("attempts")[0]["usage"]["prompt_tokens"].as_i64();
    assert_eq!(Some(row.number("prompt_tokens")), counted, "{row:?}");
    assert_eq!(
        row.text("resolved_provider"),
        "alpha",
        "who said what the client has"
    );
}

#[test]
fn a_key_that_answers_again_is_used_though_its_first_stream_is_still_running() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let gate = Gate::new();
    one.answer(openai_error(503, "server_error", None, "down").header("retry-after-ms", 1));
    one.answer(openai_stream(&["a", "b"]).wait_after(2, &gate));
    one.always(openai_answer("from the first"));
    two.always(openai_answer("from the second"));
    let gateway = two_routes(&one, &two, Protocol::OpenAi).start();
    assert!(gateway.chat(&question()).text().contains("second"));
    let mut running = gateway.chat_streaming(&streamed());
    assert_eq!(running.header("x-model-proxy-model"), Some("alpha/up-a"));
    running.expect_event();
    let answer = gateway.chat(&question());
    assert!(
        answer.text().contains("from the first"),
        "{}",
        answer.text()
    );
    gate.open();
    assert!(running.read_to_end().properly());
    until("two rows of the second route", || gateway.rows().len() == 3);
}

#[test]
fn the_longest_time_for_streams_does_not_begin_anew_with_another_route() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let words = ["a", "b", "c", "d", "e"];
    one.always(openai_stream(&words).only(5).pause(200).cut());
    two.always(openai_stream(&["abcd", "e"]).only(2).stall());
    let gateway = two_routes(&one, &two, Protocol::OpenAi)
        .setting("stream_max_seconds", 1.0)
        .start();
    let begun = Instant::now();
    let finished = gateway.chat_streaming(&streamed()).read_to_end();
    let text = finished.text();
    assert!(text.contains("stream_max_seconds"), "{text}");
    assert_eq!(two.requests().len(), 1);
    let elapsed = begun.elapsed();
    assert!(elapsed < Duration::from_millis(1700), "{elapsed:?}");
}
