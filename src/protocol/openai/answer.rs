//! The whole answer, as far as we read it.

use super::stream::{Choice, ended_in_error};
use super::usage;
use crate::error::FaultKind;
use crate::protocol::answer::WholeReading;
use crate::protocol::failure::{self, UpstreamError};
use crate::protocol::json::{self, Scanner};

/// Reads a body with status 200.
pub(in crate::protocol) fn read_answer(text: &str) -> Result<WholeReading, FaultKind> {
    let answer = Answer::read(text).ok_or(FaultKind::Malformed)?;
    if answer.failed {
        return Ok(WholeReading::failed(failure::read_any(text)));
    }
    let choices = answer.choices.ok_or(FaultKind::Malformed)?;
    if let Some(error) = choices.error {
        return Ok(WholeReading::failed(error));
    }
    Ok(WholeReading {
        usage: answer.usage.map(usage::report),
        error: None,
        complete: choices.ended > 0 && choices.open == 0,
    })
}

/// The members of an answer that we read, in one pass.
#[derive(Default)]
struct Answer<'a> {
    /// None without a list of them.
    choices: Option<Choices>,
    usage: Option<&'a str>,
    /// It is an error, or has one.
    failed: bool,
}

#[derive(Default)]
struct Choices {
    open: usize,
    ended: usize,
    error: Option<UpstreamError>,
}

impl<'a> Answer<'a> {
    /// `None`: it is no JSON object.
    fn read(text: &'a str) -> Option<Self> {
        let mut answer = Self::default();
        let mut scanner = Scanner::new(text);
        scanner.object(|scanner, name| {
            if name == "choices" && scanner.is_at_array() {
                answer.choices = Some(Choices::scan(scanner)?);
                return Some(());
            }
            let value = scanner.value()?;
            match name {
                "choices" => answer.choices = None,
                "usage" => answer.usage = Some(value).filter(|value| value.starts_with('{')),
                "error" => answer.failed |= !json::is_empty(value),
                "object" => answer.failed |= value == "\"error\"",
                _ => {}
            }
            Some(())
        })?;
        scanner.is_at_end().then_some(answer)
    }
}

impl Choices {
    fn scan(scanner: &mut Scanner<'_>) -> Option<Self> {
        let mut choices = Self::default();
        scanner.array(|scanner| {
            let start = *scanner;
            let choice = Choice::scan(scanner)?;
            match choice.finish {
                Some(_) => choices.ended += 1,
                None => choices.open += 1,
            }
            if choices.error.is_none() && choice.failed() {
                choices.error = Some(ended_in_error(start.text_up_to(scanner)));
            }
            Some(())
        })?;
        Some(choices)
    }
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
            (stop.replace("finish_reason", "finish\\u005freason"), true),
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
