//! The words for what is wrong with a text, from serde_json. Only for texts that were found wanting.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{JsonFault, Text};

/// What a text should have been.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// An object of at most so many members.
    Object(usize),
    Array,
}

/// Where and why the text is not what was wanted.
pub(super) fn fault(text: &str, wanted: Wanted) -> JsonFault {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = match wanted {
        Wanted::Object(_) => reader.deserialize_map(wanted),
        Wanted::Array => reader.deserialize_seq(wanted),
    };
    match read.and_then(|()| reader.end()) {
        Err(error) => error.into(),
        Ok(()) => JsonFault::at(text.as_bytes(), 0, "not what was expected"),
    }
}

impl<'de> Visitor<'de> for Wanted {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Object(_) => "a JSON object",
            Self::Array => "a JSON array",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self::Object(limit) = self else {
            return Ok(());
        };
        let mut left = limit;
        while map.next_key_seed(Text)?.is_some() {
            let Some(fewer) = left.checked_sub(1) else {
                return Err(A::Error::custom(format_args!("more than {limit} members")));
            };
            left = fewer;
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
