//! Ids of answers and of the calls in them, in the style of the client's protocol. It knows no protocol but the prefixes
//! that it is given.

use std::borrow::Cow;
use std::collections::HashSet;

use super::ReplyContext;

/// How much of an answer's id goes into the ids of its calls: OpenAI refuses calls whose ids are longer than 40.
const LONGEST_SOURCE: usize = 28;

/// How much of our own id tells apart answers to which an upstream gives one and the same.
const LONGEST_MARK: usize = 12;

/// What ids of answers begin with.
const PREFIXES: [&str; 2] = ["chatcmpl-", "msg_"];

/// An answer's id. One of another style gets the prefix, so that it can still be found upstream.
pub(super) fn answer_id<'a>(
    prefix: &str,
    told: &'a str,
    context: &'a ReplyContext,
) -> Cow<'a, str> {
    let id = source(told, context);
    if context.keeps_id || id.starts_with(prefix) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("{prefix}{id}"))
}

/// An answer's id that no other answer has, for clients that take answers with one id for one answer: some upstreams
/// give the same to all of theirs. What it ends with is the end of our own.
pub(super) fn fresh_answer_id(prefix: &str, told: &str, context: &ReplyContext) -> String {
    let id = answer_id(prefix, told, context);
    if context.keeps_id || is_none(told) {
        return id.into_owned();
    }
    format!("{id}_{}", end(&context.fallback_id, LONGEST_MARK))
}

/// Gives the calls of one answer their ids.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    given: HashSet<String>,
}

impl CallIds {
    /// How many have been given.
    pub(super) fn count(&self) -> usize {
        self.given.len()
    }

    /// The id of the next call as the upstream told it, whatever its style: it must match when the client sends it back.
    /// A client whose protocol takes only [`plain`] ids is given those of `told`.
    /// Where the upstream told none, or one that another call of the conversation has, one is made of the answer's id
    /// and the place of the call.
    pub(super) fn next(
        &mut self,
        prefix: &str,
        told: &str,
        answer: &str,
        context: &ReplyContext,
    ) -> String {
        let place = self.given.len();
        let made = |source| format!("{prefix}{}_{place}", end(source, LONGEST_SOURCE));
        let candidates = [
            told.to_owned(),
            made(source(answer, context)),
            made(&context.fallback_id),
        ];
        let is_free = |id: &String| {
            !id.is_empty() && !self.given.contains(id) && !context.memo.knows_call(id)
        };
        let free = candidates.into_iter().find(is_free);
        // None of them: the client repeats our own ids to us, and gets what nobody can have thought of before.
        let id = free.unwrap_or_else(|| format!("{prefix}{}_{place}_{place}", context.now));
        self.given.insert(id.clone());
        id
    }
}

/// A call's id in the characters that every protocol takes: letters, digits, `_` and `-`. Every other byte becomes `-x`
/// and its two hexadecimal digits, which ids as providers make them do not hold, so that a call and its result keep meeting
/// and different ids stay different.
pub(super) fn plain(id: &str) -> Cow<'_, str> {
    if id.bytes().all(is_plain) {
        return Cow::Borrowed(id);
    }
    let escape = |byte: u8| match byte {
        byte if is_plain(byte) => char::from(byte).to_string(),
        byte => format!("-x{byte:02x}"),
    };
    Cow::Owned(id.bytes().map(escape).collect())
}

/// The id of which [`plain`] made this one, or this one if it did not: models that were taught ids of a form of their
/// own want them back in it.
pub(super) fn as_told(id: &str) -> Cow<'_, str> {
    let mut told = Vec::with_capacity(id.len());
    let mut pieces = id.split("-x");
    told.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| {
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            digits.bytes().all(is_digit)
        });
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| !is_plain(*byte)) {
            Some(byte) => {
                told.push(byte);
                told.extend(piece.bytes().skip(2));
            }
            None => {
                told.extend(b"-x");
                told.extend(piece.bytes());
            }
        }
    }
    match String::from_utf8(told) {
        Ok(told) if plain(&told) == id => Cow::Owned(told),
        _ => Cow::Borrowed(id),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The end of an id, without what ids of calls cannot hold. Ids often begin with the time: what tells them apart is the
/// end.
fn end(id: &str, longest: usize) -> String {
    let is_allowed = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
    let allowed: Vec<char> = id.chars().filter(is_allowed).collect();
    let start = allowed.len().saturating_sub(longest);
    allowed.into_iter().skip(start).collect()
}

fn source<'a>(told: &'a str, context: &'a ReplyContext) -> &'a str {
    if is_none(told) {
        &context.fallback_id
    } else {
        told
    }
}

/// Nothing, or a prefix with nothing after it.
fn is_none(id: &str) -> bool {
    id.is_empty() || PREFIXES.contains(&id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::memo::Memo;

    fn context() -> ReplyContext {
        ReplyContext {
            now: 0,
            fallback_id: "0199.a_b".to_owned(),
            memo: Memo::default(),
            keeps_id: false,
        }
    }

    #[test]
    fn an_answers_id_gets_the_clients_style_and_can_be_found_upstream() {
        assert_eq!(answer_id("msg_", "msg_1", &context()), "msg_1");
        assert_eq!(
            answer_id("msg_", "chatcmpl-1", &context()),
            "msg_chatcmpl-1"
        );
        assert_eq!(answer_id("msg_", "", &context()), "msg_0199.a_b");
    }

    #[test]
    fn an_empty_id_is_no_id() {
        for told in ["", "msg_", "chatcmpl-"] {
            assert_eq!(
                answer_id("chatcmpl-", told, &context()),
                "chatcmpl-0199.a_b"
            );
            assert_eq!(fresh_answer_id("msg_", told, &context()), "msg_0199.a_b");
        }
    }

    #[test]
    fn an_upstream_that_gives_one_id_to_every_answer_is_told_apart() {
        let fresh = |fallback: &str| {
            let fallback_id = fallback.to_owned();
            let context = ReplyContext {
                fallback_id,
                ..context()
            };
            fresh_answer_id("msg_", "chatcmpl-123", &context)
        };
        assert_eq!(fresh("0199-aa01"), "msg_chatcmpl-123_0199-aa01");
        assert_ne!(fresh("0199-aa01"), fresh("0199-aa02"));
    }

    #[test]
    fn a_call_keeps_its_id() {
        let id = CallIds::default().next("call_", "toolu_1:x", "a", &context());
        assert_eq!(id, "toolu_1:x");
    }

    #[test]
    fn ids_of_calls_keep_to_the_characters_that_every_protocol_takes() {
        for (told, written) in [
            ("call_aB-1", "call_aB-1"),
            ("functions.f:0", "functions-x2ef-x3a0"),
            ("é", "-xc3-xa9"),
            ("", ""),
        ] {
            assert_eq!(plain(told), written);
            assert_eq!(as_told(written), told);
        }
    }

    #[test]
    fn an_id_that_was_not_rewritten_is_as_told() {
        for id in [
            "_x",
            "a_x4",
            "a-x41",
            "a_x2E",
            "a-xc3",
            "_xé",
            "a.b-x2e",
            "toolu_x_xzz",
        ] {
            assert_eq!(as_told(id), id);
        }
    }

    #[test]
    fn a_call_without_an_id_gets_one_that_no_other_answer_has() {
        let make = |answer| CallIds::default().next("toolu_", "", answer, &context());
        assert_eq!(make("chatcmpl-1"), "toolu_chatcmpl-1_0");
        assert_eq!(make(""), "toolu_0199ab_0");
        let long = "gen-1700000000-".to_owned() + &"x".repeat(60);
        assert_eq!(make(&long), format!("toolu_{}_0", "x".repeat(28)));
        assert!(make(&long).len() <= 40);
    }

    #[test]
    fn an_id_that_is_told_twice_in_one_answer_is_given_once() {
        let mut ids = CallIds::default();
        let mut next = |told| ids.next("toolu_", told, "a", &context());
        let given = [next("0"), next("0"), next(""), next("toolu_a_1"), next("")];
        assert_eq!(
            given,
            ["0", "toolu_a_1", "toolu_a_2", "toolu_a_3", "toolu_a_4"]
        );
    }
}
