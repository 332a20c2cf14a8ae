//! Ready-made answers, streams and errors of both protocols, shaped as the real APIs shape them.

use serde_json::{Value, json};

use super::{Answer, reply, sse};

/// The upstream's own name of its model, in every ready-made body.
pub(crate) const UPSTREAM_MODEL: &str = "upstream-model-2026";

/// One `data:` event.
pub(crate) fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// One event named by its own `type`, as Anthropic names them.
pub(crate) fn named(value: &Value) -> String {
    let name = value["type"].as_str().expect("an event with a type");
    format!("event: {name}\ndata: {value}\n\n")
}

/// A whole chat completion.
pub(crate) fn openai_answer(text: &str) -> Answer {
    reply(200).json(&json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": UPSTREAM_MODEL,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": null},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": openai_usage(11, 7),
    }))
}

/// The usage object of chat completions, with four cached tokens and two spent on reasoning.
pub(crate) fn openai_usage(prompt: u64, completion: u64) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    })
}

fn openai_chunk(choices: &Value, usage: Option<&Value>) -> Value {
    let mut chunk = json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": UPSTREAM_MODEL,
        "choices": choices,
    });
    if let Some(usage) = usage {
        chunk["usage"] = usage.clone();
    }
    chunk
}

/// One event of a streamed chat completion with this delta.
pub(crate) fn openai_delta(delta: &Value, finish_reason: Option<&str>) -> String {
    let choices =
        json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
    data(&openai_chunk(&choices, None))
}

/// The events of a streamed chat completion: role, words, finish reason, `[DONE]`.
pub(crate) fn openai_events(words: &[&str]) -> Vec<String> {
    let mut events = vec![openai_delta(
        &json!({"role": "assistant", "content": ""}),
        None,
    )];
    let contents = words.iter().map(|word| json!({"content": word}));
    events.extend(contents.map(|delta| openai_delta(&delta, None)));
    events.push(openai_delta(&json!({}), Some("stop")));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// A streamed chat completion that tells no usage.
pub(crate) fn openai_stream(words: &[&str]) -> Answer {
    sse(openai_events(words))
}

/// A streamed chat completion to a request that asked for usage.
pub(crate) fn openai_stream_with_usage(words: &[&str]) -> Answer {
    let mut events = openai_events(words);
    let usage = openai_chunk(&json!([]), Some(&openai_usage(11, 7)));
    events.insert(events.len() - 1, data(&usage));
    sse(events)
}

/// The events of a streamed call of one tool.
pub(crate) fn openai_tool_events(name: &str, argument_fragments: &[&str]) -> Vec<String> {
    let opening = json!({"role": "assistant", "content": null, "tool_calls": [
        {"index": 0, "id": "call_scripted", "type": "function", "function": {"name": name, "arguments": ""}}
    ]});
    let mut events = vec![openai_delta(&opening, None)];
    let fragments = argument_fragments.iter();
    events.extend(fragments.map(|fragment| {
        let call = json!({"tool_calls": [{"index": 0, "function": {"arguments": fragment}}]});
        openai_delta(&call, None)
    }));
    events.push(openai_delta(&json!({}), Some("tool_calls")));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// An error as OpenAI words it.
pub(crate) fn openai_error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Answer {
    reply(status).json(&openai_error_body(kind, code, message))
}

/// Its body; also what a stream carries when it fails.
pub(crate) fn openai_error_body(kind: &str, code: Option<&str>, message: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// A whole message.
pub(crate) fn anthropic_answer(text: &str) -> Answer {
    reply(200).json(&json!({
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": UPSTREAM_MODEL,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": null,
        "usage": anthropic_usage(11, 7),
    }))
}

/// The usage object of messages, with four tokens read from the cache and three written to it.
pub(crate) fn anthropic_usage(input: u64, output: u64) -> Value {
    json!({
        "input_tokens": input,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "output_tokens": output,
    })
}

/// The opening event of a streamed message.
pub(crate) fn anthropic_start() -> String {
    named(&json!({"type": "message_start", "message": {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": UPSTREAM_MODEL,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": anthropic_usage(11, 1),
    }}))
}

/// The events that end a streamed message.
pub(crate) fn anthropic_end(stop_reason: &str) -> Vec<String> {
    let delta = json!({"stop_reason": stop_reason, "stop_sequence": null});
    vec![
        named(&json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}})),
        named(&json!({"type": "message_stop"})),
    ]
}

/// The events of a streamed message with one text block.
pub(crate) fn anthropic_events(words: &[&str]) -> Vec<String> {
    let block = json!({"type": "text", "text": ""});
    let deltas = words
        .iter()
        .map(|word| json!({"type": "text_delta", "text": word}));
    anthropic_block_events(&block, deltas, "end_turn")
}

/// The events of a streamed call of one tool.
pub(crate) fn anthropic_tool_events(name: &str, argument_fragments: &[&str]) -> Vec<String> {
    let block = json!({"type": "tool_use", "id": "toolu_scripted", "name": name, "input": {}});
    let fragments = argument_fragments.iter();
    let deltas =
        fragments.map(|fragment| json!({"type": "input_json_delta", "partial_json": fragment}));
    anthropic_block_events(&block, deltas, "tool_use")
}

fn anthropic_block_events(
    block: &Value,
    deltas: impl Iterator<Item = Value>,
    stop_reason: &str,
) -> Vec<String> {
    let mut events = vec![
        anthropic_start(),
        named(&json!({"type": "content_block_start", "index": 0, "content_block": block})),
        named(&json!({"type": "ping"})),
    ];
    events.extend(
        deltas.map(|delta| {
            named(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
        }),
    );
    events.push(named(&json!({"type": "content_block_stop", "index": 0})));
    events.extend(anthropic_end(stop_reason));
    events
}

/// A streamed message.
pub(crate) fn anthropic_stream(words: &[&str]) -> Answer {
    sse(anthropic_events(words))
}

/// An error as Anthropic words it.
pub(crate) fn anthropic_error(status: u16, kind: &str, message: &str) -> Answer {
    reply(status).json(&anthropic_error_body(kind, message))
}

/// Its body; also the data of a stream's `error` event.
pub(crate) fn anthropic_error_body(kind: &str, message: &str) -> Value {
    json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_scripted",
    })
}
