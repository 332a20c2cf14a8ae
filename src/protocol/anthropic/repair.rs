//! Tool calls that no `tool_result` block answers.

use std::ops::Range;

use crate::protocol::json;
use crate::protocol::raw::span;
use crate::protocol::repair::{self, Message, NO_RESULT, Patches};

/// A `tool_result` block for each of them, in the user's message that follows, where they have to come first; in a
/// message of their own if none follows.
pub(in crate::protocol) fn missing_results(messages: &str) -> Option<Patches> {
    let mut read = Vec::new();
    json::elements(messages, |text| read.push(repair::read(text, member))).ok()?;
    let mut patches = Patches::new();
    for (place, message) in read.iter().enumerate() {
        let missing = repair::unanswered(&read, place);
        if missing.is_empty() {
            continue;
        }
        let results = results(&missing);
        let next = read.get(place + 1).filter(|next| next.role == "user");
        let patch = next.and_then(|next| within(messages, next.content, &results));
        patches.push(match patch {
            Some(patch) => patch,
            None => (
                repair::after(messages, message.text)?,
                format!(r#",{{"role":"user","content":[{results}]}}"#),
            ),
        });
    }
    Some(patches)
}

fn member(message: &mut Message<'_>, name: &str, value: &str) {
    if name != "content" {
        return;
    }
    let _ = json::elements(value, |block| {
        let kind = string(block, "type");
        match kind.as_deref() {
            Some("tool_use") => message.calls.extend(string(block, "id")),
            Some("tool_result") => message.answers.extend(string(block, "tool_use_id")),
            _ => {}
        }
    });
}

/// A member's text, if it is one.
pub(super) fn string(object: &str, wanted: &str) -> Option<String> {
    let mut found = None;
    let _ = json::members(object, |name, value| {
        if name == wanted {
            found = json::string(value).map(Into::into);
        }
    });
    found
}

fn results(missing: &[&str]) -> String {
    let results = missing.iter().map(|id| {
        format!(
            r#"{{"type":"tool_result","tool_use_id":{},"content":"{NO_RESULT}","is_error":true}}"#,
            json::quote(id)
        )
    });
    results.collect::<Vec<_>>().join(",")
}

/// The results inside of a message's content: after the results that it begins with. `None` if it has no content.
fn within(messages: &str, content: &str, results: &str) -> Option<(Range<usize>, String)> {
    let whole = span(messages, content)?;
    if json::is_array(content) {
        let (mut last, mut is_first, mut is_empty) = (None, true, true);
        json::elements(content, |block| {
            is_empty = false;
            is_first &= string(block, "type").as_deref() == Some("tool_result");
            if is_first {
                last = Some(block);
            }
        })
        .ok()?;
        return Some(match last {
            Some(last) => (repair::after(messages, last)?, format!(",{results}")),
            None => {
                let begin = whole.start + 1;
                let comma = if is_empty { "" } else { "," };
                (begin..begin, format!("{results}{comma}"))
            }
        });
    }
    let text = json::lossy_string(content)?;
    let said = if text.is_empty() {
        String::new()
    } else {
        format!(r#",{{"type":"text","text":{content}}}"#)
    };
    Some((whole, format!("[{results}{said}]")))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::protocol::Protocol;
    use crate::protocol::raw::RawObject;

    const RESULT: &str = r#"{"type":"tool_result","tool_use_id":"a","content":"No result of this call was recorded.","is_error":true}"#;

    /// What becomes of the message after one that calls `a`.
    fn repaired(next: &str) -> String {
        let call =
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","input":{"b": 1.0}}]}"#;
        let body = format!(r#"{{"messages":[{call}{next}]}}"#);
        let body = RawObject::parse(Bytes::from(body)).unwrap();
        let repaired = Protocol::Anthropic.with_missing_results(&body).unwrap();
        let repaired = String::from_utf8(repaired.to_vec()).unwrap();
        let inner = repaired
            .strip_prefix(&format!(r#"{{"messages":[{call}"#))
            .unwrap();
        inner.strip_suffix("]}").unwrap().to_owned()
    }

    #[test]
    fn missing_results_come_first_in_the_message_that_follows() {
        assert_eq!(
            repaired(r#", {"role":"user","content":"stop \u00e9"}"#),
            format!(
                r#", {{"role":"user","content":[{RESULT},{{"type":"text","text":"stop \u00e9"}}]}}"#
            )
        );
        assert_eq!(
            repaired(r#",{"role":"user","content":[ {"type":"text","text":"x"}]}"#),
            format!(r#",{{"role":"user","content":[{RESULT}, {{"type":"text","text":"x"}}]}}"#)
        );
        assert_eq!(
            repaired(
                r#",{"role":"user","content":[{"type":"tool_result","tool_use_id":"z"} ,{"type":"text","text":"x"}]}"#
            ),
            format!(
                r#",{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"z"}},{RESULT} ,{{"type":"text","text":"x"}}]}}"#
            )
        );
        for empty in ["\"\"", "[]", "[ ]"] {
            let repaired = repaired(&format!(r#",{{"role":"user","content":{empty}}}"#));
            let repaired = repaired.replace(" ]", "]");
            assert_eq!(
                repaired,
                format!(r#",{{"role":"user","content":[{RESULT}]}}"#)
            );
        }
    }

    #[test]
    fn where_the_user_does_not_follow_the_results_are_a_message_of_their_own() {
        for next in [
            "",
            r#",{"role":"assistant","content":"x"}"#,
            r#",{"role":"system","content":"x"},{"role":"user","content":"y"}"#,
            r#",{"role":"user"}"#,
        ] {
            assert_eq!(
                repaired(next),
                format!(r#",{{"role":"user","content":[{RESULT}]}}{next}"#)
            );
        }
    }
}
