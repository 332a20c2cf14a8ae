//! The wire protocols we speak: their framing, shapes and names. No I/O, and no protocol knows another.

use serde::Deserialize;

pub mod anthropic;
pub mod json;
pub mod openai;
pub mod raw;
pub mod sse;

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// OpenAI chat completions.
    #[serde(rename = "openai")]
    OpenAi,
    /// Anthropic messages.
    Anthropic,
}

impl Protocol {
    /// The name used in files, logs and columns.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}
