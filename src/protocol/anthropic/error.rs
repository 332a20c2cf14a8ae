//! The error, as body and as event.

use serde_json::json;

use crate::error::GatewayError;
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

pub(in crate::protocol) fn error_body(error: &GatewayError, request_id: &str) -> String {
    json!({
        "type": "error",
        "error": {"type": name(error.kind.status()), "message": error.message},
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
