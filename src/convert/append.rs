//! Appending JSON to a buffer without building it first. It knows no protocol.

use std::fmt::Write as _;

use bytes::{BufMut as _, BytesMut};

/// The text as a JSON string.
pub(super) fn string(out: &mut BytesMut, text: &str) {
    // Neither a buffer that grows nor a text can fail.
    let _ = serde_json::to_writer(out.writer(), text);
}

/// A JSON string, or `null`.
pub(super) fn optional_string(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => raw(out, "null"),
    }
}

/// A whole number.
pub(super) fn number(out: &mut BytesMut, number: u64) {
    let _ = write!(out, "{number}");
}

/// Text that is JSON already.
pub(super) fn raw(out: &mut BytesMut, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_onto_one_line() {
        let mut out = BytesMut::new();
        string(&mut out, "a\"\\\n\r\u{2028}é😀\u{1}");
        assert_eq!(out, "\"a\\\"\\\\\\n\\r\u{2028}é😀\\u0001\"");
        optional_string(&mut out, None);
        number(&mut out, u64::MAX);
        assert!(out.ends_with(b"null18446744073709551615"));
    }
}
