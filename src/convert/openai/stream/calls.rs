//! Tool calls in pieces: which piece belongs to which call, and when a call can be told of. Upstreams leave out the
//! index or the id, repeat names, use one index for several calls, and mix the pieces of several calls.

use super::decode::Blocks;
use crate::conversation::{BlockStart, Delta, Event};
use crate::convert::arguments::Progress;
use crate::convert::openai::reply::message::CallPiece;
use crate::protocol::sse::LINE_LIMIT;

/// An answer with more calls than this is nonsense; what exceeds it is left out, so that each piece finds its call in a
/// bounded time.
const MOST: usize = 1024;

/// The calls of one answer, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    /// Arguments that came before the call could be told of.
    held: String,
    progress: Progress,
    /// Its block, once it has been told of.
    block: Option<usize>,
}

impl Calls {
    /// Whether there is one that has been told of.
    pub(super) fn any(&self) -> bool {
        self.calls.iter().any(|call| call.block.is_some())
    }

    /// Takes a piece of a call, or a whole one.
    pub(super) fn take(&mut self, piece: CallPiece<'_>, blocks: &mut Blocks, out: &mut Vec<Event>) {
        let place = self.place(&piece);
        let Some(call) = place.and_then(|place| self.calls.get_mut(place)) else {
            return;
        };
        call.add(&piece);
        match call.block {
            Some(index) if !piece.arguments.is_empty() => {
                let delta = Delta::Arguments(piece.arguments.into_owned());
                out.push(Event::Delta { index, delta });
            }
            Some(_) => {}
            None => {
                if call.held.len() + piece.arguments.len() <= LINE_LIMIT {
                    call.held.push_str(&piece.arguments);
                }
                self.tell(false, blocks, out);
            }
        }
    }

    /// Tells of the calls that can still be told of, and closes all.
    pub(super) fn finish(&mut self, blocks: &mut Blocks, out: &mut Vec<Event>) {
        blocks.close(out);
        self.calls.retain(|call| !call.is_nothing());
        self.tell(true, blocks, out);
        let told = self.calls.iter().filter_map(|call| call.block);
        out.extend(told.map(|index| Event::BlockStop { index }));
    }

    /// Tells of the calls whose name and id are known, in their order, so that one waits for those before it.
    fn tell(&mut self, all: bool, blocks: &mut Blocks, out: &mut Vec<Event>) {
        let waiting = self.calls.iter_mut().filter(|call| call.block.is_none());
        for call in waiting.take_while(|call| all || (!call.id.is_empty() && !call.name.is_empty()))
        {
            let block = BlockStart::ToolCall {
                id: call.id.clone(),
                name: call.name.clone(),
            };
            let index = blocks.start(block, out);
            call.block = Some(index);
            if !call.held.is_empty() {
                let delta = Delta::Arguments(std::mem::take(&mut call.held));
                out.push(Event::Delta { index, delta });
            }
        }
    }

    /// Where the call of a piece stands; a new one is appended, if there is room.
    fn place(&mut self, piece: &CallPiece<'_>) -> Option<usize> {
        let found = self.find(piece).filter(|place| {
            let call = self.calls.get(*place);
            call.is_some_and(|call| !call.is_followed_by(piece))
        });
        if found.is_none() && self.calls.len() < MOST {
            self.calls.push(Call {
                index: piece.index,
                ..Call::default()
            });
            return Some(self.calls.len() - 1);
        }
        found
    }

    fn find(&self, piece: &CallPiece<'_>) -> Option<usize> {
        let by_id = || {
            let same = |call: &Call| !piece.id.is_empty() && call.id == piece.id;
            self.calls.iter().rposition(same)
        };
        if let Some(index) = piece.index {
            let by_index = self
                .calls
                .iter()
                .rposition(|call| call.index == Some(index));
            // Without a name it does not look like a beginning.
            return by_index.or_else(|| by_id().filter(|_| piece.name.is_empty()));
        }
        let last = self.calls.len().checked_sub(1);
        by_id().or_else(|| {
            let nameless = self.calls.last().is_some_and(|call| call.id.is_empty());
            last.filter(|_| piece.id.is_empty() || nameless)
        })
    }
}

impl Call {
    /// Adds what is new in a piece; what is repeated stays as it was.
    fn add(&mut self, piece: &CallPiece<'_>) {
        if self.id.is_empty() {
            self.id.push_str(&piece.id);
        }
        if self.name.is_empty() {
            self.name.push_str(&piece.name);
        }
        self.progress.feed(&piece.arguments);
    }

    /// Whether a piece that looks as if it belonged to this call begins another one: its index is used again, or
    /// there is none.
    fn is_followed_by(&self, piece: &CallPiece<'_>) -> bool {
        if piece.name.is_empty() || self.name.is_empty() {
            return false;
        }
        let told = !piece.id.is_empty() && !self.id.is_empty();
        let (same_id, other_id) = (told && piece.id == self.id, told && piece.id != self.id);
        match self.progress {
            Progress::Complete => other_id || (!same_id && !piece.arguments.trim().is_empty()),
            Progress::Nothing => piece.name != self.name && (other_id || piece.index.is_none()),
            // An id that changes while the arguments go on means nothing.
            Progress::Inside(_) | Progress::Nonsense => false,
        }
    }

    /// Nothing that anybody could use was ever said of it.
    fn is_nothing(&self) -> bool {
        self.block.is_none()
            && self.id.is_empty()
            && self.name.is_empty()
            && self.held.trim().is_empty()
    }
}
