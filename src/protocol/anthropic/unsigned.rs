//! Thinking of providers that sign none: what we write for the signature, and how such blocks are taken out of a request
//! again, on its way to a provider that takes only what it has signed.

use std::ops::Range;

use memchr::memmem;

use super::repair::string;
use crate::protocol::json;
use crate::protocol::raw::{RawObject, span};
use crate::protocol::repair::{self, Patches};

mod budget;

/// The signature of thinking that has none of Anthropic's. Some clients drop thinking whose signature is empty, so
/// that it never comes back to providers that want it; and it tells which blocks no provider of this protocol has made.
pub const UNSIGNED: &str = "model-proxy-unsigned";

/// A request without the blocks of [`UNSIGNED`] thinking.
#[derive(Debug, Clone)]
pub struct Trimmed {
    /// The body; everything else in it is as it was.
    pub body: RawObject,
    /// What was left out, such as `messages[1].content[0]`.
    pub dropped: Vec<String>,
}

/// Takes the blocks out of the assistant's messages; `None` if there are none. A message that held nothing else goes
/// with them: what stands before and after it is read as one turn.
pub(in crate::protocol) fn without_unsigned_thinking(body: &RawObject) -> Option<Trimmed> {
    memmem::find(body.source(), UNSIGNED.as_bytes())?;
    let messages = body.get("messages")?;
    let (mut spans, mut hollow) = (Vec::new(), Vec::new());
    let (mut patches, mut dropped) = (Patches::new(), Vec::new());
    let mut turns = Vec::new();
    json::elements(messages, |text| {
        let found = unsigned_blocks(messages, text);
        let place = spans.len();
        dropped.extend(
            found
                .places()
                .map(|block| format!("messages[{place}].content[{block}]")),
        );
        hollow.push(found.is_all());
        turns.push((text, found.begins_without_thought(messages)));
        if !found.is_all() {
            patches.extend(found.cuts());
        }
        spans.extend(span(messages, text));
    })
    .ok()?;
    if dropped.is_empty() {
        return None;
    }
    let hollow = Found {
        spans,
        unwanted: hollow,
    };
    patches.extend(hollow.cuts());
    let patched = RawObject::parse(repair::patched(body, messages, patches)?).ok()?;
    let mut trimmed = Trimmed {
        body: patched,
        dropped,
    };
    if calls_tools_without_thought(&turns) {
        budget::give_up(&mut trimmed);
    }
    Some(trimmed)
}

/// Whether the conversation is in the middle of calling tools and the turn that called them has lost what it began
/// with. Of each message: its text, and whether it has.
fn calls_tools_without_thought(turns: &[(&str, bool)]) -> bool {
    let read = turns.iter().rev();
    let read = read.map(|(text, is_bare)| (repair::read(text, |_, _, _| {}), *is_bare));
    let mut recent = read.filter(|(message, _)| message.role != "system");
    let Some((last, _)) = recent.next() else {
        return false;
    };
    let mut answers = false;
    let _ = json::elements(last.content, |block| {
        answers |= string(block, "type").as_deref() == Some("tool_result");
    });
    answers && recent.next().is_some_and(|(_, is_bare)| is_bare)
}

/// The elements of an array, some of which are to be left out.
#[derive(Debug, Default)]
struct Found {
    /// Where each stands.
    spans: Vec<Range<usize>>,
    /// Whether it is to be left out.
    unwanted: Vec<bool>,
}

impl Found {
    fn places(&self) -> impl Iterator<Item = usize> {
        let places = self.unwanted.iter().enumerate();
        places.filter_map(|(place, unwanted)| unwanted.then_some(place))
    }

    /// Nothing would be left of what was there.
    fn is_all(&self) -> bool {
        !self.unwanted.is_empty() && self.unwanted.iter().all(|unwanted| *unwanted)
    }

    /// Something is to be left out, and the first of the rest is no thinking.
    fn begins_without_thought(&self, messages: &str) -> bool {
        let mut rest = self.spans.iter().zip(&self.unwanted);
        let first = rest.find_map(|(span, unwanted)| (!unwanted).then(|| span.clone()));
        let kind = first.and_then(|span| string(messages.get(span)?, "type"));
        self.places().next().is_some()
            && !matches!(
                kind.as_deref(),
                None | Some("thinking" | "redacted_thinking")
            )
    }

    /// What to cut so that neither the elements nor their commas are left: each run up to the next element, the last
    /// from the end of the one before.
    fn cuts(&self) -> Patches {
        let mut cuts = Patches::new();
        let mut kept_end = None;
        let mut run: Option<Range<usize>> = None;
        for (span, unwanted) in self.spans.iter().zip(&self.unwanted) {
            if *unwanted {
                let start = run.map_or(span.start, |run| run.start);
                run = Some(start..span.end);
                continue;
            }
            if let Some(run) = run.take() {
                cuts.push((run.start..span.start, String::new()));
            }
            kept_end = Some(span.end);
        }
        if let Some(run) = run {
            cuts.push((kept_end.unwrap_or(run.start)..run.end, String::new()));
        }
        cuts
    }
}

/// The blocks of a message, as parts of the text of all messages; none if it is not the assistant's.
fn unsigned_blocks(messages: &str, message: &str) -> Found {
    let mut found = Found::default();
    // Most messages are not concerned, and need not be read.
    if memmem::find(message.as_bytes(), UNSIGNED.as_bytes()).is_none() {
        return found;
    }
    let message = repair::read(message, |_, _, _| {});
    if message.role != "assistant" {
        return found;
    }
    let _ = json::elements(message.content, |block| {
        let Some(span) = span(messages, block) else {
            return;
        };
        found.spans.push(span);
        found.unwanted.push(is_unsigned(block));
    });
    found
}

fn is_unsigned(block: &str) -> bool {
    string(block, "type").as_deref() == Some("thinking")
        && string(block, "signature").as_deref() == Some(UNSIGNED)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::Protocol;

    const OURS: &str = r#"{"type":"thinking","thinking":"Hm.","signature":"model-proxy-unsigned"}"#;
    const SIGNED: &str = r#"{"type":"thinking","thinking":"Hm.","signature":"EqQB=="}"#;
    const TEXT: &str = r#"{"type":"text", "text":"a \u00e9"}"#;

    fn trimmed(body: &str) -> Option<(String, String)> {
        let body = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let trimmed = Protocol::Anthropic.without_unsigned_thinking(&body)?;
        let text = String::from_utf8(trimmed.body.source().to_vec()).unwrap();
        Some((text, trimmed.dropped.join(",")))
    }

    #[test]
    fn what_no_provider_has_signed_is_taken_out_and_nothing_else() {
        for (content, left, places) in [
            (format!("[{OURS}, {TEXT}]"), format!("[{TEXT}]"), "0"),
            (format!("[ {TEXT} ,{OURS} ]"), format!("[ {TEXT} ]"), "1"),
            (
                format!("[{SIGNED}, {OURS} ,\n{OURS}, {TEXT}]"),
                format!("[{SIGNED}, {TEXT}]"),
                "1 2",
            ),
            (
                format!("[{OURS},{TEXT},{OURS},{SIGNED} , {OURS},{OURS}]"),
                format!("[{TEXT},{SIGNED}]"),
                "0 2 4 5",
            ),
        ] {
            let body = |content: &str| {
                format!(
                    r#"{{"a":1.0,"messages":[{{"role":"user","content":"x"}}, {{"content" : {content},"role":"assistant"}},{{"role":"user","content":"y"}}] }}"#
                )
            };
            let dropped: Vec<_> = places
                .split(' ')
                .map(|place| format!("messages[1].content[{place}]"))
                .collect();
            assert_eq!(
                trimmed(&body(&content)),
                Some((body(&left), dropped.join(",")))
            );
        }
    }

    #[test]
    fn a_message_of_which_nothing_is_left_goes_too() {
        let user = r#"{"role":"user","content":"x"}"#;
        let thought = format!(r#"{{"role":"assistant","content":[{OURS}]}}"#);
        for (messages, left) in [
            (
                format!("[{user}, {thought}, {user}]"),
                format!("[{user}, {user}]"),
            ),
            (format!("[{user}, {thought}]"), format!("[{user}]")),
            (format!("[{thought} ,{user}]"), format!("[{user}]")),
            (format!("[{thought}]"), "[]".to_owned()),
        ] {
            let (body, dropped) = trimmed(&format!(r#"{{"messages":{messages}}}"#)).unwrap();
            assert_eq!(body, format!(r#"{{"messages":{left}}}"#));
            assert!(dropped.ends_with("].content[0]"), "{dropped}");
        }
    }

    #[test]
    fn a_budget_for_thinking_is_given_up_where_a_turn_has_lost_its_beginning() {
        let call = r#"{"type":"tool_use","id":"a","name":"f","input":{}}"#;
        let result = r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}"#;
        let body = |content: &str, last: &str, rest: &str| {
            format!(
                r#"{{"messages":[{{"role":"assistant","content":[{content}{call}]}},{last}],{rest}}}"#
            )
        };
        let enabled = r#""thinking":{"type":"enabled","budget_tokens":1024}"#;
        let managed = r#""context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}, {"type":"b"}]}"#;
        let dropped = "messages[0].content[0]";
        let cut = format!("{OURS},");
        assert_eq!(
            trimmed(&body(&cut, result, &format!("{enabled},{managed}"))),
            Some((
                body(
                    "",
                    result,
                    r#""thinking":{"type":"disabled"},"context_management":{"edits":[{"type":"b"}]}"#
                ),
                format!("{dropped},thinking,context_management.edits[0]")
            ))
        );
        let adaptive = r#""thinking":{"type":"adaptive"}"#;
        let said = r#"{"role":"user","content":"x"}"#;
        let signed = format!("{SIGNED},");
        for (kept, last, rest) in [
            ("", result, format!("{adaptive},{managed}")),
            ("", said, format!("{enabled},{managed}")),
            (signed.as_str(), result, enabled.to_owned()),
        ] {
            assert_eq!(
                trimmed(&body(&format!("{cut}{kept}"), last, &rest)),
                Some((body(kept, last, &rest), dropped.to_owned()))
            );
        }
    }

    #[test]
    fn a_request_without_such_thinking_stays_as_it_is() {
        for body in [
            "{}".to_owned(),
            r#"{"messages":"model-proxy-unsigned"}"#.to_owned(),
            r#"{"messages":[7,"model-proxy-unsigned"]}"#.to_owned(),
            format!(r#"{{"messages":[{{"role":"assistant","content":[{SIGNED}]}}]}}"#),
            format!(r#"{{"messages":[{{"role":"user","content":[{OURS}]}}]}}"#),
            r#"{"messages":[{"role":"assistant","content":"model-proxy-unsigned"}]}"#.to_owned(),
            r#"{"messages":[{"role":"assistant","content":[{"type":"text","text":"model-proxy-unsigned","signature":"model-proxy-unsigned"}]}]}"#.to_owned(),
        ] {
            assert_eq!(trimmed(&body), None, "{body}");
        }
        let body = format!(r#"{{"messages":[{{"role":"assistant","content":[{OURS}]}}]}}"#);
        let body = RawObject::parse(Bytes::from(body)).unwrap();
        assert!(Protocol::OpenAi.without_unsigned_thinking(&body).is_none());
    }
}
