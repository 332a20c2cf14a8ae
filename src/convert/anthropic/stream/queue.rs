//! Blocks that have begun in the hub but cannot be written yet, because another one is open. They keep what they were
//! given, in order.

use std::collections::VecDeque;

use crate::conversation::{BlockStart, Delta};

/// A block that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) index: usize,
    pub(super) block: BlockStart,
    pub(super) deltas: Vec<Delta>,
    /// It is complete.
    pub(super) stopped: bool,
}

impl Waiting {
    /// A block that says nothing, or nothing but white space, is refused when the client sends it back.
    fn is_hollow(&self) -> bool {
        let says_nothing =
            |delta: &Delta| matches!(delta, Delta::Text(text) if text.trim().is_empty());
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
}

impl Queue {
    pub(super) fn push(&mut self, index: usize, block: BlockStart) {
        self.blocks.push_back(Waiting {
            index,
            block,
            deltas: Vec::new(),
            stopped: false,
        });
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
        match (block.deltas.last_mut(), delta) {
            (Some(Delta::Arguments(so_far)), Delta::Arguments(more))
            | (Some(Delta::Text(so_far)), Delta::Text(more)) => so_far.push_str(more),
            _ => block.deltas.push(delta.clone()),
        }
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
            match (block.is_hollow(), block.stopped) {
                (false, _) => return self.blocks.pop_front(),
                (true, true) => self.blocks.pop_front(),
                (true, false) => return None,
            };
        }
    }

    fn find(&mut self, index: usize) -> Option<&mut Waiting> {
        self.blocks.iter_mut().find(|block| block.index == index)
    }
}
