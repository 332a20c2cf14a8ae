//! Reads the chunks of one stream. Whether the stream is sound and complete is not judged here but by
//! `protocol::StreamReader`; of several choices the first is read.

use std::borrow::Cow;

use super::calls::Calls;
use super::chunk::{Chunk, Part};
use crate::conversation::{BlockStart, Delta, Event, Json, Usage};
use crate::convert::openai::reply::message::{CallPiece, Said, text};
use crate::convert::openai::reply::{Choice, finish};
use crate::protocol::{Protocol, json, sse};

/// Turns the chunks of one stream into events.
#[derive(Debug, Default)]
pub struct Decoder {
    stage: Stage,
    blocks: Blocks,
    calls: Calls,
    usage: Option<Usage>,
    /// The last finish reason, and the stop text that caused it. Some upstreams give one before their last words, so
    /// that it is not passed on before the end.
    finish: Option<(String, String)>,
    refused: bool,
    /// Members of other media that have been told of.
    others: Vec<&'static str>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Before,
    Running,
    Ended,
}

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
        let Ok(data) = std::str::from_utf8(&event.data) else {
            return;
        };
        if data.trim() == "[DONE]" {
            self.finish(out);
        } else if self.stage != Stage::Ended {
            self.chunk(data, out);
        }
    }

    /// The upstream has ended its answer properly, perhaps without its marker.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.stage != Stage::Running {
            return;
        }
        self.stage = Stage::Ended;
        self.calls.finish(&mut self.blocks, out);
        if let Some((reason, matched)) = self.finish.take() {
            let calls = self.calls.any();
            out.push(Event::Stop(finish::read(
                &reason,
                &matched,
                calls,
                self.refused,
            )));
        }
        out.push(Event::End);
    }

    fn chunk(&mut self, data: &str, out: &mut Vec<Event>) {
        let Some(mut chunk) = Chunk::read(data) else {
            return;
        };
        let part = chunk.part.take();
        let told = chunk
            .usage
            .or(part.as_ref().and_then(|part| part.choice.usage));
        let usage = told.map(|told| Protocol::OpenAi.read_usage(told));
        let is_new = usage.is_some() && usage != self.usage;
        self.usage = usage.or(self.usage);
        if self.stage == Stage::Before {
            // Azure begins with a chunk that has neither a choice nor an id.
            if part.is_none() {
                return;
            }
            self.start(&chunk, out);
        } else if is_new {
            out.extend(usage.map(Event::Usage));
        }
        if let Some(part) = part {
            self.part(part, out);
        }
    }

    fn start(&mut self, chunk: &Chunk<'_>, out: &mut Vec<Event>) {
        self.stage = Stage::Running;
        let owned = |value: &str| text(value).map_or_else(String::new, Cow::into_owned);
        out.push(Event::Start {
            id: owned(chunk.id),
            model: owned(chunk.model),
            created: json::count(chunk.created),
            usage: self.usage,
        });
    }

    fn part(&mut self, part: Part<'_>, out: &mut Vec<Event>) {
        if part.has_delta {
            self.said(part.said, out);
        } else if self.blocks.next == 0 {
            // Instead of deltas, not what all of them together were.
            self.said(Said::read(part.message), out);
        }
        let Choice {
            finish, matched, ..
        } = part.choice;
        if !finish.is_empty() {
            self.finish = Some((finish.into_owned(), matched.into_owned()));
        }
    }

    fn said(&mut self, said: Said<'_>, out: &mut Vec<Event>) {
        if let Some(reasoning) = said.reasoning {
            let index = self.blocks.within(BlockStart::Thinking, out);
            let delta = Delta::Thinking(reasoning.into_owned());
            out.push(Event::Delta { index, delta });
        }
        if let Some(content) = said.content {
            let index = self.blocks.within(BlockStart::Text, out);
            let delta = Delta::Text(content.into_owned());
            out.push(Event::Delta { index, delta });
        }
        if let Some(annotations) = said.annotations {
            let index = self.blocks.within(BlockStart::Text, out);
            let delta = Delta::Citations(Json::new(annotations));
            out.push(Event::Delta { index, delta });
        }
        if let Some(refusal) = said.refusal {
            self.refused = true;
            let index = self.blocks.within(BlockStart::Refusal, out);
            let delta = Delta::Text(refusal.into_owned());
            out.push(Event::Delta { index, delta });
        }
        if let Some((member, _)) = said
            .other
            .filter(|(member, _)| !self.others.contains(member))
        {
            self.others.push(member);
            self.blocks
                .within(BlockStart::Other(member.to_owned()), out);
            self.blocks.close(out);
        }
        if let Some(calls) = said.tool_calls {
            let _ = json::elements(calls, |call| {
                self.calls
                    .take(CallPiece::read(call), &mut self.blocks, out);
            });
        }
        if let Some(function) = said.function_call {
            self.calls
                .take(CallPiece::read_legacy(function), &mut self.blocks, out);
        }
    }
}

/// The blocks of the answer, numbered. One that is no tool call is closed before the next of any kind begins.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    next: usize,
    open: Option<(usize, BlockStart)>,
}

impl Blocks {
    /// The open block if it is of this kind, else a new one.
    fn within(&mut self, block: BlockStart, out: &mut Vec<Event>) -> usize {
        if let Some((index, open)) = &self.open
            && *open == block
        {
            return *index;
        }
        let index = self.start(block.clone(), out);
        self.open = Some((index, block));
        index
    }

    /// Begins a block that is closed by whoever asked for it.
    pub(super) fn start(&mut self, block: BlockStart, out: &mut Vec<Event>) -> usize {
        self.close(out);
        let index = self.next;
        self.next += 1;
        out.push(Event::BlockStart { index, block });
        index
    }

    /// Closes the block that is open.
    pub(super) fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((index, _)) = self.open.take() {
            out.push(Event::BlockStop { index });
        }
    }
}
