//! The request: what we check, and what changes when it goes up.

use bytes::Bytes;

use crate::error::GatewayError;
use crate::protocol::raw::{Pieces, RawObject};
use crate::protocol::request::{self, Checks, Problem, RequestHead, Rewrite};

/// Both spellings of the answer's limit: a default for one contradicts the other.
const LIMITS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

pub(in crate::protocol) fn read_request(body: &RawObject) -> Result<RequestHead, GatewayError> {
    let checks = Checks { body, wording };
    checks.unambiguous()?;
    let model = checks.model()?;
    let messages = checks.messages()?;
    let stream = checks.flag("stream")?;
    let [completion_limit, limit] = LIMITS.map(|name| checks.integer(name));
    let answer_limit = completion_limit?.or(limit?);
    let choices = checks.integer("n")?.unwrap_or(1).max(1);
    Ok(RequestHead {
        model,
        stream,
        answer_limit,
        choices: u32::try_from(choices).unwrap_or(u32::MAX),
        include_usage: include_usage(&checks)?,
        messages,
    })
}

/// Whether `stream_options` asks for usage.
fn include_usage(checks: &Checks<'_>) -> Result<bool, GatewayError> {
    let Some(options) = checks.object("stream_options")? else {
        return Ok(false);
    };
    let options = RawObject::parse(Bytes::copy_from_slice(options.as_bytes()))?;
    if options.duplicates(&["include_usage"]).is_some() {
        return Err(checks.refusal("stream_options.include_usage", Problem::Twice));
    }
    Ok(options.get("include_usage") == Some("true"))
}

pub(in crate::protocol) fn rewrite(
    body: &RawObject,
    head: &RequestHead,
    rewrite: &Rewrite<'_>,
) -> Pieces {
    let mut edit = request::edit(body, head, rewrite, |name| {
        let names = if LIMITS.contains(&name) {
            &LIMITS[..]
        } else {
            &[name]
        };
        names.iter().any(|name| body.get(name).is_some())
    });
    if rewrite.ask_usage && !head.include_usage {
        edit.set_in("stream_options", "include_usage", "true");
    }
    edit.pieces()
}

fn wording(param: &str, problem: Problem) -> String {
    match problem {
        Problem::Missing => format!("The required parameter '{param}' is missing."),
        Problem::Twice => format!("The parameter '{param}' is given more than once."),
        Problem::Empty => format!("Invalid value for '{param}': it must not be empty."),
        Problem::TooLong(limit) => {
            format!("Invalid value for '{param}': it is longer than {limit} bytes.")
        }
        Problem::WrongType(expected, found) => {
            format!("Invalid type for '{param}': it must be {expected}, not {found}.")
        }
    }
}
