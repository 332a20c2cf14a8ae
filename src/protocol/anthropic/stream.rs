//! The stream of events, read as it passes.

use super::usage;
use crate::protocol::UsageReport;
use crate::protocol::failure;
use crate::protocol::json;
use crate::protocol::stream::{Reading, Verdict};

/// What an event is, by its name or by the `type` in its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    MessageStart,
    BlockStart,
    BlockDelta,
    MessageDelta,
    MessageStop,
    Error,
    /// Known, and nothing to read in it: a ping, or the end of a block.
    Plain,
}

impl Kind {
    /// `None` for a name that the protocol does not know.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "message_start" => Self::MessageStart,
            "content_block_start" => Self::BlockStart,
            "content_block_delta" => Self::BlockDelta,
            "message_delta" => Self::MessageDelta,
            "message_stop" => Self::MessageStop,
            "error" => Self::Error,
            "ping" | "content_block_stop" => Self::Plain,
            _ => return None,
        })
    }
}

/// What has been seen of one stream.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Reader {
    /// A reason to stop has been given.
    stopped: bool,
    /// The usage of the beginning, completed by that of the end; empty before the first.
    usage: String,
}

impl Reader {
    pub(in crate::protocol) fn complete(&self) -> bool {
        self.stopped
    }

    pub(in crate::protocol) fn usage(&self) -> Option<UsageReport> {
        (!self.usage.is_empty()).then(|| usage::report(&self.usage))
    }

    /// Reads one event; `None` if its data is no object. An event without a name that we know is what its data says.
    pub(in crate::protocol) fn read(
        &mut self,
        name: Option<&str>,
        data: &str,
        committed: bool,
    ) -> Option<Reading> {
        let named = name.and_then(Kind::of);
        match named {
            Some(Kind::Error) => return Some(Reading::error(failure::read_any(data))),
            Some(Kind::Plain) => return json::is_object(data).then(Reading::pass),
            Some(Kind::BlockStart | Kind::BlockDelta) if committed => {
                return json::is_object(data).then(Reading::pass);
            }
            _ => {}
        }
        let event = Event::read(data)?;
        let kind = named.or_else(|| Kind::of(&json::string(event.kind?)?));
        Some(match kind {
            Some(Kind::MessageStart) => {
                self.add_usage(find_object(event.message, "usage"));
                Reading::pass()
            }
            Some(Kind::BlockStart) => {
                Reading::new(Verdict::Pass, !committed && starts_content(event.block))
            }
            Some(Kind::BlockDelta) => {
                Reading::new(Verdict::Pass, !committed && has_content(event.delta))
            }
            Some(Kind::MessageDelta) => {
                self.stopped |= is_stopped(event.delta);
                self.add_usage(event.usage);
                Reading::pass()
            }
            Some(Kind::MessageStop) => Reading::new(Verdict::End, !committed && self.stopped),
            Some(Kind::Error) => Reading::error(failure::read_any(data)),
            None if event.has_error => Reading::error(failure::read_any(data)),
            Some(Kind::Plain) | None => Reading::pass(),
        })
    }

    fn add_usage(&mut self, later: Option<&str>) {
        let Some(later) = later else {
            return;
        };
        self.usage = if self.usage.is_empty() {
            later.to_owned()
        } else {
            usage::overlay(&self.usage, later)
        };
    }
}

/// The members of an event that we read, as text; empty where they are not there.
#[derive(Default)]
struct Event<'a> {
    kind: Option<&'a str>,
    message: &'a str,
    block: &'a str,
    delta: &'a str,
    usage: Option<&'a str>,
    has_error: bool,
}

impl<'a> Event<'a> {
    fn read(data: &'a str) -> Option<Self> {
        let mut event = Self::default();
        json::members(data, |name, value| match &*name {
            "type" => event.kind = Some(value),
            "message" => event.message = value,
            "content_block" => event.block = value,
            "delta" => event.delta = value,
            "usage" if value.starts_with('{') => event.usage = Some(value),
            "error" => event.has_error = !json::is_empty(value),
            _ => {}
        })
        .ok()?;
        Some(event)
    }
}

fn find_object<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let mut found = None;
    let _ = json::members(text, |name, value| {
        if name == wanted && value.starts_with('{') {
            found = Some(value);
        }
    });
    found
}

/// A block of thinking, redacted thinking, a tool, a server's tool or its result is content as it starts; a block of
/// text is not before it has text.
fn starts_content(block: &str) -> bool {
    let (mut is_text, mut has_text) = (false, false);
    let read = json::members(block, |name, value| match &*name {
        "type" => is_text = value == "\"text\"",
        "text" => has_text = !json::is_empty(value),
        _ => {}
    });
    read.is_ok() && (!is_text || has_text)
}

/// Any delta with something in it: text, thinking, a signature, a piece of a tool's input, a citation.
fn has_content(delta: &str) -> bool {
    let mut content = false;
    let _ = json::members(delta, |name, value| {
        content |= name != "type" && !json::is_empty(value);
    });
    content
}

fn is_stopped(delta: &str) -> bool {
    let mut stopped = false;
    let _ = json::members(delta, |name, value| {
        stopped |= name == "stop_reason" && !json::is_empty(value);
    });
    stopped
}

#[cfg(test)]
mod tests;
