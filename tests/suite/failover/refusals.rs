//! Refusals of what a request is: too long for one model, unwanted everywhere, or mended and asked again.

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    BOTH, answer, error, error_body, error_event, model_with, path, provider, question, routes,
    story, streamed, whole,
};
use crate::support::upstream::bodies::openai_error;
use crate::support::upstream::{Answer, Upstream, reply, sse};

fn too_long(protocol: Protocol, model: &str) -> Answer {
    let message = format!("prompt is too long for {model}: 9000 tokens > 8192 maximum");
    match protocol {
        Protocol::OpenAi => openai_error(
            400,
            "invalid_request_error",
            Some("context_length_exceeded"),
            &message,
        ),
        Protocol::Anthropic => error(protocol, 400, "invalid_request_error", &message),
    }
}

#[test]
fn a_prompt_that_is_too_long_goes_on_to_other_models_with_one_call_each() {
    for protocol in BOTH {
        for streaming in [false, true] {
            let upstreams = [(); 3].map(|()| Upstream::start());
            let [first, second, third] = &upstreams;
            first.always(too_long(protocol, "alpha"));
            second.always(too_long(protocol, "beta"));
            third.always(answer(protocol, streaming, "fits"));
            let mut file = model_with::<3>(json!({}));
            // the same model of the same provider once more: as long as before
            let again = file["model_routings"][0].clone();
            file["model_routings"]
                .as_array_mut()
                .expect("a list")
                .insert(1, again);
            let gateway = routes(upstreams.each_ref().map(|one| (one, protocol)))
                .setting("max_retries", 3)
                .keys("alpha", ["key-a", "key-b"])
                .keys("beta", ["key-c", "key-d"])
                .model_file("m", &file)
                .start();
            let body = if streaming { streamed() } else { question() };
            let answer = gateway.post(path(protocol)).json(&body).send();
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.text().contains("fits"));
            assert_eq!(
                story(&gateway.only_row()),
                [
                    "alpha 400 context_length",
                    "beta 400 context_length",
                    "gamma 200 ok"
                ]
            );
        }
    }
}

#[test]
fn a_prompt_that_is_too_long_for_every_model_gets_the_first_refusal() {
    for protocol in BOTH {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(too_long(protocol, "alpha"));
        second.always(too_long(protocol, "beta"));
        let gateway = routes([(&first, protocol), (&second, protocol)]).start();
        for calls in [1, 2] {
            let refused = gateway.post(path(protocol)).json(&question()).send();
            assert_eq!(refused.status, 400);
            let message = refused.json()["error"]["message"].to_string();
            assert!(message.contains("too long for alpha"), "{message}");
            assert_eq!(refused.header("x-model-proxy-attempts"), Some("2"));
            // and nobody rests for it
            assert_eq!(
                (first.requests().len(), second.requests().len()),
                (calls, calls)
            );
        }
    }
}

#[test]
fn a_refusal_of_content_is_told_at_once_and_asks_nobody_else() {
    let words = "Your request was rejected as a result of our safety system";
    for protocol in BOTH {
        let kind = "invalid_request_error";
        for (status, streaming, refusal) in [
            (400, false, error(protocol, 400, kind, words)),
            (400, true, error(protocol, 400, kind, words)),
            (403, false, error(protocol, 403, "moderation", words)),
            (
                400,
                false,
                reply(200).json(&error_body(protocol, kind, words)),
            ),
            (400, true, sse([error_event(protocol, kind, words)])),
        ] {
            let (first, second) = (Upstream::start(), Upstream::start());
            first.always(refusal);
            let gateway = routes([(&first, protocol), (&second, protocol)])
                .setting("max_retries", 3)
                .keys("alpha", ["key-a", "key-b"])
                .start();
            let body = if streaming { streamed() } else { question() };
            let refused = gateway.post(path(protocol)).json(&body).send();
            assert_eq!(refused.status, status, "{}", refused.text());
            assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
            assert!(story(&gateway.only_row())[0].ends_with(" content_policy"));
        }
    }
}

/// A conversation in which a tool was called and nobody answered.
fn unanswered(protocol: Protocol) -> Value {
    let mut body = question();
    body["messages"] = match protocol {
        Protocol::OpenAi => json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
            ]},
            {"role": "user", "content": "never mind"},
        ]),
        Protocol::Anthropic => json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {}}
            ]},
            {"role": "user", "content": "never mind"},
        ]),
    };
    body
}

#[test]
fn missing_tool_results_are_added_and_the_same_key_is_asked_once_more() {
    for protocol in BOTH {
        let (first, second) = (Upstream::start(), Upstream::start());
        let words = "tool calls without results";
        first.judge_by(move |request| {
            if String::from_utf8_lossy(&request.body)
                .matches("call_1")
                .count()
                > 1
            {
                whole(protocol, "mended")
            } else {
                error(protocol, 400, "invalid_request_error", words)
            }
        });
        second.always(whole(protocol, "saved"));
        let mut file = provider("alpha", &first, protocol, json!({"max_retries": 0}));
        file["error_handling"] = json!({"400": {"action": "auto_fix_tool_responses"}});
        let gateway = routes([(&first, protocol), (&second, protocol)])
            .provider_file("alpha", &file)
            .start();
        let answer = gateway
            .post(path(protocol))
            .json(&unanswered(protocol))
            .send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("mended"), "{}", answer.text());
        assert_eq!(story(&gateway.only_row())[1], "alpha 200 ok");
        assert_eq!(first.requests().len(), 2);
    }
}

#[test]
fn a_request_that_was_mended_in_vain_is_asked_no_third_time() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(error(Protocol::OpenAi, 400, "invalid_request_error", "no"));
    second.always(whole(Protocol::OpenAi, "saved"));
    let mut file = provider("alpha", &first, Protocol::OpenAi, json!({"max_retries": 3}));
    file["error_handling"] = json!({"400": {"action": "auto_fix_tool_responses"}});
    let gateway = super::openai_routes([&first, &second])
        .provider_file("alpha", &file)
        .start();
    let answer = gateway.chat(&unanswered(Protocol::OpenAi));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((first.requests().len(), second.requests().len()), (2, 1));
    // what has nothing to mend goes on at once
    assert_eq!(gateway.chat(&question()).status, 200);
    assert_eq!((first.requests().len(), second.requests().len()), (3, 2));
}
