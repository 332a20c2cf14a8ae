//! A JSON object whose members stay raw bytes, so that everything nobody changed survives byte for byte.
//! It knows no protocol.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;

pub use super::json::JsonFault;

use super::json;

mod edit;
mod pieces;

pub use edit::Edit;
pub use pieces::Pieces;

/// More members of the object itself are a fault. Looking one up goes through all of them, and the largest real
/// request has a few dozen.
pub const MEMBER_LIMIT: usize = 1000;

/// A JSON object over the bytes it was read from.
#[derive(Debug, Clone)]
pub struct RawObject {
    source: ByteString,
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    name: Name,
    value: Range<usize>,
}

/// A member's name, decoded.
#[derive(Debug, Clone)]
enum Name {
    /// It stands in the source as it is meant.
    Plain(Range<usize>),
    /// It is written with escapes there.
    Decoded(Box<str>),
}

impl RawObject {
    /// Reads the object and checks the whole of its syntax, its UTF-8, its depth and its size.
    ///
    /// # Errors
    /// The bytes are not JSON, more than one value, no object, nested too deep ([`json::NESTING_LIMIT`]), or have too
    /// many members ([`MEMBER_LIMIT`], [`json::VALUE_LIMIT`]).
    pub fn parse(source: Bytes) -> Result<Self, JsonFault> {
        let bytes = source.clone();
        let source = ByteString::try_from(source).map_err(|error| json::not_utf8(&bytes, error))?;
        let text: &str = &source;
        let mut members = Vec::with_capacity(16);
        json::bounded_members(MEMBER_LIMIT, text, |name, value| {
            // A value is always a part of the text; a name is unless it had to be decoded.
            let Some(value) = span(text, value) else {
                return;
            };
            let plain = match &name {
                Cow::Borrowed(name) => span(text, name),
                Cow::Owned(_) => None,
            };
            let name = plain.map_or_else(|| Name::Decoded(name.into()), Name::Plain);
            members.push(Member { name, value });
        })?;
        Ok(Self { source, members })
    }

    /// The text of a member's value. Of several members with this name it is the last, as most parsers take it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name)
            .and_then(|(_, member)| self.source.get(member.value.clone()))
    }

    /// The bytes of a member's value, without a copy.
    pub fn value_bytes(&self, name: &str) -> Option<Bytes> {
        self.find(name)
            .map(|(_, member)| self.source.as_bytes().slice(member.value.clone()))
    }

    /// Decoded names and the texts of their values, in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|member| {
            let value = self.source.get(member.value.clone()).unwrap_or_default();
            (self.name(member), value)
        })
    }

    /// The first of these names that more than one member has.
    pub fn duplicates<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| {
            let mut same = self
                .members
                .iter()
                .filter(|member| self.is_named(member, name));
            same.next().is_some() && same.next().is_some()
        })
    }

    /// The bytes this was read from.
    pub fn source(&self) -> &Bytes {
        self.source.as_bytes()
    }

    /// The same object over bytes of its own, so that whatever it was read into can be used again.
    pub fn detached(self) -> Self {
        let text: &str = &self.source;
        Self {
            source: ByteString::from(text),
            members: self.members,
        }
    }

    /// Begins an edit; nothing is copied before it is finished.
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(self)
    }

    fn find(&self, name: &str) -> Option<(usize, &Member)> {
        let members = self.members.iter().enumerate();
        members
            .rev()
            .find(|(_, member)| self.is_named(member, name))
    }

    fn is_named(&self, member: &Member, name: &str) -> bool {
        match &member.name {
            // Most differ in length already.
            Name::Plain(range) if range.len() != name.len() => false,
            Name::Plain(range) => {
                let bytes = self.source.as_bytes().get(range.clone());
                bytes == Some(name.as_bytes())
            }
            Name::Decoded(decoded) => **decoded == *name,
        }
    }

    fn name<'a>(&'a self, member: &'a Member) -> &'a str {
        match &member.name {
            Name::Plain(range) => self.source.get(range.clone()).unwrap_or_default(),
            Name::Decoded(name) => name,
        }
    }
}

/// Where `part`, a slice of `whole`, lies in it.
pub(in crate::protocol) fn span(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

#[cfg(test)]
mod tests;
