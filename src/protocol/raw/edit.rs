//! Changes to a raw object: members are replaced where they stand or appended, everything else stays as it was.

use std::borrow::Cow;

use bytes::Bytes;

use super::RawObject;
use crate::protocol::json;

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
        if self.replaced.is_empty() && self.appended.is_empty() {
            return self.object.source().clone();
        }
        Bytes::from(self.text())
    }

    fn text(mut self) -> String {
        let source: &str = &self.object.source;
        let added = self.replaced.iter().map(|(_, value)| value.len());
        let added = added.sum::<usize>()
            + (self.appended.iter())
                .map(|(name, value)| 2 * name.len() + value.len() + 4)
                .sum::<usize>();
        let mut text = String::with_capacity(source.len() + added);
        let mut copied = 0;
        // Members stand in the list as they stand in the text.
        self.replaced
            .sort_unstable_by_key(|(position, _)| *position);
        for (position, value) in &self.replaced {
            let Some(member) = self.object.members.get(*position) else {
                continue;
            };
            text.push_str(source.get(copied..member.value.start).unwrap_or_default());
            text.push_str(value);
            copied = member.value.end;
        }
        let close = source.rfind('}').unwrap_or(source.len());
        text.push_str(source.get(copied..close).unwrap_or_default());
        let mut first = self.object.members.is_empty();
        for (name, value) in &self.appended {
            if !std::mem::take(&mut first) {
                text.push(',');
            }
            text.push_str(&json::quote(name));
            text.push(':');
            text.push_str(value);
        }
        text.push_str(source.get(close..).unwrap_or_default());
        text
    }
}

/// Sets the value of a key in a short list.
fn put<'a, K: PartialEq>(list: &mut Vec<(K, Cow<'a, str>)>, key: K, value: Cow<'a, str>) {
    match list.iter_mut().find(|(known, _)| *known == key) {
        Some((_, old)) => *old = value,
        None => list.push((key, value)),
    }
}
