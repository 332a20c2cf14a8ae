//! Blocks that have begun in the hub but cannot be written yet, because another one is open. They keep what they were
//! given, in order.

use std::collections::VecDeque;

use crate::conversation::{BlockStart, Delta};
use crate::protocol::sse::LINE_LIMIT;

/// White space that is longer than this is passed on: a model that says nothing else for minutes must not look dead.
const LONGEST_BLANK: usize = 1024;

/// A block that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) index: usize,
    pub(super) block: BlockStart,
    pub(super) deltas: Vec<Delta>,
    /// The length of all deltas.
    bytes: usize,
    /// It is complete.
    pub(super) stopped: bool,
}

impl Waiting {
    /// A block that says nothing, or nothing but white space, is refused when the client sends it back.
    fn is_hollow(&self) -> bool {
        let is_blank = |text: &str| text.len() <= LONGEST_BLANK && text.trim().is_empty();
        let says_nothing = |delta: &Delta| matches!(delta, Delta::Text(text) if is_blank(text));
        match self.block {
            BlockStart::Text | BlockStart::Refusal => self.deltas.iter().all(says_nothing),
            BlockStart::Thinking => self.deltas.is_empty(),
            _ => false,
        }
    }

    fn takes(&self, delta: &Delta) -> bool {
        match delta {
            Delta::Text(text) => {
                matches!(self.block, BlockStart::Text | BlockStart::Refusal) && !text.is_empty()
            }
            Delta::Thinking(_) | Delta::Signature(_) => matches!(self.block, BlockStart::Thinking),
            Delta::Arguments(_) => matches!(self.block, BlockStart::ToolCall { .. }),
            Delta::Citations(_) => false,
        }
    }
}

/// Blocks that wait, the next one first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    blocks: VecDeque<Waiting>,
    /// The length of all deltas.
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, index: usize, block: BlockStart) {
        self.blocks.push_back(Waiting {
            index,
            block,
            deltas: Vec::new(),
            bytes: 0,
            stopped: false,
        });
    }

    /// So much waits that the open block must make room, complete or not.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > LINE_LIMIT
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Continues a block by what belongs into one of its kind; false if it does not wait here.
    pub(super) fn add(&mut self, index: usize, delta: &Delta) -> bool {
        let Some(block) = self.find(index) else {
            return false;
        };
        if !block.takes(delta) {
            return true;
        }
        let bytes = match delta {
            Delta::Text(text)
            | Delta::Thinking(text)
            | Delta::Signature(text)
            | Delta::Arguments(text) => text.len(),
            Delta::Citations(_) => 0,
        };
        match (block.deltas.last_mut(), delta) {
            (Some(Delta::Arguments(so_far)), Delta::Arguments(more))
            | (Some(Delta::Text(so_far)), Delta::Text(more)) => so_far.push_str(more),
            _ => block.deltas.push(delta.clone()),
        }
        block.bytes += bytes;
        self.bytes += bytes;
        true
    }

    /// Notes that a block is complete.
    pub(super) fn stop(&mut self, index: usize) {
        if let Some(block) = self.find(index) {
            block.stopped = true;
        }
    }

    /// Notes that all are complete.
    pub(super) fn stop_all(&mut self) {
        for block in &mut self.blocks {
            block.stopped = true;
        }
    }

    /// The next block that can be written. Blocks that ended before they said anything are left out.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        loop {
            let block = self.blocks.front()?;
            let is_hollow = block.is_hollow();
            if is_hollow && !block.stopped {
                return None;
            }
            let block = self.blocks.pop_front()?;
            self.bytes -= block.bytes;
            if !is_hollow {
                return Some(block);
            }
        }
    }

    fn find(&mut self, index: usize) -> Option<&mut Waiting> {
        let mut latest_first = self.blocks.iter_mut().rev();
        latest_first.find(|block| block.index == index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Delta {
        Delta::Text(text.to_owned())
    }

    #[test]
    fn blocks_come_out_in_order_with_all_they_were_given() {
        let mut queue = Queue::default();
        queue.push(1, BlockStart::Text);
        queue.push(2, BlockStart::Text);
        for (index, piece) in [(2, "c"), (1, "a"), (1, "b"), (2, "d")] {
            assert!(queue.add(index, &text(piece)));
        }
        assert!(!queue.add(3, &text("e")));
        let first = queue.pop().unwrap();
        assert_eq!((first.index, first.deltas), (1, vec![text("ab")]));
        assert_eq!(queue.pop().unwrap().deltas, [text("cd")]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_block_without_words_waits_for_them_and_is_left_out_if_none_come() {
        let mut queue = Queue::default();
        queue.push(0, BlockStart::Text);
        queue.push(1, BlockStart::RedactedThinking("x".to_owned()));
        queue.add(0, &text(" \n"));
        assert!(queue.pop().is_none());
        queue.stop(0);
        assert_eq!(queue.pop().unwrap().index, 1);
        queue.push(2, BlockStart::Text);
        queue.add(2, &text(&" ".repeat(LONGEST_BLANK + 1)));
        assert_eq!(queue.pop().unwrap().index, 2);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut queue = Queue::default();
        queue.push(0, BlockStart::Text);
        let piece = text(&"a".repeat(LINE_LIMIT / 2));
        queue.add(0, &piece);
        queue.add(0, &piece);
        assert!(!queue.is_full());
        queue.add(0, &piece);
        assert!(queue.is_full());
        queue.pop();
        assert!(!queue.is_full());
    }
}
