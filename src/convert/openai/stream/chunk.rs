//! One chunk, read in one pass: this is done for every event.

use crate::convert::openai::reply::Choice;
use crate::convert::openai::reply::message::Said;
use crate::protocol::json::{self, Walk};
use crate::protocol::openai::inner_usage;

/// The members of a chunk that are read, as JSON text; empty where they are not there.
#[derive(Debug, Default)]
pub(super) struct Chunk<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) created: &'a str,
    pub(super) usage: Option<&'a str>,
    /// What it says of the first choice.
    pub(super) part: Option<Part<'a>>,
    /// What it says of the choice that is being read.
    current: Part<'a>,
    place: Place,
}

/// What a chunk says of a choice.
#[derive(Debug, Default)]
pub(super) struct Part<'a> {
    pub(super) choice: Choice<'a>,
    /// What is new.
    pub(super) said: Said<'a>,
    pub(super) has_delta: bool,
    /// A whole message. Some upstreams send it instead of deltas, others beside them.
    pub(super) message: &'a str,
}

/// The object that is being read.
#[derive(Debug, Default, Clone, Copy)]
enum Place {
    #[default]
    Outside,
    Chunk,
    Choice,
    Delta,
}

impl<'a> Chunk<'a> {
    /// `None` if it is no JSON object.
    pub(super) fn read(data: &'a str) -> Option<Self> {
        let mut chunk = Self::default();
        json::walk(data, &mut chunk).ok()?;
        Some(chunk)
    }
}

impl<'a> Walk<'a> for Chunk<'a> {
    fn begin(&mut self) {
        self.place = match self.place {
            Place::Outside => Place::Chunk,
            Place::Chunk => {
                self.current = Part::default();
                Place::Choice
            }
            Place::Choice | Place::Delta => {
                self.current.has_delta = true;
                Place::Delta
            }
        };
    }

    fn enter(&mut self, name: &str) -> bool {
        match self.place {
            Place::Chunk => name == "choices",
            Place::Choice => name == "delta",
            Place::Outside | Place::Delta => false,
        }
    }

    fn member(&mut self, name: &str, value: &'a str) {
        match (self.place, name) {
            (Place::Delta, _) => self.current.said.member(name, value),
            (Place::Choice, "message") => self.current.message = value,
            (Place::Choice, _) => self.current.choice.member(name, value),
            (_, "id") => self.id = value,
            (_, "model") => self.model = value,
            (_, "created") => self.created = value,
            (_, "usage") if value.starts_with('{') => self.usage = Some(value),
            // Groq tells it here.
            (_, "x_groq") => self.usage = self.usage.or_else(|| inner_usage(value)),
            _ => {}
        }
    }

    fn end(&mut self) {
        self.place = match self.place {
            Place::Delta => Place::Choice,
            Place::Choice => {
                if self.part.is_none() && self.current.choice.index == 0 {
                    self.part = Some(std::mem::take(&mut self.current));
                }
                Place::Chunk
            }
            Place::Chunk | Place::Outside => Place::Outside,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_choice_is_read() {
        let text = r#"{"id":"a","choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"},
            "finish_reason":"stop"},{"delta":{"content":"c"}}],"created":1}"#;
        let chunk = Chunk::read(text).unwrap();
        let part = chunk.part.unwrap();
        assert_eq!(part.said.content.as_deref(), Some("a"));
        assert_eq!(part.choice.finish, "stop");
        assert_eq!((chunk.id, chunk.created), ("\"a\"", "1"));
        assert!(
            Chunk::read(r#"{"choices":[{"index":1,"delta":{}}]}"#)
                .unwrap()
                .part
                .is_none()
        );
    }

    #[test]
    fn usage_is_found_where_upstreams_put_it() {
        for text in [
            r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
            r#"{"x_groq":{"id":"r","usage":{"prompt_tokens":1}},"usage":null}"#,
            r#"{"usage":{"prompt_tokens":1},"x_groq":{"usage":{}}}"#,
        ] {
            let usage = Chunk::read(text).unwrap().usage;
            assert_eq!(usage, Some(r#"{"prompt_tokens":1}"#), "{text}");
        }
        let moonshot = r#"{"choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":1}}]}"#;
        assert!(
            Chunk::read(moonshot)
                .unwrap()
                .part
                .unwrap()
                .choice
                .usage
                .is_some()
        );
    }

    #[test]
    fn members_of_wrong_types_are_not_there() {
        for text in [
            r#"{"choices":null}"#,
            r#"{"choices":7,"usage":7}"#,
            r#"{"choices":"a"}"#,
            r#"{"choices":[7,null,[]]}"#,
        ] {
            let chunk = Chunk::read(text).unwrap();
            assert!(chunk.part.is_none() && chunk.usage.is_none(), "{text}");
        }
        let part = Chunk::read(r#"{"choices":[{"index":"a","delta":null,"finish_reason":7}]}"#)
            .unwrap()
            .part
            .unwrap();
        assert!(!part.has_delta && part.choice.finish.is_empty());
        for text in ["7", "[]", "", "{"] {
            assert!(
                Chunk::read(text).is_none_or(|chunk| chunk.part.is_none()),
                "{text}"
            );
        }
    }
}
