//! Writes a stream of chunks.

use bytes::BytesMut;

use super::order::{CallIndex, Finished, Frame, Running};
use crate::conversation::{BlockStart, Delta, Event, StopReason, Usage};
use crate::convert::ids::{self, CallIds};
use crate::convert::loss::Loss;
use crate::convert::openai::reply::{ANSWER, CALL, finish};
use crate::convert::{ReplyContext, append};
use crate::protocol::Protocol;

/// Turns the events of one answer into chunks.
///
/// Any order of events makes a legal stream: what cannot follow what was written is left out.
#[derive(Debug)]
pub struct Encoder {
    context: ReplyContext,
    include_usage: bool,
    stage: Stage,
    /// The upstream's id of the answer.
    answer: String,
    usage: Option<Usage>,
    blocks: Vec<Block>,
    calls: CallIds,
    refused: bool,
    loss: Loss,
}

#[derive(Debug)]
enum Stage {
    Before,
    Running(Running),
    Finished(Finished),
    Ended,
}

/// An open block.
#[derive(Debug)]
struct Block {
    index: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A member of the delta that takes text.
    Text(&'static str),
    Call {
        index: CallIndex,
        /// There were arguments.
        filled: bool,
    },
    /// Nothing that can be said here.
    Unsaid,
}

impl Encoder {
    /// An encoder for a client that asked for usage or did not.
    pub fn new(context: ReplyContext, include_usage: bool) -> Self {
        Self {
            context,
            include_usage,
            stage: Stage::Before,
            answer: String::new(),
            usage: None,
            blocks: Vec::new(),
            calls: CallIds::default(),
            refused: false,
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
                id,
                model,
                created,
                usage,
            } => {
                self.usage = usage.or(self.usage);
                self.start(id, model, *created, out);
            }
            Event::BlockStart { index, block } => self.open(*index, block, out),
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::BlockStop { index } => self.close(*index, out),
            Event::Ping if matches!(self.stage, Stage::Ended) => {}
            Event::Ping => append::raw(out, Protocol::OpenAi.ping()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Stop(reason) => self.stop(reason, out),
            Event::End => self.end(out),
        }
    }

    fn start(&mut self, id: &str, model: &str, created: Option<u64>, out: &mut BytesMut) {
        if let Stage::Before = self.stage {
            self.answer.push_str(id);
            let id = ids::answer_id(ANSWER, id, &self.context);
            let created = created.unwrap_or(self.context.now);
            let frame = Frame::new(&id, model, created, self.include_usage);
            self.stage = Stage::Running(frame.start(out));
        }
    }

    fn open(&mut self, index: usize, block: &BlockStart, out: &mut BytesMut) {
        let Stage::Running(running) = &mut self.stage else {
            return;
        };
        let kind = match block {
            BlockStart::Text => Kind::Text("content"),
            BlockStart::Refusal => {
                self.refused = true;
                Kind::Text("refusal")
            }
            BlockStart::Thinking => Kind::Text("reasoning_content"),
            BlockStart::ToolCall { id, name } => {
                let id = self.calls.next(CALL, id, &self.answer, &self.context);
                let name = self.context.memo.tool_name(name);
                Kind::Call {
                    index: running.call(&id, name, out),
                    filled: false,
                }
            }
            BlockStart::RedactedThinking(_) | BlockStart::Other(_) => {
                self.loss.dropped(format!("content[{index}]"));
                Kind::Unsaid
            }
        };
        self.blocks.retain(|block| block.index != index);
        self.blocks.push(Block { index, kind });
    }

    fn delta(&mut self, index: usize, delta: &Delta, out: &mut BytesMut) {
        let Stage::Running(running) = &self.stage else {
            return;
        };
        let block = self.blocks.iter_mut().find(|block| block.index == index);
        match (block.map(|block| &mut block.kind), delta) {
            (Some(Kind::Text(member)), Delta::Text(text) | Delta::Thinking(text))
                if !text.is_empty() =>
            {
                running.text(member, text, out);
            }
            (Some(Kind::Call { index, filled }), Delta::Arguments(piece)) if !piece.is_empty() => {
                *filled |= !piece.trim_ascii_start().is_empty();
                running.arguments(*index, piece, out);
            }
            (_, Delta::Signature(_)) => self.loss.dropped(format!("content[{index}].signature")),
            (_, Delta::Citations(_)) => self.loss.dropped(format!("content[{index}].citations")),
            _ => {}
        }
    }

    /// A call without arguments gets an empty object: clients parse what they have collected.
    fn close(&mut self, index: usize, out: &mut BytesMut) {
        let Some(place) = self.blocks.iter().position(|block| block.index == index) else {
            return;
        };
        let block = self.blocks.remove(place);
        if let (
            Stage::Running(running),
            Kind::Call {
                index,
                filled: false,
            },
        ) = (&self.stage, block.kind)
        {
            running.arguments(index, "{}", out);
        }
    }

    fn stop(&mut self, reason: &StopReason, out: &mut BytesMut) {
        while let Some(block) = self.blocks.first() {
            self.close(block.index, out);
        }
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Running(running) => {
                if let StopReason::StopSequence(Some(_)) = reason {
                    self.loss.dropped("stop_sequence");
                }
                let reason = finish::write(reason, running.calls() > 0, self.refused);
                self.stage = Stage::Finished(running.finish(reason, out));
            }
            other => self.stage = other,
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Stage::Running(_) = self.stage {
            self.stop(&StopReason::Other(String::new()), out);
        }
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Finished(finished) => finished.end(self.usage.as_ref(), out),
            other => self.stage = other,
        }
    }
}
