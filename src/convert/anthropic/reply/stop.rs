//! Why an answer ended: stop reasons to and from the hub.

use crate::conversation::StopReason;

/// Reads a stop reason, given what was said.
pub(in crate::convert::anthropic) fn read(
    reason: &str,
    sequence: Option<String>,
    calls: bool,
) -> StopReason {
    let told = match reason {
        "end_turn" => StopReason::EndTurn,
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence(sequence),
        "tool_use" => StopReason::ToolUse,
        "pause_turn" => StopReason::PauseTurn,
        "refusal" => StopReason::Refusal,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        other => StopReason::Other(other.to_owned()),
    };
    told.with_calls(calls)
}

/// The stop reason that says it, and the stop text.
pub(in crate::convert::anthropic) fn write(
    stop: &StopReason,
    calls: bool,
) -> (&'static str, Option<&str>) {
    let reason = match stop {
        StopReason::EndTurn => "end_turn",
        StopReason::MaxTokens => "max_tokens",
        StopReason::StopSequence(text) => return ("stop_sequence", text.as_deref()),
        StopReason::ToolUse => "tool_use",
        StopReason::PauseTurn => "pause_turn",
        StopReason::Refusal | StopReason::ContentFilter => "refusal",
        StopReason::ContextWindow => "model_context_window_exceeded",
        StopReason::Other(_) if calls => "tool_use",
        StopReason::Other(_) => "end_turn",
    };
    (reason, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_reason_survives_a_round_trip() {
        for reason in [
            "end_turn",
            "max_tokens",
            "stop_sequence",
            "pause_turn",
            "refusal",
            "model_context_window_exceeded",
        ] {
            let stop = read(reason, Some("END".to_owned()), false);
            let text = (reason == "stop_sequence").then_some("END");
            assert_eq!(write(&stop, false), (reason, text));
        }
        assert_eq!(
            write(&read("tool_use", None, true), true),
            ("tool_use", None)
        );
    }

    #[test]
    fn calls_are_waited_for_whatever_a_sloppy_upstream_says() {
        assert_eq!(read("end_turn", None, true), StopReason::ToolUse);
        assert_eq!(read("tool_use", None, false), StopReason::EndTurn);
        assert_eq!(read("newer", None, true), StopReason::ToolUse);
    }

    #[test]
    fn reasons_of_other_protocols_are_said_by_the_nearest_word() {
        assert_eq!(write(&StopReason::ContentFilter, false), ("refusal", None));
        let newer = StopReason::Other("newer".to_owned());
        assert_eq!(write(&newer, false), ("end_turn", None));
        assert_eq!(write(&newer, true), ("tool_use", None));
    }
}
