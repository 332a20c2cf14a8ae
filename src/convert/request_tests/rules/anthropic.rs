//! What Anthropic refuses.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Faults, is_plain, list, text};

/// All that is wrong with a body.
pub(in crate::convert) fn faults(body: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    settings(body, &mut faults);
    tools(body, &mut faults);
    thinking(body, &mut faults);
    for block in blocks(&body["system"]) {
        faults.unless(text(&block, "type") == "text", "system", "it is no text");
        self::block(&block, "system", &mut faults);
    }
    messages(list(body, "messages"), &mut faults);
    faults.0
}

fn settings(body: &Value, faults: &mut Faults) {
    faults.only(
        body,
        &[
            "model",
            "messages",
            "max_tokens",
            "system",
            "stream",
            "temperature",
            "top_p",
            "top_k",
            "stop_sequences",
            "metadata",
            "tools",
            "tool_choice",
            "thinking",
            "output_config",
        ],
        "body",
    );
    faults.unless(!text(body, "model").is_empty(), "model", "it is missing");
    faults.unless(
        body["max_tokens"].as_u64() >= Some(1),
        "max_tokens",
        "it is missing",
    );
    faults.unless(
        !list(body, "messages").is_empty(),
        "messages",
        "there is none",
    );
    let temperature = body["temperature"].as_f64();
    faults.unless(
        temperature.is_none_or(|value| (0.0..=1.0).contains(&value)),
        "temperature",
        "it is above 1",
    );
    let both = temperature.is_some() && body.get("top_p").is_some();
    faults.unless(!both, "temperature", "it stands beside top_p");
    for stop in list(body, "stop_sequences") {
        let stop = stop.as_str().unwrap_or_default();
        faults.unless(!stop.trim().is_empty(), "stop_sequences", "one is blank");
    }
    faults.only(&body["metadata"], &["user_id"], "metadata");
    faults.only(
        &body["output_config"],
        &["effort", "format"],
        "output_config",
    );
}

fn tools(body: &Value, faults: &mut Faults) {
    let mut names = HashSet::new();
    for tool in list(body, "tools") {
        let known = [
            "name",
            "description",
            "input_schema",
            "strict",
            "cache_control",
        ];
        faults.only(tool, &known, "tools");
        faults.unless(
            is_plain(text(tool, "name"), 128),
            "tools",
            "a name is not legal",
        );
        faults.unless(
            names.insert(text(tool, "name")),
            "tools",
            "a name is there twice",
        );
        faults.unless(
            tool["input_schema"]["type"] == "object",
            "tools",
            "a schema is no object's",
        );
    }
    let choice = &body["tool_choice"];
    if choice.is_null() {
        return;
    }
    faults.only(
        choice,
        &["type", "name", "disable_parallel_tool_use"],
        "tool_choice",
    );
    faults.unless(!names.is_empty(), "tool_choice", "there are no tools");
    match text(choice, "type") {
        "auto" | "any" | "none" => {}
        "tool" => faults.unless(
            names.contains(text(choice, "name")),
            "tool_choice",
            "no such tool",
        ),
        _ => faults.unless(false, "tool_choice", "of an unknown type"),
    }
}

fn thinking(body: &Value, faults: &mut Faults) {
    let kind = text(&body["thinking"], "type");
    let thinks = matches!(kind, "enabled" | "adaptive");
    let place = "thinking";
    faults.unless(
        body.get(place).is_none() || thinks || kind == "disabled",
        place,
        "of an unknown type",
    );
    if !thinks {
        return;
    }
    let forced = matches!(text(&body["tool_choice"], "type"), "any" | "tool");
    faults.unless(!forced, place, "a tool is forced");
    let free = body.get("temperature").is_none() && body.get("top_k").is_none();
    faults.unless(free, place, "beside temperature or top_k");
    let top_p = body["top_p"].as_f64();
    faults.unless(
        top_p.is_none_or(|value| value >= 0.95),
        place,
        "beside a low top_p",
    );
    if kind == "enabled" {
        let budget = body[place]["budget_tokens"].as_u64().unwrap_or_default();
        let most = body["max_tokens"].as_u64().unwrap_or_default();
        faults.unless(
            (1024..most).contains(&budget),
            place,
            "the budget is out of range",
        );
    }
}

/// Content as blocks.
fn blocks(content: &Value) -> Vec<Value> {
    match content {
        Value::Null => Vec::new(),
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        content => content.as_array().cloned().unwrap_or_default(),
    }
}

fn messages(messages: &[Value], faults: &mut Faults) {
    let mut called = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let place = format!("messages[{index}]");
        faults.only(message, &["role", "content"], &place);
        let blocks = blocks(&message["content"]);
        faults.unless(!blocks.is_empty(), &place, "it is empty");
        let before = index.checked_sub(1).map(|index| &messages[index]);
        faults.unless(
            before.is_none_or(|before| before["role"] != message["role"]),
            &place,
            "the role of the one before",
        );
        let allowed: &[_] = match text(message, "role") {
            "system" => &["text"],
            "user" => &["text", "image", "document", "tool_result"],
            "assistant" => &["text", "thinking", "redacted_thinking", "tool_use"],
            _ => &[],
        };
        for block in &blocks {
            faults.unless(
                allowed.contains(&text(block, "type")),
                &place,
                "a block in a wrong place",
            );
            self::block(block, &place, faults);
            if text(block, "type") == "tool_use" {
                let id = text(block, "id").to_owned();
                faults.unless(called.insert(id), &place, "a call's id is there twice");
            }
        }
        results(before, &blocks, &place, faults);
        if index + 1 == messages.len() {
            let open = blocks.iter().any(|block| text(block, "type") == "tool_use");
            faults.unless(!open, &place, "a call without its result");
            let end = blocks.last().map_or("", |block| text(block, "text"));
            let is_prefill = text(message, "role") == "assistant";
            faults.unless(
                !is_prefill || end.trim_end() == end,
                &place,
                "a prefill that ends blank",
            );
        }
    }
}

/// Results answer all calls of the message before, and come first.
fn results(before: Option<&Value>, blocks: &[Value], place: &str, faults: &mut Faults) {
    let of = |blocks: &[Value], kind: &str, member: &str| -> Vec<String> {
        let found = blocks.iter().filter(|block| text(block, "type") == kind);
        found.map(|block| text(block, member).to_owned()).collect()
    };
    let before = before
        .map(|before| self::blocks(&before["content"]))
        .unwrap_or_default();
    let calls = of(&before, "tool_use", "id");
    let results = of(blocks, "tool_result", "tool_use_id");
    for call in &calls {
        faults.unless(results.contains(call), place, "a result is missing");
    }
    let mut answered = HashSet::new();
    for result in &results {
        faults.unless(calls.contains(result), place, "a result of no call");
        faults.unless(answered.insert(result), place, "two results of one call");
    }
    let first = blocks.iter().take(results.len());
    let first = first.filter(|block| text(block, "type") == "tool_result");
    faults.unless(
        first.count() == results.len(),
        place,
        "a result after something else",
    );
}

fn block(block: &Value, place: &str, faults: &mut Faults) {
    let known: &[_] = match text(block, "type") {
        "text" => {
            let is_blank = text(block, "text").trim().is_empty();
            faults.unless(!is_blank, place, "a blank text");
            &["type", "text", "cache_control"]
        }
        "image" => {
            source(&block["source"], &["base64", "url"], place, faults);
            &["type", "source", "cache_control"]
        }
        "document" => {
            source(&block["source"], &["base64", "url", "text"], place, faults);
            &["type", "source", "title", "cache_control"]
        }
        "thinking" => {
            let signed = !text(block, "signature").is_empty();
            faults.unless(signed, place, "unsigned thinking");
            &["type", "thinking", "signature"]
        }
        "redacted_thinking" => &["type", "data"],
        "tool_use" => {
            faults.unless(
                is_plain(text(block, "id"), usize::MAX),
                place,
                "an illegal id",
            );
            faults.unless(is_plain(text(block, "name"), 128), place, "an illegal name");
            faults.unless(
                block["input"].is_object(),
                place,
                "an input that is no object",
            );
            &["type", "id", "name", "input", "cache_control"]
        }
        "tool_result" => {
            faults.unless(
                is_plain(text(block, "tool_use_id"), usize::MAX),
                place,
                "an illegal id",
            );
            for inner in blocks(&block["content"]) {
                let kind = text(&inner, "type");
                let fits = ["text", "image", "document"].contains(&kind);
                faults.unless(fits, place, "a block that no result holds");
                self::block(&inner, place, faults);
            }
            &[
                "type",
                "tool_use_id",
                "content",
                "is_error",
                "cache_control",
            ]
        }
        _ => &[],
    };
    faults.only(block, known, place);
}

fn source(source: &Value, allowed: &[&str], place: &str, faults: &mut Faults) {
    let kind = text(source, "type");
    faults.unless(
        allowed.contains(&kind),
        place,
        "a source of an unknown type",
    );
    let needed: &[_] = match kind {
        "url" => &["url"],
        _ => &["media_type", "data"],
    };
    for name in needed {
        faults.unless(
            !text(source, name).is_empty(),
            place,
            "a source that lacks a member",
        );
    }
    let media = text(source, "media_type");
    let is_fine = match kind {
        "base64" => [
            "image/png",
            "image/jpeg",
            "image/gif",
            "image/webp",
            "application/pdf",
        ]
        .contains(&media),
        "text" => media == "text/plain",
        _ => true,
    };
    faults.unless(is_fine, place, "a media type that is not taken");
}
