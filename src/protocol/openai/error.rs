//! The error, as body and as event.

use serde_json::json;

use crate::error::{ErrorKind, GatewayError};
use crate::protocol::json as raw;

/// `type` and `code` as the real API gives them.
fn names(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match (kind, kind.status()) {
        (ErrorKind::Unauthorized, _) => ("invalid_request_error", Some("invalid_api_key")),
        (ErrorKind::ModelNotFound, _) => ("invalid_request_error", Some("model_not_found")),
        (ErrorKind::PromptTooLong, _) => ("invalid_request_error", Some("context_length_exceeded")),
        (_, 402) => ("insufficient_quota", Some("insufficient_quota")),
        (_, 403) => ("permission_error", None),
        (ErrorKind::TokenLimited, _) => ("tokens", Some("rate_limit_exceeded")),
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::error::FaultKind;

    #[test]
    fn every_kind_has_the_type_and_code_of_the_real_api() {
        for (kind, expected, code) in [
            (
                ErrorKind::Unauthorized,
                "invalid_request_error",
                Some("invalid_api_key"),
            ),
            (
                ErrorKind::ModelNotFound,
                "invalid_request_error",
                Some("model_not_found"),
            ),
            (ErrorKind::InvalidRequest, "invalid_request_error", None),
            (
                ErrorKind::PromptTooLong,
                "invalid_request_error",
                Some("context_length_exceeded"),
            ),
            (ErrorKind::BodyTooLarge, "invalid_request_error", None),
            (ErrorKind::BodyTimeout, "invalid_request_error", None),
            (ErrorKind::NotFound, "invalid_request_error", None),
            (
                ErrorKind::RateLimited,
                "requests",
                Some("rate_limit_exceeded"),
            ),
            (
                ErrorKind::TokenLimited,
                "tokens",
                Some("rate_limit_exceeded"),
            ),
            (
                ErrorKind::UpstreamRateLimited,
                "requests",
                Some("rate_limit_exceeded"),
            ),
            (
                ErrorKind::UpstreamRefused(401),
                "invalid_request_error",
                None,
            ),
            (
                ErrorKind::UpstreamRefused(402),
                "insufficient_quota",
                Some("insufficient_quota"),
            ),
            (ErrorKind::UpstreamRefused(403), "permission_error", None),
            (
                ErrorKind::UpstreamRefused(422),
                "invalid_request_error",
                None,
            ),
            (ErrorKind::UpstreamRefused(529), "server_error", None),
            (
                ErrorKind::UpstreamBroken(FaultKind::Cut),
                "server_error",
                None,
            ),
            (ErrorKind::UpstreamTimeout, "server_error", None),
            (ErrorKind::Overloaded, "server_error", None),
            (ErrorKind::Internal, "server_error", None),
        ] {
            let body: Value =
                serde_json::from_str(&error_body(&GatewayError::new(kind, "x"))).unwrap();
            assert_eq!(body["error"]["type"], expected, "{kind:?}");
            assert_eq!(body["error"]["code"], Value::from(code), "{kind:?}");
        }
    }

    #[test]
    fn the_body_has_the_members_of_the_real_api_and_no_wrapper() {
        let error = GatewayError::new(ErrorKind::InvalidRequest, "No \"n\"\n").with_param("n");
        assert_eq!(
            error_body(&error),
            r#"{"error":{"message":"No \"n\"\n","type":"invalid_request_error","param":"n","code":null}}"#
        );
        let event = error_event(&error);
        assert!(event.starts_with("data: {") && event.ends_with("}\n\n"));
        assert_eq!(event.matches('\n').count(), 2);
        assert!(is_own_error_shape(&error_body(&error)));
    }

    #[test]
    fn only_well_formed_errors_can_be_passed_on() {
        for text in [
            r#"{"error":{"message":"a","type":"b","param":null,"code":null}}"#,
            r#"{"error":{"message":"a","type":"b","code":400}}"#,
            r#"{"error":{"message":"a"},"request_id":"r"}"#,
        ] {
            assert!(is_own_error_shape(text), "{text}");
        }
        for text in [
            r#"{"error":"a"}"#,
            r#"{"error":null}"#,
            r#"{"error":{"type":"b"}}"#,
            r#"{"error":{"message":null}}"#,
            r#"{"error":{"message":"a","type":7}}"#,
            r#"{"error":{"message":"a","code":{}}}"#,
            r#"[{"error":{"message":"a"}}]"#,
            r#"{"message":"a"}"#,
            r#"{"error":{"message":"a"}"#,
            "",
        ] {
            assert!(!is_own_error_shape(text), "{text}");
        }
    }
}
