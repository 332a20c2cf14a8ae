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
