//! Changes to a raw object: members are replaced where they stand or appended, everything else stays as it was.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Pieces, RawObject};
use crate::protocol::json;

/// A smaller body is copied sooner than its pieces are handed around.
const WORTH_PIECES: usize = 16 * 1024;

/// Collects changes to a [`RawObject`]. Values are JSON texts and not checked again.
#[derive(Debug)]
pub struct Edit<'a> {
    object: &'a RawObject,
    /// New values by the position of their member.
    replaced: Vec<(usize, Cow<'a, str>)>,
    /// New members, with their names as meant.
    appended: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(object: &'a RawObject) -> Self {
        Self {
            object,
            replaced: Vec::new(),
            appended: Vec::new(),
        }
    }

    /// Gives the member this value: in its place if there is one (the last of that name), else as the last member.
    pub fn set(
        &mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, str>>,
    ) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        match self.object.find(&name) {
            Some((position, _)) => put(&mut self.replaced, position, value),
            None => put(&mut self.appended, name, value),
        }
        self
    }

    /// Gives a member of a member this value. A missing or `null` outer member becomes an object; one that is
    /// anything else but an object is left alone.
    pub fn set_in(&mut self, outer: &'a str, inner: &'a str, value: &'a str) -> &mut Self {
        let current = self.get(outer).filter(|text| *text != "null");
        let changed = match current {
            None => Some(format!("{{{}:{value}}}", json::quote(inner))),
            Some(text) => RawObject::parse(Bytes::copy_from_slice(text.as_bytes()))
                .ok()
                .map(|object| {
                    let mut edit = object.edit();
                    edit.set(inner, value);
                    edit.text()
                }),
        };
        match changed {
            Some(text) => self.set(outer, text),
            None => self,
        }
    }

    /// The value as it will be.
    fn get(&self, name: &str) -> Option<&str> {
        let Some((position, _)) = self.object.find(name) else {
            let found = self.appended.iter().find(|(known, _)| known == name);
            return found.map(|(_, value)| &**value);
        };
        let found = self.replaced.iter().find(|(known, _)| *known == position);
        found.map_or_else(|| self.object.get(name), |(_, value)| Some(value))
    }

    /// The changed object in one copy; without changes the very bytes it was read from.
    pub fn finish(self) -> Bytes {
        if self.is_empty() {
            return self.object.source().clone();
        }
        Bytes::from(self.text())
    }

    /// The changed object; what is left of a large one is not copied.
    pub fn pieces(mut self) -> Pieces {
        if self.is_empty() || self.object.source().len() < WORTH_PIECES {
            return self.finish().into();
        }
        let source = self.object.source();
        let mut pieces = Pieces::default();
        for part in self.parts() {
            pieces.push(match part {
                Part::Kept(range) => source.slice(range),
                Part::New(text) => Bytes::from(text.into_owned()),
            });
        }
        pieces
    }

    fn is_empty(&self) -> bool {
        self.replaced.is_empty() && self.appended.is_empty()
    }

    fn text(mut self) -> String {
        let source: &str = &self.object.source;
        let parts = self.parts();
        let mut text = String::with_capacity(parts.iter().map(Part::len).sum());
        for part in parts {
            text.push_str(match &part {
                Part::Kept(range) => source.get(range.clone()).unwrap_or_default(),
                Part::New(new) => new,
            });
        }
        text
    }

    /// The changed text from its first part to its last. The changes are used up.
    fn parts(&mut self) -> SmallVec<[Part<'a>; 8]> {
        let source: &str = &self.object.source;
        let mut parts = SmallVec::new();
        let mut kept = 0;
        // Members stand in the list as they stand in the text.
        self.replaced
            .sort_unstable_by_key(|(position, _)| *position);
        for (position, value) in self.replaced.drain(..) {
            let Some(member) = self.object.members.get(position) else {
                continue;
            };
            parts.push(Part::Kept(kept..member.value.start));
            parts.push(Part::New(value));
            kept = member.value.end;
        }
        let close = source.rfind('}').unwrap_or(source.len());
        parts.push(Part::Kept(kept..close));
        let mut first = self.object.members.is_empty();
        for (name, value) in self.appended.drain(..) {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            let member = format!("{comma}{}:{value}", json::quote(&name));
            parts.push(Part::New(member.into()));
        }
        parts.push(Part::Kept(close..source.len()));
        parts
    }
}

/// A part of a changed object.
enum Part<'a> {
    /// As it stands in the source.
    Kept(Range<usize>),
    New(Cow<'a, str>),
}

impl Part<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Kept(range) => range.len(),
            Self::New(text) => text.len(),
        }
    }
}

/// Sets the value of a key in a short list.
fn put<'a, K: PartialEq>(list: &mut Vec<(K, Cow<'a, str>)>, key: K, value: Cow<'a, str>) {
    match list.iter_mut().find(|(known, _)| *known == key) {
        Some((_, old)) => *old = value,
        None => list.push((key, value)),
    }
}
