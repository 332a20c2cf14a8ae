//! Anthropic messages: what we read and write of them. It knows no other protocol.

mod answer;
mod error;
mod models;
mod repair;
mod request;
pub(super) mod stream;
mod text;
mod unsigned;
mod usage;

pub use models::{Page, model_list, model_object};
pub use unsigned::{Trimmed, UNSIGNED};

pub(super) use answer::read_answer;
pub(super) use error::{error_body, error_event, is_own_error_shape};
pub(super) use repair::missing_results;
pub(super) use request::{read_request, rewrite};
pub(super) use text::{answer_text, stream_text};
pub(super) use unsigned::without_unsigned_thinking;
pub(super) use usage::read as read_usage;

/// Keeps a stream busy; it may come at any time, even before `message_start`.
pub(super) const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// The terminal marker.
pub(super) const END_MARKER: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
