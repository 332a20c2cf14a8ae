//! The usage object: the official members, and those that compatible upstreams put beside them.

use crate::conversation::Usage;
use crate::protocol::UsageReport;
use crate::protocol::json;

/// Reads a usage object.
pub(super) fn report(raw: &str) -> UsageReport {
    let mut usage = Usage::default();
    let (mut total, mut input) = (None, None);
    // Later members of the same meaning win only if they tell more than nothing.
    let keep = |slot: &mut u64, value: &str| *slot = (*slot).max(json::count(value).unwrap_or(0));
    let _ = json::members(raw, |name, value| match &*name {
        "prompt_tokens" => input = json::count(value),
        "completion_tokens" => keep(&mut usage.output, value),
        "total_tokens" => total = json::count(value),
        "prompt_tokens_details" => {
            let _ = json::members(value, |name, value| match &*name {
                "cached_tokens" => keep(&mut usage.cache_read, value),
                "cache_write_tokens" => keep(&mut usage.cache_write, value),
                _ => {}
            });
        }
        "completion_tokens_details" => {
            let _ = json::members(value, |name, value| {
                if name == "reasoning_tokens" {
                    keep(&mut usage.reasoning, value);
                }
            });
        }
        // DeepSeek; Moonshot.
        "prompt_cache_hit_tokens" | "cached_tokens" => keep(&mut usage.cache_read, value),
        "reasoning_tokens" => keep(&mut usage.reasoning, value),
        _ => {}
    });
    usage.input = input
        .or_else(|| Some(total?.saturating_sub(usage.output)))
        .unwrap_or(0);
    UsageReport {
        usage,
        raw: raw.to_owned(),
    }
}
