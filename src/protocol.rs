//! The wire protocols we speak: their framing, shapes and names. No I/O, and no protocol knows another.

use bytes::Bytes;
use serde::Deserialize;

use crate::conversation::Usage;
use crate::error::{FaultKind, GatewayError};

mod answer;
pub mod anthropic;
mod failure;
pub mod json;
mod models;
pub mod openai;
pub mod raw;
mod repair;
mod request;
pub mod sse;
mod stream;
mod text;

pub use answer::{UsageReport, WholeReading};
pub use failure::UpstreamError;
pub use models::ModelInfo;
pub use request::{RequestHead, Rewrite};
pub use stream::{Reading, StreamReader, Verdict};

use raw::{Pieces, RawObject};

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

    /// Reads and checks the members that the gateway needs; all others are the upstream's to judge.
    ///
    /// # Errors
    /// One of them is missing, of a wrong type, or there twice; the error names it.
    pub fn read_request(self, body: &RawObject) -> Result<RequestHead, GatewayError> {
        match self {
            Self::OpenAi => openai::read_request(body),
            Self::Anthropic => anthropic::read_request(body),
        }
    }

    /// The body as it goes up: changed where `rewrite` says so, otherwise the client's very bytes.
    pub fn rewrite(self, body: &RawObject, head: &RequestHead, rewrite: &Rewrite<'_>) -> Pieces {
        match self {
            Self::OpenAi => openai::rewrite(body, head, rewrite),
            Self::Anthropic => anthropic::rewrite(body, head, rewrite),
        }
    }

    /// The body with a result for every tool call of the assistant's that has none, or `None` if none is missing. It is
    /// for upstreams that refuse such a conversation; everything else stays byte for byte. A result that stands in a
    /// wrong place, but before the assistant speaks again, counts as there.
    pub fn with_missing_results(self, body: &RawObject) -> Option<Bytes> {
        match self {
            Self::OpenAi => repair::with_missing_results(body, openai::missing_results),
            Self::Anthropic => repair::with_missing_results(body, anthropic::missing_results),
        }
    }

    /// The body without thinking that we passed on for a provider which signs none, or `None` if there is none of it: a
    /// provider that takes only its own refuses the request for it. Everything else stays byte for byte.
    pub fn without_unsigned_thinking(self, body: &RawObject) -> Option<anthropic::Trimmed> {
        match self {
            Self::OpenAi => None,
            Self::Anthropic => anthropic::without_unsigned_thinking(body),
        }
    }

    /// Reads an upstream's error body, in this protocol's shape or another that upstreams of it are known to use.
    pub fn read_error(self, body: &[u8]) -> Option<UpstreamError> {
        failure::read(json::text(body).ok()?)
    }

    /// Whether an error body can be passed on as it is: clients of this protocol can read it.
    pub fn is_own_error_shape(self, body: &[u8]) -> bool {
        json::text(body).is_ok_and(|text| match self {
            Self::OpenAi => openai::is_own_error_shape(text),
            Self::Anthropic => anthropic::is_own_error_shape(text),
        })
    }

    /// The body of an error answer.
    pub fn error_body(self, error: &GatewayError, request_id: &str) -> String {
        match self {
            Self::OpenAi => openai::error_body(error),
            Self::Anthropic => anthropic::error_body(error, request_id),
        }
    }

    /// The event that ends a stream with an error; no terminal marker may follow it.
    pub fn error_event(self, error: &GatewayError, request_id: &str) -> String {
        match self {
            Self::OpenAi => openai::error_event(error),
            Self::Anthropic => anthropic::error_event(error, request_id),
        }
    }

    /// What keeps a silent stream busy.
    pub fn ping(self) -> &'static str {
        match self {
            Self::OpenAi => openai::PING,
            Self::Anthropic => anthropic::PING,
        }
    }

    /// The terminal marker, for a stream that is complete and lacks it.
    pub fn end_marker(self) -> &'static str {
        match self {
            Self::OpenAi => openai::END_MARKER,
            Self::Anthropic => anthropic::END_MARKER,
        }
    }

    /// Reads a whole answer that came with status 200.
    ///
    /// # Errors
    /// [`FaultKind::Malformed`]: it is no answer of this protocol, and no error either.
    pub fn read_answer(self, body: &[u8]) -> Result<WholeReading, FaultKind> {
        let text = json::text(body).map_err(|_| FaultKind::Malformed)?;
        match self {
            Self::OpenAi => openai::read_answer(text),
            Self::Anthropic => anthropic::read_answer(text),
        }
    }

    /// Reads a usage object of this protocol; what it does not tell is 0.
    pub fn read_usage(self, object: &str) -> Usage {
        match self {
            Self::OpenAi => openai::read_usage(object),
            Self::Anthropic => anthropic::read_usage(object),
        }
    }

    /// What the log keeps of a whole answer: the text of its first choice, or its refusal, and on a line of its own
    /// its tool calls as compact JSON. `None` if there is nothing of these.
    pub fn answer_text(self, body: &[u8]) -> Option<String> {
        let text = json::text(body).ok()?;
        match self {
            Self::OpenAi => openai::answer_text(text),
            Self::Anthropic => anthropic::answer_text(text),
        }
    }

    /// The same for a stream, from the raw bytes of its events, one item for each.
    pub fn stream_text(self, events: &[Bytes]) -> String {
        match self {
            Self::OpenAi => openai::stream_text(events),
            Self::Anthropic => anthropic::stream_text(events),
        }
    }
}
