//! What a message says, or a piece of one in a stream: the official members, and the spellings of compatible upstreams.

use std::borrow::Cow;

use crate::protocol::json;

/// Members that hold what we cannot say in words of the hub.
const OTHERS: [&str; 2] = ["audio", "images"];

/// The members of a message or of a delta, in the order in which the hub takes them; `None` for what is not there or
/// empty.
#[derive(Debug, Default)]
pub(in crate::convert::openai) struct Said<'a> {
    pub(in crate::convert::openai) reasoning: Option<Cow<'a, str>>,
    pub(in crate::convert::openai) content: Option<Cow<'a, str>>,
    pub(in crate::convert::openai) refusal: Option<Cow<'a, str>>,
    /// An array of citations.
    pub(in crate::convert::openai) annotations: Option<&'a str>,
    /// An array of calls, or of pieces of calls.
    pub(in crate::convert::openai) tool_calls: Option<&'a str>,
    /// The one call of the protocol's first years.
    pub(in crate::convert::openai) function_call: Option<&'a str>,
    /// Something else that the client would have liked: its member and its value.
    pub(in crate::convert::openai) other: Option<(&'static str, &'a str)>,
    /// That of the member from which the reasoning was taken.
    rank: u8,
}

impl<'a> Said<'a> {
    /// Reads a message or a delta.
    pub(in crate::convert::openai) fn read(message: &'a str) -> Self {
        let mut said = Self::default();
        let _ = json::members(message, |name, value| said.member(&name, value));
        said
    }

    /// Reads one of its members; what is of a wrong type is not there.
    pub(in crate::convert::openai) fn member(&mut self, name: &str, value: &'a str) {
        if value == "null" || value == "\"\"" {
            return;
        }
        match name {
            "content" => self.read_content(value),
            "reasoning_content" => self.reason(4, text(value)),
            "reasoning" => self.reason(3, text(value)),
            "thinking" => self.reason(2, text(value)),
            "reasoning_details" => self.reason(1, joined(value, &["text", "summary"])),
            "refusal" => self.refusal = text(value),
            "annotations" => {
                self.annotations = filled(value).filter(|value| json::is_array(value));
            }
            "tool_calls" => self.tool_calls = filled(value),
            "function_call" => self.function_call = filled(value),
            other => {
                let known = OTHERS.into_iter().find(|known| *known == other);
                let other = known.and_then(|known| Some((known, filled(value)?)));
                self.other = self.other.or(other);
            }
        }
    }

    /// Some upstreams say the same in two members: the higher rank is taken.
    fn reason(&mut self, rank: u8, told: Option<Cow<'a, str>>) {
        if told.is_some() && rank > self.rank {
            self.rank = rank;
            self.reasoning = told;
        }
    }

    /// Content is a text, or parts: text, refusals, and Mistral's thinking.
    fn read_content(&mut self, value: &'a str) {
        if !json::is_array(value) {
            self.content = text(value);
            return;
        }
        self.content = joined(value, &["text"]);
        self.refusal = self.refusal.take().or_else(|| joined(value, &["refusal"]));
        let mut thinking = String::new();
        let _ = json::elements(value, |part| {
            let _ = json::members(part, |name, value| {
                if name == "thinking" {
                    let told = text(value).or_else(|| joined(value, &["text"]));
                    thinking.push_str(&told.unwrap_or_default());
                }
            });
        });
        if self.reasoning.is_none() && !thinking.is_empty() {
            self.reasoning = Some(Cow::Owned(thinking));
        }
    }
}

/// A call, or a piece of one.
#[derive(Debug, Default)]
pub(in crate::convert::openai) struct CallPiece<'a> {
    /// Its place among the calls of the answer.
    pub(in crate::convert::openai) index: Option<u64>,
    /// Empty if it is not told.
    pub(in crate::convert::openai) id: Cow<'a, str>,
    /// Empty if it is not told.
    pub(in crate::convert::openai) name: Cow<'a, str>,
    /// Arguments or a piece of them; may be empty.
    pub(in crate::convert::openai) arguments: Cow<'a, str>,
}

impl<'a> CallPiece<'a> {
    /// Reads an element of `tool_calls`.
    pub(in crate::convert::openai) fn read(call: &'a str) -> Self {
        let mut piece = Self::default();
        let _ = json::members(call, |name, value| match &*name {
            "index" => piece.index = json::count(value),
            "id" => piece.id = text(value).unwrap_or_default(),
            "function" | "custom" => piece.read_function(value),
            _ => {}
        });
        piece
    }

    /// Reads a `function_call`.
    pub(in crate::convert::openai) fn read_legacy(function: &'a str) -> Self {
        let mut piece = Self::default();
        piece.read_function(function);
        piece
    }

    fn read_function(&mut self, function: &'a str) {
        let _ = json::members(function, |name, value| match &*name {
            "name" => self.name = text(value).unwrap_or_default(),
            // Some upstreams give the object itself instead of its text.
            "arguments" | "input" if value.starts_with('{') => {
                self.arguments = Cow::Borrowed(value)
            }
            "arguments" | "input" => self.arguments = text(value).unwrap_or_default(),
            _ => {}
        });
    }
}

/// The text of a JSON string that is not empty, with a replacement character for half a character.
pub(in crate::convert::openai) fn text(value: &str) -> Option<Cow<'_, str>> {
    let text = json::lossy_string(value)?;
    (!text.is_empty()).then_some(text)
}

/// The texts of these members of all elements, one after the other.
fn joined<'a>(elements: &str, wanted: &[&str]) -> Option<Cow<'a, str>> {
    let mut joined = String::new();
    let _ = json::elements(elements, |element| {
        let _ = json::members(element, |name, value| {
            if wanted.contains(&&*name) {
                joined.push_str(&text(value).unwrap_or_default());
            }
        });
    });
    (!joined.is_empty()).then_some(Cow::Owned(joined))
}

fn filled(value: &str) -> Option<&str> {
    (!json::is_empty(value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasoning(message: &str) -> Option<String> {
        Said::read(message).reasoning.map(Cow::into_owned)
    }

    #[test]
    fn reasoning_is_found_in_every_spelling_and_taken_once() {
        for message in [
            r#"{"reasoning_content":"why"}"#,
            r#"{"reasoning":"why","reasoning_details":[{"type":"reasoning.text","text":"other"}]}"#,
            r#"{"reasoning":"other","reasoning_content":"why"}"#,
            r#"{"reasoning_content":null,"reasoning":"why"}"#,
            r#"{"reasoning_content":"","thinking":"why"}"#,
            r#"{"reasoning_details":[{"text":"w"},{"summary":"hy"},{"data":"x"}]}"#,
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"why"}]}]}"#,
            r#"{"content":[{"type":"thinking","thinking":"why"}]}"#,
        ] {
            assert_eq!(reasoning(message).as_deref(), Some("why"), "{message}");
        }
        assert_eq!(reasoning(r#"{"reasoning":{"effort":"low"}}"#), None);
    }

    #[test]
    fn content_is_a_text_or_parts() {
        for message in [
            r#"{"content":"ab"}"#,
            r#"{"content":[{"type":"text","text":"a"},{"type":"output_text","text":"b"},7]}"#,
        ] {
            assert_eq!(Said::read(message).content.as_deref(), Some("ab"));
        }
        let said = Said::read(r#"{"content":[{"type":"refusal","refusal":"no"}]}"#);
        assert_eq!((said.content, said.refusal.as_deref()), (None, Some("no")));
        for nothing in [
            r#"{"content":null}"#,
            r#"{"content":""}"#,
            r#"{"content":[]}"#,
            r#"{"content":7}"#,
        ] {
            assert!(Said::read(nothing).content.is_none(), "{nothing}");
        }
    }

    #[test]
    fn half_a_character_does_not_lose_the_rest() {
        let said = Said::read(r#"{"content":"a\ud83d"}"#);
        assert!(said.content.unwrap().starts_with("a\u{fffd}"));
    }

    #[test]
    fn a_call_is_read_in_every_spelling() {
        for call in [
            r#"{"index":1,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}"#,
            r#"{"index":1.0,"id":"c","function":{"name":"f","arguments":{}}}"#,
            r#"{"index":1,"id":"c","type":"custom","custom":{"name":"f","input":"{}"}}"#,
        ] {
            let piece = CallPiece::read(call);
            assert_eq!(piece.index, Some(1), "{call}");
            assert_eq!(
                (&*piece.id, &*piece.name, &*piece.arguments),
                ("c", "f", "{}")
            );
        }
        let piece = CallPiece::read(r#"{"index":null,"id":null,"function":{"name":null}}"#);
        assert_eq!((piece.index, &*piece.id, &*piece.name), (None, "", ""));
    }
}
