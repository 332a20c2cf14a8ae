//! The whole answer, as far as we read it.

use super::stream::{Choice, ended_in_error};
use super::usage;
use crate::error::FaultKind;
use crate::protocol::answer::WholeReading;
use crate::protocol::{failure, json};

/// Reads a body with status 200.
pub(in crate::protocol) fn read_answer(text: &str) -> Result<WholeReading, FaultKind> {
    let (mut choices, mut used, mut failed) = (None, None, false);
    json::members(text, |name, value| match &*name {
        "choices" => choices = Some(value),
        "usage" => used = Some(value).filter(|value| value.starts_with('{')),
        "error" => failed |= !json::is_empty(value),
        "object" => failed |= value == "\"error\"",
        _ => {}
    })
    .map_err(|_| FaultKind::Malformed)?;
    if failed {
        return Ok(WholeReading::failed(failure::read_any(text)));
    }
    let (mut open, mut ended, mut error) = (0, 0, None);
    json::elements(choices.unwrap_or_default(), |value| {
        let choice = Choice::read(value);
        match choice.finish {
            Some(_) => ended += 1,
            None => open += 1,
        }
        if error.is_none() && choice.failed() {
            error = Some(ended_in_error(value));
        }
    })
    .map_err(|_| FaultKind::Malformed)?;
    if let Some(error) = error {
        return Ok(WholeReading::failed(error));
    }
    Ok(WholeReading {
        usage: used.map(usage::report),
        error: None,
        complete: ended > 0 && open == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Usage;

    fn choice(reason: &str) -> String {
        format!(
            r#"{{"index":0,"message":{{"role":"assistant","content":"a"}},"finish_reason":{reason}}}"#
        )
    }

    #[test]
    fn an_answer_tells_its_tokens_and_whether_it_is_complete() {
        let usage = r#"{"prompt_tokens":9,"completion_tokens":4.0,"prompt_tokens_details":null}"#;
        let text = format!(r#"{{"choices":[{}],"usage":{usage}}}"#, choice("\"stop\""));
        let reading = read_answer(&text).unwrap();
        let report = reading.usage.unwrap();
        assert_eq!(report.raw, usage);
        assert_eq!(
            report.usage,
            Usage {
                input: 9,
                output: 4,
                ..Usage::default()
            }
        );
        assert!(reading.complete && reading.error.is_none());
    }

    #[test]
    fn an_answer_is_complete_if_every_choice_is() {
        let stop = choice("\"stop\"");
        for (choices, complete) in [
            (format!("{stop},{stop}"), true),
            (format!("{stop},{}", choice("null")), false),
            (choice("\"\""), false),
            (String::new(), false),
        ] {
            let text = format!(r#"{{"error":null,"choices":[{choices}],"usage":null}}"#);
            let reading = read_answer(&text).unwrap();
            assert_eq!(reading.complete, complete, "{choices}");
            assert_eq!(reading.usage, None);
        }
    }

    #[test]
    fn an_error_in_spite_of_its_status_is_an_error() {
        for text in [
            r#"{"error":{"message":"Busy","code":502}}"#,
            r#"{"error":"Busy","choices":[]}"#,
            r#"{"object":"error","message":"Busy","code":400}"#,
            r#"{"choices":[{"index":0,"message":{},"finish_reason":"stop","error":{"message":"Busy"}}]}"#,
        ] {
            let reading = read_answer(text).unwrap();
            assert_eq!(reading.error.unwrap().message, "Busy", "{text}");
            assert!(!reading.complete);
        }
        let text = format!(r#"{{"choices":[{}]}}"#, choice("\"error\""));
        assert!(read_answer(&text).unwrap().error.is_some());
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for text in [
            "",
            "<html>",
            "null",
            "[]",
            "{}",
            r#"{"choices":null}"#,
            r#"{"choices":{}}"#,
            r#"{"choices":[]"#,
            r#"{"message":"no"}"#,
        ] {
            assert_eq!(read_answer(text), Err(FaultKind::Malformed), "{text}");
        }
    }
}
