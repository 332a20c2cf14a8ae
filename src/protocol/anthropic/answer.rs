//! The whole answer, as far as we read it.

use super::usage;
use crate::error::FaultKind;
use crate::protocol::answer::WholeReading;
use crate::protocol::{failure, json};

/// Reads a body with status 200.
pub(in crate::protocol) fn read_answer(text: &str) -> Result<WholeReading, FaultKind> {
    let (mut has_content, mut complete, mut used, mut failed) = (false, false, None, false);
    json::members(text, |name, value| match &*name {
        "content" => has_content = json::is_array(value),
        "stop_reason" => complete = !json::is_empty(value),
        "usage" => used = Some(value).filter(|value| value.starts_with('{')),
        "error" => failed |= !json::is_empty(value),
        "type" => failed |= value == "\"error\"",
        _ => {}
    })
    .map_err(|_| FaultKind::Malformed)?;
    if failed {
        return Ok(WholeReading::failed(failure::read_any(text)));
    }
    if !has_content {
        return Err(FaultKind::Malformed);
    }
    Ok(WholeReading {
        usage: used.map(usage::report),
        error: None,
        complete,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Usage;

    #[test]
    fn an_answer_tells_its_tokens_and_whether_it_is_complete() {
        let usage = r#"{"input_tokens":10,"cache_creation_input_tokens":null,"cache_read_input_tokens":5,"output_tokens":7}"#;
        let text = format!(
            r#"{{"type":"message","content":[],"stop_reason":"end_turn","usage":{usage}}}"#
        );
        let reading = read_answer(&text).unwrap();
        let report = reading.usage.unwrap();
        assert_eq!(report.raw, usage);
        assert_eq!(
            report.usage,
            Usage {
                input: 15,
                cache_read: 5,
                output: 7,
                ..Usage::default()
            }
        );
        assert!(reading.complete);
        let reading = read_answer(r#"{"content":[],"stop_reason":null,"usage":null}"#).unwrap();
        assert_eq!(reading, WholeReading::default());
    }

    #[test]
    fn an_error_in_spite_of_its_status_is_an_error() {
        for text in [
            r#"{"type":"error","error":{"type":"api_error","message":"Busy"}}"#,
            r#"{"error":{"message":"Busy"},"content":[]}"#,
            r#"{"type":"error","message":"Busy"}"#,
        ] {
            assert_eq!(read_answer(text).unwrap().error.unwrap().message, "Busy");
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for text in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"content":null}"#,
            r#"{"content":"a"}"#,
            r#"{"choices":[]}"#,
            r#"{"content":[]"#,
        ] {
            assert_eq!(read_answer(text), Err(FaultKind::Malformed), "{text}");
        }
    }
}
