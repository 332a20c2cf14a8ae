//! A walk over an object and into some of its members in one pass; which ones, the walker says.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{JsonFault, Text};

/// What [`walk`] tells of.
pub trait Walk<'a> {
    /// An object begins: the text itself, or one that was entered.
    fn begin(&mut self);
    /// Whether the value of this member of the innermost object is to be entered. If it is an array, its elements are;
    /// if it is neither object nor array, nothing is told of it.
    fn enter(&mut self, name: &str) -> bool;
    /// A member that is not entered, and its text.
    fn member(&mut self, name: &str, value: &'a str);
    /// The innermost object ends.
    fn end(&mut self);
}

/// Walks over an object and into some of its members in one pass. It costs less than calling [`members`](super::members) on each of
/// them, and is for what is done with every event of a stream.
///
/// # Errors
/// The text is not JSON, or it is entered more than some hundred levels deep. What comes before has been told of.
pub fn walk<'a>(text: &'a str, walker: &mut impl Walk<'a>) -> Result<(), JsonFault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Entered(walker).deserialize(&mut reader)?;
    Ok(reader.end()?)
}

struct Entered<'w, W>(&'w mut W);

impl<'de, W: Walk<'de>> DeserializeSeed<'de> for Entered<'_, W> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, W: Walk<'de>> Visitor<'de> for Entered<'_, W> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.begin();
        while let Some(name) = map.next_key_seed(Text)? {
            if self.0.enter(&name) {
                map.next_value_seed(Entered(&mut *self.0))?;
            } else {
                let value: &'de RawValue = map.next_value()?;
                self.0.member(&name, value.get());
            }
        }
        self.0.end();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Entered(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}
