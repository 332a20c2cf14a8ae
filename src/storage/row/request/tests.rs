//! Tests of the columns of the request.

use bytes::Bytes;

use super::*;
use crate::secret::Scrubber;
use crate::storage::record::tests::record;

fn columns(protocol: Protocol, mode: LogContent, body: impl Into<Bytes>) -> Condensed {
    let record = Record {
        protocol,
        request: RawObject::parse(body.into()).ok(),
        ..record("r")
    };
    let content = Content {
        mode,
        max_bytes: 10_000,
    };
    let scrubber = Scrubber::default();
    read(&record, content, &Cleaner::new(&scrubber))
}

fn openai(body: impl Into<Bytes>) -> Condensed {
    columns(Protocol::OpenAi, LogContent::Full, body)
}

#[test]
fn parameters_are_the_other_members_as_they_were_written() {
    let request = openai(
        r#"{"model":"m","temperature":1.00,"stop":["a", "b"],"user":"ü","messages":[],"tools":[{},{}]}"#,
    );
    assert_eq!(
        request.parameters,
        r#"{"temperature":1.00,"stop":["a", "b"],"user":"ü","tools":2}"#
    );
    assert_eq!(request.messages.as_deref(), Some("[]"));
}

#[test]
fn a_large_value_becomes_a_note_of_its_size() {
    let body = format!(r#"{{"metadata":"{}"}}"#, "x".repeat(2000));
    assert_eq!(openai(body).parameters, r#"{"metadata":"[2002 bytes]"}"#);
}

#[test]
fn a_flood_of_members_is_counted() {
    let members: Vec<String> = (0..1000)
        .map(|number| format!(r#""a member of some length {number}":0"#))
        .collect();
    let body = format!("{{{}}}", members.join(","));
    let parameters = openai(body).parameters;
    assert!(parameters.len() < 20_000);
    let value: serde_json::Value = serde_json::from_str(&parameters).unwrap();
    let left_out = value["…"].as_str().unwrap();
    assert!(left_out.ends_with(" more]"), "{left_out}");
}

#[test]
fn an_anthropic_system_becomes_the_first_message() {
    let anthropic = |body: &'static str| {
        let request = columns(Protocol::Anthropic, LogContent::Full, body);
        assert_eq!(request.parameters, "{}");
        request.messages.unwrap()
    };
    assert_eq!(
        anthropic(r#"{"system":"Be brief","messages":[{"role":"user","content":"Hi"}]}"#),
        r#"[{"role":"system","content":"Be brief"},{"role":"user","content":"Hi"}]"#
    );
    assert_eq!(
        anthropic(r#"{"messages":[ ],"system":[{"type":"text","text":"x"}]}"#),
        r#"[{"role":"system","content":[{"type":"text","text":"x"}]} ]"#
    );
    assert_eq!(anthropic(r#"{"messages":[1],"system":null}"#), "[1]");
}

#[test]
fn metadata_counts_messages_and_keeps_no_text() {
    let request = columns(
        Protocol::Anthropic,
        LogContent::Metadata,
        r#"{"system":"s","messages":[1,2],"prompt":"secret","stream":true}"#,
    );
    assert_eq!(request.messages.as_deref(), Some(r#"{"count":3}"#));
    assert_eq!(
        request.parameters,
        r#"{"prompt":"[8 bytes]","stream":true}"#
    );
}

#[test]
fn a_body_that_is_no_json_object_leaves_the_columns_empty() {
    for body in ["", "nonsense", "[1]", "{\"messages\":", "\u{0}"] {
        let request = openai(body);
        assert_eq!(request.parameters, "{}", "{body}");
        assert_eq!(request.messages, None, "{body}");
    }
    let request = openai(&b"{\"messages\":[\"\xff\"]}"[..]);
    assert_eq!(request.messages, None);
}

#[test]
fn messages_that_are_no_list_are_kept_as_they_are() {
    let request = columns(
        Protocol::Anthropic,
        LogContent::Full,
        r#"{"system":"s","messages":"text"}"#,
    );
    assert_eq!(request.messages.as_deref(), Some(r#""text""#));
    let request = columns(
        Protocol::Anthropic,
        LogContent::Metadata,
        r#"{"messages":"text"}"#,
    );
    assert_eq!(request.messages, None);
}
