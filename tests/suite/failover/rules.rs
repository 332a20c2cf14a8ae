//! The actions that a provider file sets for a status: what they do to the request, the key, the model and the provider.

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{
    answer, at_once, begun, error, gaps, model, openai_routes, order, path, provider, question,
    routes, rows, story, stream, streamed, to_model,
};
use crate::support::gateway::Gateway;
use crate::support::upstream::bodies::openai_answer;
use crate::support::upstream::{Answer, Upstream, sse};

const OPENAI: Protocol = Protocol::OpenAi;

/// `m` on `alpha` with two keys, of which `key-a` is refused with 418, and `beta`; `other` on another model of `alpha`
/// alone; `more` on the same model of `alpha` alone.
fn ruled(first: &Upstream, second: &Upstream, action: &str) -> Gateway {
    first.judge_by(|request| match request.key() {
        Some("key-a") => error(OPENAI, 418, "teapot", "short and stout"),
        _ => openai_answer("alpha"),
    });
    second.always(openai_answer("beta"));
    let mut file = provider("alpha", first, OPENAI, json!({}));
    file["error_handling"] = json!({"418": {"action": action, "cooldown_seconds": 60}});
    openai_routes([first, second])
        .provider_file("alpha", &file)
        .keys("alpha", ["key-a", "key-b"])
        .model_file("more", &model("more", &["alpha"]))
        .model("other", [("alpha", "up-other")])
        .start()
}

/// The calls with the refused key of two requests to each of these models.
fn refused_calls(gateway: &Gateway, upstream: &Upstream) -> [usize; 2] {
    ["more", "other"].map(|name| {
        let before = upstream.requests().len();
        for _ in 0..2 {
            gateway.chat(&to_model(question(), name));
        }
        let used = upstream.keys_used().split_off(before);
        used.iter().filter(|key| *key == "key-a").count()
    })
}

#[test]
fn each_action_of_a_provider_file_rests_what_it_names_and_moves_the_request_on() {
    let ways = [
        // whether the other key is asked before the next route, and whether the refused one is asked again afterwards,
        // by a request for the same model and by one for another
        ("global_key_failure", true, [0, 0]),
        ("model_key_failure", true, [0, 1]),
        ("provider_cooldown", false, [0, 0]),
        ("fallback_no_cooldown", false, [1, 1]),
        ("auto_fix_tool_responses", false, [1, 1]),
    ];
    at_once(ways, |(action, stays, again)| {
        let (first, second) = (Upstream::start(), Upstream::start());
        let gateway = ruled(&first, &second, action);
        // whichever key comes first: within two requests the refused one has had its turn
        let refused = loop {
            let answer = gateway.chat(&question());
            assert_eq!(answer.status, 200, "{action}: {}", answer.text());
            if first.keys_used().contains(&"key-a".to_owned()) {
                break answer;
            }
        };
        let provider = if stays {
            "alpha/up-alpha"
        } else {
            "beta/up-beta"
        };
        let name = refused.header("x-model-proxy-model");
        assert_eq!(name, Some(provider), "{action}");
        assert_eq!(refused.header("x-model-proxy-attempts"), Some("2"));
        assert_eq!(refused_calls(&gateway, &first), again, "{action}");
    });
}

#[test]
fn a_provider_that_rests_as_a_whole_is_told_about_without_a_call() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = ruled(&first, &second, "provider_cooldown");
    while !first.keys_used().contains(&"key-a".to_owned()) {
        gateway.chat(&question());
    }
    let calls = first.requests().len();
    let refused = gateway.chat(&to_model(question(), "other"));
    assert_eq!(refused.status, 429, "{}", refused.text());
    let seconds = refused.header("retry-after").expect("retry-after");
    assert!((50..=60).contains(&seconds.parse::<u64>().expect("seconds")));
    assert_eq!(first.requests().len(), calls);
}

#[test]
fn a_400_that_the_file_blames_on_the_key_is_not_told_as_the_clients_fault() {
    let upstream = Upstream::start();
    upstream.always(error(OPENAI, 400, "invalid_request_error", "odd words"));
    let mut file = provider("alpha", &upstream, OPENAI, json!({}));
    file["error_handling"] = json!({"400": {"action": "global_key_failure"}});
    let gateway = openai_routes([&upstream])
        .provider_file("alpha", &file)
        .start();
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(!refused.text().contains("odd words"));
}

/// Answers that are none, and count as a 502.
fn no_answers(streaming: bool) -> Vec<Answer> {
    if streaming {
        return vec![
            stream(OPENAI, &["x"]).only(1).cut(),
            sse(Vec::<String>::new()),
            sse([super::error_event(OPENAI, "server_error", "no")]),
        ];
    }
    let half = openai_answer("x").claiming_length(10_000);
    vec![half, openai_answer("x").body("application/json", "{}")]
}

#[test]
fn an_answer_that_is_none_is_repeated_like_a_502() {
    for streaming in [false, true] {
        let ways = no_answers(streaming).into_iter();
        at_once(
            ways.flat_map(|way| [(way.clone(), json!([502]), 2), (way, json!([500]), 1)]),
            |(way, listed, calls)| {
                let (first, second) = (Upstream::start(), Upstream::start());
                first.always(way);
                second.always(answer(OPENAI, streaming, "saved"));
                let config = json!({"max_retries": 1, "retry_on_status": listed});
                let gateway = openai_routes([&first, &second])
                    .provider_file("alpha", &provider("alpha", &first, OPENAI, config))
                    .start();
                let body = if streaming { streamed() } else { question() };
                assert!(gateway.chat(&body).text().contains("saved"));
                assert_eq!(first.requests().len(), calls, "{}", gaps(&first).len());
            },
        );
    }
}

#[test]
fn a_limit_in_the_middle_of_a_stream_ends_in_one_more_call_not_in_a_loop() {
    for protocol in super::BOTH {
        let upstream = Upstream::start();
        let mut events = super::events(protocol, &["Hello"]);
        events.truncate(super::opening(protocol) + 1);
        events.push(super::error_event(
            protocol,
            "rate_limit_error",
            "slow down",
        ));
        upstream.always(sse(events));
        let file = super::model_with::<2>(json!({"fallback_model_routings": ["m"]}));
        let gateway = routes([(&upstream, protocol), (&upstream, protocol)])
            .setting("max_retries", 5)
            .keys("alpha", ["key-a", "key-b", "key-c"])
            .model_file("m", &file)
            .start();
        let stream = gateway
            .post(path(protocol))
            .json(&streamed())
            .send_streaming();
        let heard = order::broken(protocol, &stream.read_to_end());
        assert_eq!(heard.text, "Hello");
        assert_eq!(upstream.requests().len(), 2);
        let calls = ["alpha 200 transient", "beta 200 transient"];
        assert_eq!(story(&rows(&gateway, 1)[0]), calls);
    }
}

#[test]
fn a_stream_that_is_repeated_before_content_shows_nothing_of_its_failures() {
    for protocol in super::BOTH {
        let upstream = Upstream::start();
        upstream.answer(begun(protocol, &[]).cut());
        upstream.answer(error(protocol, 503, "overloaded_error", "first words"));
        upstream.always(stream(protocol, &["third"]));
        let gateway = routes([(&upstream, protocol)])
            .setting("max_retries", 2)
            .start();
        let stream = gateway
            .post(path(protocol))
            .json(&streamed())
            .send_streaming();
        assert_eq!(stream.header("x-model-proxy-attempts"), Some("3"));
        let finished = stream.read_to_end();
        assert_eq!(order::complete(protocol, &finished).text, "third");
        assert!(!finished.text().contains("first words"));
    }
}
