//! Reading a stream as it passes: which event commits, which ends, what it cost. Only what must be understood is
//! decoded; how the events look is each protocol's own.

use super::answer::UsageReport;
use super::failure::UpstreamError;
use super::{Protocol, anthropic, json, openai, sse};

/// What to do with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on.
    Pass,
    /// It consists of comments.
    Comment,
    /// It carries usage and nothing else; it is taken out if the client did not ask for it.
    UsageOnly,
    /// The terminal marker. Whether the answer is complete tells [`StreamReader::complete`].
    End,
    /// The upstream reports an error.
    Error(UpstreamError),
    /// It has no data, or data that is not of this protocol; never passed on.
    Drop,
}

/// What one event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What to do with it.
    pub verdict: Verdict,
    /// The answer is committed with this event: its first content, or its end. Once for a stream, and false on all
    /// events after it.
    pub content: bool,
}

impl Reading {
    pub(super) fn new(verdict: Verdict, content: bool) -> Self {
        Self { verdict, content }
    }

    pub(super) fn pass() -> Self {
        Self::new(Verdict::Pass, false)
    }

    pub(super) fn error(error: UpstreamError) -> Self {
        Self::new(Verdict::Error(error), false)
    }
}

/// Reads the events of one upstream stream, in order.
///
/// Until the first content, events are decoded to find it. After it they are checked for syntax, and decoded only
/// where they may carry usage, an end or an error.
#[derive(Debug)]
pub struct StreamReader {
    reader: Reader,
    dropped: u64,
    committed: bool,
    content_seen: bool,
}

#[derive(Debug)]
enum Reader {
    OpenAi(openai::stream::Reader),
    Anthropic(anthropic::stream::Reader),
}

impl StreamReader {
    /// A reader of a stream of which `choices` choices were asked for.
    pub fn new(protocol: Protocol, choices: u32) -> Self {
        let reader = match protocol {
            Protocol::OpenAi => Reader::OpenAi(openai::stream::Reader::new(choices)),
            Protocol::Anthropic => Reader::Anthropic(anthropic::stream::Reader::default()),
        };
        Self {
            reader,
            dropped: 0,
            committed: false,
            content_seen: false,
        }
    }

    /// Reads the next event.
    pub fn read(&mut self, event: &sse::Event) -> Reading {
        if event.comment_only {
            return Reading::new(Verdict::Comment, false);
        }
        let Some(reading) = self.decode(event) else {
            self.dropped += 1;
            return Reading::new(Verdict::Drop, false);
        };
        self.committed |= reading.content;
        self.content_seen |= reading.content && reading.verdict != Verdict::End;
        reading
    }

    /// `None`: to be dropped.
    fn decode(&mut self, event: &sse::Event) -> Option<Reading> {
        if event.data.is_empty() {
            return None;
        }
        let data = json::text(&event.data).ok()?;
        match &mut self.reader {
            Reader::OpenAi(reader) => reader.read(event.name(), data, self.committed),
            Reader::Anthropic(reader) => reader.read(event.name(), data, self.committed),
        }
    }

    /// The commit event has been seen.
    pub fn committed(&self) -> bool {
        self.committed
    }

    /// Something that a client can show or use has been seen; unlike [`StreamReader::committed`] not just the end.
    pub fn content_seen(&self) -> bool {
        self.content_seen
    }

    /// Every choice has said why it ended. A stream that stops before was cut, however it stopped.
    pub fn complete(&self) -> bool {
        match &self.reader {
            Reader::OpenAi(reader) => reader.complete(),
            Reader::Anthropic(reader) => reader.complete(),
        }
    }

    /// The tokens as told so far.
    pub fn usage(&self) -> Option<UsageReport> {
        match &self.reader {
            Reader::OpenAi(reader) => reader.usage(),
            Reader::Anthropic(reader) => reader.usage(),
        }
    }

    /// Events that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
