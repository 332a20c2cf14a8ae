//! What an answer has to know of its request: which tools went up under other names, and which calls there have been.
//! It knows no protocol but the limits that it is given.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::conversation::{Block, Conversation, ToolKind};

/// Digits of the digest that tell apart names which are alike when they are cut.
const DIGITS: usize = 8;

/// What is kept of one request for its answer; cheap to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memo(Option<Arc<Kept>>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    /// The client's names of tools by those that were sent, where they differ.
    names: HashMap<String, String>,
    /// The ids of the calls in the conversation, as the client knows them.
    calls: HashSet<String>,
}

impl Memo {
    /// Of a conversation that goes up in a protocol whose names of tools have at most so many characters.
    pub(super) fn of(conversation: &Conversation, longest_name: usize) -> Self {
        let names = conversation
            .tools
            .iter()
            .filter_map(|tool| match &tool.kind {
                ToolKind::Function { name, .. } => Some(name),
                ToolKind::Server { .. } => None,
            });
        let names = names.filter_map(|name| match fit(name, longest_name) {
            Cow::Borrowed(_) => None,
            Cow::Owned(sent) => Some((sent, name.clone())),
        });
        let blocks = conversation.turns.iter().flat_map(|turn| &turn.blocks);
        let calls = blocks.filter_map(|block| match block {
            Block::ToolCall { id, .. } => Some(id.clone()),
            _ => None,
        });
        let kept = Kept {
            names: names.collect(),
            calls: calls.collect(),
        };
        Self((kept != Kept::default()).then(|| Arc::new(kept)))
    }

    /// The client's name for a tool that the upstream calls by this one.
    pub fn tool_name<'a>(&'a self, sent: &'a str) -> &'a str {
        let known = self.0.as_ref().and_then(|kept| kept.names.get(sent));
        known.map_or(sent, String::as_str)
    }

    /// Whether a call of the conversation has this id, so that no new one may have it.
    pub fn knows_call(&self, id: &str) -> bool {
        self.0.as_ref().is_some_and(|kept| kept.calls.contains(id))
    }
}

/// A name as a protocol takes it: letters, digits, `_` and `-`, at most `longest` of them. One that is not so already
/// loses what is too much, and gets digits of its SHA-256 instead: the same in every turn of a conversation, and another
/// for every other name.
pub(super) fn fit(name: &str, longest: usize) -> Cow<'_, str> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if name.chars().all(plain) && name.len() <= longest {
        return Cow::Borrowed(name);
    }
    let kept = name.chars().take(longest.saturating_sub(DIGITS + 1));
    let mut fitting: String = kept
        .map(|character| if plain(character) { character } else { '_' })
        .collect();
    fitting.push('_');
    let digest = Sha256::digest(name.as_bytes());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
    fitting.extend(digits.take(DIGITS));
    Cow::Owned(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_stays() {
        for name in ["get_weather", "a-B_9", &"x".repeat(64)] {
            assert!(matches!(fit(name, 64), Cow::Borrowed(kept) if kept == name));
        }
    }

    #[test]
    fn names_that_are_too_long_or_have_other_characters_stay_apart_and_the_same() {
        let long = |end| format!("mcp__server__{}{end}", "x".repeat(64));
        let names = [
            long("a"),
            long("b"),
            "a.b".to_owned(),
            "a:b".to_owned(),
            "é".to_owned(),
        ];
        let fitting: Vec<_> = names.iter().map(|name| fit(name, 64)).collect();
        for (place, name) in fitting.iter().enumerate() {
            assert!(name.len() <= 64, "{name}");
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            assert!(name.bytes().all(plain), "{name}");
            assert!(!fitting[place + 1..].contains(name), "{name}");
        }
        assert_eq!(fit("a.b", 64), fitting[2]);
        assert!(fitting[2].starts_with("a_b_"), "{}", fitting[2]);
    }
}
