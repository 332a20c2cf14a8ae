//! OpenAI chat completions: what we read and write of them. It knows no other protocol.

mod answer;
mod error;
mod models;
mod repair;
mod request;
pub(super) mod stream;
mod text;
mod usage;

pub use models::{model_list, model_object};

pub(super) use answer::read_answer;
pub(super) use error::{error_body, error_event, is_own_error_shape};
pub(super) use repair::missing_results;
pub(super) use request::{read_request, rewrite};
pub(super) use text::{answer_text, stream_text};
pub(crate) use usage::inner_usage;
pub(super) use usage::read as read_usage;

/// Keeps a stream busy: a comment, since the protocol has no event for it.
pub(super) const PING: &str = ": ping\n\n";

/// The terminal marker.
pub(super) const END_MARKER: &str = "data: [DONE]\n\n";
