//! What upstreams say when they refuse or fail: the shapes seen in the wild, read into one.
//! What it means for keys and requests is not decided here.

use super::json;

/// An upstream's error, as far as it said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamError {
    /// The status that the error itself names, where it does; the status of the HTTP answer may be another.
    pub status: Option<u16>,
    /// Its `type`, or what stands for it, such as Gemini's `RESOURCE_EXHAUSTED`.
    pub kind: Option<String>,
    /// Its `code`, where that is a name, or the first `reason` among Gemini's details, such as `API_KEY_INVALID`.
    pub code: Option<String>,
    /// The member of the request that it is about.
    pub param: Option<String>,
    /// Its words. They may hold anything, secrets included.
    pub message: String,
}

/// Shapes may be wrapped in each other this often.
const LEVELS: u8 = 4;

/// Reads an error out of a JSON text: `{"error": {…}}`, `{"error": "…"}`, either in an array, `{"message": …}` or
/// `{"detail": …}`. `None` if the text is none of these.
pub(super) fn read(text: &str) -> Option<UpstreamError> {
    wrapped(text, LEVELS)
}

/// Like [`read`]; of a text that says nothing else the text itself is the message.
pub(super) fn read_any(text: &str) -> UpstreamError {
    read(text).unwrap_or_else(|| UpstreamError {
        message: text.trim().to_owned(),
        ..UpstreamError::default()
    })
}

/// The members that shapes of errors are made of.
#[derive(Default)]
struct Members<'a> {
    error: Option<&'a str>,
    message: Option<&'a str>,
    detail: Option<&'a str>,
    kind: Option<&'a str>,
    code: Option<&'a str>,
    status: Option<&'a str>,
    param: Option<&'a str>,
    details: Option<&'a str>,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut found = Self::default();
        json::members(text, |name, value| {
            let value = Some(value).filter(|value| !json::is_empty(value));
            match &*name {
                "error" => found.error = value,
                "message" => found.message = value,
                "detail" => found.detail = value,
                "type" => found.kind = value,
                "code" => found.code = value,
                "status" | "status_code" => found.status = value,
                "param" => found.param = value,
                "details" => found.details = value,
                _ => {}
            }
        })
        .ok()?;
        Some(found)
    }

    /// The error that these members are, given its words.
    fn error(&self, message: String) -> UpstreamError {
        let name = |value: Option<&str>| {
            let text = json::string(value?)?;
            (!text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.into_owned())
        };
        UpstreamError {
            status: status(self.code).or_else(|| status(self.status)),
            kind: name(self.kind).or_else(|| name(self.status)),
            code: name(self.code).or_else(|| reason(self.details?)),
            param: self.param.and_then(json::string).map(Into::into),
            message,
        }
    }
}

fn wrapped(text: &str, levels: u8) -> Option<UpstreamError> {
    let levels = levels.checked_sub(1)?;
    if json::is_array(text) {
        let mut first = None;
        json::elements(text, |element| first = first.or(Some(element))).ok()?;
        return wrapped(first?, levels);
    }
    let members = Members::read(text)?;
    match members.error {
        Some(error) if error.starts_with('{') => {
            let inner = Members::read(error)?;
            let message = inner
                .message
                .or(inner.detail)
                .map_or_else(|| error.to_owned(), words);
            Some(inner.error(message))
        }
        Some(error) if error.starts_with('"') => Some(members.error(words(error))),
        Some(error) => wrapped(error, levels),
        None => {
            let nested = members.detail.filter(|detail| detail.starts_with('{'));
            nested
                .and_then(|detail| wrapped(detail, levels))
                .or_else(|| {
                    let message = words(members.message.or(members.detail)?);
                    Some(members.error(message))
                })
        }
    }
}

/// The first reason that one of these details gives.
fn reason(details: &str) -> Option<String> {
    let mut reason = None;
    let _ = json::elements(details, |detail| {
        let _ = json::members(detail, |name, value| {
            if name == "reason" && reason.is_none() {
                reason = json::string(value).map(Into::into);
            }
        });
    });
    reason
}

/// The text of a string; anything else as it is written.
fn words(value: &str) -> String {
    json::string(value).map_or_else(|| value.to_owned(), Into::into)
}

/// An HTTP status, written as a number or as a string of digits.
fn status(value: Option<&str>) -> Option<u16> {
    let status = value?.trim_matches('"').parse().ok()?;
    (100..=599).contains(&status).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(
        status: Option<u16>,
        kind: &str,
        code: &str,
        param: &str,
        message: &str,
    ) -> UpstreamError {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        UpstreamError {
            status,
            kind: some(kind),
            code: some(code),
            param: some(param),
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_shapes_of_the_wild_are_read() {
        for (body, expected) in [
            (
                r#"{"error":{"message":"No","type":"invalid_request_error","param":"n","code":"bad"}}"#,
                error(None, "invalid_request_error", "bad", "n", "No"),
            ),
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Busy"},"request_id":"r"}"#,
                error(None, "overloaded_error", "", "", "Busy"),
            ),
            (
                r#"{"error":{"message":"No","type":"x","param":null,"code":null}}"#,
                error(None, "x", "", "", "No"),
            ),
            (
                r#"{"error":"no such model"}"#,
                error(None, "", "", "", "no such model"),
            ),
            (
                r#"{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}}"#,
                error(Some(429), "RESOURCE_EXHAUSTED", "", "", "Quota"),
            ),
            (
                "[{\n \"error\": {\"code\": 400, \"message\": \"Key\", \"status\": \"INVALID_ARGUMENT\"}}\n]",
                error(Some(400), "INVALID_ARGUMENT", "", "", "Key"),
            ),
            (
                r#"{"error":{"code":400,"message":"Key","status":"INVALID_ARGUMENT","details":[{"@type":"a"},{"reason":"API_KEY_INVALID"},{"reason":"b"}]}}"#,
                error(Some(400), "INVALID_ARGUMENT", "API_KEY_INVALID", "", "Key"),
            ),
            (
                r#"{"error":{"code":"502","message":"Bad","metadata":{"raw":"x"}},"user_id":"u"}"#,
                error(Some(502), "", "", "", "Bad"),
            ),
            (
                r#"{"message":"Unauthorized"}"#,
                error(None, "", "", "", "Unauthorized"),
            ),
            (
                r#"{"object":"error","message":"Too long","type":"BadRequestError","param":null,"code":400}"#,
                error(Some(400), "BadRequestError", "", "", "Too long"),
            ),
            (
                r#"{"detail":"Not Found"}"#,
                error(None, "", "", "", "Not Found"),
            ),
            (
                r#"{"detail":{"error":{"message":"All","type":"service_unavailable","code":"c"}}}"#,
                error(None, "service_unavailable", "c", "", "All"),
            ),
            (
                r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
                error(
                    None,
                    "",
                    "",
                    "",
                    r#"[{"loc":["body"],"msg":"field required"}]"#,
                ),
            ),
            (
                r#"{"error":{"message":{"detail":"x"},"code":"a"}}"#,
                error(None, "", "a", "", r#"{"detail":"x"}"#),
            ),
            (
                r#"{"error":{"code":7000}}"#,
                error(None, "", "", "", r#"{"code":7000}"#),
            ),
        ] {
            assert_eq!(read(body), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_says_nothing_is_no_error() {
        for body in [
            "",
            "<html>",
            "null",
            "{}",
            "[]",
            r#""text""#,
            r#"{"error":null}"#,
            r#"{"error":{}}"#,
            r#"{"error":[]}"#,
            r#"{"error":true}"#,
            r#"{"choices":[]}"#,
            r#"[[[[[[{"error":"x"}]]]]]]"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
        assert_eq!(read_any(" overloaded\n").message, "overloaded");
    }
}
