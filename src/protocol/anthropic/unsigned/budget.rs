//! A wish for thinking on a budget that cannot be granted: the provider wants a turn that calls tools to begin with what
//! the model thought, and that was left out.

use super::{Found, Trimmed};
use crate::protocol::anthropic::repair::string;
use crate::protocol::json;
use crate::protocol::raw::{RawObject, span};

/// Edits of the context which the provider does only where the model thinks.
const CLEARING: &str = "clear_thinking";

/// Has the model answer without thinking, if it was to think on a budget.
pub(super) fn give_up(trimmed: &mut Trimmed) {
    let thinking = trimmed.body.get("thinking").unwrap_or_default();
    if string(thinking, "type").as_deref() != Some("enabled") {
        return;
    }
    let mut edit = trimmed.body.edit();
    edit.set("thinking", r#"{"type":"disabled"}"#);
    let managed = trimmed.body.get("context_management").and_then(cleared);
    let mut dropped = vec!["thinking".to_owned()];
    if let Some((managed, places)) = managed {
        edit.set("context_management", managed);
        let paths = places.map(|place| format!("context_management.edits[{place}]"));
        dropped.extend(paths);
    }
    if let Ok(body) = RawObject::parse(edit.finish()) {
        trimmed.body = body;
        trimmed.dropped.extend(dropped);
    }
}

/// The management of the context without edits that need thinking, and the places of those.
fn cleared(managed: &str) -> Option<(String, std::vec::IntoIter<usize>)> {
    let mut found = Found::default();
    let _ = json::members(managed, |name, value| {
        if name == "edits" {
            found = Found::default();
            let _ = json::elements(value, |edit| {
                let kind = string(edit, "type").unwrap_or_default();
                found.spans.extend(span(managed, edit));
                found.unwanted.push(kind.starts_with(CLEARING));
            });
        }
    });
    let places: Vec<_> = found.places().collect();
    let mut text = managed.to_owned();
    for (range, _) in found.cuts().into_iter().rev() {
        text.replace_range(range, "");
    }
    (!places.is_empty()).then(|| (text, places.into_iter()))
}
