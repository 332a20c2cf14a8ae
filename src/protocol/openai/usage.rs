//! The usage object: the official members, and those that compatible upstreams put beside them.

use crate::conversation::Usage;
use crate::protocol::UsageReport;
use crate::protocol::json;

/// The usage in `x_groq`, where that upstream puts it.
pub(crate) fn inner_usage(value: &str) -> Option<&str> {
    let mut usage = None;
    let _ = json::members(value, |name, value| {
        if name == "usage" && value.starts_with('{') {
            usage = Some(value);
        }
    });
    usage
}

/// Reads a usage object and keeps it.
pub(super) fn report(raw: &str) -> UsageReport {
    UsageReport {
        usage: read(raw),
        raw: raw.to_owned(),
    }
}

/// Reads a usage object.
pub(in crate::protocol) fn read(raw: &str) -> Usage {
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
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_and_odd_numbers_are_understood() {
        let usage = |input, cache_read, cache_write, output, reasoning| Usage {
            input,
            cache_read,
            cache_write,
            output,
            reasoning,
        };
        for (raw, expected) in [
            ("{}", Usage::default()),
            (
                r#"{"prompt_tokens":null,"completion_tokens":null}"#,
                Usage::default(),
            ),
            (
                r#"{"prompt_tokens":-5,"completion_tokens":"7"}"#,
                Usage::default(),
            ),
            (
                r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":5,"completion_tokens":1}"#,
                usage(9, 4, 0, 1, 0),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":3,"cached_tokens":2,"reasoning_tokens":1}"#,
                usage(9, 2, 0, 3, 1),
            ),
            (
                r#"{"prompt_tokens_details":{"cached_tokens":0},"prompt_cache_hit_tokens":4,"prompt_tokens":9.0}"#,
                usage(9, 4, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":null,"cache_write_tokens":3}}"#,
                usage(9, 0, 3, 0, 0),
            ),
            (
                r#"{"total_tokens":9,"completion_tokens":4}"#,
                usage(5, 0, 0, 4, 0),
            ),
        ] {
            assert_eq!(report(raw).usage, expected, "{raw}");
            assert_eq!(report(raw).raw, raw);
        }
    }
}
