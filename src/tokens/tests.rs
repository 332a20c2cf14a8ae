//! Counts of tokens: against what OpenAI published, and of everything that a model reads.

use serde_json::{Value, json};

use super::*;
use crate::convert::pair::decode_request;
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;

fn count_of(protocol: Protocol, body: &Value) -> u64 {
    let body = RawObject::parse(body.to_string().into()).unwrap();
    count(&decode_request(protocol, &body).unwrap())
}

fn anthropic(body: &Value) -> u64 {
    count_of(Protocol::Anthropic, body)
}

fn said(content: Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": content}]})
}

/// What a block adds to a message.
fn added(block: Value) -> u64 {
    let with = json!([{"type": "text", "text": "hello"}, block]);
    anthropic(&said(with)) - anthropic(&said(json!("hello")))
}

#[test]
fn a_chat_has_the_tokens_that_openai_published_for_gpt_4o() {
    let turn = |role: &str, name: &str, content: &str| match name {
        "" => json!({"role": role, "content": content}),
        _ => json!({"role": role, "name": name, "content": content}),
    };
    let chat = json!({"model": "gpt-4o", "messages": [
        turn("system", "", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
        turn("system", "example_user", "New synergies will help drive top-line growth."),
        turn("system", "example_assistant", "Things working well together will increase revenue."),
        turn("system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
        turn("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
        turn("user", "", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
    ]});
    assert_eq!(count_of(Protocol::OpenAi, &chat), 124);
}

/// OpenAI counted 101; we take a schema for its JSON, as the chat templates of most other models do.
#[test]
fn a_tool_counts_a_little_more_than_openai_published_for_gpt_4o() {
    let schema = json!({"type": "object", "properties": {
        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
        "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]},
    }, "required": ["location"]});
    let chat = json!({
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
            {"role": "user", "content": "What's the weather like in San Francisco?"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": schema,
        }}],
    });
    let counted = count_of(Protocol::OpenAi, &chat);
    assert!((101..=125).contains(&counted), "{counted}");
}

#[test]
fn everything_that_a_model_reads_is_counted() {
    let nine = "one two three four five six seven eight nine";
    let image = json!({"type": "image", "source": {"type": "url", "url": "http://h/i.png"}});
    let text = json!({"type": "text", "media_type": "text/plain", "data": nine});
    for (block, expected) in [
        (json!({"type": "text", "text": nine}), 9),
        (
            json!({"type": "thinking", "thinking": nine, "signature": "c2ln"}),
            9,
        ),
        (json!({"type": "redacted_thinking", "data": "c2VjcmV0"}), 0),
        (
            json!({"type": "tool_result", "tool_use_id": "t", "content": nine}),
            9 + 4,
        ),
        (
            json!({"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": [
                {"type": "text", "text": nine}, image,
            ]}),
            9 + 1600 + 4,
        ),
        (image.clone(), 1600),
        (json!({"type": "document", "source": text}), 9),
        (
            json!({"type": "document", "title": nine, "source": text}),
            18,
        ),
        (
            json!({"type": "document", "source": {"type": "url", "url": "http://h/d.pdf"}}),
            3850,
        ),
        (
            json!({"type": "document", "source": {"type": "file", "file_id": "f"}}),
            3850,
        ),
    ] {
        assert_eq!(added(block.clone()), expected, "{block}");
    }
    let call = json!({"type": "tool_use", "id": "t", "name": "one", "input": {"two": 3}});
    assert!(added(call) > 4 + 1 + 3);
    let unknown = json!({"type": "search_result", "content": [{"type": "text", "text": nine}]});
    assert!(added(unknown) > 9);
}

#[test]
fn system_tools_and_the_form_of_the_answer_are_counted() {
    let bare = anthropic(&said(json!("hello")));
    assert_eq!(bare, 1 + 4 + 3);
    let more = |name: &str, value: Value| {
        let mut body = said(json!("hello"));
        body[name] = value;
        anthropic(&body) - bare
    };
    assert_eq!(more("system", json!("Be kind")), 2 + 4);
    assert_eq!(
        more("system", json!([{"type": "text", "text": "Be kind"}])),
        2 + 4
    );
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool = |description: &str| json!([{"name": "weather", "description": description, "input_schema": schema}]);
    let with_tool = more("tools", tool(""));
    assert!(with_tool > 12 + 7 + 10, "{with_tool}");
    assert_eq!(more("tools", tool("one two three")), with_tool + 3);
    assert!(
        more(
            "tools",
            json!([{"type": "web_search_20250305", "name": "web_search"}])
        ) > 20
    );
    let format = json!({"format": {"type": "json_schema", "schema": schema}});
    assert!(more("output_config", format) > 10);
}

#[test]
fn sound_counts_by_its_length() {
    let audio = |seconds: usize| {
        let data = "A".repeat(seconds * 16_000 / 3 * 4);
        count_of(
            Protocol::OpenAi,
            &said(json!([{"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}}])),
        )
    };
    assert_eq!(audio(60) - audio(30), 300);
}
