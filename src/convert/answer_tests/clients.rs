//! Plays the clients: reads streams as the official SDKs accumulate them, and refuses every order of events that the
//! protocols do not allow. Written from their documentation.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// One event of a stream: its name and its data. Comments are left out.
fn events(stream: &[u8]) -> Result<Vec<(Option<String>, String)>, String> {
    let text = std::str::from_utf8(stream).map_err(|error| error.to_string())?;
    if !text.is_empty() && !text.ends_with("\n\n") {
        return Err("the last event is not finished".to_owned());
    }
    let mut events = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let (mut name, mut data) = (None, None);
        for line in block.split('\n') {
            if let Some(value) = line.strip_prefix("event: ") {
                if name.replace(value.to_owned()).is_some() || data.is_some() {
                    return Err(format!("fields out of order in {block:?}"));
                }
            } else if let Some(value) = line.strip_prefix("data: ") {
                if data.replace(value.to_owned()).is_some() {
                    return Err(format!("two data lines in {block:?}"));
                }
            } else if !line.starts_with(':') {
                return Err(format!("not a line of a stream: {line:?}"));
            }
        }
        match data {
            Some(data) => events.push((name, data)),
            None if name.is_some() => return Err(format!("an event without data: {block:?}")),
            None => {}
        }
    }
    Ok(events)
}

fn member<'a>(value: &'a Value, name: &str) -> Result<&'a Value, String> {
    value
        .get(name)
        .ok_or_else(|| format!("no {name} in {value}"))
}

fn string<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    member(value, name)?
        .as_str()
        .ok_or_else(|| format!("{name} is no string in {value}"))
}

fn only(value: &Value, allowed: &[&str]) -> Result<(), String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("{value} is no object"))?;
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(format!("unexpected {key} in {value}")),
        None => Ok(()),
    }
}

fn check_anthropic_usage(usage: &Value) -> Result<(), String> {
    for name in [
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ] {
        if !member(usage, name)?.is_u64() {
            return Err(format!("{name} is no count in {usage}"));
        }
    }
    Ok(())
}

/// Reads a stream of messages events; the message as an SDK would have it at the end.
pub(super) fn anthropic(stream: &[u8]) -> Result<Value, String> {
    let mut reader = Anthropic::default();
    for (name, data) in events(stream)? {
        let data: Value =
            serde_json::from_str(&data).map_err(|error| format!("{error}: {data}"))?;
        if name.as_deref() != Some(string(&data, "type")?) {
            return Err(format!("event {name:?} has another type: {data}"));
        }
        reader
            .read(&data)
            .map_err(|fault| format!("{fault}, at {data}"))?;
    }
    if !reader.stopped {
        return Err("no message_stop".to_owned());
    }
    reader.message.ok_or_else(|| "no message".to_owned())
}

#[derive(Default)]
struct Anthropic {
    message: Option<Value>,
    /// The open block, and what its input has become.
    open: Option<(Value, String)>,
    reason_given: bool,
    stopped: bool,
}

impl Anthropic {
    fn read(&mut self, event: &Value) -> Result<(), String> {
        let kind = string(event, "type")?;
        if self.stopped {
            return Err("an event after message_stop".to_owned());
        }
        match kind {
            "ping" => return Ok(()),
            "message_start" => return self.start(event),
            _ if self.message.is_none() => return Err("an event before message_start".to_owned()),
            _ if self.reason_given && kind != "message_stop" => {
                return Err("an event between message_delta and message_stop".to_owned());
            }
            _ => {}
        }
        match kind {
            "content_block_start" => self.block_start(event),
            "content_block_delta" => self.block_delta(event),
            "content_block_stop" => self.block_stop(event),
            "message_delta" => self.message_delta(event),
            "message_stop" if self.reason_given => {
                self.stopped = true;
                only(event, &["type"])
            }
            other => Err(format!("{other} here")),
        }
    }

    fn start(&mut self, event: &Value) -> Result<(), String> {
        only(event, &["type", "message"])?;
        let message = member(event, "message")?;
        only(
            message,
            &[
                "id",
                "type",
                "role",
                "model",
                "content",
                "stop_reason",
                "stop_sequence",
                "usage",
            ],
        )?;
        if !string(message, "id")?.starts_with("msg_") {
            return Err("an id of another style".to_owned());
        }
        let is_fresh = message["content"] == json!([])
            && message["stop_reason"].is_null()
            && message["stop_sequence"].is_null()
            && message["type"] == "message"
            && message["role"] == "assistant"
            && message["model"].is_string();
        check_anthropic_usage(&message["usage"])?;
        match self.message.replace(message.clone()) {
            None if is_fresh => Ok(()),
            None => Err("a message that is not fresh".to_owned()),
            Some(_) => Err("a second message_start".to_owned()),
        }
    }

    fn blocks(&mut self) -> Result<&mut Vec<Value>, String> {
        let content = self
            .message
            .as_mut()
            .and_then(|message| message.get_mut("content"));
        content
            .and_then(Value::as_array_mut)
            .ok_or_else(|| "no content".to_owned())
    }

    fn block_start(&mut self, event: &Value) -> Result<(), String> {
        only(event, &["type", "index", "content_block"])?;
        if self.open.is_some() {
            return Err("a block begins inside another".to_owned());
        }
        if event["index"] != json!(self.blocks()?.len()) {
            return Err("an index out of order".to_owned());
        }
        let block = member(event, "content_block")?;
        let expected = match string(block, "type")? {
            "text" => json!({"type": "text", "text": ""}),
            "thinking" => json!({"type": "thinking", "thinking": "", "signature": ""}),
            "redacted_thinking" => {
                json!({"type": "redacted_thinking", "data": string(block, "data")?})
            }
            "tool_use" => json!({
                "type": "tool_use",
                "id": string(block, "id")?,
                "name": string(block, "name")?,
                "input": {},
            }),
            other => return Err(format!("a block of type {other}")),
        };
        let id = block["id"].as_str().unwrap_or("toolu_1");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if id.is_empty() || !id.bytes().all(is_plain) || *block != expected {
            return Err("not how a block begins".to_owned());
        }
        self.open = Some((block.clone(), String::new()));
        Ok(())
    }

    fn block_delta(&mut self, event: &Value) -> Result<(), String> {
        only(event, &["type", "index", "delta"])?;
        let index = self.blocks()?.len();
        let Some((block, input)) = &mut self.open else {
            return Err("a delta outside of a block".to_owned());
        };
        if event["index"] != json!(index) {
            return Err("a delta of another block".to_owned());
        }
        let delta = member(event, "delta")?;
        let (of, name) = match string(delta, "type")? {
            "text_delta" => ("text", "text"),
            "thinking_delta" => ("thinking", "thinking"),
            "signature_delta" => ("thinking", "signature"),
            "input_json_delta" => ("tool_use", "partial_json"),
            other => return Err(format!("a delta of type {other}")),
        };
        only(delta, &["type", name])?;
        let piece = string(delta, name)?;
        if block["type"] != of {
            return Err("a delta of another type than its block".to_owned());
        }
        match name {
            "partial_json" => input.push_str(piece),
            "signature" => block["signature"] = json!(piece),
            _ => block[name] = json!(format!("{}{piece}", string(block, name)?)),
        }
        Ok(())
    }

    fn block_stop(&mut self, event: &Value) -> Result<(), String> {
        only(event, &["type", "index"])?;
        let (mut block, input) = self.open.take().ok_or("a block ends that never began")?;
        if block["signature"] == "" {
            return Err("thinking that is not signed".to_owned());
        }
        let blocks = self.blocks()?;
        if event["index"] != json!(blocks.len()) {
            return Err("another block ends".to_owned());
        }
        if block["type"] == "text" && block["text"] == "" {
            return Err("an empty text block".to_owned());
        }
        if !input.is_empty() {
            let object: Option<Map<String, Value>> = serde_json::from_str(&input).ok();
            block["input"] = object.map_or_else(|| json!({"_raw_arguments": input}), Value::Object);
        }
        blocks.push(block);
        Ok(())
    }

    fn message_delta(&mut self, event: &Value) -> Result<(), String> {
        only(event, &["type", "delta", "usage"])?;
        if self.open.is_some() {
            return Err("the answer ends inside a block".to_owned());
        }
        let delta = member(event, "delta")?;
        only(delta, &["stop_reason", "stop_sequence"])?;
        const REASONS: [&str; 7] = [
            "end_turn",
            "max_tokens",
            "stop_sequence",
            "tool_use",
            "pause_turn",
            "refusal",
            "model_context_window_exceeded",
        ];
        if !REASONS.contains(&string(delta, "stop_reason")?) {
            return Err("an unknown stop_reason".to_owned());
        }
        check_anthropic_usage(member(event, "usage")?)?;
        let message = self.message.as_mut().ok_or("no message")?;
        message["stop_reason"] = delta["stop_reason"].clone();
        message["stop_sequence"] = member(delta, "stop_sequence")?.clone();
        message["usage"] = event["usage"].clone();
        self.reason_given = true;
        Ok(())
    }
}

/// Reads a stream of chunks; the completion as an SDK would have it at the end.
pub(super) fn openai(stream: &[u8], include_usage: bool) -> Result<Value, String> {
    let mut reader = OpenAi {
        include_usage,
        ..OpenAi::default()
    };
    for (name, data) in events(stream)? {
        if name.is_some() {
            return Err(format!("an event with the name {name:?}"));
        }
        if reader.done {
            return Err("something after [DONE]".to_owned());
        }
        if data == "[DONE]" {
            reader.done = true;
            continue;
        }
        let chunk: Value =
            serde_json::from_str(&data).map_err(|error| format!("{error}: {data}"))?;
        reader
            .read(&chunk)
            .map_err(|fault| format!("{fault}, at {chunk}"))?;
    }
    reader.finish()
}

#[derive(Default)]
struct OpenAi {
    include_usage: bool,
    /// What all chunks have in common.
    common: Option<Value>,
    texts: BTreeMap<&'static str, String>,
    calls: Vec<Value>,
    finish: Option<Value>,
    usage: Option<Value>,
    done: bool,
}

impl OpenAi {
    fn read(&mut self, chunk: &Value) -> Result<(), String> {
        only(
            chunk,
            &["id", "object", "created", "model", "choices", "usage"],
        )?;
        let common = json!({
            "id": string(chunk, "id")?,
            "object": string(chunk, "object")?,
            "created": member(chunk, "created")?,
            "model": string(chunk, "model")?,
        });
        let is_first = self.common.is_none();
        if *self.common.get_or_insert(common.clone()) != common {
            return Err("chunks of several answers".to_owned());
        }
        if chunk["object"] != "chat.completion.chunk" || !chunk["created"].is_u64() {
            return Err("not a chunk".to_owned());
        }
        let choices = member(chunk, "choices")?
            .as_array()
            .ok_or("choices is no array")?;
        match (self.include_usage, chunk.get("usage")) {
            (false, None) | (true, Some(Value::Null)) => {}
            (true, Some(usage)) if choices.is_empty() && self.finish.is_some() => {
                let total = usage["prompt_tokens"]
                    .as_u64()
                    .zip(usage["completion_tokens"].as_u64());
                if total.map(|(input, output)| json!(input + output)).as_ref()
                    != usage.get("total_tokens")
                {
                    return Err("usage that does not add up".to_owned());
                }
                return match self.usage.replace(usage.clone()) {
                    None => Ok(()),
                    Some(_) => Err("usage twice".to_owned()),
                };
            }
            _ => return Err("usage where it does not belong".to_owned()),
        }
        match choices.as_slice() {
            [choice] => self.choice(choice, is_first),
            _ => Err("not one choice".to_owned()),
        }
    }

    fn choice(&mut self, choice: &Value, is_first: bool) -> Result<(), String> {
        only(choice, &["index", "delta", "finish_reason"])?;
        if choice["index"] != 0 {
            return Err("a choice without its index".to_owned());
        }
        if self.finish.is_some() {
            return Err("a choice after its finish_reason".to_owned());
        }
        let delta = member(choice, "delta")?;
        only(
            delta,
            &[
                "role",
                "content",
                "refusal",
                "reasoning_content",
                "tool_calls",
            ],
        )?;
        if delta.get("role").is_some() != is_first || (is_first && delta["role"] != "assistant") {
            return Err("the role belongs into the first chunk".to_owned());
        }
        for name in ["content", "refusal", "reasoning_content"] {
            if delta.get(name).is_some() {
                let piece = string(delta, name)?;
                if piece.is_empty() && !is_first {
                    return Err("an empty delta".to_owned());
                }
                self.texts.entry(name).or_default().push_str(piece);
            }
        }
        if let Some(calls) = delta.get("tool_calls") {
            for piece in calls.as_array().ok_or("tool_calls is no array")? {
                self.call(piece)?;
            }
        }
        let finish = member(choice, "finish_reason")?;
        if !finish.is_null() {
            if !["stop", "length", "tool_calls", "content_filter"]
                .contains(&finish.as_str().unwrap_or_default())
            {
                return Err("an unknown finish_reason".to_owned());
            }
            self.finish = Some(finish.clone());
        }
        Ok(())
    }

    fn call(&mut self, piece: &Value) -> Result<(), String> {
        let index = member(piece, "index")?
            .as_u64()
            .ok_or("an index that is none")? as usize;
        let function = member(piece, "function")?;
        let arguments = string(function, "arguments")?;
        if index == self.calls.len() {
            only(piece, &["index", "id", "type", "function"])?;
            only(function, &["name", "arguments"])?;
            if string(piece, "id")?.is_empty() || string(piece, "type")? != "function" {
                return Err("not how a call begins".to_owned());
            }
            self.calls.push(json!({
                "id": piece["id"],
                "type": "function",
                "function": {"name": string(function, "name")?, "arguments": arguments},
            }));
            return Ok(());
        }
        // The SDKs append every text they are told again.
        only(piece, &["index", "function"])?;
        only(function, &["arguments"])?;
        let call = self.calls.get_mut(index).ok_or("an index out of order")?;
        let so_far = &mut call["function"]["arguments"];
        *so_far = json!(format!(
            "{}{arguments}",
            so_far.as_str().unwrap_or_default()
        ));
        Ok(())
    }

    fn finish(self) -> Result<Value, String> {
        if !self.done {
            return Err("no [DONE]".to_owned());
        }
        let mut completion = self.common.ok_or("no chunk")?;
        completion["object"] = json!("chat.completion");
        let text = |name| self.texts.get(name).filter(|text| !text.is_empty());
        let mut message = json!({
            "role": "assistant",
            "content": text("content"),
            "refusal": text("refusal"),
        });
        if let Some(reasoning) = text("reasoning_content") {
            message["reasoning_content"] = json!(reasoning);
        }
        if !self.calls.is_empty() {
            message["tool_calls"] = json!(self.calls);
        }
        completion["choices"] = json!([{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": self.finish.ok_or("no finish_reason")?,
        }]);
        if let Some(usage) = self.usage {
            completion["usage"] = usage;
        }
        Ok(completion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checker that lets everything pass proves nothing.
    #[test]
    fn illegal_messages_streams_are_refused() {
        let start = json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 0, "output_tokens": 0,
                "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
        }});
        let open = |index: u32| json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}});
        let delta = |index: u32| json!({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": "a"}});
        let close = |index: u32| json!({"type": "content_block_stop", "index": index});
        let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": start["message"]["usage"]});
        let stop = json!({"type": "message_stop"});
        let read = |events: &[&Value]| {
            let event = |event: &&Value| {
                format!(
                    "event: {}\ndata: {event}\n\n",
                    event["type"].as_str().unwrap()
                )
            };
            anthropic(events.iter().map(event).collect::<String>().as_bytes())
        };
        let (open0, open1, delta0, delta1, close0) =
            (open(0), open(1), delta(0), delta(1), close(0));
        read(&[&start, &open0, &delta0, &close0, &end, &stop]).unwrap();
        for illegal in [
            vec![&open0],
            vec![&start],
            vec![&start, &stop],
            vec![&start, &end],
            vec![&start, &start, &end, &stop],
            vec![&start, &open1, &delta1, &end, &stop],
            vec![&start, &open0, &open1, &end, &stop],
            vec![&start, &open0, &delta1, &close0, &end, &stop],
            vec![&start, &open0, &close0, &end, &stop],
            vec![&start, &open0, &delta0, &end, &stop],
            vec![&start, &delta0, &end, &stop],
            vec![&start, &end, &end, &stop],
            vec![&start, &end, &stop, &stop],
            vec![&start, &close0, &end, &stop],
        ] {
            assert!(read(&illegal).is_err(), "{illegal:?}");
        }
    }

    #[test]
    fn illegal_completion_streams_are_refused() {
        let chunk = |delta: &Value, finish: Option<&str>| {
            json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        };
        let role = chunk(&json!({"role": "assistant", "content": ""}), None);
        let text = chunk(&json!({"content": "a"}), None);
        let call = |index: u32| {
            let call = json!({"index": index, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}});
            chunk(&json!({"tool_calls": [call]}), None)
        };
        let (call0, call1) = (call(0), call(1));
        let end = chunk(&json!({}), Some("stop"));
        let done = json!("[DONE]");
        let read = |chunks: &[&Value]| {
            let chunk = |chunk: &&Value| match chunk.as_str() {
                Some(text) => format!("data: {text}\n\n"),
                None => format!("data: {chunk}\n\n"),
            };
            openai(
                chunks.iter().map(chunk).collect::<String>().as_bytes(),
                false,
            )
        };
        read(&[&role, &text, &call0, &end, &done]).unwrap();
        for illegal in [
            vec![&role, &end],
            vec![&role, &done],
            vec![&text, &end, &done],
            vec![&role, &role, &end, &done],
            vec![&role, &end, &end, &done],
            vec![&role, &end, &text, &done],
            vec![&role, &end, &done, &done],
            vec![&role, &call1, &end, &done],
            vec![&role, &call0, &call0, &end, &done],
        ] {
            assert!(read(&illegal).is_err(), "{illegal:?}");
        }
    }
}
