//! Streams that broke after content and are continued by another route: no letter lost, none said twice, and one answer
//! from the first event to the last.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    BOTH, at_once, begun, model_with, openai_routes, opening, order, pairs, path, routes, rows,
    story, stream, streamed,
};
use crate::support::client::{Finished, Streaming};
use crate::support::gateway::Gateway;
use crate::support::upstream::bodies::openai_stream_with_usage;
use crate::support::upstream::{Gate, Upstream, silence};

fn ask(gateway: &Gateway, protocol: Protocol, body: &Value) -> Streaming {
    let stream = gateway.post(path(protocol)).json(body).send_streaming();
    assert_eq!(stream.status, 200);
    stream
}

/// Reads until so much text has come.
#[track_caller]
fn read_text(stream: &mut Streaming, text: &str) {
    let mut heard = String::new();
    while heard != text {
        heard.push_str(&stream.expect_event().text().unwrap_or_default());
        assert!(text.starts_with(&heard), "{heard:?}");
    }
}

const BEGINNING: [&str; 3] = ["Hel", "lo, w\u{f6}", "rl"];
const WHOLE: [&str; 4] = ["H", "ello", ", w\u{f6}r", "ld \u{1f30d}!"];

#[test]
fn a_broken_text_is_continued_across_every_pair_of_protocols() {
    let trios = pairs(&BOTH, &pairs(&BOTH, &BOTH));
    at_once(trios, |(client, (first, second))| {
        let (one, two) = (Upstream::start(), Upstream::start());
        one.always(begun(first, &BEGINNING).cut());
        two.always(stream(second, &WHOLE));
        let gateway = routes([(&one, first), (&two, second)]).start();
        let stream = ask(&gateway, client, &streamed());
        let name = stream.header("x-model-proxy-model");
        assert_eq!(name, Some("alpha/up-alpha"));
        let heard = order::complete(client, &stream.read_to_end());
        let trio = format!("{client:?} <- {first:?}, {second:?}");
        assert_eq!(heard.text, WHOLE.concat(), "{trio}");
        let row = gateway.only_row();
        assert_eq!(
            story(&row),
            ["alpha 200 transient", "beta 200 ok"],
            "{trio}"
        );
        assert_eq!(row.text("resolved_provider"), "beta");
        assert_eq!(row.number("response_status"), 200);
        assert!(row.is_null("error_type"), "{trio}: {row:?}");
        assert_eq!(row.text("response_content"), WHOLE.concat(), "{trio}");
    });
}

#[test]
fn wherever_the_first_breaks_and_however_the_second_parts_its_text_nothing_is_lost_or_doubled() {
    let letters = ["a", "\u{e9}", "\u{1f30d}", "b", " ", "c"];
    let partings = [
        vec!["a\u{e9}\u{1f30d}b c"],
        letters.to_vec(),
        vec!["a\u{e9}", "\u{1f30d}b", " c"],
    ];
    let (one, two) = (Upstream::start(), Upstream::start());
    let gateway = openai_routes([&one, &two])
        .setting("key_cooldown_seconds", 0)
        .start();
    for parting in &partings {
        for said in 1..=letters.len() {
            one.answer(begun(Protocol::OpenAi, &letters[..said]).cut());
            two.answer(stream(Protocol::OpenAi, parting));
            let finished = ask(&gateway, Protocol::OpenAi, &streamed()).read_to_end();
            let heard = order::complete(Protocol::OpenAi, &finished);
            assert_eq!(heard.text, letters.concat(), "after {said}, {parting:?}");
        }
    }
}

#[test]
fn the_usage_is_that_of_the_route_that_finished_and_both_are_booked() {
    for client in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        one.always(begun(Protocol::Anthropic, &BEGINNING).cut());
        two.always(openai_stream_with_usage(&WHOLE));
        let gateway = routes([(&one, Protocol::Anthropic), (&two, Protocol::OpenAi)]).start();
        let mut body = streamed();
        body["stream_options"] = json!({"include_usage": true});
        if client == Protocol::Anthropic {
            body = streamed();
        }
        let heard = order::complete(client, &ask(&gateway, client, &body).read_to_end());
        let told = match client {
            Protocol::OpenAi => [
                &heard.usage["prompt_tokens"],
                &heard.usage["completion_tokens"],
            ],
            Protocol::Anthropic => [&heard.usage["input_tokens"], &heard.usage["output_tokens"]],
        };
        // four of the eleven came from the cache, which Anthropic's protocol counts apart
        let input = if client == Protocol::OpenAi { 11 } else { 7 };
        assert_eq!(told, [input, 7], "{client:?}: {:?}", heard.usage);
        let row = gateway.only_row();
        assert_eq!(
            (row.number("prompt_tokens"), row.number("completion_tokens")),
            (11, 7)
        );
        let attempts = row.json("attempts");
        for (call, (prompt, completion)) in [(18, 1), (11, 7)].into_iter().enumerate() {
            let usage = &attempts[call]["usage"];
            let counted = serde_json::to_string(usage).expect("JSON");
            let has = |count: i32| counted.contains(&format!(":{count}"));
            assert!(has(prompt) && has(completion), "call {call}: {attempts}");
        }
    }
}

#[test]
fn a_client_that_asked_for_usage_gets_it_once_from_the_route_that_finished() {
    for first in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        one.always(begun(first, &BEGINNING).cut());
        two.always(openai_stream_with_usage(&WHOLE));
        let gateway = routes([(&one, first), (&two, Protocol::OpenAi)]).start();
        let mut body = streamed();
        body["stream_options"] = json!({"include_usage": true});
        let finished = ask(&gateway, Protocol::OpenAi, &body).read_to_end();
        let heard = order::complete(Protocol::OpenAi, &finished);
        assert_eq!(heard.usage["total_tokens"], 18, "{}", finished.text());
        assert_eq!(finished.text().matches("total_tokens").count(), 1);
    }
}

#[test]
fn usage_that_the_client_did_not_ask_for_stays_hidden_after_a_splice() {
    let (one, two) = (Upstream::start(), Upstream::start());
    one.always(begun(Protocol::OpenAi, &BEGINNING).cut());
    two.always(openai_stream_with_usage(&WHOLE));
    let gateway = openai_routes([&one, &two]).start();
    let finished = ask(&gateway, Protocol::OpenAi, &streamed()).read_to_end();
    let heard = order::complete(Protocol::OpenAi, &finished);
    assert_eq!(heard.usage, Value::Null, "{}", finished.text());
    assert_eq!(gateway.only_row().number("completion_tokens"), 7);
}

#[test]
fn a_third_route_continues_what_the_second_broke_again() {
    for client in BOTH {
        // the second breaks while it repeats, exactly where the first did, and later
        for said in [&["Hel"][..], &["Hel", "lo"], &["Hello", ", ", "w"]] {
            let upstreams = [(); 3].map(|()| Upstream::start());
            let [one, two, three] = &upstreams;
            one.always(begun(client, &["He", "llo"]).cut());
            two.always(begun(Protocol::Anthropic, said).reset());
            three.always(stream(Protocol::OpenAi, &["Hello, wor", "ld"]));
            let gateway = routes([
                (one, client),
                (two, Protocol::Anthropic),
                (three, Protocol::OpenAi),
            ])
            .start();
            let heard = order::complete(client, &ask(&gateway, client, &streamed()).read_to_end());
            assert_eq!(heard.text, "Hello, world", "{client:?}, {said:?}");
            let row = gateway.only_row();
            let calls = ["alpha 200 transient", "beta 200 transient", "gamma 200 ok"];
            assert_eq!(story(&row), calls);
            assert_eq!(row.text("response_content"), "Hello, world");
        }
    }
}

#[test]
fn a_route_that_fails_before_it_continues_is_replaced_by_the_next_one() {
    for client in BOTH {
        let upstreams = [(); 3].map(|()| Upstream::start());
        let [one, two, three] = &upstreams;
        one.always(begun(client, &["Hel", "lo"]).cut());
        two.always(super::error(
            client,
            503,
            "overloaded_error",
            "second words",
        ));
        three.always(stream(client, &["Hello", "!"]));
        let gateway = routes(upstreams.each_ref().map(|one| (one, client)))
            .keys("beta", ["key-a", "key-b"])
            .start();
        let finished = ask(&gateway, client, &streamed()).read_to_end();
        assert_eq!(order::complete(client, &finished).text, "Hello!");
        assert!(!finished.text().contains("second words"));
        assert_eq!((one.requests().len(), two.requests().len()), (1, 2));
    }
}

#[test]
fn pings_go_on_while_the_next_route_repeats_what_the_client_has() {
    at_once(pairs(&BOTH, &BOTH), |(client, second)| {
        let (one, two) = (Upstream::start(), Upstream::start());
        let (head, middle) = (Gate::new(), Gate::new());
        one.always(begun(client, &["Hello, ", "wor"]).cut());
        let repeating = stream(second, &["Hello", ", wo", "rld"]);
        two.always(
            repeating
                .wait_after(opening(second) + 1, &middle)
                .wait(&head),
        );
        let gateway = routes([(&one, client), (&two, second)])
            .setting("keepalive_seconds", 0.1)
            .start();
        let mut stream = ask(&gateway, client, &streamed());
        read_text(&mut stream, "Hello, wor");
        for gate in [&head, &middle] {
            for _ in 0..2 {
                let event = stream.expect_event();
                let is_ping = event.comment.is_some() || event.name.as_deref() == Some("ping");
                assert!(is_ping, "{event:?}");
            }
            gate.open();
        }
        let finished = stream.read_to_end();
        assert!(finished.properly());
        assert!(gateway.only_row().is_null("error_type"));
        assert_eq!(gateway.only_row().text("response_content"), "Hello, world");
    });
}

#[test]
fn recovery_has_the_total_anew_and_no_more_than_that() {
    let words = ["a", "b", "c", "d", "e", "f"];
    let (one, two) = (Upstream::start(), Upstream::start());
    one.always(begun(Protocol::OpenAi, &words).pause(300).cut());
    two.answer(stream(Protocol::OpenAi, &["abcdef", "g"]).delay(300));
    two.always(silence());
    let gateway = openai_routes([&one, &two])
        .setting("total_seconds", 1.2)
        .setting("key_cooldown_seconds", 0)
        .start();
    let finished = ask(&gateway, Protocol::OpenAi, &streamed()).read_to_end();
    assert_eq!(order::complete(Protocol::OpenAi, &finished).text, "abcdefg");
    let mut stream = ask(&gateway, Protocol::OpenAi, &streamed());
    read_text(&mut stream, "abcdef");
    let broke = Instant::now();
    let finished: Finished = stream.read_to_end();
    assert!(finished.text().contains("\"error\""), "{}", finished.text());
    let elapsed = broke.elapsed();
    assert!(elapsed < Duration::from_millis(3200), "{elapsed:?}");
    assert!(two.wait_for_hangup(Duration::from_secs(1)));
    assert_eq!(story(&rows(&gateway, 2)[1])[1], "beta - timeout");
}

#[test]
fn a_log_that_keeps_no_content_changes_nothing_for_the_client() {
    let (one, two) = (Upstream::start(), Upstream::start());
    one.always(begun(Protocol::OpenAi, &BEGINNING).cut());
    two.answer(stream(Protocol::OpenAi, &WHOLE));
    two.always(stream(Protocol::OpenAi, &["Something else"]));
    let gateway = openai_routes([&one, &two])
        .setting("log_content", "metadata")
        .setting("key_cooldown_seconds", 0)
        .start();
    let finished = ask(&gateway, Protocol::OpenAi, &streamed()).read_to_end();
    assert_eq!(
        order::complete(Protocol::OpenAi, &finished).text,
        WHOLE.concat()
    );
    let finished = ask(&gateway, Protocol::OpenAi, &streamed()).read_to_end();
    order::broken(Protocol::OpenAi, &finished);
    for row in rows(&gateway, 2) {
        assert!(row.is_null("response_content"), "{row:?}");
        assert!(!format!("{row:?}").contains("Hel"), "{row:?}");
    }
}

#[test]
fn the_same_route_is_not_asked_to_continue_whatever_keys_it_has() {
    for client in BOTH {
        let upstream = Upstream::start();
        upstream.always(begun(client, &BEGINNING).cut());
        let gateway = routes([(&upstream, client)])
            .setting("max_retries", 2)
            .keys("alpha", ["key-a", "key-b"])
            .start();
        let heard = order::broken(client, &ask(&gateway, client, &streamed()).read_to_end());
        assert_eq!(heard.text, BEGINNING.concat());
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[test]
fn a_fallback_model_continues_too() {
    let (one, two) = (Upstream::start(), Upstream::start());
    one.always(begun(Protocol::OpenAi, &BEGINNING).cut());
    two.always(stream(Protocol::Anthropic, &WHOLE));
    let gateway = routes([(&one, Protocol::OpenAi), (&two, Protocol::Anthropic)])
        .model_file(
            "m",
            &model_with::<1>(json!({"fallback_model_routings": ["spare"]})),
        )
        .model("spare", [("beta", "up-spare")])
        .start();
    let finished = ask(&gateway, Protocol::OpenAi, &streamed()).read_to_end();
    assert_eq!(
        order::complete(Protocol::OpenAi, &finished).text,
        WHOLE.concat()
    );
    assert_eq!(two.only_request().json()["model"], "up-spare");
}

#[test]
fn a_message_that_broke_between_its_text_and_its_end_gets_its_end() {
    for second in BOTH {
        let (one, two) = (Upstream::start(), Upstream::start());
        let said = opening(Protocol::Anthropic) + WHOLE.len() + 1;
        one.always(stream(Protocol::Anthropic, &WHOLE).only(said).cut());
        two.always(stream(second, &WHOLE));
        let gateway = routes([(&one, Protocol::Anthropic), (&two, second)])
            .setting("key_cooldown_seconds", 0)
            .start();
        for client in BOTH {
            let finished = ask(&gateway, client, &streamed()).read_to_end();
            assert_eq!(order::complete(client, &finished).text, WHOLE.concat());
        }
    }
}
