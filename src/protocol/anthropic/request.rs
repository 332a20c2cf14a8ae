//! The request: what we check, and what changes when it goes up.

use crate::error::GatewayError;
use crate::protocol::raw::{Pieces, RawObject};
use crate::protocol::request::{self, Checks, Problem, RequestHead, Rewrite};

pub(in crate::protocol) fn read_request(body: &RawObject) -> Result<RequestHead, GatewayError> {
    let checks = Checks { body, wording };
    checks.unambiguous()?;
    Ok(RequestHead {
        model: checks.model()?,
        messages: checks.messages()?,
        stream: checks.flag("stream")?,
        answer_limit: checks.integer("max_tokens")?,
        choices: 1,
        // Streams of this protocol always tell it.
        include_usage: true,
    })
}

pub(in crate::protocol) fn rewrite(
    body: &RawObject,
    head: &RequestHead,
    rewrite: &Rewrite<'_>,
) -> Pieces {
    request::edit(body, head, rewrite, |name| body.get(name).is_some()).pieces()
}

fn wording(param: &str, problem: Problem) -> String {
    match problem {
        Problem::Missing => format!("{param}: this field is required"),
        Problem::Twice => format!("{param}: this field is given more than once"),
        Problem::Empty => format!("{param}: must not be empty"),
        Problem::TooLong(limit) => format!("{param}: must have at most {limit} bytes"),
        Problem::WrongType(expected, found) => format!("{param}: must be {expected}, not {found}"),
    }
}
