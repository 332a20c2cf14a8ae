//! Tests of whole rows.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::config::catalog::{Client, Limits};
use crate::conversation::Usage;
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;
use crate::secret::{Secret, digest};
use crate::storage::record::RecordError;
use crate::storage::record::tests::{attempt, record};

const FULL: Content = Content {
    mode: LogContent::Full,
    max_bytes: 1000,
};

const METADATA: Content = Content {
    mode: LogContent::Metadata,
    max_bytes: 1000,
};

fn scrubber() -> Scrubber {
    Scrubber::new([(Secret::new("sk-12345678"), "KEY_1".to_owned())])
}

fn filled() -> Record {
    Record {
        client: Some(Arc::new(Client {
            name: "client-1".to_owned(),
            digest: digest("secret"),
            limits: Limits::default(),
        })),
        request: RawObject::parse(Bytes::from_static(
            br#"{"model":"small","temperature":0.5,"messages":[{"role":"user","content":"Hi"}]}"#,
        ))
        .ok(),
        answer: Answer::Whole(Bytes::from_static(
            br#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello sk-12345678"}}]}"#,
        )),
        first_token: Some(Duration::from_micros(45_678)),
        usage: Some(Usage {
            input: 9,
            cache_read: 4,
            cache_write: 1,
            output: u64::MAX,
            reasoning: 2,
        }),
        usage_raw: Some(r#"{"prompt_tokens":9}"#.to_owned()),
        attempts: vec![attempt(1), attempt(2)],
        answering: 2,
        streaming: true,
        error: Some(RecordError {
            name: "upstream_cut",
            message: "the key sk-12345678 was refused".to_owned(),
        }),
        loss: Some("top_k dropped".to_owned()),
        ..record("r-1")
    }
}

#[test]
fn a_condensed_record_makes_the_same_row() {
    let content = Content {
        mode: LogContent::Full,
        max_bytes: 40,
    };
    let whole = filled();
    let mut condensed = whole.clone();
    condense(&mut condensed, content, &scrubber());
    assert!(condensed.request.is_none());
    assert_eq!(
        row(&condensed, content, &scrubber()),
        row(&whole, content, &scrubber())
    );
}

#[test]
fn every_column_is_filled_from_the_record() {
    let record = filled();
    let text = |text: &str| Some(text.to_owned());
    let expected = Row {
        id: record.id.to_string(),
        request_id: "r-1".to_owned(),
        timestamp: "2023-11-14T22:13:20.123Z".to_owned(),
        endpoint: "/v1/chat/completions".to_owned(),
        method: "POST".to_owned(),
        client_api_key_hash: text(
            "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
        ),
        requested_model: text("small"),
        resolved_provider: text("openai"),
        resolved_model: text("gpt-x"),
        parameters: r#"{"temperature":0.5}"#.to_owned(),
        messages: text(r#"[{"role":"user","content":"Hi"}]"#),
        response_status: 200,
        response_time_ms: 1234,
        response_content: text("Hello [KEY_1]"),
        response_usage: text(r#"{"prompt_tokens":9}"#),
        provider_api_key_used: text("KEY_2"),
        provider_retries: 1,
        is_streaming: 1,
        error_message: text("the key [KEY_1] was refused"),
        error_type: text("upstream_cut"),
        client: text("client-1"),
        prompt_tokens: Some(9),
        completion_tokens: Some(i64::MAX),
        cached_tokens: Some(4),
        cache_write_tokens: Some(1),
        reasoning_tokens: Some(2),
        first_token_ms: Some(45),
        attempts: concat!(
            r#"[{"route":"1","provider":"openai","model":"gpt-x","protocol":"openai","key":"KEY_1","status":200,"outcome":"success","ms":321,"first_token_ms":null,"usage":null},"#,
            r#"{"route":"1","provider":"openai","model":"gpt-x","protocol":"openai","key":"KEY_2","status":200,"outcome":"success","ms":321,"first_token_ms":null,"usage":null}]"#
        )
        .to_owned(),
        loss: text("top_k dropped"),
    };
    assert_eq!(row(&record, FULL, &scrubber()), expected);
}

#[test]
fn metadata_mode_keeps_counts_and_parameters_only() {
    let row = row(&filled(), METADATA, &scrubber());
    assert_eq!(row.messages.as_deref(), Some(r#"{"count":1}"#));
    assert_eq!(row.response_content, None);
    assert_eq!(row.parameters, r#"{"temperature":0.5}"#);
    assert_eq!(row.prompt_tokens, Some(9));
}

#[test]
fn metadata_mode_keeps_no_words_of_an_error() {
    let row = row(&filled(), METADATA, &scrubber());
    assert_eq!(row.error_message, None);
    assert_eq!(row.error_type.as_deref(), Some("upstream_cut"));
}

#[test]
fn content_is_cut_at_its_limit() {
    let content = Content {
        max_bytes: 5,
        ..FULL
    };
    let row = row(&filled(), content, &scrubber());
    assert_eq!(row.messages.as_deref(), Some("[{\"ro…[cut: 27 bytes]"));
    assert_eq!(
        row.response_content.as_deref(),
        Some("Hello…[cut: 12 bytes]")
    );
}

#[test]
fn the_text_of_a_stream_is_put_together() {
    let record = Record {
        protocol: Protocol::OpenAi,
        answer: Answer::Events(vec![
            Bytes::from_static(
                b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n",
            ),
            Bytes::from_static(
                b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n",
            ),
            Bytes::from_static(b"data: [DONE]\n\n"),
        ]),
        ..record("r")
    };
    let row = row(&record, FULL, &scrubber());
    assert_eq!(row.response_content.as_deref(), Some("Hello"));
}

#[test]
fn a_stripped_record_says_how_much_is_missing() {
    let mut record = filled();
    record.strip_content();
    let stripped = row(&record, FULL, &scrubber());
    assert_eq!(stripped.messages.as_deref(), Some("…[cut: 79 bytes]"));
    assert_eq!(
        stripped.response_content.as_deref(),
        Some("…[cut: 86 bytes]")
    );
    assert_eq!(stripped.parameters, "{}");
    let counted = row(&record, METADATA, &scrubber());
    assert_eq!((counted.messages, counted.response_content), (None, None));
}

#[test]
fn a_time_before_1970_or_beyond_all_calendars_is_still_a_timestamp() {
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 50);
    assert_eq!(timestamp(far), "1970-01-01T00:00:00.000Z");
    let early = SystemTime::UNIX_EPOCH - Duration::from_millis(1);
    assert_eq!(timestamp(early), "1969-12-31T23:59:59.999Z");
}

proptest! {
    #[test]
    fn whatever_was_sent_makes_a_row_without_nul(
        anthropic in any::<bool>(),
        request in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            "\\{\"(messages|system|stop)\":(\\[|\"\u{0}|1|\\{)?\\]?,?\"a\":.{0,9}\\}?".prop_map(String::into_bytes),
        ],
        events in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4),
        name in "[a\u{0}é\u{2028}]{0,8}",
    ) {
        let record = Record {
            protocol: if anthropic { Protocol::Anthropic } else { Protocol::OpenAi },
            request: RawObject::parse(request.into()).ok(),
            answer: Answer::Events(events.into_iter().map(Bytes::from).collect()),
            requested_model: Some(name),
            ..record("r\0")
        };
        let row = row(&record, FULL, &scrubber());
        let texts = [Some(row.request_id), row.requested_model, row.messages, row.response_content];
        for text in texts.into_iter().flatten() {
            prop_assert!(!text.contains('\0'), "{:?}", text);
        }
        prop_assert!(serde_json::from_str::<serde_json::Value>(&row.parameters).is_ok());
    }
}
