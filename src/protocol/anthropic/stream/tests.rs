//! Anthropic streams: what commits, what ends, what is dropped, and what it cost.

use bytes::Bytes;

use crate::conversation::Usage;
use crate::protocol::sse::{Decoder, Event, LINE_LIMIT};
use crate::protocol::{Protocol, Reading, StreamReader, UpstreamError, Verdict};

/// An event whose name is the type in its data.
fn event(kind: &str, members: &str) -> Event {
    let comma = if members.is_empty() { "" } else { "," };
    Event::parse(Bytes::from(format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\"{comma}{members}}}\n\n"
    )))
}

/// The same without its name.
fn unnamed(kind: &str, members: &str) -> Event {
    let data = event(kind, members).data;
    let data = std::str::from_utf8(&data).unwrap().to_owned();
    Event::parse(Bytes::from(format!("data: {data}\n\n")))
}

fn reader() -> StreamReader {
    StreamReader::new(Protocol::Anthropic, 1)
}

fn running() -> StreamReader {
    let mut reader = reader();
    assert!(reader.read(&event("content_block_delta", TEXT)).content);
    reader
}

const START: &str = r#""message":{"id":"msg_1","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":20,"output_tokens":1}}"#;
const TEXT: &str = r#""index":0,"delta":{"type":"text_delta","text":"Hallo"}"#;
const STOP: &str =
    r#""delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":42}"#;

fn failure(verdict: Verdict) -> UpstreamError {
    match verdict {
        Verdict::Error(error) => error,
        verdict => panic!("{verdict:?} is no error"),
    }
}

#[test]
fn the_first_content_of_any_kind_commits() {
    for (kind, members) in [
        ("content_block_delta", TEXT),
        (
            "content_block_delta",
            r#""index":0,"delta":{"type":"thinking_delta","thinking":"hm"}"#,
        ),
        (
            "content_block_delta",
            r#""index":0,"delta":{"type":"signature_delta","signature":"s"}"#,
        ),
        (
            "content_block_delta",
            r#""index":0,"delta":{"type":"input_json_delta","partial_json":"{"}"#,
        ),
        (
            "content_block_delta",
            r#""index":0,"delta":{"type":"citations_delta","citation":{"a":1}}"#,
        ),
        (
            "content_block_start",
            r#""index":0,"content_block":{"type":"thinking","thinking":"","signature":""}"#,
        ),
        (
            "content_block_start",
            r#""index":0,"content_block":{"type":"redacted_thinking","data":"x"}"#,
        ),
        (
            "content_block_start",
            r#""index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}"#,
        ),
        (
            "content_block_start",
            r#""index":0,"content_block":{"type":"server_tool_use","id":"t","name":"web_search"}"#,
        ),
        (
            "content_block_start",
            r#""index":0,"content_block":{"type":"web_search_tool_result","content":[]}"#,
        ),
        (
            "content_block_start",
            r#""index":0,"content_block":{"type":"text","text":"Hallo"}"#,
        ),
    ] {
        for event in [event(kind, members), unnamed(kind, members)] {
            let mut reader = reader();
            let reading = reader.read(&event);
            assert_eq!(
                reading,
                Reading {
                    verdict: Verdict::Pass,
                    content: true
                },
                "{members}"
            );
            assert!(reader.committed() && reader.content_seen());
            assert!(!reader.read(&event).content);
        }
    }
}

#[test]
fn what_is_no_content_does_not_commit() {
    let mut reader = reader();
    for (kind, members) in [
        ("message_start", START),
        ("ping", ""),
        (
            "content_block_start",
            r#""index":0,"content_block":{"type":"text","text":""}"#,
        ),
        (
            "content_block_delta",
            r#""index":0,"delta":{"type":"text_delta","text":""}"#,
        ),
        ("content_block_delta", r#""index":0,"delta":null"#),
        ("content_block_start", r#""index":0"#),
        ("content_block_stop", r#""index":0"#),
        ("message_delta", STOP),
        ("something_new", r#""content":"a""#),
    ] {
        for event in [event(kind, members), unnamed(kind, members)] {
            let reading = reader.read(&event);
            assert_eq!(
                reading,
                Reading {
                    verdict: Verdict::Pass,
                    content: false
                },
                "{kind}"
            );
        }
    }
    assert!(!reader.committed());
}

#[test]
fn a_stream_is_complete_with_its_stop_reason() {
    for event in [event("message_delta", STOP), unnamed("message_delta", STOP)] {
        for mut reader in [reader(), running()] {
            assert!(!reader.complete());
            reader.read(&event);
            assert!(reader.complete());
        }
    }
    let mut reader = running();
    reader.read(&event("message_delta", r#""delta":{"stop_reason":null}"#));
    reader.read(&event("message_delta", r#""usage":{"output_tokens":1}"#));
    assert!(!reader.complete());
    assert_eq!(
        reader.read(&event("message_stop", "")).verdict,
        Verdict::End
    );
    assert!(!reader.complete());
}

#[test]
fn the_end_commits_an_answer_that_has_nothing_else() {
    for end in [event("message_stop", ""), unnamed("message_stop", "")] {
        let mut reader = reader();
        reader.read(&event("message_start", START));
        assert_eq!(
            reader.read(&end),
            Reading {
                verdict: Verdict::End,
                content: false
            }
        );
        reader.read(&event("message_delta", STOP));
        assert_eq!(
            reader.read(&end),
            Reading {
                verdict: Verdict::End,
                content: true
            }
        );
        assert!(reader.committed() && !reader.content_seen());
    }
}

#[test]
fn usage_of_the_end_is_laid_over_that_of_the_beginning() {
    let mut reader = reader();
    reader.read(&event("message_start", START));
    let at_start = reader.usage().unwrap().usage;
    assert_eq!((at_start.input, at_start.output), (33, 1));
    reader.read(&event("message_delta", STOP));
    let report = reader.usage().unwrap();
    assert_eq!(
        report.usage,
        Usage {
            input: 33,
            cache_read: 20,
            cache_write: 3,
            output: 42,
            reasoning: 0
        }
    );
    assert_eq!(
        report.raw,
        r#"{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":20,"output_tokens":42}"#
    );
}

#[test]
fn cumulative_usage_takes_nothing_back() {
    let mut reader = reader();
    reader.read(&event("message_start", START));
    let later = r#""delta":{},"usage":{"input_tokens":0,"cache_read_input_tokens":null,"output_tokens":7.0,"server_tool_use":{"web_search_requests":1}}"#;
    reader.read(&event("message_delta", later));
    let usage = reader.usage().unwrap();
    assert_eq!((usage.usage.input, usage.usage.output), (33, 7));
    assert!(
        usage
            .raw
            .ends_with(r#""output_tokens":7.0,"server_tool_use":{"web_search_requests":1}}"#)
    );
}

#[test]
fn usage_that_comes_only_at_the_end_counts() {
    let mut reader = reader();
    reader.read(&event(
        "message_start",
        r#""message":{"usage":{"input_tokens":0,"output_tokens":0}}"#,
    ));
    reader.read(&event(
        "message_delta",
        r#""delta":{},"usage":{"input_tokens":9,"output_tokens":4}"#,
    ));
    let usage = reader.usage().unwrap().usage;
    assert_eq!((usage.input, usage.output), (9, 4));

    let mut reader = StreamReader::new(Protocol::Anthropic, 1);
    reader.read(&event("message_start", r#""message":{"usage":null}"#));
    assert_eq!(reader.usage(), None);
    reader.read(&event("message_delta", STOP));
    assert_eq!(reader.usage().unwrap().usage.output, 42);
}

#[test]
fn an_error_event_is_an_error() {
    let body = r#""error":{"type":"overloaded_error","message":"Overloaded"}"#;
    for event in [
        event("error", body),
        unnamed("error", body),
        Event::parse(Bytes::from(format!("data: {{{body}}}\n\n"))),
        Event::parse(Bytes::from(format!("event: message\ndata: {{{body}}}\n\n"))),
    ] {
        for mut reader in [reader(), running()] {
            let error = failure(reader.read(&event).verdict);
            assert_eq!(error.kind.as_deref(), Some("overloaded_error"));
            assert_eq!(error.message, "Overloaded");
            assert!(!reader.complete());
        }
    }
    let bare = Event::parse(Bytes::from("event: error\ndata: out of memory\n\n"));
    assert_eq!(
        failure(running().read(&bare).verdict).message,
        "out of memory"
    );
}

#[test]
fn what_does_not_parse_is_dropped_and_counted() {
    for mut reader in [reader(), running()] {
        for (count, raw) in (1..).zip([
            "event: content_block_delta\ndata: {\"type\":\n\n",
            "event: ping\ndata: nothing\n\n",
            "event: ping\n\n",
            "data: [DONE]\n\n",
            "event: message_delta\ndata: []\n\n",
            "id: 1\n\n",
        ]) {
            let reading = reader.read(&Event::parse(Bytes::from(raw)));
            assert_eq!(reading.verdict, Verdict::Drop, "{raw}");
            assert_eq!(reader.dropped(), count);
        }
        let bomb = "[".repeat(100_000);
        for kind in ["content_block_delta", "message_delta", "x"] {
            let members = format!("\"delta\":{bomb}");
            assert_eq!(reader.read(&event(kind, &members)).verdict, Verdict::Drop);
        }
    }
}

#[test]
fn a_stream_split_at_every_byte_reads_alike() {
    let block = r#""index":0,"content_block":{"type":"text","text":""}"#;
    for end in ["\n", "\r\n", "\r"] {
        let stream: Vec<u8> = [
            event("message_start", START),
            event("ping", ""),
            event("content_block_start", block),
            event("content_block_delta", TEXT),
            unnamed("content_block_delta", TEXT),
            event("content_block_stop", "\"index\":0"),
            event("message_delta", STOP),
            event("message_stop", ""),
        ]
        .iter()
        .flat_map(|event| {
            std::str::from_utf8(&event.raw)
                .unwrap()
                .replace('\n', end)
                .into_bytes()
        })
        .collect();
        let read = |cut: usize| {
            let (mut decoder, mut reader) = (Decoder::new(LINE_LIMIT), reader());
            let mut readings = Vec::new();
            let (left, right) = stream.split_at(cut);
            for chunk in [left, right] {
                decoder.push(Bytes::copy_from_slice(chunk));
                while let Some(event) = decoder.next().unwrap() {
                    readings.push(reader.read(&event));
                }
            }
            readings.extend(decoder.finish().map(|event| reader.read(&event)));
            assert!(reader.complete());
            assert_eq!(reader.usage().unwrap().usage.output, 42);
            readings
        };
        let whole = read(0);
        assert_eq!(whole.len(), 8);
        assert!(whole[3].content);
        assert_eq!(whole[7].verdict, Verdict::End);
        for cut in 1..stream.len() {
            assert_eq!(read(cut), whole, "cut at {cut}");
        }
    }
}
