//! Heads of answers on their way to awc, which takes one of HTTP/1.1 without a length for an answer without a body. One
//! that ends with its connection is passed off as HTTP/1.0, of which awc knows it. Only what is not encrypted is seen.

use bytes::{Buf as _, BytesMut};

const HTTP_1_1: &[u8] = b"HTTP/1.1 ";
/// Where the minor version stands.
const MINOR: usize = 7;
/// A longer head is passed on as it is; awc takes no longer one either.
const LONGEST: usize = 128 * 1024;

/// What has arrived of one answer.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Bytes that are not passed on yet.
    held: BytesMut,
    /// There is nothing more to be looked at.
    passed: bool,
}

impl Head {
    /// Whether further bytes of the answer need not come here.
    pub(super) fn is_passed(&self) -> bool {
        self.passed && self.held.is_empty()
    }

    /// Whether there are bytes to be taken.
    pub(super) fn has_bytes(&self) -> bool {
        self.passed && !self.held.is_empty()
    }

    /// Looks at the next bytes from the upstream: whether they are to be passed on as they are now. If not, they are held.
    pub(super) fn feed(&mut self, bytes: &mut [u8]) -> bool {
        if self.held.is_empty() {
            self.passed = is_settled(bytes);
            if self.passed {
                return true;
            }
        }
        self.held.extend_from_slice(bytes);
        self.passed = is_settled(&mut self.held);
        false
    }

    /// The upstream has closed: whatever has arrived is all there is.
    pub(super) fn end(&mut self) {
        self.passed = true;
    }

    /// Hands on at most so many bytes.
    pub(super) fn take(&mut self, most: usize, put: impl FnOnce(&[u8])) {
        let count = most.min(self.held.len());
        put(self.held.get(..count).unwrap_or_default());
        self.held.advance(count);
    }
}

/// Whether what has arrived of an answer can be passed on: it holds the whole head, or is none that we know. The version
/// of a head is changed where it must be.
fn is_settled(answer: &mut [u8]) -> bool {
    let seen = answer.len().min(HTTP_1_1.len());
    if answer.get(..seen) != HTTP_1_1.get(..seen) || answer.len() > LONGEST {
        return true;
    }
    let Some(length) = length(answer) else {
        return false;
    };
    let ends_with_connection = answer.get(..length).is_some_and(is_unframed);
    if let Some(minor) = answer.get_mut(MINOR)
        && ends_with_connection
    {
        *minor = b'0';
    }
    true
}

/// The length of a head that is complete, its blank line included.
fn length(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|end| {
        let rest = bytes.get(end + 1..)?;
        let blank = [&b"\n"[..], b"\r\n"];
        let blank = blank.into_iter().find(|blank| rest.starts_with(blank))?;
        Some(end + 1 + blank.len())
    })
}

/// Whether the body ends where the connection does.
fn is_unframed(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| line.get(HTTP_1_1.len()..));
    let status = status.and_then(|rest| rest.get(..3)).unwrap_or_default();
    let bodiless = status.starts_with(b"1") || status == b"204" || status == b"304";
    let framed = lines.any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = name.trim_ascii();
        name.eq_ignore_ascii_case(b"content-length")
            || name.eq_ignore_ascii_case(b"transfer-encoding")
    });
    !bodiless && !framed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when the answer arrives in pieces of this size.
    fn passed(answer: &str, piece: usize) -> String {
        let mut head = Head::default();
        let mut out = Vec::new();
        for piece in answer.as_bytes().chunks(piece) {
            let mut piece = piece.to_vec();
            if head.is_passed() || head.feed(&mut piece) {
                out.extend_from_slice(&piece);
            }
            while head.has_bytes() {
                head.take(3, |bytes| out.extend_from_slice(bytes));
            }
        }
        head.end();
        head.take(usize::MAX, |bytes| out.extend_from_slice(bytes));
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn assert_passed(answer: &str, expected: &str) {
        for piece in [1, 2, 7, 1000] {
            assert_eq!(passed(answer, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn an_answer_that_ends_with_its_connection_is_passed_off_as_an_older_one() {
        for line_end in ["\r\n", "\n"] {
            let answer =
                format!("HTTP/1.1 200 OK{line_end}a: HTTP/1.1 {line_end}{line_end}b\n\nHTTP/1.1 ");
            assert_passed(&answer, &answer.replacen("1.1", "1.0", 1));
        }
    }

    #[test]
    fn every_other_answer_is_left_alone() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nx",
            "HTTP/1.1 200 OK\r\ncut",
            "HTTP/1.",
            "\u{16}\u{3}\u{3}HTTP/1.1 200 OK\r\n\r\n",
            "",
        ] {
            assert_passed(answer, answer);
        }
    }

    #[test]
    fn a_head_without_end_is_not_held_for_ever() {
        let mut head = Head::default();
        let line = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(LONGEST / 2));
        assert!(!head.feed(&mut line.into_bytes()));
        assert!(!head.has_bytes());
        head.feed(&mut vec![b'x'; LONGEST]);
        assert!(head.has_bytes());
    }
}
