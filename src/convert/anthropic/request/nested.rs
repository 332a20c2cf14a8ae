//! Members below the top level that the hub has no word for: kept among the extras of their message, or of the whole
//! request, under their path (`content[0].caller`, `thinking.display`), and found again by it.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::conversation::{Conversation, Extra, Path};
use crate::protocol::json;

/// The members of the request in which such paths begin. Those of messages are kept with their turns.
const ROOTS: [&str; 5] = [
    "system",
    "thinking",
    "output_config",
    "metadata",
    "tool_choice",
];

/// A member's name as the last step of a path: quoted where it would be mistaken for several steps.
pub(super) fn step(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(plain) {
        name.to_owned()
    } else {
        format!("[{}]", json::quote(name))
    }
}

/// The path of what is called `name` from `parent`.
pub(super) fn join(parent: &str, name: &str) -> Path {
    if name.starts_with('[') {
        format!("{parent}{name}")
    } else {
        format!("{parent}.{name}")
    }
}

/// Moves members that were named from a place below `parent` to where `parent` is named from.
pub(super) fn below(parent: &str, members: Vec<Extra>) -> impl Iterator<Item = Extra> {
    members.into_iter().map(move |member| Extra {
        name: join(parent, &member.name),
        value: member.value,
    })
}

/// Whether an extra is a nested one.
pub(super) fn is_nested(extra: &Extra) -> bool {
    ROOTS.iter().any(|root| {
        let rest = extra.name.strip_prefix(root);
        rest.is_some_and(|rest| rest.starts_with(['.', '[']))
    })
}

/// A member's name and value.
type Member<'a> = (Cow<'a, str>, &'a str);

/// The nested members of a conversation, by the path of the object that they belong to.
#[derive(Debug, Default)]
pub(super) struct Nested<'a>(HashMap<Path, Vec<Member<'a>>>);

impl<'a> Nested<'a> {
    /// Finds them among the extras.
    pub(super) fn of(conversation: &'a Conversation) -> Self {
        let mut nested = Self::default();
        for extra in conversation.extras.iter().filter(|extra| is_nested(extra)) {
            if let Some((parent, member)) = split(extra) {
                nested.0.entry(parent.to_owned()).or_default().push(member);
            }
        }
        for turn in &conversation.turns {
            for extra in &turn.extras {
                let (path, member) = match split(extra) {
                    Some((parent, member)) => (join(&turn.path, parent), member),
                    None => {
                        let name = Cow::Borrowed(extra.name.as_str());
                        (turn.path.clone(), (name, extra.value.as_str()))
                    }
                };
                nested.0.entry(path).or_default().push(member);
            }
        }
        nested
    }

    /// The members of the object at a path.
    pub(super) fn at(&self, path: &str) -> &[Member<'a>] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }
}

/// The path of the object, and its member; nothing if the name is no path.
fn split(extra: &Extra) -> Option<(&str, Member<'_>)> {
    let path = extra.name.as_str();
    let (parent, name) = match path.strip_suffix(']') {
        Some(open) => {
            let (parent, name) = open.rsplit_once("[\"")?;
            let name = open.get(open.len() - name.len() - 1..)?;
            (parent, json::string(name)?)
        }
        None => {
            let (parent, name) = path.rsplit_once('.')?;
            (parent, Cow::Borrowed(name))
        }
    };
    Some((parent, (name, extra.value.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Json;

    fn extra(name: String) -> Extra {
        let value = Json::new("1");
        Extra { name, value }
    }

    #[test]
    fn a_member_is_found_by_the_path_of_its_object_whatever_its_name() {
        for name in ["caller", "a.b", "", "[\"x\"]", "\\\"", "]", "ü"] {
            let member = vec![extra(step(name))];
            let extras: Vec<_> = below("content[0]", member).collect();
            let (parent, member) = split(&extras[0]).unwrap();
            assert_eq!((parent, member.0.as_ref()), ("content[0]", name));
        }
    }

    #[test]
    fn a_member_of_the_request_itself_is_not_nested() {
        for name in ["metadata", "context_management", "system_more"] {
            assert!(!is_nested(&extra(name.to_owned())), "{name}");
        }
        assert!(is_nested(&extra("system[0].x".to_owned())));
        assert!(is_nested(&extra("thinking.display".to_owned())));
    }
}
