//! The `attempts` column: every call of a request as JSON.

use std::time::Duration;

use serde::Serialize;

use crate::conversation::Usage;
use crate::storage::record::AttemptRecord;

#[derive(Serialize)]
struct Attempt<'a> {
    route: &'a str,
    provider: &'a str,
    model: &'a str,
    protocol: &'static str,
    key: &'a str,
    status: Option<u16>,
    outcome: &'static str,
    ms: u64,
    first_token_ms: Option<u64>,
    usage: Option<Tokens>,
}

/// Named as the columns are.
#[derive(Serialize)]
struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
    cached_tokens: u64,
    cache_write_tokens: u64,
    reasoning_tokens: u64,
}

/// A JSON array, in the order of the calls.
pub(super) fn json(attempts: &[AttemptRecord]) -> String {
    let attempts: Vec<_> = attempts.iter().map(Attempt::from).collect();
    serde_json::to_string(&attempts).unwrap_or_else(|_| "[]".to_owned())
}

impl<'a> From<&'a AttemptRecord> for Attempt<'a> {
    fn from(attempt: &'a AttemptRecord) -> Self {
        Self {
            route: &attempt.route.id,
            provider: &attempt.route.provider.name,
            model: &attempt.route.model,
            protocol: attempt.route.protocol.name(),
            key: &attempt.key.label,
            status: attempt.status,
            outcome: attempt.outcome,
            ms: milliseconds(attempt.elapsed),
            first_token_ms: attempt.first_token.map(milliseconds),
            usage: attempt.usage.map(Tokens::from),
        }
    }
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            cached_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write,
            reasoning_tokens: usage.reasoning,
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::record::tests::attempt;

    #[test]
    fn an_attempt_tells_where_it_went_and_how_it_ended() {
        let attempt = AttemptRecord {
            first_token: Some(Duration::from_millis(45)),
            usage: Some(Usage {
                input: 9,
                cache_read: 4,
                cache_write: 1,
                output: 7,
                reasoning: 2,
            }),
            ..attempt(1)
        };
        assert_eq!(
            json(&[attempt]),
            concat!(
                r#"[{"route":"1","provider":"openai","model":"gpt-x","protocol":"openai","#,
                r#""key":"KEY_1","status":200,"outcome":"success","ms":321,"first_token_ms":45,"#,
                r#""usage":{"prompt_tokens":9,"completion_tokens":7,"cached_tokens":4,"#,
                r#""cache_write_tokens":1,"reasoning_tokens":2}}]"#
            )
        );
    }

    #[test]
    fn no_attempt_is_an_empty_list() {
        assert_eq!(json(&[]), "[]");
    }
}
