//! Between the wire and the hub: one folder per protocol with a decoder and an encoder for requests, answers and streams.
//! No protocol knows another; what an encoder cannot say it reports as a loss.

use bytes::Bytes;
use serde_json::value::RawValue;

use self::loss::Loss;
use self::memo::Memo;
use crate::config::catalog::ReasoningStyle;

#[cfg(test)]
mod answer_tests;
pub mod anthropic;
mod append;
mod arguments;
#[cfg(test)]
mod defect_tests;
mod ids;
pub mod loss;
pub mod memo;
pub mod openai;
pub mod pair;
mod read;
#[cfg(test)]
mod request_tests;
mod write;

/// What a request is encoded for: one route of the model, and what the gateway itself wants of the call.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The upstream's name of the model.
    pub model: &'a str,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Ask for usage in the stream, whatever the client asked; has a meaning only where a protocol lets one ask.
    pub ask_usage: bool,
    /// Members of the target's protocol that are added where the conversation says nothing of that name.
    pub defaults: &'a [(String, Box<RawValue>)],
    /// The limit of the answer in tokens for a protocol that requires one, where neither the conversation nor the
    /// defaults have one.
    pub default_max_tokens: u64,
    /// The upstream refuses `max_tokens` and wants `max_completion_tokens`.
    pub wants_max_completion_tokens: bool,
    /// How the model may be asked to think.
    pub reasoning: ReasoningStyle,
}

/// What an answer needs that the upstream may not have told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyContext {
    /// Seconds since 1970.
    pub now: u64,
    /// The id of an answer that came without one.
    pub fallback_id: String,
    /// That of the [`Encoded`] request that is answered.
    pub memo: Memo,
    /// The answer's id has gone out as the upstream told it, whatever its style.
    pub keeps_id: bool,
}

/// A body of the target's protocol, and what could not be said in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The JSON text.
    pub body: Bytes,
    /// What was dropped or changed, as paths into what it was made from.
    pub loss: Loss,
    /// Of a request: what the context of its answer needs.
    pub memo: Memo,
}
