//! Writes a stream of events. Here one block follows the other: where the hub has several open at once, the first is
//! written as it comes and the others wait until it is complete.

use bytes::BytesMut;

use super::order::{self, Between, Form, Open, Opening};
use super::queue::{Queue, Waiting};
use crate::conversation::{BlockStart, Delta, Event, StopReason, Usage};
use crate::convert::anthropic::reply::{ANSWER, CALL, stop};
use crate::convert::arguments::{self, Progress};
use crate::convert::ids::{self, CallIds};
use crate::convert::loss::Loss;
use crate::convert::{ReplyContext, append};
use crate::protocol::Protocol;
use crate::protocol::anthropic::UNSIGNED;
use crate::protocol::sse::LINE_LIMIT;

/// Turns the events of one answer into those of this protocol.
///
/// Any order of events makes a legal stream: what cannot follow what was written is left out. `message_start` is not
/// written before the first block, so that it tells the tokens of the prompt if the upstream told them by then.
#[derive(Debug)]
pub struct Encoder {
    context: ReplyContext,
    stage: Stage,
    /// The upstream's id of the answer.
    answer: String,
    usage: Option<Usage>,
    waiting: Queue,
    calls: CallIds,
    stop: Option<StopReason>,
    loss: Loss,
}

#[derive(Debug)]
enum Stage {
    Before,
    /// The hub has begun, we have not.
    Announced {
        model: String,
    },
    Between(Between),
    Open(Live),
    Ended,
}

/// The block that is being written.
#[derive(Debug)]
struct Live {
    index: usize,
    open: Open,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thinking {
        /// A signature has been written.
        is_signed: bool,
    },
    Call(Call),
    /// It was whole when it began.
    Whole,
}

/// What is known of the arguments of a call.
#[derive(Debug, Default)]
struct Call {
    position: usize,
    progress: Progress,
    /// What is no object, or not yet.
    held: String,
}

impl Encoder {
    /// An encoder for a client; here usage is always told, whether it was asked for or not.
    pub fn new(context: ReplyContext, _include_usage: bool) -> Self {
        Self {
            context,
            stage: Stage::Before,
            answer: String::new(),
            usage: None,
            waiting: Queue::default(),
            calls: CallIds::default(),
            stop: None,
            loss: Loss::default(),
        }
    }

    /// What could not be said so far, as paths into the upstream's answer.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    /// Appends the bytes for one event; for some there are none.
    pub fn encode(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start {
                id, model, usage, ..
            } => {
                self.usage = usage.or(self.usage);
                if let Stage::Before = self.stage {
                    self.answer.push_str(id);
                    self.stage = Stage::Announced {
                        model: model.clone(),
                    };
                }
            }
            Event::BlockStart { index, block } => self.block_start(*index, block, out),
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::BlockStop { index } => self.block_stop(*index, out),
            Event::Ping if matches!(self.stage, Stage::Ended) => {}
            Event::Ping => append::raw(out, Protocol::Anthropic.ping()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Stop(reason) => self.stop(reason, out),
            Event::End => self.end(out),
        }
    }

    fn block_start(&mut self, index: usize, block: &BlockStart, out: &mut BytesMut) {
        if self.stop.is_some() || matches!(self.stage, Stage::Before | Stage::Ended) {
            return;
        }
        if let BlockStart::Other(kind) = block {
            self.loss.dropped(format!("choices[0].message.{kind}"));
            return;
        }
        self.waiting.push(index, block.clone());
        self.advance(out);
    }

    fn delta(&mut self, index: usize, delta: &Delta, out: &mut BytesMut) {
        if let Delta::Citations(_) = delta {
            self.loss.dropped("choices[0].message.annotations");
            return;
        }
        match &mut self.stage {
            Stage::Open(live) if live.index == index => live.write(delta, out),
            _ if self.waiting.add(index, delta) => {}
            // The arguments were complete, so that another block could follow.
            _ => {
                if let Delta::Arguments(more) = delta
                    && !more.trim().is_empty()
                {
                    self.loss.changed("choices[0].message.tool_calls");
                }
                return;
            }
        }
        if !self.waiting.is_empty() {
            if self.waiting.is_full() {
                self.close(out);
            }
            self.advance(out);
        }
    }

    fn block_stop(&mut self, index: usize, out: &mut BytesMut) {
        match &self.stage {
            Stage::Open(live) if live.index == index => self.close(out),
            _ => self.waiting.stop(index),
        }
        self.advance(out);
    }

    /// Writes as much of what waits as can be written.
    fn advance(&mut self, out: &mut BytesMut) {
        loop {
            match &self.stage {
                Stage::Announced { .. } | Stage::Between(_) => {
                    let Some(block) = self.waiting.pop() else {
                        return;
                    };
                    self.open(block, out);
                }
                Stage::Open(live) if live.is_complete() && !self.waiting.is_empty() => {
                    self.close(out)
                }
                _ => return,
            }
        }
    }

    /// The stage between two blocks, if we are there or still before the first; taken out of `self`.
    fn between(&mut self, out: &mut BytesMut) -> Option<Between> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Announced { model } => {
                let id = ids::fresh_answer_id(ANSWER, &self.answer, &self.context);
                Some(order::start(
                    &id,
                    &model,
                    &self.usage.unwrap_or_default(),
                    out,
                ))
            }
            Stage::Between(between) => Some(between),
            other => {
                self.stage = other;
                None
            }
        }
    }

    fn open(&mut self, waiting: Waiting, out: &mut BytesMut) {
        let Some(between) = self.between(out) else {
            return;
        };
        let (open, kind) = match &waiting.block {
            BlockStart::Text | BlockStart::Refusal => {
                (between.open(Opening::Text, out), Kind::Text)
            }
            BlockStart::Thinking => (
                between.open(Opening::Thinking, out),
                Kind::Thinking { is_signed: false },
            ),
            BlockStart::RedactedThinking(data) => (
                between.open(Opening::RedactedThinking { data }, out),
                Kind::Whole,
            ),
            BlockStart::ToolCall { id, name } => {
                let name = self.context.memo.tool_name(name);
                let call = Call {
                    position: self.calls.count(),
                    ..Call::default()
                };
                let id = self
                    .calls
                    .next(CALL, &ids::plain(id), &self.answer, &self.context);
                (
                    between.open(Opening::ToolUse { id: &id, name }, out),
                    Kind::Call(call),
                )
            }
            BlockStart::Other(_) => {
                self.stage = Stage::Between(between);
                return;
            }
        };
        let mut live = Live {
            index: waiting.index,
            open,
            kind,
        };
        for delta in &waiting.deltas {
            live.write(delta, out);
        }
        self.stage = Stage::Open(live);
        if waiting.stopped {
            self.close(out);
        }
    }

    /// Closes the open block.
    fn close(&mut self, out: &mut BytesMut) {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Open(live) => {
                match &live.kind {
                    Kind::Call(call) => call.complete(&live.open, &mut self.loss, out),
                    Kind::Thinking { is_signed: false } => {
                        live.open.delta(Form::SIGNATURE, UNSIGNED, out);
                    }
                    _ => {}
                }
                self.stage = Stage::Between(live.open.close(out));
            }
            other => self.stage = other,
        }
    }

    fn stop(&mut self, reason: &StopReason, out: &mut BytesMut) {
        if self.stop.is_some() || matches!(self.stage, Stage::Before | Stage::Ended) {
            return;
        }
        self.waiting.stop_all();
        self.close(out);
        self.advance(out);
        self.stop = Some(reason.clone());
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.stop(&StopReason::Other(String::new()), out);
        let (Some(reason), Some(between)) = (self.stop.take(), self.between(out)) else {
            return;
        };
        let (reason, sequence) = stop::write(&reason, self.calls.count() > 0);
        between.end(reason, sequence, &self.usage.unwrap_or_default(), out);
    }
}

impl Live {
    /// Nothing more can follow.
    fn is_complete(&self) -> bool {
        matches!(&self.kind, Kind::Call(call) if call.progress == Progress::Complete)
    }

    fn write(&mut self, delta: &Delta, out: &mut BytesMut) {
        match (&mut self.kind, delta) {
            (Kind::Text, Delta::Text(text)) => self.open.delta(Form::TEXT, text, out),
            (Kind::Thinking { .. }, Delta::Thinking(text)) => {
                self.open.delta(Form::THINKING, text, out);
            }
            (Kind::Thinking { is_signed }, Delta::Signature(text)) => {
                *is_signed |= !text.is_empty();
                self.open.delta(Form::SIGNATURE, text, out);
            }
            (Kind::Call(call), Delta::Arguments(piece)) => call.add(piece, &self.open, out),
            _ => {}
        }
    }
}

impl Call {
    /// Writes a piece, unless the arguments are no object: then they are collected, to travel inside one.
    fn add(&mut self, piece: &str, open: &Open, out: &mut BytesMut) {
        self.progress.feed(piece);
        match self.progress {
            Progress::Nothing | Progress::Nonsense => {
                if self.held.len() + piece.len() <= LINE_LIMIT {
                    self.held.push_str(piece);
                }
            }
            Progress::Inside(_) | Progress::Complete => {
                if !self.held.is_empty() {
                    open.delta(Form::INPUT, &self.held, out);
                    self.held.clear();
                }
                open.delta(Form::INPUT, piece, out);
            }
        }
    }

    /// Writes what was collected. An object that turned out to be broken has been written as the model wrote it.
    fn complete(&self, open: &Open, loss: &mut Loss, out: &mut BytesMut) {
        let is_nothing = matches!(self.held.trim(), "" | "null");
        if self.progress == Progress::Nonsense && !is_nothing {
            loss.changed(format!(
                "choices[0].message.tool_calls[{}].function.arguments",
                self.position
            ));
            open.delta(Form::INPUT, &arguments::wrap(&self.held), out);
        }
    }
}
