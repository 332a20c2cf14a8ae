//! Why an answer ended: finish reasons to and from the hub.

use crate::conversation::StopReason;

/// Reads a finish reason, given what was said. Upstreams that translate from other protocols leave some of their words.
pub(in crate::convert::openai) fn read(
    reason: &str,
    matched: &str,
    calls: bool,
    refused: bool,
) -> StopReason {
    let told = known(reason).unwrap_or_else(|| StopReason::Other(reason.to_owned()));
    match told.with_calls(calls) {
        StopReason::EndTurn if refused => StopReason::Refusal,
        StopReason::EndTurn if !matched.is_empty() && known(matched).is_none() => {
            StopReason::StopSequence(Some(matched.to_owned()))
        }
        told => told,
    }
}

fn known(reason: &str) -> Option<StopReason> {
    Some(match reason {
        "stop" | "eos" | "eos_token" | "end_turn" | "STOP" | "end" => StopReason::EndTurn,
        "length" | "max_tokens" | "MAX_TOKENS" => StopReason::MaxTokens,
        "tool_calls" | "function_call" | "tool_use" => StopReason::ToolUse,
        "content_filter" | "SAFETY" | "PROHIBITED_CONTENT" | "RECITATION" => {
            StopReason::ContentFilter
        }
        "stop_sequence" => StopReason::StopSequence(None),
        "refusal" => StopReason::Refusal,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        _ => return None,
    })
}

/// The finish reason that says it. A refusal that has its words in `refusal` is an ordinary end.
pub(in crate::convert::openai) fn write(
    stop: &StopReason,
    calls: bool,
    refused: bool,
) -> &'static str {
    match stop {
        StopReason::MaxTokens | StopReason::ContextWindow => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::Refusal if refused => "stop",
        StopReason::Refusal | StopReason::ContentFilter => "content_filter",
        StopReason::Other(_) if calls => "tool_calls",
        StopReason::EndTurn
        | StopReason::StopSequence(_)
        | StopReason::PauseTurn
        | StopReason::Other(_) => "stop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finish_reason_has_its_meaning() {
        for (reason, expected) in [
            ("stop", StopReason::EndTurn),
            ("length", StopReason::MaxTokens),
            ("content_filter", StopReason::ContentFilter),
            ("eos", StopReason::EndTurn),
            ("weird", StopReason::Other("weird".to_owned())),
        ] {
            assert_eq!(read(reason, "", false, false), expected, "{reason}");
        }
        for reason in ["tool_calls", "function_call", "stop", "weird"] {
            assert_eq!(
                read(reason, "", true, false),
                StopReason::ToolUse,
                "{reason}"
            );
        }
        assert_eq!(read("length", "", true, false), StopReason::MaxTokens);
    }

    #[test]
    fn an_agent_does_not_wait_for_tools_that_nobody_called() {
        assert_eq!(read("tool_calls", "", false, false), StopReason::EndTurn);
    }

    #[test]
    fn an_answer_that_is_a_refusal_ends_as_one() {
        assert_eq!(read("stop", "", false, true), StopReason::Refusal);
        assert_eq!(write(&StopReason::Refusal, false, true), "stop");
        assert_eq!(write(&StopReason::Refusal, false, false), "content_filter");
    }

    #[test]
    fn a_stop_text_that_the_upstream_names_is_kept() {
        let matched = |text: &str| read("stop", text, false, false);
        assert_eq!(
            matched("END"),
            StopReason::StopSequence(Some("END".to_owned()))
        );
        assert_eq!(matched("end_turn"), StopReason::EndTurn);
        assert_eq!(write(&matched("END"), false, false), "stop");
    }

    #[test]
    fn reasons_of_other_protocols_are_said_by_the_nearest_word() {
        for (stop, expected) in [
            (StopReason::PauseTurn, "stop"),
            (StopReason::ContextWindow, "length"),
            (StopReason::MaxTokens, "length"),
            (StopReason::ContentFilter, "content_filter"),
            (StopReason::ToolUse, "tool_calls"),
            (StopReason::Other("new".to_owned()), "stop"),
        ] {
            assert_eq!(write(&stop, false, false), expected);
        }
    }
}
