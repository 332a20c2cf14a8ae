//! Conversations in which a tool call was never answered, such as those of agents that were interrupted: what is missing
//! is put in, and nothing else is touched. What an answer looks like is each protocol's own.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use super::json;
use super::raw::{RawObject, span};

/// What stands in for a result that is not there.
pub(super) const NO_RESULT: &str = "No result of this call was recorded.";

/// Texts that take the place of others; an empty range is a place between them.
pub(super) type Patches = Vec<(Range<usize>, String)>;

/// A message, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    /// Its text.
    pub(super) text: &'a str,
    /// Who speaks; empty if that cannot be read.
    pub(super) role: String,
    /// The value of `content`.
    pub(super) content: &'a str,
    /// The ids of the tools that it calls.
    pub(super) calls: Vec<String>,
    /// The ids of the calls that it answers.
    pub(super) answers: Vec<String>,
}

/// Puts in what `find` says is missing. It gets the text of `messages`, whose parts the ranges are.
pub(super) fn with_missing_results(
    body: &RawObject,
    find: fn(&str) -> Option<Patches>,
) -> Option<Bytes> {
    let messages = body.get("messages")?;
    patched(body, messages, find(messages)?)
}

/// The body with patches in the text of its `messages`; `None` if there are no patches.
pub(super) fn patched(body: &RawObject, messages: &str, mut patches: Patches) -> Option<Bytes> {
    if patches.is_empty() {
        return None;
    }
    patches.sort_by_key(|(range, _)| range.start);
    let mut text = String::with_capacity(messages.len() + 128 * patches.len());
    let mut copied = 0;
    for (range, patch) in &patches {
        text.push_str(messages.get(copied..range.start)?);
        text.push_str(patch);
        copied = range.end;
    }
    text.push_str(messages.get(copied..)?);
    let mut edit = body.edit();
    edit.set("messages", text);
    Some(edit.finish())
}

/// The members of a message that every protocol has; `read` takes the others.
pub(super) fn read<'a>(
    text: &'a str,
    mut read: impl FnMut(&mut Message<'a>, &str, &'a str),
) -> Message<'a> {
    let mut message = Message {
        text,
        ..Message::default()
    };
    let _ = json::members(text, |name, value| {
        match &*name {
            "role" => message.role = json::string(value).unwrap_or_default().into_owned(),
            "content" => message.content = value,
            _ => {}
        }
        read(&mut message, &name, value);
    });
    message
}

/// The calls of the message at `place` that nobody answers before the assistant speaks again, each once.
pub(super) fn unanswered<'m>(messages: &'m [Message<'_>], place: usize) -> Vec<&'m str> {
    let Some((message, later)) = messages.get(place..).and_then(<[_]>::split_first) else {
        return Vec::new();
    };
    if message.role != "assistant" || message.calls.is_empty() {
        return Vec::new();
    }
    let turn = later.iter().take_while(|later| later.role != "assistant");
    let mut known: HashSet<&str> = turn
        .flat_map(|later| later.answers.iter().map(String::as_str))
        .collect();
    let calls = message.calls.iter().map(String::as_str);
    calls.filter(|id| known.insert(id)).collect()
}

/// The place after a part of a text.
pub(super) fn after(whole: &str, part: &str) -> Option<Range<usize>> {
    let end = span(whole, part)?.end;
    Some(end..end)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::protocol::Protocol;
    use crate::protocol::raw::RawObject;

    fn repaired(protocol: Protocol, body: &str) -> Option<String> {
        let body = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let repaired = protocol.with_missing_results(&body)?;
        Some(String::from_utf8(repaired.to_vec()).unwrap())
    }

    #[test]
    fn a_conversation_without_gaps_stays_as_it_is() {
        for (protocol, body) in [
            (Protocol::OpenAi, r#"{"messages":[]}"#),
            (Protocol::OpenAi, r#"{"messages":7}"#),
            (Protocol::OpenAi, r#"{"messages":[7,{"role":[]}]}"#),
            (
                Protocol::OpenAi,
                r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a"},{"id":"b"},{}]},{"role":"tool","tool_call_id":"b"},{"role":"user","content":"x"},{"role":"tool","tool_call_id":"a"}]}"#,
            ),
            (
                Protocol::Anthropic,
                r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a"},{"type":"server_tool_use","id":"s"}]},{"role":"system","content":"x"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]}"#,
            ),
        ] {
            assert_eq!(repaired(protocol, body), None, "{body}");
        }
    }

    #[test]
    fn a_body_without_messages_stays_as_it_is() {
        assert_eq!(repaired(Protocol::OpenAi, "{}"), None);
        assert_eq!(repaired(Protocol::Anthropic, "{}"), None);
    }
}
