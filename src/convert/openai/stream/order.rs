//! The order of a stream of chunks, as types: each stage is used up by the step to the next, so that what comes out is
//! one chunk with the role, any number of deltas, one finish reason, perhaps the usage, and the marker.

use std::fmt::Write as _;

use bytes::BytesMut;

use crate::conversation::Usage;
use crate::convert::append;
use crate::convert::openai::reply::write_usage;

/// What all chunks of a stream have in common.
#[derive(Debug)]
pub(super) struct Frame {
    /// Up to the value of `choices`.
    head: String,
    /// The client asked for usage: all chunks but its own say that it is yet to come.
    include_usage: bool,
}

impl Frame {
    pub(super) fn new(id: &str, model: &str, created: u64, include_usage: bool) -> Self {
        let mut head = BytesMut::with_capacity(128);
        append::raw(&mut head, r#"data: {"id":"#);
        append::string(&mut head, id);
        let _ = write!(
            head,
            r#","object":"chat.completion.chunk","created":{created},"model":"#
        );
        append::string(&mut head, model);
        append::raw(&mut head, r#","choices":["#);
        Self {
            head: String::from_utf8_lossy(&head).into_owned(),
            include_usage,
        }
    }

    /// Writes the chunk that begins the answer.
    pub(super) fn start(self, out: &mut BytesMut) -> Running {
        let running = Running {
            frame: self,
            calls: 0,
        };
        running.delta(out, |out| {
            append::raw(out, r#""role":"assistant","content":"""#);
        });
        running
    }

    fn end(&self, out: &mut BytesMut) {
        append::raw(
            out,
            if self.include_usage {
                "],\"usage\":null}\n\n"
            } else {
                "]}\n\n"
            },
        );
    }
}

/// The place of a call among the calls of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallIndex(usize);

/// The answer has begun.
#[derive(Debug)]
pub(super) struct Running {
    frame: Frame,
    calls: usize,
}

impl Running {
    /// Writes a delta with one member, a text.
    pub(super) fn text(&self, member: &'static str, text: &str, out: &mut BytesMut) {
        self.delta(out, |out| {
            append::raw(out, "\"");
            append::raw(out, member);
            append::raw(out, "\":");
            append::string(out, text);
        });
    }

    /// Calls that have begun.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Writes the beginning of a call.
    pub(super) fn call(&mut self, id: &str, name: &str, out: &mut BytesMut) -> CallIndex {
        let index = CallIndex(self.calls);
        self.calls += 1;
        self.delta(out, |out| {
            let _ = write!(out, r#""tool_calls":[{{"index":{},"id":"#, index.0);
            append::string(out, id);
            append::raw(out, r#","type":"function","function":{"name":"#);
            append::string(out, name);
            append::raw(out, r#","arguments":""}}]"#);
        });
        index
    }

    /// Writes a piece of a call's arguments.
    pub(super) fn arguments(&self, index: CallIndex, piece: &str, out: &mut BytesMut) {
        self.delta(out, |out| {
            let _ = write!(
                out,
                r#""tool_calls":[{{"index":{},"function":{{"arguments":"#,
                index.0
            );
            append::string(out, piece);
            append::raw(out, "}}]");
        });
    }

    /// Writes the chunk that says why the answer ended.
    pub(super) fn finish(self, reason: &str, out: &mut BytesMut) -> Finished {
        append::raw(out, &self.frame.head);
        append::raw(out, r#"{"index":0,"delta":{},"finish_reason":""#);
        append::raw(out, reason);
        append::raw(out, "\"}");
        self.frame.end(out);
        Finished { frame: self.frame }
    }

    fn delta(&self, out: &mut BytesMut, members: impl FnOnce(&mut BytesMut)) {
        append::raw(out, &self.frame.head);
        append::raw(out, r#"{"index":0,"delta":{"#);
        members(out);
        append::raw(out, r#"},"finish_reason":null}"#);
        self.frame.end(out);
    }
}

/// The answer has said why it ended.
#[derive(Debug)]
pub(super) struct Finished {
    frame: Frame,
}

impl Finished {
    /// Writes the usage if the client asked for it and it is known, and the marker.
    pub(super) fn end(self, usage: Option<&Usage>, out: &mut BytesMut) {
        if let Some(usage) = usage.filter(|_| self.frame.include_usage) {
            append::raw(out, &self.frame.head);
            append::raw(out, r#"],"usage":"#);
            write_usage(out, usage);
            append::raw(out, "}\n\n");
        }
        append::raw(out, "data: [DONE]\n\n");
    }
}
