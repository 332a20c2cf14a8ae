//! A streamed answer, event by event. A decoder emits blocks one after the other: one is closed before the next opens,
//! whatever its protocol allows, except tool calls, whose fragments may come interleaved and carry their index.

use super::usage::Usage;
use super::{Json, StopReason};

/// Something that happens in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The answer begins. Comes first, once.
    Start {
        /// The upstream's id.
        id: String,
        /// The upstream's name of the model.
        model: String,
        /// Seconds since 1970.
        created: Option<u64>,
        /// What is known of the prompt's tokens by now.
        usage: Option<Usage>,
    },
    /// A block begins. Indices rise from 0; tool calls of one answer may be open at once.
    BlockStart {
        /// Its index in the answer.
        index: usize,
        /// What it is.
        block: BlockStart,
    },
    /// A block goes on.
    Delta {
        /// Which.
        index: usize,
        /// By what.
        delta: Delta,
    },
    /// A block ends.
    BlockStop {
        /// Which.
        index: usize,
    },
    /// Nothing, so that nobody falls asleep.
    Ping,
    /// Usage, as far as it is known now; later ones replace earlier ones.
    Usage(Usage),
    /// Why the answer ends. Once, after the last block; usage may still follow.
    Stop(StopReason),
    /// The answer is complete. Comes last, once.
    End,
}

/// What a block is when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockStart {
    /// Text.
    Text,
    /// A refusal in words.
    Refusal,
    /// Visible reasoning.
    Thinking,
    /// Reasoning that only its provider can read, whole.
    RedactedThinking(String),
    /// A tool call; its arguments follow as JSON fragments.
    ToolCall {
        /// Its id; empty if the upstream gave none, then the encoder makes one.
        id: String,
        /// The tool.
        name: String,
    },
    /// A block that only its own protocol knows, by its `type`; its deltas are not decoded.
    Other(String),
}

/// How a block goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Of text or a refusal; never empty.
    Text(String),
    /// Of visible reasoning; never empty.
    Thinking(String),
    /// The signature of a thinking block, whole.
    Signature(String),
    /// Of a tool call's arguments: a piece of JSON text; never empty.
    Arguments(String),
    /// Citations or annotations of a text, as their protocol writes them.
    Citations(Json),
}
