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
