//! Plays the providers: writes an answer as a body or as a stream, with the habits that were met in the wild.

use serde_json::{Value, json};

use crate::conversation::{Block, Reply, StopReason, Usage};

/// How an upstream streams.
#[derive(Debug, Clone)]
pub(super) struct Habits {
    /// Lengths of the pieces of texts, in characters, used round and round.
    pub(super) pieces: Vec<usize>,
    /// Where usage is told.
    pub(super) usage: UsageHabit,
    /// The terminal marker is sent.
    pub(super) marks_end: bool,
    /// Pings and comments between the events.
    pub(super) pings: bool,
    /// Empty deltas between the others.
    pub(super) empty_deltas: bool,
    /// The fragments of several calls are mixed.
    pub(super) mixes_calls: bool,
    /// Calls have no index, and come whole.
    pub(super) no_index: bool,
    /// The name and the id are told again with each fragment.
    pub(super) repeats: bool,
    /// The name comes with the second fragment.
    pub(super) late_name: bool,
    /// The id comes with the second fragment.
    pub(super) late_id: bool,
    /// Tool calls end with `stop`.
    pub(super) sloppy_finish: bool,
    /// The member for reasoning.
    pub(super) reasoning: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsageHabit {
    Never,
    Every,
    WithFinish,
    Last,
}

fn pieces(text: &str, lengths: &[usize]) -> Vec<String> {
    let mut characters = text.chars().peekable();
    let mut lengths = lengths.iter().cycle();
    let mut pieces = Vec::new();
    while characters.peek().is_some() {
        let length = lengths.next().copied().unwrap_or(1).max(1);
        pieces.push(characters.by_ref().take(length).collect());
    }
    pieces
}

pub(super) fn openai_usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

fn finish_reason(reply: &Reply, sloppy: bool) -> &'static str {
    match reply.stop {
        StopReason::MaxTokens => "length",
        StopReason::ContentFilter => "content_filter",
        StopReason::ToolUse if !sloppy => "tool_calls",
        _ => "stop",
    }
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// A whole completion. Reasoning, text, refusal and calls, at most one of each but calls.
pub(super) fn openai_body(reply: &Reply, reasoning: &str) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let mut calls = Vec::new();
    for block in &reply.blocks {
        match block {
            Block::Text { text, .. } => message["content"] = json!(text),
            Block::Refusal(text) => message["refusal"] = json!(text),
            Block::Thinking { text, .. } => message[reasoning] = json!(text),
            Block::ToolCall {
                id,
                name,
                arguments,
                ..
            } => calls.push(call(id, name, arguments)),
            other => panic!("no {other:?} in completions"),
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let mut body = json!({
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(reply, false)}],
    });
    if let Some(usage) = &reply.usage {
        body["usage"] = openai_usage(usage);
    }
    body
}

/// The deltas of the calls of an answer.
fn call_deltas(reply: &Reply, habits: &Habits) -> Vec<Value> {
    let calls = reply.blocks.iter().filter_map(|block| match block {
        Block::ToolCall {
            id,
            name,
            arguments,
            ..
        } => Some((id, name, arguments)),
        _ => None,
    });
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for (index, (id, name, arguments)) in calls.enumerate() {
        if habits.no_index {
            rows.push(vec![call(id, name, arguments)]);
            continue;
        }
        let mut first = json!({"index": index, "type": "function", "function": {"arguments": ""}});
        let mut second = json!({"index": index, "function": {"arguments": ""}});
        let named = if habits.late_name {
            &mut second
        } else {
            &mut first
        };
        named["function"]["name"] = json!(name);
        let known = if habits.late_id {
            &mut second
        } else {
            &mut first
        };
        known["id"] = json!(id);
        let mut row = vec![first];
        if habits.late_name || habits.late_id {
            row.push(second);
        }
        row.extend(pieces(arguments, &habits.pieces).into_iter().map(|piece| {
            if habits.repeats {
                json!({"index": index, "id": id, "function": {"name": name, "arguments": piece}})
            } else {
                json!({"index": index, "function": {"arguments": piece}})
            }
        }));
        rows.push(row);
    }
    if habits.mixes_calls {
        // The beginnings first, then round and round.
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mixed =
            (0..longest).flat_map(|at| rows.iter().filter_map(move |row| row.get(at).cloned()));
        mixed.collect()
    } else {
        rows.concat()
    }
}

/// A stream of chunks.
pub(super) fn openai_stream(reply: &Reply, habits: &Habits) -> String {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    for block in &reply.blocks {
        let (member, text) = match block {
            Block::Text { text, .. } => ("content", text),
            Block::Refusal(text) => ("refusal", text),
            Block::Thinking { text, .. } => (habits.reasoning, text),
            _ => continue,
        };
        deltas.extend(
            pieces(text, &habits.pieces)
                .into_iter()
                .map(|piece| json!({(member): piece})),
        );
    }
    deltas.extend(
        call_deltas(reply, habits)
            .into_iter()
            .map(|call| json!({"tool_calls": [call]})),
    );
    let usage = reply.usage.as_ref().map_or(Value::Null, openai_usage);
    let chunk = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({"id": reply.id, "object": "chat.completion.chunk", "created": reply.created,
            "model": reply.model, "system_fingerprint": null, "choices": choices});
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Option<&str>| {
        let choices =
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        let told = match habits.usage {
            UsageHabit::Every => Some(&usage),
            UsageHabit::WithFinish if finish.is_some() => Some(&usage),
            UsageHabit::Last => Some(&Value::Null),
            _ => None,
        };
        chunk(choices, told)
    };
    let mut stream = String::new();
    for delta in deltas {
        if habits.pings {
            stream.push_str(": busy\n\n");
        }
        if habits.empty_deltas {
            stream.push_str(&choice(json!({"content": ""}), None));
            stream.push_str(&choice(json!({}), None));
            stream.push_str(&choice(
                json!({"content": null, "tool_calls": null, "reasoning_content": ""}),
                None,
            ));
        }
        stream.push_str(&choice(delta, None));
    }
    stream.push_str(&choice(
        json!({}),
        Some(finish_reason(reply, habits.sloppy_finish)),
    ));
    if habits.usage == UsageHabit::Last {
        stream.push_str(&chunk(json!([]), Some(&usage)));
    }
    if habits.marks_end {
        stream.push_str("data: [DONE]\n\n");
    }
    stream
}

fn stop_reason(reply: &Reply) -> (&'static str, Option<&str>) {
    match &reply.stop {
        StopReason::MaxTokens => ("max_tokens", None),
        StopReason::ToolUse => ("tool_use", None),
        StopReason::StopSequence(text) => ("stop_sequence", text.as_deref()),
        StopReason::PauseTurn => ("pause_turn", None),
        StopReason::Refusal => ("refusal", None),
        StopReason::ContextWindow => ("model_context_window_exceeded", None),
        _ => ("end_turn", None),
    }
}

fn anthropic_usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input - usage.cache_read - usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write,
        "output_tokens": usage.output,
    })
}

fn content(block: &Block) -> Value {
    match block {
        Block::Text { text, .. } => json!({"type": "text", "text": text}),
        Block::Thinking { text, signature } => {
            json!({"type": "thinking", "thinking": text, "signature": signature.as_deref().unwrap_or_default()})
        }
        Block::RedactedThinking(data) => json!({"type": "redacted_thinking", "data": data}),
        Block::ToolCall {
            id,
            name,
            arguments,
            ..
        } => {
            let input: Value = serde_json::from_str(arguments).expect("an object");
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
        other => panic!("no {other:?} in messages"),
    }
}

/// A whole message.
pub(super) fn anthropic_body(reply: &Reply) -> Value {
    let (reason, sequence) = stop_reason(reply);
    json!({
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": reply.blocks.iter().map(content).collect::<Vec<_>>(),
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": anthropic_usage(&reply.usage.unwrap_or_default()),
    })
}

fn event(data: &Value) -> String {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().expect("a type")
    )
}

/// A stream of messages events.
pub(super) fn anthropic_stream(reply: &Reply, habits: &Habits) -> String {
    let usage = anthropic_usage(&reply.usage.unwrap_or_default());
    let mut first = usage.clone();
    first["output_tokens"] = json!(1);
    let mut stream = event(&json!({"type": "message_start", "message": {
        "id": reply.id, "type": "message", "role": "assistant", "model": reply.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": first,
    }}));
    for (index, block) in reply.blocks.iter().enumerate() {
        let (opening, deltas) = opening(block, habits);
        stream.push_str(&event(
            &json!({"type": "content_block_start", "index": index, "content_block": opening}),
        ));
        for delta in deltas {
            if habits.pings {
                stream.push_str(&event(&json!({"type": "ping"})));
            }
            stream.push_str(&event(
                &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        }
        stream.push_str(&event(
            &json!({"type": "content_block_stop", "index": index}),
        ));
    }
    let (reason, sequence) = stop_reason(reply);
    let told = match habits.usage {
        UsageHabit::Last => usage,
        _ => json!({"output_tokens": usage["output_tokens"]}),
    };
    stream.push_str(&event(&json!({"type": "message_delta", "usage": told,
        "delta": {"stop_reason": reason, "stop_sequence": sequence}})));
    if habits.marks_end {
        stream.push_str(&event(&json!({"type": "message_stop"})));
    }
    stream
}

fn opening(block: &Block, habits: &Habits) -> (Value, Vec<Value>) {
    let mut opening = content(block);
    let texts = |kind: &str, member: &str, text: &str| -> Vec<Value> {
        let mut texts = pieces(text, &habits.pieces);
        if habits.empty_deltas {
            texts.insert(0, String::new());
        }
        texts
            .into_iter()
            .map(|piece| json!({"type": kind, (member): piece}))
            .collect()
    };
    let deltas = match block {
        Block::Text { text, .. } => {
            opening["text"] = json!("");
            texts("text_delta", "text", text)
        }
        Block::Thinking { text, signature } => {
            opening["thinking"] = json!("");
            opening["signature"] = json!("");
            let mut deltas = texts("thinking_delta", "thinking", text);
            deltas.extend(
                signature
                    .iter()
                    .map(|signature| json!({"type": "signature_delta", "signature": signature})),
            );
            deltas
        }
        Block::ToolCall { arguments, .. } if !habits.no_index => {
            opening["input"] = json!({});
            texts("input_json_delta", "partial_json", arguments)
        }
        // The input comes whole with the beginning.
        _ => Vec::new(),
    };
    (opening, deltas)
}
