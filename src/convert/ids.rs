//! Ids of answers and of the calls in them, in the style of the client's protocol. It knows no protocol but the prefixes
//! that it is given.

use std::borrow::Cow;

use super::ReplyContext;

/// How much of an answer's id goes into the ids of its calls: OpenAI refuses calls whose ids are longer than 40.
const LONGEST_SOURCE: usize = 28;

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

/// The id of a call as the upstream told it, whatever its style: it must match when the client sends it back. Where the
/// upstream told none, one is made of the answer's id and the place of the call, so that no other answer of the
/// conversation has it.
pub(super) fn call_id<'a>(
    prefix: &str,
    told: &'a str,
    place: usize,
    answer: &str,
    context: &ReplyContext,
) -> Cow<'a, str> {
    if !told.is_empty() {
        return Cow::Borrowed(told);
    }
    let is_allowed = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
    let allowed: Vec<char> = source(answer, context).chars().filter(is_allowed).collect();
    // Ids often begin with the time: what tells them apart is the end.
    let end = allowed.len().saturating_sub(LONGEST_SOURCE);
    let end: String = allowed.into_iter().skip(end).collect();
    Cow::Owned(format!("{prefix}{end}_{place}"))
}

fn source<'a>(told: &'a str, context: &'a ReplyContext) -> &'a str {
    if told.is_empty() {
        &context.fallback_id
    } else {
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::tool_names::ToolNames;

    fn context() -> ReplyContext {
        ReplyContext {
            now: 0,
            fallback_id: "0199.a_b".to_owned(),
            tool_names: ToolNames::default(),
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
    fn a_call_keeps_its_id() {
        let id = call_id("call_", "toolu_1:x", 0, "a", &context());
        assert_eq!(id, "toolu_1:x");
    }

    #[test]
    fn a_call_without_an_id_gets_one_that_no_other_answer_has() {
        let make = |answer, place| call_id("toolu_", "", place, answer, &context()).into_owned();
        assert_eq!(make("chatcmpl-1", 0), "toolu_chatcmpl-1_0");
        assert_eq!(make("", 1), "toolu_0199ab_1");
        let long = "gen-1700000000-".to_owned() + &"x".repeat(60);
        assert_eq!(make(&long, 12), format!("toolu_{}_12", "x".repeat(28)));
        assert!(make(&long, 9999).len() <= 40);
    }
}
