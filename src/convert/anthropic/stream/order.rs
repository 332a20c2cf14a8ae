//! The order of a stream of events, as types: each stage is used up by the step to the next, so that what comes out is
//! one `message_start`, blocks one after the other with rising indices, one `message_delta` and one `message_stop`.

use bytes::BytesMut;

use crate::conversation::Usage;
use crate::convert::anthropic::reply::write_usage;
use crate::convert::append;

/// Writes the event that begins the answer.
pub(super) fn start(id: &str, model: &str, usage: &Usage, out: &mut BytesMut) -> Between {
    append::raw(
        out,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":",
    );
    append::string(out, id);
    append::raw(out, r#","type":"message","role":"assistant","model":"#);
    append::string(out, model);
    append::raw(
        out,
        r#","content":[],"stop_reason":null,"stop_sequence":null,"usage":"#,
    );
    write_usage(out, usage);
    append::raw(out, "}}\n\n");
    Between { next: 0 }
}

/// The answer has begun and no block is open.
#[derive(Debug)]
pub(super) struct Between {
    /// The index of the next block.
    next: usize,
}

/// A block that begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Opening<'a> {
    Text,
    Thinking,
    RedactedThinking { data: &'a str },
    ToolUse { id: &'a str, name: &'a str },
}

impl Between {
    /// Opens the next block.
    pub(super) fn open(self, block: Opening<'_>, out: &mut BytesMut) -> Open {
        append::raw(
            out,
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":",
        );
        append::number(out, self.next as u64);
        append::raw(out, r#","content_block":"#);
        match block {
            Opening::Text => append::raw(out, r#"{"type":"text","text":""}"#),
            Opening::Thinking => {
                append::raw(out, r#"{"type":"thinking","thinking":"","signature":""}"#)
            }
            Opening::RedactedThinking { data } => {
                append::raw(out, r#"{"type":"redacted_thinking","data":"#);
                append::string(out, data);
                append::raw(out, "}");
            }
            Opening::ToolUse { id, name } => {
                append::raw(out, r#"{"type":"tool_use","id":"#);
                append::string(out, id);
                append::raw(out, r#","name":"#);
                append::string(out, name);
                append::raw(out, r#","input":{}}"#);
            }
        }
        append::raw(out, "}\n\n");
        Open { index: self.next }
    }

    /// Ends the answer.
    pub(super) fn end(
        self,
        reason: &str,
        sequence: Option<&str>,
        usage: &Usage,
        out: &mut BytesMut,
    ) {
        append::raw(
            out,
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"",
        );
        append::raw(out, reason);
        append::raw(out, r#"","stop_sequence":"#);
        append::optional_string(out, sequence);
        append::raw(out, r#"},"usage":"#);
        write_usage(out, usage);
        append::raw(
            out,
            "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        );
    }
}

/// A block is open.
#[derive(Debug)]
pub(super) struct Open {
    index: usize,
}

/// What a block is continued by: the type of its delta, and the member that holds the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form(&'static str);

impl Form {
    pub(super) const TEXT: Self = Self(r#","delta":{"type":"text_delta","text":"#);
    pub(super) const THINKING: Self = Self(r#","delta":{"type":"thinking_delta","thinking":"#);
    pub(super) const SIGNATURE: Self = Self(r#","delta":{"type":"signature_delta","signature":"#);
    pub(super) const INPUT: Self = Self(r#","delta":{"type":"input_json_delta","partial_json":"#);
}

impl Open {
    /// Continues the block.
    pub(super) fn delta(&self, form: Form, text: &str, out: &mut BytesMut) {
        append::raw(
            out,
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
        );
        append::number(out, self.index as u64);
        append::raw(out, form.0);
        append::string(out, text);
        append::raw(out, "}}\n\n");
    }

    /// Closes the block.
    pub(super) fn close(self, out: &mut BytesMut) -> Between {
        append::raw(
            out,
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":",
        );
        append::number(out, self.index as u64);
        append::raw(out, "}\n\n");
        Between {
            next: self.index + 1,
        }
    }
}
