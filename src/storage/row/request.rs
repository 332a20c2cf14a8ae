//! The client's body as two columns: `parameters` and `messages`. Whatever it was, there is a result.

use super::Content;
use super::text::{Cleaner, cut_mark};
use crate::config::settings::LogContent;
use crate::protocol::Protocol;
use crate::protocol::json;
use crate::protocol::raw::RawObject;
use crate::storage::record::{Answer, Condensed, Record};

/// Larger values are replaced by a note of their size.
const VALUE_LIMIT: usize = 1024;

/// Members beyond this many bytes of `parameters` are only counted.
const PARAMETERS_LIMIT: usize = 16 * 1024;

/// Members that have columns of their own.
const ELSEWHERE: [&str; 3] = ["model", "messages", "system"];

/// Lists of which only the length is kept.
const COUNTED: [&str; 2] = ["tools", "functions"];

/// Members that hold text of the prompt, also under other names than ours; not kept where content is not.
const TEXTS: [&str; 4] = ["prediction", "prompt", "input", "instructions"];

/// The two columns.
pub(super) fn read(record: &Record, content: Content, cleaner: &Cleaner<'_>) -> Condensed {
    let is_full = content.mode == LogContent::Full;
    if let Some(condensed) = &record.condensed {
        let mut condensed = condensed.clone();
        if let (None, Answer::Stripped { request, .. }) = (&condensed.messages, &record.answer) {
            condensed.messages = Some(cut_mark(*request)).filter(|_| is_full);
        }
        return condensed;
    }
    if let Some(body) = &record.request {
        return Condensed {
            parameters: cleaner.clean(parameters(body, content.mode), usize::MAX),
            messages: messages(body, record.protocol, content, cleaner),
            body: body.source().len(),
        };
    }
    let stripped = match record.answer {
        Answer::Stripped { request, .. } if request > 0 => Some(cut_mark(request)),
        _ => None,
    };
    Condensed {
        parameters: "{}".to_owned(),
        messages: stripped.filter(|_| is_full),
        body: 0,
    }
}

fn parameters(body: &RawObject, mode: LogContent) -> String {
    let mut list = "{".to_owned();
    let mut left_out = 0;
    for (name, value) in body.members() {
        if ELSEWHERE.contains(&name) {
            continue;
        }
        if list.len() + name.len() + value.len().min(VALUE_LIMIT) > PARAMETERS_LIMIT {
            left_out += 1;
            continue;
        }
        let secret_text = mode == LogContent::Metadata && TEXTS.contains(&name);
        let shown = if COUNTED.contains(&name) {
            length(value).map(|length| length.to_string())
        } else if value.len() > VALUE_LIMIT || secret_text {
            None
        } else {
            Some(value.to_owned())
        };
        let shown = shown.unwrap_or_else(|| json::quote(&format!("[{} bytes]", value.len())));
        push(&mut list, name, &shown);
    }
    if left_out > 0 {
        push(&mut list, "…", &json::quote(&format!("[{left_out} more]")));
    }
    list.push('}');
    list
}

fn push(list: &mut String, name: &str, value: &str) {
    if list.len() > 1 {
        list.push(',');
    }
    list.push_str(&json::quote(name));
    list.push(':');
    list.push_str(value);
}

/// The messages as they were sent; an Anthropic `system`, which stands beside them, becomes the first of them.
fn messages(
    body: &RawObject,
    protocol: Protocol,
    content: Content,
    cleaner: &Cleaner<'_>,
) -> Option<String> {
    let messages = body.get("messages")?;
    let system = body
        .get("system")
        .filter(|system| protocol == Protocol::Anthropic && *system != "null");
    if content.mode == LogContent::Metadata {
        let count = length(messages)? + usize::from(system.is_some());
        return Some(format!(r#"{{"count":{count}}}"#));
    }
    let rest = messages.trim_start().strip_prefix('[');
    if let (Some(system), Some(rest)) = (system, rest) {
        let comma = if rest.trim_start().starts_with(']') {
            ""
        } else {
            ","
        };
        let whole = format!(r#"[{{"role":"system","content":{system}}}{comma}{rest}"#);
        return Some(cleaner.clean(whole, content.max_bytes));
    }
    Some(cleaner.clean(messages, content.max_bytes))
}

/// Elements of a JSON array; none if it is something else.
fn length(value: &str) -> Option<usize> {
    let mut count = 0;
    json::elements(value, |_| count += 1).ok()?;
    Some(count)
}

#[cfg(test)]
mod tests;
