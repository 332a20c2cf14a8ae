//! What upstreams say in words: too long, not allowed, a bad key, no money. For both protocols and their imitators.
//! A message may quote the client: what would rest a key is looked for in names and at its beginning only.

use crate::protocol::UpstreamError;

const CONTEXT_LENGTH_NAMES: [&str; 7] = [
    "context_length_exceeded",
    "context_window_exceeded",
    "exceed_context_size_error",
    "model_max_prompt_tokens_exceeded",
    "max_context_length_exceeded",
    "string_above_max_length",
    "tokens_limit_reached",
];

const CONTEXT_LENGTH_PHRASES: [&str; 22] = [
    "maximum context length",
    "max context length",
    "context length exceeded",
    "exceed context limit",
    "exceeds the context window",
    "exceeds the available context size",
    "exceeds the model's context",
    "exceeds the maximum number of tokens",
    "prompt is too long",
    "input is too long",
    "maximum prompt length",
    "reduce the length of the messages",
    "too many tokens",
    "model_context_window_exceeded",
    "maximum model length",
    "too long to fit into the model",
    "context window exceeds limit",
    "exceeded model token limit",
    "greater than the context length",
    "prompt token count of",
    "range of input length should be",
    "too large for model with",
];

/// One request that alone is larger than a minute's allowance; some say 429 to it, some 413.
const LARGER_THAN_LIMIT: &str = "request too large for";

const CONTENT_POLICY_NAMES: [&str; 9] = [
    "content_policy_violation",
    "image_content_policy_violation",
    "content_filter",
    "content_filter_error",
    "moderation_blocked",
    "responsibleaipolicyviolation",
    "data_inspection_failed",
    "datainspectionfailed",
    "prohibited_content",
];

const CONTENT_POLICY_PHRASES: [&str; 10] = [
    "content policy",
    "content filtering policy",
    "content management policy",
    "requires moderation",
    "input was flagged",
    "prompt was flagged",
    "safety system",
    "violates usage guidelines",
    "content exists risk",
    "unsafe or sensitive content",
];

const BAD_KEY_NAMES: [&str; 2] = ["api_key_invalid", "invalid_api_key"];

const OUT_OF_QUOTA_NAMES: [&str; 5] = [
    "insufficient_quota",
    "insufficient_balance",
    "exceeded_current_quota_error",
    "billing_not_active",
    "billing_hard_limit_reached",
];

/// How the words of an empty account begin where its error has no name of its own. (Not "you exceeded your current
/// quota": Gemini says that of a minute's limit, too.)
const OUT_OF_QUOTA_PHRASE: &str = "insufficient balance";

const CLIENT_FAULT_NAMES: [&str; 3] = [
    "invalid_request_error",
    "request_too_large",
    "invalid_argument",
];

/// The request does not fit into the model's context, and the error's name says so.
pub(super) fn is_named_context_length(error: &UpstreamError) -> bool {
    is_named(error, &CONTEXT_LENGTH_NAMES)
}

/// The request does not fit into the model's context.
pub(super) fn is_context_length(error: &UpstreamError) -> bool {
    is_named(error, &CONTEXT_LENGTH_NAMES)
        || says(error, &CONTEXT_LENGTH_PHRASES)
        || is_larger_than_limit(error)
}

/// The request alone is larger than what the key may use in a minute: waiting does not help it, nor harm others.
pub(super) fn is_larger_than_limit(error: &UpstreamError) -> bool {
    begins_with(&error.message, LARGER_THAN_LIMIT)
}

/// The request was refused for what it asks.
pub(super) fn is_content_policy(error: &UpstreamError) -> bool {
    is_named(error, &CONTENT_POLICY_NAMES) || says(error, &CONTENT_POLICY_PHRASES)
}

/// The key is wrong, by the error's name or by a phrase with which the message begins.
pub(super) fn is_bad_key(error: &UpstreamError, phrases: &[String]) -> bool {
    is_named(error, &BAD_KEY_NAMES)
        || phrases
            .iter()
            .filter(|phrase| !phrase.trim().is_empty())
            .any(|phrase| begins_with(&error.message, phrase.trim()))
}

/// The key's account is empty.
pub(super) fn is_out_of_quota(error: &UpstreamError) -> bool {
    is_named(error, &OUT_OF_QUOTA_NAMES) || begins_with(&error.message, OUT_OF_QUOTA_PHRASE)
}

/// The request itself is wrong; said inside an answer whose head was a success.
pub(super) fn is_client_fault(error: &UpstreamError) -> bool {
    matches!(error.status, Some(400 | 413 | 422)) || is_named(error, &CLIENT_FAULT_NAMES)
}

fn is_named(error: &UpstreamError, names: &[&str]) -> bool {
    [&error.code, &error.kind]
        .into_iter()
        .flatten()
        .any(|found| names.iter().any(|name| found.eq_ignore_ascii_case(name)))
}

fn says(error: &UpstreamError, phrases: &[&str]) -> bool {
    let message = error.message.to_ascii_lowercase();
    phrases.iter().any(|phrase| message.contains(phrase))
}

fn begins_with(message: &str, phrase: &str) -> bool {
    message
        .trim_start()
        .get(..phrase.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(phrase))
}
