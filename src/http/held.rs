//! A large answer on its way to a client, as fast as the client takes it. It holds its place in the budget until then.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use crate::gateway::budget::Taken;

/// Given to the connection at once, which copies what it is given.
const PIECE: usize = 64 * 1024;

/// The body of a whole answer.
pub(super) struct HeldBody {
    left: Bytes,
    _taken: Taken,
}

impl HeldBody {
    /// A body that takes this of the budget.
    pub(super) fn new(body: Bytes, taken: Taken) -> Self {
        Self {
            left: body,
            _taken: taken,
        }
    }
}

impl MessageBody for HeldBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.left.len().min(PIECE);
        let piece = self.left.split_to(length);
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }
}
