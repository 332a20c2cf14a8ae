//! Reads the chunks of one stream. Whether the stream is sound and complete is not judged here but by
//! `protocol::StreamReader`; of several choices the first is read.

use std::borrow::Cow;

use super::calls::Calls;
use crate::conversation::{BlockStart, Delta, Event, Json, Usage};
use crate::convert::openai::reply::finish;
use crate::convert::openai::reply::message::{CallPiece, Said, text};
use crate::convert::openai::reply::{Choice, first_choice};
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
    finish: Option<(String, Option<String>)>,
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
                matched,
                calls,
                self.refused,
            )));
        }
        out.push(Event::End);
    }

    fn chunk(&mut self, data: &str, out: &mut Vec<Event>) {
        let Some(chunk) = Chunk::read(data) else {
            return;
        };
        let choice = first_choice(chunk.choices).filter(|choice| choice.index == 0);
        let told = chunk
            .usage
            .or(choice.as_ref().and_then(|choice| choice.usage));
        let usage = told.map(|told| Protocol::OpenAi.read_usage(told));
        self.start(&chunk, usage, out);
        if let Some(choice) = choice {
            self.choice(choice, out);
        }
        if let Some(usage) = usage.filter(|usage| self.usage != Some(*usage)) {
            self.usage = Some(usage);
            out.push(Event::Usage(usage));
        }
    }

    fn start(&mut self, chunk: &Chunk<'_>, usage: Option<Usage>, out: &mut Vec<Event>) {
        if self.stage != Stage::Before {
            return;
        }
        self.stage = Stage::Running;
        self.usage = usage;
        let owned = |value: &str| text(value).map_or_else(String::new, Cow::into_owned);
        out.push(Event::Start {
            id: owned(chunk.id),
            model: owned(chunk.model),
            created: json::count(chunk.created),
            usage,
        });
    }

    fn choice(&mut self, choice: Choice<'_>, out: &mut Vec<Event>) {
        self.said(Said::read(choice.message), out);
        if !choice.finish.is_empty() {
            self.finish = Some((choice.finish, choice.matched));
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

/// The members of a chunk that are read, as JSON text; empty where they are not there.
#[derive(Default)]
struct Chunk<'a> {
    id: &'a str,
    model: &'a str,
    created: &'a str,
    choices: &'a str,
    usage: Option<&'a str>,
}

impl<'a> Chunk<'a> {
    fn read(data: &'a str) -> Option<Self> {
        let mut chunk = Self::default();
        json::members(data, |name, value| match &*name {
            "id" => chunk.id = value,
            "model" => chunk.model = value,
            "created" => chunk.created = value,
            "choices" => chunk.choices = value,
            "usage" if value.starts_with('{') => chunk.usage = Some(value),
            // Groq tells it here.
            "x_groq" => {
                let _ = json::members(value, |name, value| {
                    if name == "usage" && value.starts_with('{') {
                        chunk.usage = chunk.usage.or(Some(value));
                    }
                });
            }
            _ => {}
        })
        .ok()?;
        Some(chunk)
    }
}
