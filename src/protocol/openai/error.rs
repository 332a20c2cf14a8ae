//! The error, as body and as event.

use serde_json::json;

use crate::error::{ErrorKind, GatewayError};
use crate::protocol::json as raw;

/// `type` and `code` as the real API gives them.
fn names(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match (kind, kind.status()) {
        (ErrorKind::Unauthorized, _) => ("invalid_request_error", Some("invalid_api_key")),
        (ErrorKind::ModelNotFound, _) => ("invalid_request_error", Some("model_not_found")),
        (_, 402) => ("insufficient_quota", Some("insufficient_quota")),
        (_, 403) => ("permission_error", None),
        (_, 429) => ("requests", Some("rate_limit_exceeded")),
        (_, 500..) => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}

pub(in crate::protocol) fn error_body(error: &GatewayError) -> String {
    let (kind, code) = names(error.kind);
    json!({"error": {
        "message": error.message,
        "type": kind,
        "param": error.param,
        "code": code,
    }})
    .to_string()
}

pub(in crate::protocol) fn error_event(error: &GatewayError) -> String {
    format!("data: {}\n\n", error_body(error))
}

/// Whether clients can read the text as an error of this protocol.
pub(in crate::protocol) fn is_own_error_shape(text: &str) -> bool {
    let mut shaped = false;
    let read = raw::members(text, |name, value| {
        if name == "error" {
            shaped = is_error(value);
        }
    });
    read.is_ok() && shaped
}

fn is_error(value: &str) -> bool {
    let (mut has_message, mut odd) = (false, false);
    let read = raw::members(value, |name, value| {
        let is_string = value.starts_with('"');
        match &*name {
            "message" => has_message = is_string,
            "type" | "param" => odd |= !is_string && value != "null",
            "code" => odd |= value.starts_with(['{', '[']),
            _ => {}
        }
    });
    read.is_ok() && has_message && !odd
}
