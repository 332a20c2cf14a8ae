//! The arguments of a tool call: by contract the text of a JSON object, in fact whatever the model wrote. Nothing of it
//! is lost: what is no object travels inside one, as `{"_raw_arguments": "<text>"}`. It knows no protocol.

use std::borrow::Cow;

use crate::protocol::json;

/// The member that holds arguments which are no JSON object.
pub(super) const RAW_ARGUMENTS: &str = "_raw_arguments";

/// The arguments as the text of a JSON object, for a protocol that takes nothing else; owned if they had to be
/// wrapped. No arguments at all, also written as `null`, are an empty object.
pub(super) fn to_object(arguments: &str) -> Cow<'_, str> {
    match arguments.trim() {
        "" | "null" => Cow::Borrowed("{}"),
        object if json::text(object.as_bytes()).is_ok() && json::is_object(object) => {
            Cow::Borrowed(object)
        }
        _ => Cow::Owned(wrap(arguments)),
    }
}

/// An object that holds a text which is none.
pub(super) fn wrap(arguments: &str) -> String {
    format!(r#"{{"{RAW_ARGUMENTS}":{}}}"#, json::quote(arguments))
}

/// The text in an object that holds nothing else; `None` for every other object, and for what is none.
pub(super) fn unwrap(arguments: &str) -> Option<String> {
    let (mut members, mut found) = (0, None);
    json::members(arguments, |name, value| {
        members += 1;
        if name == RAW_ARGUMENTS {
            found = json::string(value).map(Cow::into_owned);
        }
    })
    .ok()?;
    found.filter(|_| members == 1)
}

/// How far arguments that come in pieces have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing but white space.
    #[default]
    Nothing,
    /// Inside an object.
    Inside(Position),
    /// The object has been closed: no further piece belongs to it.
    Complete,
    /// It does not begin as an object.
    Nonsense,
}

/// A place inside an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Progress {
    /// Reads the next piece.
    pub(super) fn feed(&mut self, piece: &str) {
        for byte in piece.bytes() {
            *self = match *self {
                Self::Nothing if byte.is_ascii_whitespace() => Self::Nothing,
                Self::Nothing if byte == b'{' => Self::Inside(Position {
                    depth: 1,
                    in_string: false,
                    escaped: false,
                }),
                Self::Inside(position) => match position.after(byte) {
                    Some(position) => Self::Inside(position),
                    None => Self::Complete,
                },
                Self::Complete => return,
                Self::Nothing | Self::Nonsense => {
                    *self = Self::Nonsense;
                    return;
                }
            };
        }
    }
}

impl Position {
    /// `None`: the byte closes the object.
    fn after(mut self, byte: u8) -> Option<Self> {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        (self.depth > 0).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_are_an_object_stay_as_they_are() {
        assert_eq!(
            to_object(" {\"b\": 1.0,\"a\":[]}\n"),
            "{\"b\": 1.0,\"a\":[]}"
        );
        for nothing in ["", " \n", "null", " null "] {
            assert_eq!(to_object(nothing), "{}", "{nothing:?}");
        }
    }

    #[test]
    fn arguments_that_are_no_object_travel_inside_one() {
        for nonsense in ["{\"a\":", "[1]", "\"{}\"", "7", "{} {}", "say \"hi\"\n"] {
            let object = to_object(nonsense);
            assert!(json::is_object(&object), "{object}");
            let object: serde_json::Value = serde_json::from_str(&object).unwrap();
            assert_eq!(object, serde_json::json!({RAW_ARGUMENTS: nonsense}));
        }
    }

    #[test]
    fn only_what_was_wrapped_is_unwrapped() {
        assert_eq!(unwrap(&wrap("{\"a\":")).as_deref(), Some("{\"a\":"));
        for other in [
            r#"{"_raw_arguments":"x","a":1}"#,
            r#"{"_raw_arguments":1}"#,
            "{}",
            "{\"a\":",
        ] {
            assert_eq!(unwrap(other), None, "{other}");
        }
    }

    #[test]
    fn an_object_is_complete_with_its_last_brace_however_it_is_cut() {
        let text = r#" {"a":"}\"{","b":[{}],"c\\":1}"#;
        for cut in 0..text.len() {
            let (head, tail) = text.split_at(cut);
            let mut progress = Progress::default();
            progress.feed(head);
            assert_ne!(progress, Progress::Complete, "{head}");
            progress.feed(tail);
            assert_eq!(progress, Progress::Complete, "{head}|{tail}");
        }
    }

    #[test]
    fn what_does_not_begin_as_an_object_is_nonsense() {
        for text in ["null", " [", "\"{\"", "}"] {
            let mut progress = Progress::default();
            progress.feed(text);
            assert_eq!(progress, Progress::Nonsense, "{text}");
        }
    }
}
