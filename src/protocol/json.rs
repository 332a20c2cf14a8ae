//! JSON read without building it: a syntax check, and walks over the members of an object or the elements of an
//! array that leave every value as the text it was. It knows no protocol.

mod fault;
mod quoted;
mod scan;
mod walker;

use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;

use memchr::{memchr_iter, memchr2, memrchr};
use serde::de::{DeserializeSeed, Deserializer as _, Visitor};

use crate::error::{ErrorKind, GatewayError};

pub use walker::{Walk, walk};

use fault::{Wanted, fault};
pub(in crate::protocol) use scan::Scanner;

/// Deeper nesting is a fault. Nothing here recurses over a value, but those who read it after us may.
pub const NESTING_LIMIT: usize = 10_000;

/// More members and elements, at all levels together, are a fault in a request: reading a body of tiny ones into the
/// hub takes 50 times as long as one of prose. A value costs a model a token at least, so no context holds more.
pub const VALUE_LIMIT: usize = 500_000;

/// Where and why a text is not the JSON that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct JsonFault {
    /// What is wrong, in lower case.
    pub message: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1; 0 where the text ends before its first byte.
    pub column: usize,
}

impl JsonFault {
    fn at(bytes: &[u8], offset: usize, message: impl Into<String>) -> Self {
        let before = bytes.get(..offset).unwrap_or(bytes);
        let line_start = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self {
            message: message.into(),
            line: memchr_iter(b'\n', before).count() + 1,
            column: before.len() - line_start + 1,
        }
    }
}

impl From<serde_json::Error> for JsonFault {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let full = error.to_string();
        let message = full
            .strip_suffix(&format!(" at line {line} column {column}"))
            .unwrap_or(&full);
        Self {
            message: message.to_owned(),
            line,
            column,
        }
    }
}

impl From<JsonFault> for GatewayError {
    fn from(fault: JsonFault) -> Self {
        Self::new(
            ErrorKind::InvalidRequest,
            format!("The request body cannot be read as JSON: {fault}"),
        )
    }
}

/// The text of a body or an event: UTF-8, and not nested beyond [`NESTING_LIMIT`]. Its syntax is not checked here.
pub fn text(bytes: &[u8]) -> Result<&str, JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
    check_nesting(text)?;
    Ok(text)
}

/// The fault of bytes that are no UTF-8.
pub(super) fn not_utf8(bytes: &[u8], error: Utf8Error) -> JsonFault {
    JsonFault::at(bytes, error.valid_up_to(), "invalid UTF-8")
}

/// Refuses a text that is nested beyond [`NESTING_LIMIT`].
fn check_nesting(text: &str) -> Result<(), JsonFault> {
    check_shape(text, usize::MAX)
}

/// Refuses a text that is nested beyond [`NESTING_LIMIT`], or holds more members and elements than `value_limit`.
fn check_shape(text: &str, value_limit: usize) -> Result<(), JsonFault> {
    let bytes = text.as_bytes();
    let Some((offset, excess)) = excess(bytes, value_limit) else {
        return Ok(());
    };
    let message = match excess {
        Excess::Depth => format!("nested more than {NESTING_LIMIT} levels deep"),
        Excess::Values => format!("more than {value_limit} members and elements"),
    };
    Err(JsonFault::at(bytes, offset, message))
}

/// What a text has too much of.
#[derive(Debug, Clone, Copy)]
enum Excess {
    Depth,
    Values,
}

/// Where a text exceeds a limit. Counting brackets and commas is nearly free, and only a text with more of them than
/// the limits, bombs and very long prompts, is walked.
fn excess(bytes: &[u8], value_limit: usize) -> Option<(usize, Excess)> {
    if bytes.len() <= NESTING_LIMIT.min(value_limit) {
        return None;
    }
    let brackets = memchr_iter(b'[', bytes).count() + memchr_iter(b'{', bytes).count();
    let commas = memchr_iter(b',', bytes).count();
    if brackets <= NESTING_LIMIT && brackets + commas <= value_limit {
        return None;
    }
    let mut depth: usize = 0;
    let mut values: usize = 0;
    let mut offset = 0;
    while let Some(byte) = bytes.get(offset) {
        match byte {
            b'"' => offset = string_end(bytes, offset),
            // An empty list counts as if it held something; it costs as much.
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > NESTING_LIMIT {
            return Some((offset, Excess::Depth));
        }
        if values > value_limit {
            return Some((offset, Excess::Values));
        }
        offset += 1;
    }
    None
}

/// Where the string that begins at this offset has its closing quote; the end if it has none.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut offset = start + 1;
    while let Some(found) = bytes
        .get(offset..)
        .and_then(|rest| memchr2(b'"', b'\\', rest))
    {
        offset += found;
        if bytes.get(offset) == Some(&b'"') {
            return offset;
        }
        offset += 2;
    }
    bytes.len()
}

/// Whether the text is one JSON object. Nothing is built.
pub fn is_object(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    let value = scanner.value();
    value.is_some_and(|value| value.starts_with('{')) && scanner.is_at_end()
}

/// Whether the text begins as an array; for text that is known to be JSON.
pub fn is_array(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

/// Calls `visit` with the decoded name and the text of each member, in order.
///
/// # Errors
/// The text is not an object, or not JSON. Members before the fault have been visited.
pub fn members<'a>(
    text: &'a str,
    visit: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), JsonFault> {
    pass_members(&mut Scanner::new(text), usize::MAX, visit)
        .ok_or_else(|| fault(text, Wanted::Object(usize::MAX)))
}

/// The same for an object that must not have more members than `limit`, nor be nested beyond [`NESTING_LIMIT`], nor hold
/// more members and elements than [`VALUE_LIMIT`].
pub(super) fn bounded_members<'a>(
    limit: usize,
    text: &'a str,
    visit: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), JsonFault> {
    let mut scanner = Scanner::bounded(text, VALUE_LIMIT);
    let passed = pass_members(&mut scanner, limit, visit);
    // The object itself is a level, too.
    if passed.is_none() || scanner.deepest() >= NESTING_LIMIT {
        check_shape(text, VALUE_LIMIT)?;
    }
    passed.ok_or_else(|| fault(text, Wanted::Object(limit)))
}

/// Passes an object and nothing after it; `None`: that is not what there is, or it has more members than `limit`.
fn pass_members<'a>(
    scanner: &mut Scanner<'a>,
    limit: usize,
    mut visit: impl FnMut(Cow<'a, str>, &'a str),
) -> Option<()> {
    let mut left = limit;
    scanner.members(|scanner, name| {
        let value = scanner.value()?;
        left = left.checked_sub(1)?;
        visit(name, value);
        Some(())
    })?;
    scanner.is_at_end().then_some(())
}

/// Calls `visit` with the text of each element, in order.
///
/// # Errors
/// The text is not an array, or not JSON. Elements before the fault have been visited.
pub fn elements<'a>(text: &'a str, mut visit: impl FnMut(&'a str)) -> Result<(), JsonFault> {
    let mut scanner = Scanner::new(text);
    let passed = scanner.array(|scanner| {
        visit(scanner.value()?);
        Some(())
    });
    let passed = passed.filter(|()| scanner.is_at_end());
    passed.ok_or_else(|| fault(text, Wanted::Array))
}

/// A string, borrowed where it has no escapes.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The text of a string that stands there as it is meant.
fn plain(value: &str) -> Option<&str> {
    let mut scanner = Scanner::new(value);
    let string = scanner.string()?;
    (!string.has_escapes && scanner.is_at_end()).then_some(string.inside)
}

/// The decoded string; `None` if the value is no string, or one that holds half a surrogate pair.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    if let Some(plain) = plain(value) {
        return Some(Cow::Borrowed(plain));
    }
    Text.deserialize(&mut serde_json::Deserializer::from_str(value))
        .ok()
}

/// The decoded string, with a replacement character for what is no character; `None` if the value is no string.
pub fn lossy_string(value: &str) -> Option<Cow<'_, str>> {
    struct Lossy;

    impl Visitor<'_> for Lossy {
        type Value = String;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    if let Some(plain) = plain(value) {
        return Some(Cow::Borrowed(plain));
    }
    // Read as bytes, a string may hold half a surrogate pair, which some upstreams send when they cut an emoji.
    let mut reader = serde_json::Deserializer::from_str(value);
    value.starts_with('"').then_some(())?;
    reader.deserialize_bytes(Lossy).ok().map(Cow::Owned)
}

/// Whether the value is `null`, `false`, or an empty string, array or object.
pub fn is_empty(value: &str) -> bool {
    let value = value.trim();
    let hollow = |open, close| {
        value
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|inner: &str| inner.trim().is_empty())
    };
    matches!(value, "null" | "false" | "\"\"") || hollow('[', ']') || hollow('{', '}')
}

/// A count: an integer or a float from zero, rounded down; everything else is no count.
pub fn count(value: &str) -> Option<u64> {
    value.parse().ok().or_else(|| {
        let number: f64 = value.parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number as u64)
    })
}

/// A whole number, however it is spelled; `None`: something else. One below zero, which some take for "no limit", is
/// none: `Some(None)`.
pub fn integer(value: &str) -> Option<Option<u64>> {
    if let Ok(number) = value.parse() {
        return Some(Some(number));
    }
    let number: f64 = value.parse().ok()?;
    (number.fract() == 0.0).then(|| (number >= 0.0).then_some(number as u64))
}

/// The text as a JSON string.
pub fn quote(text: &str) -> String {
    let is_plain = |byte: u8| byte >= b' ' && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(is_plain) {
        return ["\"", text, "\""].concat();
    }
    // A text cannot fail to be written.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
