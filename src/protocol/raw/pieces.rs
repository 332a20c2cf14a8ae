//! A body in pieces, most of them parts of the bytes that it was made from, so that a large one is changed without a copy.

use bytes::{Bytes, BytesMut};
use smallvec::{SmallVec, smallvec};

/// The pieces of a body, in order; none is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces(SmallVec<[Bytes; 4]>);

impl Pieces {
    /// Appends a piece.
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.0.push(piece);
        }
    }

    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there is no piece.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes at most so many bytes from the front, of one piece; `None`: nothing is left.
    pub fn take(&mut self, most: usize) -> Option<Bytes> {
        let first = self.0.first_mut()?;
        if first.len() > most {
            return Some(first.split_to(most));
        }
        Some(self.0.remove(0))
    }

    /// All pieces in one; a copy where there are several.
    pub fn join(mut self) -> Bytes {
        if self.0.len() < 2 {
            return self.0.pop().unwrap_or_default();
        }
        let mut joined = BytesMut::with_capacity(self.len());
        for piece in &self.0 {
            joined.extend_from_slice(piece);
        }
        joined.freeze()
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        Self(smallvec![bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_taken_from_the_front() {
        let mut pieces = Pieces::from(Bytes::from_static(b"abcd"));
        pieces.push(Bytes::new());
        pieces.push(Bytes::from_static(b"ef"));
        assert_eq!(pieces.len(), 6);
        assert_eq!(pieces.clone().join(), "abcdef");
        let taken = std::iter::from_fn(|| pieces.take(3));
        let taken: Vec<Bytes> = taken.collect();
        assert_eq!(taken, ["abc", "d", "ef"]);
        assert!(pieces.is_empty() && pieces.join().is_empty());
    }
}
