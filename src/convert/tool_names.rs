//! Names of tools that a protocol does not take: sent in another form, and given back to the client as it wrote them.
//! It knows no protocol but the limits that it is given.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::conversation::{Conversation, ToolKind};

/// Digits of the digest that tell apart names which are alike when they are cut.
const DIGITS: usize = 8;

/// The tools of one request that were sent under other names than the client's. What the client is answered needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolNames(Option<Arc<HashMap<String, String>>>);

impl ToolNames {
    /// The client's name for a tool that the upstream calls by this one.
    pub fn original<'a>(&'a self, sent: &'a str) -> &'a str {
        let known = self.0.as_ref().and_then(|names| names.get(sent));
        known.map_or(sent, String::as_str)
    }

    /// Whether all tools were sent under their own names.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl FromIterator<(String, String)> for ToolNames {
    /// From pairs of the name that was sent and the client's.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(names: I) -> Self {
        let names: HashMap<_, _> = names.into_iter().collect();
        Self((!names.is_empty()).then(|| Arc::new(names)))
    }
}

/// The tools of a conversation that have other names in a protocol with this limit.
pub(super) fn respelled(conversation: &Conversation, longest: usize) -> ToolNames {
    let names = conversation
        .tools
        .iter()
        .filter_map(|tool| match &tool.kind {
            ToolKind::Function { name, .. } => Some(name),
            ToolKind::Server { .. } => None,
        });
    let changed = names.filter_map(|name| match fit(name, longest) {
        Cow::Borrowed(_) => None,
        Cow::Owned(sent) => Some((sent, name.clone())),
    });
    changed.collect()
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
        let fitting: Vec<_> = names
            .iter()
            .map(|name| fit(name, 64).into_owned())
            .collect();
        for (place, name) in fitting.iter().enumerate() {
            assert!(name.len() <= 64, "{name}");
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            );
            assert!(!fitting.get(place + 1..).unwrap().contains(name), "{name}");
            assert_eq!(fit(name, 64), *name);
        }
        assert_eq!(fit("a.b", 64), fitting[2]);
        assert!(fitting[2].starts_with("a_b_"), "{}", fitting[2]);
    }

    #[test]
    fn the_client_hears_its_own_name() {
        let names = ToolNames::from_iter([("a_b_1".to_owned(), "a.b".to_owned())]);
        assert_eq!(names.original("a_b_1"), "a.b");
        assert_eq!(names.original("other"), "other");
        assert!(!names.is_empty());
        assert_eq!(ToolNames::from_iter([]), ToolNames::default());
    }
}
