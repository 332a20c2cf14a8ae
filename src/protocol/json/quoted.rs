//! Finds the end of a JSON string: sixteen bytes at once, and behind an escape goes on with what has been looked at already.

use wide::u8x16;

/// Looked at together beyond the first sixteen bytes, within which names and most short values end.
const BLOCK: usize = 64;

/// Where the string whose text begins at `start` has its closing quote, and whether there are escapes before it; `None`: it
/// has no end, holds a control character, or an escape that is none.
pub(super) fn closing_quote(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let Some(first) = bytes.get(start..)?.first_chunk::<16>() else {
        return search(bytes, start);
    };
    let marks = marks(first);
    if marks == 0 {
        return search(bytes, start + first.len());
    }
    let at = start + marks.trailing_zeros() as usize;
    if bytes.get(at) == Some(&b'"') {
        return Some((at, false));
    }
    search(bytes, at)
}

fn search(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut has_escapes = false;
    'blocks: while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let mut marks = block_marks(block);
        while marks != 0 {
            let place = marks.trailing_zeros() as usize;
            let Some(length) = marked(bytes, at + place)? else {
                return Some((at + place, has_escapes));
            };
            has_escapes = true;
            let next = place + length;
            if next >= BLOCK {
                at += next;
                continue 'blocks;
            }
            marks &= u64::MAX << next;
        }
        at += BLOCK;
    }
    while let Some(part) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        match marks(part) {
            0 => at += part.len(),
            marks => {
                at += marks.trailing_zeros() as usize;
                let Some(length) = marked(bytes, at)? else {
                    return Some((at, has_escapes));
                };
                has_escapes = true;
                at += length;
            }
        }
    }
    by_bytes(bytes, at, has_escapes)
}

fn by_bytes(bytes: &[u8], mut at: usize, mut has_escapes: bool) -> Option<(usize, bool)> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some((at, has_escapes)),
            b'\\' => {
                has_escapes = true;
                at += escape(bytes, at)?;
            }
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// A bit for each byte that is a quote, a backslash or a control character.
fn marks(bytes: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*bytes);
    let quotes = bytes.simd_eq(u8x16::splat(b'"'));
    let backslashes = bytes.simd_eq(u8x16::splat(b'\\'));
    let controls = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (quotes | backslashes | controls).to_bitmask()
}

fn block_marks(block: &[u8; BLOCK]) -> u64 {
    let (parts, _) = block.as_chunks::<16>();
    let parts = parts.iter().enumerate();
    parts.fold(0, |all, (number, part)| {
        all | u64::from(marks(part)) << (16 * number)
    })
}

/// What a marked byte is: an escape of this length, `Some(None)` for the closing quote, or a fault.
fn marked(bytes: &[u8], at: usize) -> Option<Option<usize>> {
    match bytes.get(at)? {
        b'"' => Some(None),
        b'\\' => escape(bytes, at).map(Some),
        _ => None,
    }
}

/// The length of the escape whose backslash stands at `at`.
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'n' | b'"' | b'\\' | b'/' | b'b' | b'f' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = bytes.get(at + 2..at + 6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn blocks_find_what_bytes_find(
            pieces in proptest::collection::vec(prop_oneof![
                8 => "[a-zé\u{7f} ]{0,40}",
                4 => Just("\\n".to_owned()),
                2 => Just("\\\"".to_owned()),
                2 => Just("\\\\".to_owned()),
                2 => Just("\\u00e9".to_owned()),
                1 => Just("\"".to_owned()),
                1 => "[\u{0}-\u{1f}]",
                1 => "\\\\.",
            ], 0..12),
        ) {
            let text = pieces.concat();
            let bytes = text.as_bytes();
            prop_assert_eq!(closing_quote(bytes, 0), by_bytes(bytes, 0, false), "{:?}", text);
        }
    }
}
