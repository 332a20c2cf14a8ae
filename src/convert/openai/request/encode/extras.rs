//! Members that the hub has no word for, written back where they stood.

use std::collections::HashMap;

use crate::conversation::{Extra, Json};
use crate::convert::read;
use crate::convert::write::Object;

/// Members of the request that hold extras.
const HOLDERS: [&str; 5] = [
    "reasoning",
    "response_format",
    "stream_options",
    "thinking",
    "tool_choice",
];

/// Whether the name is a path into a member that the hub has a word for.
pub(super) fn is_nested(name: &str) -> bool {
    HOLDERS.iter().any(|holder| below(name, holder).is_some())
}

/// The rest of a path that leads into `holder`.
fn below<'a>(path: &'a str, holder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(holder)?;
    rest.strip_prefix('.')
        .or_else(|| Some(rest).filter(|rest| rest.starts_with('[')))
}

/// Whether `holder` has any.
pub(super) fn any<'a>(extras: impl IntoIterator<Item = &'a Extra>, holder: &str) -> bool {
    within(extras, holder).next().is_some()
}

/// Those of `holder`, each by its path from there.
pub(super) fn within<'a>(
    extras: impl IntoIterator<Item = &'a Extra>,
    holder: &str,
) -> impl Iterator<Item = (&'a str, &'a Json)> {
    extras
        .into_iter()
        .filter_map(move |extra| Some((below(&extra.name, holder)?, &extra.value)))
}

/// Those of `holder` but not of `inner` within it.
pub(super) fn beside<'a>(
    extras: impl IntoIterator<Item = &'a Extra>,
    holder: &str,
    inner: &str,
) -> impl Iterator<Item = (&'a str, &'a Json)> {
    within(extras, holder).filter(move |(path, _)| below(path, inner).is_none())
}

/// Those that are named by one step.
pub(super) fn own(extras: &[Extra]) -> impl Iterator<Item = (&str, &Json)> {
    let own = |name: &str| name.starts_with('[') || !name.contains('.');
    extras
        .iter()
        .filter(move |extra| own(&extra.name))
        .map(|extra| (extra.name.as_str(), &extra.value))
}

/// The extras of one message, by the part or call that they stand in: each has to find its own among many.
#[derive(Default)]
pub(super) struct OfMessage<'a> {
    own: Vec<&'a Extra>,
    inside: HashMap<&'a str, Vec<&'a Extra>>,
}

impl<'a> OfMessage<'a> {
    pub(super) fn new(extras: &'a [Extra]) -> Self {
        let mut message = Self::default();
        for extra in extras {
            let name = extra.name.as_str();
            let place = ["content[", "tool_calls["]
                .iter()
                .find(|place| name.starts_with(**place))
                .and_then(|_| name.split_inclusive(']').next());
            match place {
                Some(place) => message.inside.entry(place).or_default().push(extra),
                None => message.own.push(extra),
            }
        }
        message
    }

    /// Whether there are none at all.
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.inside.is_empty()
    }

    /// Those of the message itself.
    pub(super) fn own(&self) -> impl Iterator<Item = (&'a str, &'a Json)> {
        self.own
            .iter()
            .map(|extra| (extra.name.as_str(), &extra.value))
    }

    /// Those of a part or a call, still by their paths within the message.
    pub(super) fn at(&self, place: &str) -> impl Iterator<Item = &'a Extra> + Clone {
        let found = self.inside.get(place).map(Vec::as_slice);
        found.unwrap_or_default().iter().copied()
    }
}

/// Writes them as members.
pub(super) fn write<'a>(
    extras: impl Iterator<Item = (&'a str, &'a Json)>,
    object: &mut Object,
    out: &mut Vec<u8>,
) {
    for (step, value) in extras {
        object.raw(out, &read::name(step), value.as_str());
    }
}
