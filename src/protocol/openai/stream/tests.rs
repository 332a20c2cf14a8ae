//! OpenAI streams: what commits, what ends, what is dropped, and what it cost.

use bytes::Bytes;
use proptest::prelude::*;

use crate::conversation::Usage;
use crate::protocol::sse::{Decoder, Event, LINE_LIMIT};
use crate::protocol::{Protocol, Reading, StreamReader, UpstreamError, Verdict};

fn event(data: &str) -> Event {
    Event::parse(Bytes::from(format!("data: {data}\n\n")))
}

fn reader() -> StreamReader {
    StreamReader::new(Protocol::OpenAi, 1)
}

/// The reading of an event that begins a stream.
fn first(data: &str) -> Reading {
    reader().read(&event(data))
}

/// A reader that has passed the commit.
fn running() -> StreamReader {
    let mut reader = reader();
    assert!(reader.read(&event(&delta(r#"{"content":"a"}"#))).content);
    reader
}

fn delta(delta: &str) -> String {
    format!(
        r#"{{"id":"c","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}],"usage":null}}"#
    )
}

fn finish(reason: &str) -> String {
    format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{}},"finish_reason":{reason}}}]}}"#)
}

fn failure(verdict: Verdict) -> UpstreamError {
    match verdict {
        Verdict::Error(error) => error,
        verdict => panic!("{verdict:?} is no error"),
    }
}

#[test]
fn the_first_content_of_any_kind_commits() {
    for content in [
        r#"{"content":"a"}"#,
        r#"{"role":"assistant","content":" "}"#,
        r#"{"content" : "a" }"#,
        r#"{"c\u006fntent":"a"}"#,
        r#"{"content":[{"type":"thinking","thinking":[]}]}"#,
        r#"{"content":"\ud83d"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"content":"","reasoning_content":"hm"}"#,
        r#"{"content":null,"reasoning":"hm"}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text"}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
        r#"{"audio":{"id":"a"}}"#,
        r#"{"images":[{"type":"image_url"}]}"#,
    ] {
        let mut reader = reader();
        let reading = reader.read(&event(&delta(content)));
        assert_eq!(
            reading,
            Reading {
                verdict: Verdict::Pass,
                content: true
            },
            "{content}"
        );
        assert!(reader.committed() && reader.content_seen());
        // Once for a stream.
        assert!(!reader.read(&event(&delta(content))).content);
    }
}

#[test]
fn what_is_no_content_does_not_commit() {
    let mut reader = reader();
    for data in [
        delta(r#"{"role":"assistant"}"#),
        delta(r#"{"role":"assistant","content":"","refusal":null}"#),
        delta(r#"{"content":null,"reasoning":null,"tool_calls":null,"audio":null}"#),
        delta(r#"{"content":[],"tool_calls":[],"function_call":{},"reasoning_details":[ ]}"#),
        delta("{}"),
        delta("null"),
        delta("7"),
        delta(r#"{"content":null,"annotations":[1],"provider_specific_fields":{"a":1}}"#),
        r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#.to_owned(),
        r#"{"choices":null}"#.to_owned(),
        r#"{"choices":[null,7,"x"]}"#.to_owned(),
        "{}".to_owned(),
        r#"{"error":null,"choices":[],"usage":null}"#.to_owned(),
    ] {
        let reading = reader.read(&event(&data));
        assert_eq!(
            reading,
            Reading {
                verdict: Verdict::Pass,
                content: false
            },
            "{data}"
        );
    }
    let usage = reader.read(&event(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#));
    assert_eq!(
        usage,
        Reading {
            verdict: Verdict::UsageOnly,
            content: false
        }
    );
    assert!(!reader.committed());
    assert_eq!(reader.dropped(), 0);
}

#[test]
fn a_message_in_place_of_a_delta_is_content_too() {
    assert!(first(r#"{"choices":[{"index":0,"message":{"content":"a"}}]}"#).content);
}

#[test]
fn comments_are_told_and_not_counted() {
    let mut reader = reader();
    let comment = Event::parse(Bytes::from(": OPENROUTER PROCESSING\n\n"));
    assert_eq!(
        reader.read(&comment),
        Reading {
            verdict: Verdict::Comment,
            content: false
        }
    );
    assert_eq!(reader.dropped(), 0);
}

#[test]
fn what_is_no_chunk_is_dropped_and_counted_before_and_after_the_commit() {
    let broken: [&[u8]; 11] = [
        b"data: {\"a\":\n\n",
        b"data: {\"choices\":[]} x\n\n",
        b"data: <html>\n\n",
        b"data: 7\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b"data: \"usage\"\n\n",
        b"data:\n\n",
        b"data: \xff\n\n",
        b"id: 7\n\n",
        b"event: x\n\n",
    ];
    for mut reader in [reader(), running()] {
        for (count, raw) in (1..).zip(broken) {
            let reading = reader.read(&Event::parse(Bytes::from(raw)));
            assert_eq!(
                reading,
                Reading {
                    verdict: Verdict::Drop,
                    content: false
                },
                "{raw:?}"
            );
            assert_eq!(reader.dropped(), count);
        }
    }
}

#[test]
fn depth_bombs_are_dropped() {
    let open = "[".repeat(100_000);
    let close = "]".repeat(100_000);
    for mut reader in [reader(), running()] {
        for data in [
            format!("{{\"a\":{open}{close}}}"),
            format!("{{\"choices\":{open}"),
            "{\"choices\":[".repeat(100_000),
            format!("{{\"error\":{open}{close}}}"),
        ] {
            assert_eq!(reader.read(&event(&data)).verdict, Verdict::Drop);
        }
    }
    // Below the limit nothing recurses either.
    let deep = format!("{{\"error\":{}{}}}", "[".repeat(9_000), "]".repeat(9_000));
    failure(first(&deep).verdict);
}

#[test]
fn a_stream_is_complete_with_its_finish_reason() {
    for reason in [
        r#""stop""#,
        r#""length""#,
        r#""tool_calls""#,
        r#" "content_filter" "#,
    ] {
        for mut reader in [reader(), running()] {
            assert!(!reader.complete());
            assert_eq!(reader.read(&event(&finish(reason))).verdict, Verdict::Pass);
            assert!(reader.complete(), "{reason}");
        }
    }
    for reason in ["null", r#""""#, " null", "\n\"\""] {
        for mut reader in [reader(), running()] {
            reader.read(&event(&finish(reason)));
            assert!(!reader.complete(), "{reason}");
        }
    }
}

#[test]
fn a_finish_reason_is_seen_through_white_space() {
    let mut reader = running();
    reader.read(&event(
        "{\"choices\" : [ { \"finish_reason\"  :\t\"stop\" } ] }",
    ));
    assert!(reader.complete());
    let mut reader = running();
    reader.read(&event(
        r#"{"choices":[{"delta":{"content":"\"finish_reason\": \"stop\""},"finish_reason":null}]}"#,
    ));
    assert!(!reader.complete());
}

#[test]
fn the_marker_ends_the_stream_and_commits_one_that_is_complete() {
    let mut reader = reader();
    reader.read(&event(&finish(r#""stop""#)));
    let end = Reading {
        verdict: Verdict::End,
        content: true,
    };
    assert_eq!(reader.read(&event("[DONE]")), end);
    assert!(reader.committed() && !reader.content_seen());

    let mut reader = running();
    reader.read(&event(&finish(r#""stop""#)));
    let end = Reading {
        verdict: Verdict::End,
        content: false,
    };
    assert_eq!(reader.read(&event(" [DONE] ")), end);
    assert!(reader.content_seen());
}

#[test]
fn a_marker_without_finish_reason_completes_nothing() {
    for mut reader in [reader(), running()] {
        let end = Reading {
            verdict: Verdict::End,
            content: false,
        };
        assert_eq!(reader.read(&event("[DONE]")), end);
        assert!(!reader.complete());
    }
}

fn of_choice(index: u32, reason: &str) -> Event {
    event(&format!(
        r#"{{"choices":[{{"index":{index},"delta":{{"content":"a"}},"finish_reason":{reason}}}]}}"#
    ))
}

#[test]
fn every_choice_must_finish() {
    let mut reader = StreamReader::new(Protocol::OpenAi, 3);
    for (index, reason) in [
        (0, "null"),
        (2, "null"),
        (1, "null"),
        (2, "\"stop\""),
        (0, "\"stop\""),
    ] {
        reader.read(&of_choice(index, reason));
        assert!(!reader.complete());
    }
    reader.read(&of_choice(0, "\"stop\""));
    assert!(!reader.complete());
    reader.read(&of_choice(1, "\"length\""));
    assert!(reader.complete());
}

#[test]
fn an_upstream_that_does_not_know_n_is_complete_with_its_marker() {
    let mut reader = StreamReader::new(Protocol::OpenAi, 2);
    reader.read(&of_choice(0, "null"));
    reader.read(&of_choice(0, "\"stop\""));
    assert!(!reader.complete());
    reader.read(&event("[DONE]"));
    assert!(reader.complete());
    // But not while a choice is open.
    let mut reader = StreamReader::new(Protocol::OpenAi, 2);
    reader.read(&of_choice(0, "\"stop\""));
    reader.read(&of_choice(1, "null"));
    reader.read(&event("[DONE]"));
    assert!(!reader.complete());
}

#[test]
fn choices_beyond_all_bounds_do_no_harm() {
    let mut reader = StreamReader::new(Protocol::OpenAi, u32::MAX);
    for data in [
        r#"{"choices":[{"index":18446744073709551615,"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":-1,"finish_reason":"stop"},{"index":1e300,"finish_reason":7}]}"#,
    ] {
        assert_eq!(reader.read(&event(data)).verdict, Verdict::Pass);
    }
    assert!(!reader.complete());
}

const USAGE: &str = r#"{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":3}}"#;

#[test]
fn usage_alone_is_told_apart() {
    for mut reader in [reader(), running()] {
        let alone = event(&format!(r#"{{"choices": [ ],"usage" : {USAGE}}}"#));
        assert_eq!(reader.read(&alone).verdict, Verdict::UsageOnly);
        let report = reader.usage().unwrap();
        assert_eq!(report.raw, USAGE);
        assert_eq!(
            report.usage,
            Usage {
                input: 12,
                cache_read: 8,
                cache_write: 0,
                output: 5,
                reasoning: 3
            }
        );
        for data in [
            format!(r#"{{"choices":[{{"index":0,"delta":{{}}}}],"usage":{USAGE}}}"#),
            format!(r#"{{"usage":{USAGE}}}"#),
            format!(r#"{{"choices":null,"usage":{USAGE}}}"#),
            r#"{"choices":[],"usage":null}"#.to_owned(),
            r#"{"choices":[],"usage":7}"#.to_owned(),
        ] {
            assert_eq!(reader.read(&event(&data)).verdict, Verdict::Pass, "{data}");
        }
    }
}

#[test]
fn of_usage_in_every_chunk_the_last_counts() {
    let mut reader = reader();
    assert_eq!(reader.usage(), None);
    for output in 0..20 {
        let data = format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"a"}},"finish_reason":null}}],"usage":{{"prompt_tokens":9,"completion_tokens":{output}}}}}"#
        );
        assert_eq!(reader.read(&event(&data)).verdict, Verdict::Pass);
        assert_eq!(reader.usage().unwrap().usage.output, output);
    }
    reader.read(&event(r#"{"choices":[],"usage":null}"#));
    let report = reader.usage().unwrap();
    assert_eq!((report.usage.input, report.usage.output), (9, 19));
}

#[test]
fn usage_is_found_where_some_upstreams_hide_it() {
    for data in [
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop","usage":{USAGE}}}]}}"#
        ),
        format!(r#"{{"choices":[],"x_groq":{{"id":"r","usage":{USAGE}}}}}"#),
    ] {
        let mut reader = running();
        assert_eq!(reader.read(&event(&data)).verdict, Verdict::Pass);
        assert_eq!(reader.usage().unwrap().usage.input, 12, "{data}");
    }
}

#[test]
fn errors_inside_a_stream_are_errors() {
    for (data, message) in [
        (
            r#"{"error":{"message":"Busy","type":"server_error","code":null}}"#,
            "Busy",
        ),
        (r#"{ "error" : "Busy" }"#, "Busy"),
        (
            r#"{"error":{"code":502,"message":"Busy"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
            "Busy",
        ),
        (
            r#"{"object":"error","message":"Busy","type":"x","code":400}"#,
            "Busy",
        ),
        (
            r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
            "the answer ended with finish_reason error",
        ),
        (
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":null,"error":{"code":429,"message":"Busy"}}]}"#,
            "Busy",
        ),
    ] {
        for mut reader in [reader(), running()] {
            let error = failure(reader.read(&event(data)).verdict);
            assert_eq!(error.message, message, "{data}");
            assert!(!reader.complete() || data.contains("finish_reason"));
        }
    }
    let error = failure(first(r#"{"error":{"code":502,"message":"Busy"}}"#).verdict);
    assert_eq!(error.status, Some(502));
}

#[test]
fn an_event_named_error_is_one_whatever_its_data() {
    for mut reader in [reader(), running()] {
        for (data, message) in [("{\"message\":\"Busy\"}", "Busy"), ("busy", "busy")] {
            let raw = format!("event: error\ndata: {data}\n\n");
            let error = failure(reader.read(&Event::parse(Bytes::from(raw))).verdict);
            assert_eq!(error.message, message);
        }
    }
}

#[test]
fn an_error_of_nothing_is_none() {
    for nothing in ["null", "{}", "\"\"", "false", " null"] {
        let data = format!(
            r#"{{"error":{nothing},"choices":[{{"index":0,"delta":{{"content":"a"}},"finish_reason":null}}]}}"#
        );
        assert!(first(&data).content, "{nothing}");
        assert_eq!(
            running().read(&event(&data)).verdict,
            Verdict::Pass,
            "{nothing}"
        );
    }
}

#[test]
fn words_inside_of_content_are_only_words() {
    let mut reader = running();
    for content in [
        r#""\"error\":{\"message\":\"x\"}""#,
        "\"error\"",
        "\"usage\"",
        r#""finish_reason""#,
    ] {
        let data = delta(&format!(r#"{{"content":{content}}}"#));
        assert_eq!(
            reader.read(&event(&data)).verdict,
            Verdict::Pass,
            "{content}"
        );
    }
    assert!(!reader.complete());
    assert_eq!(reader.usage(), None);
}

#[test]
fn a_stream_split_at_every_byte_reads_alike() {
    let stream = [
        delta(r#"{"role":"assistant","content":""}"#),
        delta(r#"{"content":"Hallo 😀"}"#),
        delta(r#"{"content":" und"}"#),
        finish("\"stop\""),
        format!(r#"{{"choices":[],"usage":{USAGE}}}"#),
        "[DONE]".to_owned(),
    ]
    .map(|data| format!(": comment\r\n\r\ndata: {data}\r\n\r\n"))
    .concat();
    let read = |cut: usize| {
        let (mut decoder, mut reader) = (Decoder::new(LINE_LIMIT), reader());
        let mut readings = Vec::new();
        let (left, right) = stream.as_bytes().split_at(cut);
        for chunk in [left, right] {
            decoder.push(Bytes::copy_from_slice(chunk));
            while let Some(event) = decoder.next().unwrap() {
                readings.push(reader.read(&event));
            }
        }
        assert!(reader.complete() && reader.content_seen());
        assert_eq!(reader.usage().unwrap().raw, USAGE);
        readings
    };
    let whole = read(0);
    assert_eq!(whole.iter().filter(|reading| reading.content).count(), 1);
    assert!(whole[3].content);
    assert_eq!(whole.last().unwrap().verdict, Verdict::End);
    for cut in 1..stream.len() {
        assert_eq!(read(cut), whole, "cut at {cut}");
    }
}

/// A member, or nothing, with white space wherever it may stand.
fn member(name: &'static str, values: &[&'static str]) -> impl Strategy<Value = String> {
    let space = || prop::sample::select(vec!["", " ", "\t", "\n "]);
    let value = prop::sample::select(values.to_vec());
    let written =
        (space(), space(), space(), value).prop_map(move |(before, colon, after, value)| {
            format!("{before}\"{name}\"{colon}:{after}{value}{before}")
        });
    prop::option::of(written).prop_map(Option::unwrap_or_default)
}

fn object(members: &[String]) -> String {
    let members: Vec<&str> = members
        .iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    format!("{{{}}}", members.join(","))
}

proptest! {
    #[test]
    fn what_is_not_decoded_would_have_said_nothing(
        finish in member("finish_reason", &["null", "\"\"", "\"stop\"", "\"error\"", "7"]),
        delta in member("delta", &[
            "{}",
            r#"{"content":"a"}"#,
            r#"{"content":"\"finish_reason\":\"stop\""}"#,
            r#"{"content":"usage"}"#,
        ]),
        usage in member("usage", &["null", "{}", r#"{"prompt_tokens":1}"#, "\"\""]),
        error in member("error", &["null", "{}", "\"\"", "\"x\"", r#"{"message":"x"}"#, "false"]),
        kind in member("object", &["\"chat.completion.chunk\"", "\"error\""]),
        choices in 0..3_u8,
    ) {
        let choices = match choices {
            0 => "\"choices\":[]".to_owned(),
            1 => format!("\"choices\" : [ {} ]", object(&[delta, finish])),
            _ => String::new(),
        };
        let event = event(&object(&[kind, choices, usage, error]).replace('\n', " "));
        let (mut fresh, mut running) = (reader(), running());
        prop_assert_eq!(fresh.read(&event).verdict, running.read(&event).verdict);
        prop_assert_eq!(fresh.complete(), running.complete());
        prop_assert_eq!(fresh.usage(), running.usage());
    }

    #[test]
    fn nothing_that_arrives_does_harm(
        data in "([{}\\[\\]\",: 0-9nul]|\"choices\"|\"delta\"|\"usage\"|\"error\"|\"index\"|\"type\"|null){0,24}",
        name in prop::option::of("[a-z_]{0,5}|error|message_start|message_delta"),
    ) {
        let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
        let raw = format!("{name}data: {data}\n\n");
        for protocol in [Protocol::OpenAi, Protocol::Anthropic] {
            let mut reader = StreamReader::new(protocol, 1);
            reader.read(&Event::parse(Bytes::from(raw.clone())));
            protocol.stream_text(&[raw.clone().into()]);
            let _ = protocol.read_answer(data.as_bytes());
            protocol.answer_text(data.as_bytes());
            protocol.read_error(data.as_bytes());
            protocol.is_own_error_shape(data.as_bytes());
        }
    }
}
