//! What OpenAI refuses, and what compatible servers do.

use std::collections::HashSet;

use serde_json::Value;

use super::{Faults, is_plain, list, text};

/// The longest id of a call.
const LONGEST_ID: usize = 40;

/// All that is wrong with a body.
pub(in crate::convert) fn faults(body: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    settings(body, &mut faults);
    tools(body, &mut faults);
    answer(body, &mut faults);
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
            "max_completion_tokens",
            "stream",
            "stream_options",
            "temperature",
            "top_p",
            "stop",
            "user",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "reasoning_effort",
            "response_format",
        ],
        "body",
    );
    faults.unless(!text(body, "model").is_empty(), "model", "it is missing");
    faults.unless(
        !list(body, "messages").is_empty(),
        "messages",
        "there is none",
    );
    let both = body.get("max_tokens").is_some() && body.get("max_completion_tokens").is_some();
    faults.unless(
        !both,
        "max_tokens",
        "it stands beside max_completion_tokens",
    );
    faults.unless(list(body, "stop").len() <= 4, "stop", "more than four");
    faults.unless(
        text(body, "user").chars().count() <= 64,
        "user",
        "it is too long",
    );
    let options = body.get("stream_options").is_none() || body["stream"] == true;
    faults.unless(options, "stream_options", "there is no stream");
    let effort = text(body, "reasoning_effort");
    let known = ["", "none", "minimal", "low", "medium", "high", "xhigh"];
    faults.unless(
        known.contains(&effort),
        "reasoning_effort",
        "it is not known",
    );
}

fn tools(body: &Value, faults: &mut Faults) {
    let mut names = HashSet::new();
    for tool in list(body, "tools") {
        faults.only(tool, &["type", "function"], "tools");
        faults.unless(tool["type"] == "function", "tools", "of an unknown type");
        let function = &tool["function"];
        faults.only(
            function,
            &["name", "description", "parameters", "strict"],
            "tools",
        );
        faults.unless(
            is_plain(text(function, "name"), 64),
            "tools",
            "a name is not legal",
        );
        let parameters = &function["parameters"];
        let is_schema = parameters.is_null() || parameters.is_object();
        faults.unless(is_schema, "tools", "parameters that are no object");
        names.insert(text(function, "name"));
    }
    faults.unless(
        body.get("tools").is_none() || !names.is_empty(),
        "tools",
        "there is none",
    );
    for name in ["tool_choice", "parallel_tool_calls"] {
        faults.unless(
            body.get(name).is_none() || !names.is_empty(),
            name,
            "there are no tools",
        );
    }
    match &body["tool_choice"] {
        Value::Null => {}
        Value::String(word) => {
            let known = ["auto", "none", "required"].contains(&word.as_str());
            faults.unless(known, "tool_choice", "an unknown word");
        }
        choice => {
            faults.only(choice, &["type", "function"], "tool_choice");
            let named = names.contains(text(&choice["function"], "name"));
            faults.unless(named, "tool_choice", "no such tool");
        }
    }
}

fn answer(body: &Value, faults: &mut Faults) {
    let format = &body["response_format"];
    if format.is_null() {
        return;
    }
    let place = "response_format";
    match text(format, "type") {
        "json_object" => {}
        "json_schema" => {
            let schema = &format["json_schema"];
            faults.unless(
                is_plain(text(schema, "name"), 64),
                place,
                "a name is not legal",
            );
            faults.unless(schema["schema"].is_object(), place, "there is no schema");
        }
        _ => faults.unless(false, place, "of an unknown type"),
    }
}

fn messages(messages: &[Value], faults: &mut Faults) {
    // Calls that are still to be answered, in the messages that follow at once.
    let mut open: HashSet<&str> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let place = format!("messages[{index}]");
        let role = text(message, "role");
        if role == "tool" {
            let id = text(message, "tool_call_id");
            faults.unless(open.remove(id), &place, "a result of no call before it");
        } else {
            faults.unless(open.is_empty(), &place, "a result is missing before it");
            open.clear();
        }
        let (members, parts): (&[_], &[_]) = match role {
            "system" => (&["role", "content"], &["text"]),
            "user" => (&["role", "content"], &["text", "image_url", "file"]),
            "tool" => (&["role", "content", "tool_call_id"], &["text"]),
            "assistant" => (
                &[
                    "role",
                    "content",
                    "tool_calls",
                    "refusal",
                    "reasoning_content",
                ],
                &["text", "refusal"],
            ),
            _ => (&[], &[]),
        };
        faults.only(message, members, &place);
        content(message, parts, &place, faults);
        for call in list(message, "tool_calls") {
            open.extend(self::call(call, &place, faults));
        }
        let called = message.get("tool_calls").is_none() || !list(message, "tool_calls").is_empty();
        faults.unless(called, &place, "an empty list of calls");
    }
    faults.unless(
        open.is_empty(),
        "messages",
        "a result is missing at the end",
    );
}

fn content(message: &Value, allowed: &[&str], place: &str, faults: &mut Faults) {
    match &message["content"] {
        Value::Null => {
            let said = ["tool_calls", "refusal"]
                .iter()
                .any(|name| message.get(name).is_some());
            faults.unless(said, place, "no content");
        }
        Value::String(content) => {
            let may_be_empty = ["tool", "assistant"].contains(&text(message, "role"));
            faults.unless(may_be_empty || !content.is_empty(), place, "an empty text");
        }
        Value::Array(parts) => {
            faults.unless(!parts.is_empty(), place, "no content");
            for part in parts {
                self::part(part, allowed, place, faults);
            }
        }
        _ => faults.unless(false, place, "content of a wrong type"),
    }
}

fn part(part: &Value, allowed: &[&str], place: &str, faults: &mut Faults) {
    let kind = text(part, "type");
    faults.unless(allowed.contains(&kind), place, "a part in a wrong place");
    faults.only(part, &["type", kind], place);
    match kind {
        "image_url" => {
            let inner = &part["image_url"];
            faults.only(inner, &["url", "detail"], place);
            let url = text(inner, "url");
            let is_address = ["data:image/", "http://", "https://"]
                .iter()
                .any(|begin| url.starts_with(begin));
            faults.unless(is_address, place, "an image without an address");
        }
        "file" => {
            let inner = &part["file"];
            faults.only(inner, &["filename", "file_data"], place);
            faults.unless(
                !text(inner, "filename").is_empty(),
                place,
                "a file without a name",
            );
            faults.unless(
                !text(inner, "file_data").is_empty(),
                place,
                "a file without data",
            );
        }
        _ => faults.unless(!text(part, kind).is_empty(), place, "an empty text"),
    }
}

/// Its id.
fn call<'a>(call: &'a Value, place: &str, faults: &mut Faults) -> Option<&'a str> {
    faults.only(call, &["id", "type", "function"], place);
    faults.unless(
        call["type"] == "function",
        place,
        "a call of an unknown type",
    );
    let function = &call["function"];
    faults.only(function, &["name", "arguments"], place);
    faults.unless(
        is_plain(text(function, "name"), 64),
        place,
        "a call by an illegal name",
    );
    faults.unless(
        function["arguments"].is_string(),
        place,
        "arguments that are no text",
    );
    let id = text(call, "id");
    let is_fine = !id.is_empty() && id.chars().count() <= LONGEST_ID;
    faults.unless(is_fine, place, "an id that is empty or too long");
    Some(id)
}
