//! The error, as body and as event.

use std::borrow::Cow;

use serde_json::json;

use crate::error::{ErrorKind, GatewayError};
use crate::protocol::json as raw;

/// The type that the real API gives an error with this status; where it has none, the nearest.
fn name(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// How the real API begins to say that a prompt does not fit. Agents look for it, shorten their conversation and go on.
const TOO_LONG: &str = "prompt is too long";

fn words(error: &GatewayError) -> Cow<'_, str> {
    let told = error.message.get(..TOO_LONG.len());
    let is_said = told.is_some_and(|told| told.eq_ignore_ascii_case(TOO_LONG));
    if error.kind == ErrorKind::PromptTooLong && !is_said {
        Cow::Owned(format!("{TOO_LONG}: {}", error.message))
    } else {
        Cow::Borrowed(&error.message)
    }
}

pub(in crate::protocol) fn error_body(error: &GatewayError, request_id: &str) -> String {
    json!({
        "type": "error",
        "error": {"type": name(error.kind.status()), "message": words(error)},
        "request_id": request_id,
    })
    .to_string()
}

pub(in crate::protocol) fn error_event(error: &GatewayError, request_id: &str) -> String {
    format!("event: error\ndata: {}\n\n", error_body(error, request_id))
}

/// Whether clients can read the text as an error of this protocol.
pub(in crate::protocol) fn is_own_error_shape(text: &str) -> bool {
    let (mut typed, mut shaped) = (false, false);
    let read = raw::members(text, |name, value| match &*name {
        "type" => typed = raw::string(value).as_deref() == Some("error"),
        "error" => shaped = is_error(value),
        _ => {}
    });
    read.is_ok() && typed && shaped
}

fn is_error(value: &str) -> bool {
    let (mut has_type, mut has_message) = (false, false);
    let read = raw::members(value, |name, value| match &*name {
        "type" => has_type = value.starts_with('"'),
        "message" => has_message = value.starts_with('"'),
        _ => {}
    });
    read.is_ok() && has_type && has_message
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_status_has_the_type_of_the_real_api() {
        for (kind, expected) in [
            (ErrorKind::InvalidRequest, "invalid_request_error"),
            (ErrorKind::Unauthorized, "authentication_error"),
            (ErrorKind::UpstreamRefused(402), "billing_error"),
            (ErrorKind::UpstreamRefused(403), "permission_error"),
            (ErrorKind::ModelNotFound, "not_found_error"),
            (ErrorKind::NotFound, "not_found_error"),
            (ErrorKind::MethodNotAllowed, "invalid_request_error"),
            (ErrorKind::BodyTimeout, "timeout_error"),
            (ErrorKind::UpstreamRefused(409), "conflict_error"),
            (ErrorKind::BodyTooLarge, "request_too_large"),
            (ErrorKind::UnsupportedMediaType, "invalid_request_error"),
            (ErrorKind::UpstreamRefused(422), "invalid_request_error"),
            (ErrorKind::RateLimited, "rate_limit_error"),
            (ErrorKind::TokenLimited, "rate_limit_error"),
            (ErrorKind::UpstreamRateLimited, "rate_limit_error"),
            (ErrorKind::Internal, "api_error"),
            (ErrorKind::UpstreamErrorEvent, "api_error"),
            (ErrorKind::UpstreamUnavailable, "overloaded_error"),
            (ErrorKind::Overloaded, "overloaded_error"),
            (ErrorKind::UpstreamTimeout, "timeout_error"),
            (ErrorKind::UpstreamRefused(529), "overloaded_error"),
        ] {
            let body = error_body(&GatewayError::new(kind, "x"), "r");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["error"]["type"], expected, "{kind:?}");
        }
    }

    #[test]
    fn the_body_has_the_members_of_the_real_api_and_no_wrapper() {
        let error = GatewayError::new(ErrorKind::RateLimited, "Slow\ndown").with_param("n");
        let body = error_body(&error, "req_1");
        assert_eq!(
            body,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow\ndown"},"request_id":"req_1"}"#
        );
        assert_eq!(
            error_event(&error, "req_1"),
            format!("event: error\ndata: {body}\n\n")
        );
        assert!(is_own_error_shape(&body));
    }

    #[test]
    fn only_well_formed_errors_can_be_passed_on() {
        assert!(is_own_error_shape(
            r#"{"type":"error","error":{"type":"overloaded_error","message":"a","details":null}}"#
        ));
        for text in [
            r#"{"error":{"type":"a","message":"b"}}"#,
            r#"{"type":"error","error":{"message":"b"}}"#,
            r#"{"type":"error","error":{"type":"a"}}"#,
            r#"{"type":"error","error":"a"}"#,
            r#"{"type":"message","error":{"type":"a","message":"b"}}"#,
            r#"{"detail":"a"}"#,
            "<html>",
        ] {
            assert!(!is_own_error_shape(text), "{text}");
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_in_the_words_that_agents_look_for() {
        for (told, expected) in [
            (
                "This model's maximum context length is 8192 tokens.",
                "prompt is too long: This model's maximum context length is 8192 tokens.",
            ),
            ("Prompt is too long: 9 > 8", "Prompt is too long: 9 > 8"),
            ("é", "prompt is too long: é"),
        ] {
            let error = GatewayError::new(ErrorKind::PromptTooLong, told);
            let body: Value = serde_json::from_str(&error_body(&error, "r")).unwrap();
            assert_eq!(body["error"]["message"], expected);
            assert_eq!(body["error"]["type"], "invalid_request_error");
        }
    }
}
