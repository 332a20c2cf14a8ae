//! A whole answer.

use super::Block;
use super::usage::Usage;

/// A complete answer of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The upstream's id of the answer.
    pub id: String,
    /// The upstream's name of the model.
    pub model: String,
    /// Seconds since 1970; none where the protocol does not tell.
    pub created: Option<u64>,
    /// What was said, in order: text, refusals, thinking, tool calls.
    pub blocks: Vec<Block>,
    /// Why it ended.
    pub stop: StopReason,
    /// What it cost.
    pub usage: Option<Usage>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The model was done.
    EndTurn,
    /// The limit of tokens.
    MaxTokens,
    /// A stop text, where it is told which.
    StopSequence(Option<String>),
    /// Tools are called.
    ToolUse,
    /// A long turn of server tools pauses and may be continued.
    PauseTurn,
    /// The model declined (Anthropic's `refusal`).
    Refusal,
    /// A filter cut the answer (OpenAI's `content_filter`).
    ContentFilter,
    /// Prompt and answer together filled the context.
    ContextWindow,
    /// Something newer than we are, as it came.
    Other(String),
}

impl StopReason {
    /// The reason in the light of what was said: whoever calls tools waits for their results, and whoever calls none
    /// does not, whatever a sloppy upstream says.
    #[must_use]
    pub fn with_calls(self, calls: bool) -> Self {
        match self {
            Self::EndTurn | Self::Other(_) if calls => Self::ToolUse,
            Self::ToolUse if !calls => Self::EndTurn,
            told => told,
        }
    }
}
