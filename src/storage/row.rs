//! A record as the table keeps it: decoded, scrubbed, cut. Pure, and never without a result: what cannot be read
//! becomes an absent value, not an error.

use std::time::{Duration, SystemTime};

use diesel::prelude::*;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use self::text::Cleaner;
use super::record::{Answer, Record};
use super::schema::request_logs;
use crate::config::settings::{LogContent, Settings};
use crate::secret::{Digest, Scrubber};

mod attempts;
mod request;
mod text;

/// Names and labels are cut there.
const NAME_LIMIT: usize = 1024;

/// Error messages, usage objects and losses are cut there.
const NOTE_LIMIT: usize = 8 * 1024;

/// What the request log keeps of prompts and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Text, or counts alone.
    pub mode: LogContent,
    /// Texts are cut there, in bytes.
    pub max_bytes: usize,
}

impl From<&Settings> for Content {
    fn from(settings: &Settings) -> Self {
        Self {
            mode: settings.log_content,
            max_bytes: settings.log_content_max_bytes,
        }
    }
}

/// A row of `request_logs`; fields are columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = request_logs)]
#[diesel(treat_none_as_default_value = false)]
pub struct Row {
    /// UUID v7.
    pub id: String,
    /// What the client read as `x-request-id`.
    pub request_id: String,
    /// Arrival: RFC 3339, UTC, milliseconds.
    pub timestamp: String,
    /// Path without query.
    pub endpoint: String,
    /// HTTP method.
    pub method: String,
    /// SHA-256 of the client's key, hexadecimal.
    pub client_api_key_hash: Option<String>,
    /// The model that the client named.
    pub requested_model: Option<String>,
    /// The provider that answered or failed last.
    pub resolved_provider: Option<String>,
    /// That provider's name of the model.
    pub resolved_model: Option<String>,
    /// JSON object: the body's other members, large ones as a note of their size.
    pub parameters: String,
    /// JSON array of messages, perhaps cut; or an object of counts; none if the body could not be read.
    pub messages: Option<String>,
    /// Status sent.
    pub response_status: i32,
    /// From arrival to the end of the answer.
    pub response_time_ms: i64,
    /// The answer's text, perhaps cut.
    pub response_content: Option<String>,
    /// JSON: the upstream's own usage object.
    pub response_usage: Option<String>,
    /// Label of the key used last.
    pub provider_api_key_used: Option<String>,
    /// Calls beyond the first.
    pub provider_retries: i32,
    /// 1: a stream was asked for.
    pub is_streaming: i16,
    /// Words for people; they may quote the request, so only where content is kept.
    pub error_message: Option<String>,
    /// Low-cardinality name.
    pub error_type: Option<String>,
    /// Name of the client.
    pub client: Option<String>,
    /// All input, cached included.
    pub prompt_tokens: Option<i64>,
    /// All output, reasoning included.
    pub completion_tokens: Option<i64>,
    /// Input read from the provider's cache.
    pub cached_tokens: Option<i64>,
    /// Input written to the provider's cache.
    pub cache_write_tokens: Option<i64>,
    /// Output spent on reasoning.
    pub reasoning_tokens: Option<i64>,
    /// From arrival to the first content sent.
    pub first_token_ms: Option<i64>,
    /// JSON array: every call made.
    pub attempts: String,
    /// What a conversion dropped or changed.
    pub loss: Option<String>,
}

/// Converts a record. Every text that is not ours passes the scrubber before it is cut.
pub fn row(record: &Record, content: Content, scrubber: &Scrubber) -> Row {
    let cleaner = Cleaner::new(scrubber);
    let known = |text: &str| cleaner.clean(text, NAME_LIMIT);
    let name = |text: &Option<String>| Some(known(text.as_deref()?));
    let note = |text: &Option<String>| Some(cleaner.clean(text.as_deref()?, NOTE_LIMIT));
    let request = request::read(record, content, &cleaner);
    let usage = record.usage.as_ref();
    let error = record.error.as_ref();
    let call = record.call();
    let retries = record.attempts.len().saturating_sub(1);
    Row {
        id: record.id.to_string(),
        request_id: known(&record.request_id),
        timestamp: timestamp(record.started),
        endpoint: record.endpoint.to_owned(),
        method: record.method.to_owned(),
        client_api_key_hash: record
            .client
            .as_ref()
            .map(|client| hexadecimal(&client.digest)),
        requested_model: name(&record.requested_model),
        resolved_provider: call.map(|call| known(&call.route.provider.name)),
        resolved_model: call.map(|call| known(&call.route.model)),
        parameters: request.parameters,
        messages: request.messages,
        response_status: i32::from(record.status),
        response_time_ms: milliseconds(record.elapsed),
        response_content: answer(record, content, &cleaner),
        response_usage: note(&record.usage_raw),
        provider_api_key_used: call.map(|call| known(&call.key.label)),
        provider_retries: i32::try_from(retries).unwrap_or(i32::MAX),
        is_streaming: i16::from(record.streaming),
        error_message: error
            .filter(|_| content.mode == LogContent::Full)
            .map(|error| cleaner.clean(&error.message, NOTE_LIMIT)),
        error_type: error.map(|error| error.name.to_owned()),
        client: record
            .client
            .as_ref()
            .map(|client| cleaner.clean(&client.name, NAME_LIMIT)),
        prompt_tokens: usage.map(|usage| integer(usage.input)),
        completion_tokens: usage.map(|usage| integer(usage.output)),
        cached_tokens: usage.map(|usage| integer(usage.cache_read)),
        cache_write_tokens: usage.map(|usage| integer(usage.cache_write)),
        reasoning_tokens: usage.map(|usage| integer(usage.reasoning)),
        first_token_ms: record.first_token.map(milliseconds),
        attempts: cleaner.clean(attempts::json(&record.attempts), usize::MAX),
        loss: note(&record.loss),
    }
}

/// Replaces the body by what its row will keep, so that a long stream does not hold a large prompt to its end.
pub fn condense(record: &mut Record, content: Content, scrubber: &Scrubber) {
    if record.request.is_some() {
        record.condensed = Some(request::read(record, content, &Cleaner::new(scrubber)));
        record.request = None;
    }
}

/// The text of the answer, as far as it is kept.
fn answer(record: &Record, content: Content, cleaner: &Cleaner<'_>) -> Option<String> {
    if content.mode == LogContent::Metadata {
        return None;
    }
    let text = match &record.answer {
        Answer::None => return None,
        Answer::Stripped { answer: 0, .. } => return None,
        Answer::Stripped { answer, .. } => return Some(text::cut_mark(*answer)),
        Answer::Whole(body) => record.answer_protocol.answer_text(body)?,
        Answer::Events(events) => record.answer_protocol.stream_text(events),
    };
    Some(cleaner.clean(text, content.max_bytes))
}

/// RFC 3339, UTC, milliseconds: texts of this form sort as the times do.
pub(super) fn timestamp(time: SystemTime) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

    PRINTER.timestamp_to_string(&Timestamp::try_from(time).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn hexadecimal(digest: &Digest) -> String {
    let mut text = String::with_capacity(2 * digest.len());
    let digit = |nibble: u8| {
        if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' - 10 + nibble
        }
    };
    for byte in digest {
        text.push(char::from(digit(byte >> 4)));
        text.push(char::from(digit(byte & 15)));
    }
    text
}

#[cfg(test)]
mod tests;
