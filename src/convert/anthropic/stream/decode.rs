//! Reads the events of one stream. Whether the stream is sound and complete is not judged here but by
//! `protocol::StreamReader`.

use std::borrow::Cow;

use crate::conversation::{BlockStart, Delta, Event, Json, Usage};
use crate::convert::anthropic::reply::{Opening, stop, text};
use crate::protocol::{Protocol, json, sse};

/// More calls are not kept open at once: each delta finds its block in a bounded time.
const MOST_OPEN: usize = 128;

/// Turns the events of one stream into those of the hub.
#[derive(Debug, Default)]
pub struct Decoder {
    stage: Stage,
    /// How many blocks have begun.
    next: usize,
    open: Vec<Block>,
    calls: bool,
    usage: Option<Usage>,
    stop: Option<(String, Option<String>)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Before,
    Running,
    Ended,
}

/// An open block.
#[derive(Debug)]
struct Block {
    /// The upstream's index.
    theirs: u64,
    /// Ours.
    index: usize,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    /// The arguments that came with the beginning stand only if no others follow.
    Call(String),
    Other,
}

/// The events of a stream.
const NAMES: [&str; 7] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
];

impl Decoder {
    /// A decoder of a stream that is yet to begin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one event and appends what it says. What cannot be read says nothing.
    pub fn decode(&mut self, event: &sse::Event, out: &mut Vec<Event>) {
        if event.comment_only {
            out.push(Event::Ping);
            return;
        }
        if self.stage == Stage::Ended {
            return;
        }
        let wire = std::str::from_utf8(&event.data).ok().and_then(Wire::read);
        let Some(wire) = wire else {
            return;
        };
        let told = text(wire.kind);
        // As the reader of the stream does, which decides on its end: the name first, if it is one.
        let named = event.name().filter(|name| NAMES.contains(name));
        let kind = named.unwrap_or(&told);
        // A start that cannot be read is dropped, and nothing can be said before one.
        if matches!(
            kind,
            "content_block_start" | "content_block_delta" | "message_delta"
        ) {
            self.start("{}", out);
        }
        match kind {
            "message_start" => self.start(wire.message, out),
            "content_block_start" => self.block_start(&wire, out),
            "content_block_delta" => self.block_delta(&wire, out),
            "content_block_stop" => self.block_stop(&wire, out),
            "message_delta" => self.message_delta(&wire, out),
            "message_stop" => self.finish(out),
            "ping" => out.push(Event::Ping),
            _ => {}
        }
    }

    /// The upstream has ended its answer properly, perhaps without its marker.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.stage != Stage::Running {
            return;
        }
        self.stage = Stage::Ended;
        for block in std::mem::take(&mut self.open) {
            close(block, out);
        }
        if let Some((reason, sequence)) = self.stop.take() {
            out.push(Event::Stop(stop::read(&reason, sequence, self.calls)));
        }
        out.push(Event::End);
    }

    fn start(&mut self, message: &str, out: &mut Vec<Event>) {
        if self.stage != Stage::Before {
            return;
        }
        self.stage = Stage::Running;
        let (mut id, mut model) = (Cow::default(), Cow::default());
        let _ = json::members(message, |name, value| match &*name {
            "id" => id = text(value),
            "model" => model = text(value),
            "usage" if value.starts_with('{') => {
                self.usage = Some(Protocol::Anthropic.read_usage(value))
            }
            _ => {}
        });
        out.push(Event::Start {
            id: id.into_owned(),
            model: model.into_owned(),
            created: None,
            usage: self.usage,
        });
    }

    fn block_start(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) {
        self.start("", out);
        let opening = Opening::read(wire.block);
        match &*opening.kind {
            "text" => {
                let index = self.open(wire.index, BlockStart::Text, Kind::Text, out);
                push_text(index, opening.text, Delta::Text, out);
                push_citations(index, opening.citations, out);
            }
            "thinking" => {
                let index = self.open(wire.index, BlockStart::Thinking, Kind::Thinking, out);
                push_text(index, opening.text, Delta::Thinking, out);
                push_text(index, opening.signature, Delta::Signature, out);
            }
            "redacted_thinking" => {
                let block = BlockStart::RedactedThinking(opening.data.into_owned());
                self.open(wire.index, block, Kind::Other, out);
            }
            "tool_use" => {
                self.calls = true;
                let block = BlockStart::ToolCall {
                    id: opening.id.into_owned(),
                    name: opening.name.into_owned(),
                };
                let input = Some(opening.input).filter(|input| !json::is_empty(input));
                let kind = Kind::Call(input.unwrap_or_default().to_owned());
                self.open(wire.index, block, kind, out);
            }
            _ => {
                let block = BlockStart::Other(opening.kind.into_owned());
                self.open(wire.index, block, Kind::Other, out);
            }
        }
    }

    /// Begins a block. One that was left open ends, except calls, whose pieces some upstreams mix.
    fn open(&mut self, theirs: u64, block: BlockStart, kind: Kind, out: &mut Vec<Event>) -> usize {
        let ends = |open: &mut Block| open.theirs == theirs || !matches!(open.kind, Kind::Call(_));
        for block in self.open.extract_if(.., ends) {
            close(block, out);
        }
        if self.open.len() >= MOST_OPEN {
            close(self.open.remove(0), out);
        }
        let index = self.next;
        self.next += 1;
        out.push(Event::BlockStart { index, block });
        self.open.push(Block {
            theirs,
            index,
            kind,
        });
        index
    }

    fn block_delta(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) {
        let delta = BlockDelta::read(wire.delta);
        let Some(block) = self
            .open
            .iter_mut()
            .rfind(|block| block.theirs == wire.index)
        else {
            self.orphan(wire, delta, out);
            return;
        };
        let index = block.index;
        match &mut block.kind {
            Kind::Text => {
                push_text(index, delta.text, Delta::Text, out);
                push_citations(index, delta.citation, out);
            }
            Kind::Thinking => {
                push_text(index, delta.thinking, Delta::Thinking, out);
                push_text(index, delta.signature, Delta::Signature, out);
            }
            Kind::Call(input) if !delta.arguments.is_empty() => {
                input.clear();
                push_text(index, delta.arguments, Delta::Arguments, out);
            }
            Kind::Call(_) | Kind::Other => {}
        }
    }

    /// A delta of a block that never began: some upstreams forget to say so for text.
    fn orphan(&mut self, wire: &Wire<'_>, delta: BlockDelta<'_>, out: &mut Vec<Event>) {
        self.start("", out);
        if !delta.text.is_empty() {
            let index = self.open(wire.index, BlockStart::Text, Kind::Text, out);
            push_text(index, delta.text, Delta::Text, out);
        } else if !delta.thinking.is_empty() {
            let index = self.open(wire.index, BlockStart::Thinking, Kind::Thinking, out);
            push_text(index, delta.thinking, Delta::Thinking, out);
        }
    }

    fn block_stop(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) {
        for block in self.open.extract_if(.., |block| block.theirs == wire.index) {
            close(block, out);
        }
    }

    fn message_delta(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) {
        let (mut reason, mut sequence) = (Cow::default(), Cow::default());
        let _ = json::members(wire.delta, |name, value| match &*name {
            "stop_reason" => reason = text(value),
            "stop_sequence" => sequence = text(value),
            _ => {}
        });
        if !reason.is_empty() {
            let sequence = Some(sequence.into_owned()).filter(|sequence| !sequence.is_empty());
            self.stop = Some((reason.into_owned(), sequence));
        }
        if let Some(told) = wire.usage {
            let usage = later(self.usage, Protocol::Anthropic.read_usage(told));
            self.usage = Some(usage);
            out.push(Event::Usage(usage));
        }
    }
}

/// Counts of a later report; it is cumulative, but may leave out what the first one told.
fn later(former: Option<Usage>, told: Usage) -> Usage {
    let former = former.unwrap_or_default();
    Usage {
        input: told.input.max(former.input),
        cache_read: told.cache_read.max(former.cache_read),
        cache_write: told.cache_write.max(former.cache_write),
        output: told.output.max(former.output),
        reasoning: told.reasoning.max(former.reasoning),
    }
}

fn close(block: Block, out: &mut Vec<Event>) {
    let index = block.index;
    if let Kind::Call(input) = block.kind
        && !input.is_empty()
    {
        let delta = Delta::Arguments(input);
        out.push(Event::Delta { index, delta });
    }
    out.push(Event::BlockStop { index });
}

fn push_text(index: usize, text: Cow<'_, str>, delta: fn(String) -> Delta, out: &mut Vec<Event>) {
    if !text.is_empty() {
        let delta = delta(text.into_owned());
        out.push(Event::Delta { index, delta });
    }
}

fn push_citations(index: usize, citations: Option<&str>, out: &mut Vec<Event>) {
    if let Some(citations) = citations {
        let delta = Delta::Citations(Json::new(citations));
        out.push(Event::Delta { index, delta });
    }
}

/// The members of an event that are read, as JSON text; empty where they are not there.
#[derive(Default)]
struct Wire<'a> {
    kind: &'a str,
    index: u64,
    message: &'a str,
    block: &'a str,
    delta: &'a str,
    usage: Option<&'a str>,
}

impl<'a> Wire<'a> {
    fn read(data: &'a str) -> Option<Self> {
        let mut wire = Self::default();
        json::members(data, |name, value| match &*name {
            "type" => wire.kind = value,
            "index" => wire.index = json::count(value).unwrap_or(0),
            "message" => wire.message = value,
            "content_block" => wire.block = value,
            "delta" => wire.delta = value,
            "usage" => wire.usage = Some(value).filter(|value| value.starts_with('{')),
            _ => {}
        })
        .ok()?;
        Some(wire)
    }
}

/// A `delta` of a block; empty where a member is not there.
#[derive(Default)]
struct BlockDelta<'a> {
    text: Cow<'a, str>,
    thinking: Cow<'a, str>,
    signature: Cow<'a, str>,
    arguments: Cow<'a, str>,
    citation: Option<&'a str>,
}

impl<'a> BlockDelta<'a> {
    fn read(value: &'a str) -> Self {
        let mut delta = Self::default();
        let _ = json::members(value, |name, value| match &*name {
            "text" => delta.text = text(value),
            "thinking" => delta.thinking = text(value),
            "signature" => delta.signature = text(value),
            "partial_json" => delta.arguments = text(value),
            "citation" => delta.citation = Some(value),
            _ => {}
        });
        delta
    }
}
