//! Members below the top level that the hub has no word for: kept among the extras of their message, or of the whole
//! request, under their path (`content[0].caller`, `thinking.display`), and found again by it.

use std::collections::HashMap;

use crate::conversation::{Conversation, Extra, Origin, Path};
use crate::convert::read;

/// Whether an extra of the request is a nested one: its name has more than one step.
pub(super) fn is_nested(extra: &Extra) -> bool {
    split(&extra.name).is_some()
}

/// A member's name and value.
type Member<'a> = (String, &'a str);

/// The nested members of a conversation, by the path of the object that they belong to.
#[derive(Debug, Default)]
pub(super) struct Nested<'a>(HashMap<Path, Vec<Member<'a>>>);

impl<'a> Nested<'a> {
    /// Finds them among the extras. Another protocol's are not among them.
    pub(super) fn of(conversation: &'a Conversation) -> Self {
        let mut nested = Self::default();
        if conversation.origin != Origin::Anthropic {
            return nested;
        }
        for extra in conversation.extras.iter().filter(|extra| is_nested(extra)) {
            nested.add(extra.name.clone(), extra);
        }
        for turn in &conversation.turns {
            for extra in &turn.extras {
                nested.add(read::join(&turn.path, &extra.name), extra);
            }
        }
        nested
    }

    fn add(&mut self, mut path: Path, extra: &'a Extra) {
        let Some((parent, step)) = split(&path) else {
            return;
        };
        let length = parent.len();
        let name = read::name(step).into_owned();
        path.truncate(length);
        let members = self.0.entry(path).or_default();
        members.push((name, extra.value.as_str()));
    }

    /// The members of the object at a path.
    pub(super) fn at(&self, path: &str) -> &[Member<'a>] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }
}

/// The path of the object, and the last step from there to its member; nothing if there is but one step. A quoted step
/// holds no bracket before a quote, since its own quotes are escaped.
fn split(path: &str) -> Option<(&str, &str)> {
    let length = match path.strip_suffix("\"]") {
        Some(open) => open.rfind("[\"")?,
        None => path.rfind('.')?,
    };
    let (parent, step) = path.split_at_checked(length)?;
    let step = step.strip_prefix('.').unwrap_or(step);
    (!parent.is_empty()).then_some((parent, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_by_the_path_of_its_object_whatever_its_name() {
        for name in ["caller", "a.b", "", "[\"x\"]", "\\\"", "]", "\"]", "[", "ü"] {
            for parent in ["content[0]", "thinking", "a[\"b.c\"]"] {
                let path = read::join(parent, &read::step(name));
                let (found, step) = split(&path).unwrap();
                assert_eq!((found, &*read::name(step)), (parent, name));
            }
            assert_eq!(split(&read::step(name)), None, "{name}");
        }
    }
}
