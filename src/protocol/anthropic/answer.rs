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
