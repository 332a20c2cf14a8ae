//! What a request loses on its way to OpenAI, kept short: what every turn of a long conversation loses again is named
//! a few times and then no more.

use crate::conversation::Origin;
use crate::conversation::Path;
use crate::convert::loss::Loss;

/// How often each of them is named: cache marks, signatures, and reasoning that only its provider can read.
const MOST: usize = 8;

/// A loss report that is being written.
pub(super) struct Report {
    loss: Loss,
    /// Whether the conversation came in this protocol.
    own: bool,
    marks: usize,
    thoughts: usize,
}

impl Report {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            loss: Loss::default(),
            own: origin == Origin::OpenAi,
            marks: 0,
            thoughts: 0,
        }
    }

    /// Whether the conversation came in this protocol, so that what only it knows can be written back.
    pub(super) fn own(&self) -> bool {
        self.own
    }

    pub(super) fn dropped(&mut self, path: impl Into<Path>) {
        self.loss.dropped(path);
    }

    pub(super) fn changed(&mut self, path: impl Into<Path>) {
        self.loss.changed(path);
    }

    /// A cache mark on what stands at `path`.
    pub(super) fn mark(&mut self, path: &str) {
        self.marks += 1;
        if self.marks <= MOST {
            self.loss.dropped(format!("{path}.cache_control"));
        }
    }

    /// A signature or reasoning that nobody else can read.
    pub(super) fn thought(&mut self, path: impl Into<Path>) {
        self.thoughts += 1;
        if self.thoughts <= MOST {
            self.loss.dropped(path);
        }
    }

    pub(super) fn finish(self) -> Loss {
        self.loss
    }
}
