//! The usage object, and how that of a stream's end completes that of its beginning.

use bytes::Bytes;

use crate::conversation::Usage;
use crate::protocol::UsageReport;
use crate::protocol::json;
use crate::protocol::raw::RawObject;

/// Reads a usage object and keeps it.
pub(super) fn report(raw: &str) -> UsageReport {
    UsageReport {
        usage: read(raw),
        raw: raw.to_owned(),
    }
}

/// Reads a usage object. Its `input_tokens` leave out what was read from and written to the cache; ours do not.
pub(in crate::protocol) fn read(raw: &str) -> Usage {
    let mut usage = Usage::default();
    let mut uncached: u64 = 0;
    let _ = json::members(raw, |name, value| {
        let slot = match &*name {
            "input_tokens" => &mut uncached,
            "output_tokens" => &mut usage.output,
            "cache_read_input_tokens" => &mut usage.cache_read,
            "cache_creation_input_tokens" => &mut usage.cache_write,
            _ => return,
        };
        *slot = json::count(value).unwrap_or(0);
    });
    usage.input = uncached
        .saturating_add(usage.cache_read)
        .saturating_add(usage.cache_write);
    usage
}

/// The usage so far with the members of a later report laid over it. These are cumulative, so that neither a `null`
/// nor a smaller count, as some upstreams send at the end, takes anything back.
pub(super) fn overlay(so_far: &str, later: &str) -> String {
    let Ok(object) = RawObject::parse(Bytes::copy_from_slice(so_far.as_bytes())) else {
        return later.to_owned();
    };
    let mut edit = object.edit();
    let _ = json::members(later, |name, value| {
        let old = object.get(&name);
        let falls = json::count(value) < old.and_then(json::count);
        if old.is_none() || (value != "null" && !falls) {
            edit.set(name, value);
        }
    });
    String::from_utf8_lossy(&edit.finish()).into_owned()
}
