//! Splices over both protocols, from raw events to raw events.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::convert::memo::Memo;
use crate::error::ErrorKind;

fn chunk(id: &str, delta: &Value, finish: Option<&str>) -> Bytes {
    let chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 7, "model": "up",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    Bytes::from(format!("data: {chunk}\n\n"))
}

fn openai(id: &str, pieces: &[&str], finish: Option<&str>) -> Vec<Bytes> {
    let mut events = vec![chunk(
        id,
        &json!({"role": "assistant", "content": ""}),
        None,
    )];
    let texts = pieces
        .iter()
        .map(|text| chunk(id, &json!({"content": text}), None));
    events.extend(texts);
    if let Some(finish) = finish {
        events.push(chunk(id, &json!({}), Some(finish)));
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    }
    events
}

fn event(kind: &str, mut data: Value) -> Bytes {
    data["type"] = kind.into();
    Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
}

fn anthropic(id: &str, pieces: &[&str], stop: Option<&str>) -> Vec<Bytes> {
    let mut events = vec![
        event(
            "message_start",
            json!({"message": {"id": id, "type": "message", "role": "assistant", "model": "up",
            "content": [], "stop_reason": null, "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        ),
        event(
            "content_block_start",
            json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
    ];
    events.extend(pieces.iter().map(|text| {
        event(
            "content_block_delta",
            json!({"index": 0, "delta": {"type": "text_delta", "text": text}}),
        )
    }));
    if let Some(stop) = stop {
        events.push(event("content_block_stop", json!({"index": 0})));
        events.push(event(
            "message_delta",
            json!({"delta": {"stop_reason": stop}, "usage": {"output_tokens": 33}}),
        ));
        events.push(event("message_stop", json!({})));
    }
    events
}

fn stream(protocol: Protocol, id: &str, pieces: &[&str], ends: bool) -> Vec<Bytes> {
    match protocol {
        Protocol::OpenAi => openai(id, pieces, ends.then_some("stop")),
        Protocol::Anthropic => anthropic(id, pieces, ends.then_some("end_turn")),
    }
}

fn told() -> Told {
    Told {
        error: GatewayError::new(ErrorKind::UpstreamErrorEvent, "it broke"),
        event: Bytes::from_static(b"the first error"),
    }
}

fn begin(events: &[Bytes], from: Protocol, client: Protocol) -> Option<Splice> {
    let mut transcript = Transcript::new(true);
    for event in events {
        transcript.push(event);
    }
    let context = ReplyContext {
        now: 1,
        fallback_id: "fallback".to_owned(),
        memo: Memo::default(),
        keeps_id: false,
    };
    Splice::begin(&transcript, from, client, context, false, told()).ok()
}

/// What the client gets of an upstream that continues.
fn go_on(splice: &mut Splice, from: Protocol, events: &[Bytes]) -> Result<String, Diverged> {
    splice.resume(from);
    let mut out = BytesMut::new();
    for raw in events {
        splice.pass(&sse::Event::parse(raw.clone()), &mut out)?;
    }
    Ok(String::from_utf8(out.to_vec()).unwrap())
}

/// The text and the ids in a stream of the client's protocol.
fn read(protocol: Protocol, stream: &str) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut ids = Vec::new();
    for line in stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
    {
        let Ok(data) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let piece = match protocol {
            Protocol::OpenAi => &data["choices"][0]["delta"]["content"],
            Protocol::Anthropic => &data["delta"]["text"],
        };
        text.push_str(piece.as_str().unwrap_or_default());
        ids.extend(data["id"].as_str().map(str::to_owned));
    }
    (text, ids)
}

const BOTH: [Protocol; 2] = [Protocol::OpenAi, Protocol::Anthropic];

#[test]
fn the_rest_of_an_answer_follows_without_a_letter_lost_or_said_twice() {
    for first in BOTH {
        for second in BOTH {
            for client in BOTH {
                let broken = stream(first, "a-1", &["Hel", "lo, wo"], false);
                let mut splice = begin(&broken, first, client).unwrap();
                let whole = stream(second, "b-2", &["He", "llo", ", wor", "ld", "!"], true);
                let rest = go_on(&mut splice, second, &whole).unwrap();
                let (text, _) = read(client, &rest);
                assert_eq!(text, "rld!", "{first:?} {second:?} {client:?}: {rest}");
                assert!(splice.has_caught_up());
            }
        }
    }
}

#[test]
fn an_openai_client_sees_one_id_and_one_role_and_one_end() {
    for second in BOTH {
        let broken = openai("odd id", &["Hello"], None);
        let mut splice = begin(&broken, Protocol::OpenAi, Protocol::OpenAi).unwrap();
        let whole = stream(second, "chatcmpl-b", &["Hello", " you"], true);
        let rest = go_on(&mut splice, second, &whole).unwrap();
        let (_, ids) = read(Protocol::OpenAi, &rest);
        assert!(
            !ids.is_empty() && ids.iter().all(|id| id == "odd id"),
            "{rest}"
        );
        assert!(!rest.contains("role"), "{rest}");
        assert!(rest.contains("\"created\":7"), "{rest}");
        assert_eq!(rest.matches("[DONE]").count(), 1, "{rest}");
        assert_eq!(
            rest.matches("\"finish_reason\":\"stop\"").count(),
            1,
            "{rest}"
        );
    }
}

#[test]
fn an_anthropic_client_sees_one_message_and_one_block_with_the_usage_of_the_route_that_finished() {
    for second in BOTH {
        let broken = anthropic("msg_a", &["Hello"], None);
        let mut splice = begin(&broken, Protocol::Anthropic, Protocol::Anthropic).unwrap();
        let whole = stream(second, "b", &["Hello", " you"], true);
        let rest = go_on(&mut splice, second, &whole).unwrap();
        assert!(!rest.contains("message_start"), "{rest}");
        assert!(!rest.contains("content_block_start"), "{rest}");
        assert_eq!(
            rest.matches("event: content_block_stop").count(),
            1,
            "{rest}"
        );
        assert_eq!(rest.matches("event: message_stop").count(), 1, "{rest}");
        if second == Protocol::Anthropic {
            assert!(rest.contains("\"output_tokens\":33"), "{rest}");
        }
    }
}

#[test]
fn another_text_is_not_mixed_into_the_first() {
    for other in [&["Hallo"][..], &["Hel"], &["Hello!"], &["Say: Hello"]] {
        let broken = openai("a", &["Hello there"], None);
        let mut splice = begin(&broken, Protocol::OpenAi, Protocol::OpenAi).unwrap();
        let answer = openai("b", other, Some("stop"));
        assert!(
            go_on(&mut splice, Protocol::OpenAi, &answer).is_err(),
            "{other:?}"
        );
    }
}

#[test]
fn more_than_text_cannot_be_continued() {
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{"}}]});
    let reasoning = json!({"reasoning_content": "hm"});
    for delta in [call, reasoning] {
        let mut broken = openai("a", &["Hello"], None);
        broken.push(chunk("a", &delta, None));
        assert!(begin(&broken, Protocol::OpenAi, Protocol::OpenAi).is_none());
    }
}

#[test]
fn what_was_not_kept_whole_cannot_be_continued() {
    let long = "x".repeat(300 * 1024);
    let broken = openai("a", &["Hello", &long], None);
    assert!(begin(&broken, Protocol::OpenAi, Protocol::OpenAi).is_none());
}

#[test]
fn blanks_alone_are_continued_only_where_they_were_held_back() {
    for (first, client, goes_on) in [
        (Protocol::OpenAi, Protocol::Anthropic, true),
        (Protocol::Anthropic, Protocol::Anthropic, false),
        (Protocol::OpenAi, Protocol::OpenAi, false),
    ] {
        let splice = begin(&stream(first, "a", &["  "], false), first, client);
        assert_eq!(splice.is_some(), goes_on);
        if let Some(mut splice) = splice {
            let answer = openai("b", &["  ", "Hello"], Some("stop"));
            let rest = go_on(&mut splice, Protocol::OpenAi, &answer).unwrap();
            assert_eq!(read(client, &rest).0, "  Hello");
        }
    }
}

#[test]
fn an_upstream_that_reasons_before_it_repeats_the_text_diverges() {
    let broken = openai("a", &["Hello"], None);
    let mut splice = begin(&broken, Protocol::OpenAi, Protocol::OpenAi).unwrap();
    let mut answer = openai("b", &[], None);
    answer.push(chunk("b", &json!({"reasoning_content": "hm"}), None));
    assert!(go_on(&mut splice, Protocol::OpenAi, &answer).is_err());
}

#[test]
fn a_tool_call_after_the_text_is_passed_on_and_ends_further_splices() {
    let broken = anthropic("msg_a", &["Hello"], None);
    let mut splice = begin(&broken, Protocol::Anthropic, Protocol::Anthropic).unwrap();
    let mut answer = openai("b", &["Hello"], None);
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{}"}}]});
    answer.push(chunk("b", &call, None));
    answer.push(chunk("b", &json!({}), Some("tool_calls")));
    answer.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let rest = go_on(&mut splice, Protocol::OpenAi, &answer).unwrap();
    let stop = rest.find("content_block_stop").unwrap();
    let start = rest.find("content_block_start").unwrap();
    assert!(stop < start, "{rest}");
    assert!(rest.contains("\"index\":1"), "{rest}");
    assert!(!splice.can_go_on());
}

#[test]
fn a_third_upstream_continues_what_the_second_broke_off() {
    let broken = openai("a", &["one "], None);
    let mut splice = begin(&broken, Protocol::OpenAi, Protocol::OpenAi).unwrap();
    let second = anthropic("b", &["one two ", "three "], None);
    let rest = go_on(&mut splice, Protocol::Anthropic, &second).unwrap();
    assert_eq!(read(Protocol::OpenAi, &rest).0, "two three ");
    assert!(splice.can_go_on());
    let third = openai("c", &["one two three four"], Some("stop"));
    let rest = go_on(&mut splice, Protocol::OpenAi, &third).unwrap();
    let (text, ids) = read(Protocol::OpenAi, &rest);
    assert_eq!(text, "four");
    assert!(ids.iter().all(|id| id == "a"));
}

proptest! {
    #[test]
    fn wherever_it_breaks_and_however_both_are_cut_the_text_is_whole(
        text in "[a-zäß€😀][a-zäß€😀 ]{0,40}",
        broken_at in 1..40usize,
        cuts in prop::collection::vec(1..6usize, 0..40),
        first in prop::sample::select(&BOTH[..]),
        second in prop::sample::select(&BOTH[..]),
        client in prop::sample::select(&BOTH[..]),
    ) {
        let letters: Vec<char> = text.chars().collect();
        let sent: String = letters.iter().take(broken_at).collect();
        let mut pieces = Vec::new();
        let mut rest = &letters[..];
        let mut cuts = cuts.into_iter().chain(std::iter::repeat(3));
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            pieces.push(piece.iter().collect::<String>());
            rest = later;
        }
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let mut splice = begin(&stream(first, "a", &[&sent], false), first, client).unwrap();
        let rest = go_on(&mut splice, second, &stream(second, "b", &pieces, true)).unwrap();
        prop_assert_eq!(sent + &read(client, &rest).0, text);
    }
}
