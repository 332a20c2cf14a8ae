//! A broken answer continued by another upstream: its answer is compared with the text that the client has, swallowed
//! while it is the same, and passed on from where the first one broke. Text alone can be continued so.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};

use super::transcript::Transcript;
use crate::conversation::{BlockStart, Delta, Event};
use crate::convert::ReplyContext;
use crate::convert::loss::Loss;
use crate::convert::pair::{StreamDecoder, StreamEncoder};
use crate::error::GatewayError;
use crate::protocol::{Protocol, sse};

/// Text beyond this is not compared: a stream that breaks after it stays broken.
const LONGEST: usize = 256 * 1024;

/// What the client hears if nobody can continue.
pub(super) struct Told {
    pub(super) error: GatewayError,
    /// The error event, ready to send.
    pub(super) event: Bytes,
}

/// The other upstream says something else than what has been sent.
#[derive(Debug)]
pub(super) struct Diverged;

/// An answer between two upstreams.
pub(super) struct Splice {
    encoder: StreamEncoder,
    decoder: StreamDecoder,
    /// Kept between events for its room.
    events: Vec<Event>,
    client: Block,
    /// How much of the text the upstream under way has repeated.
    matched: usize,
    /// How much it has to.
    target: usize,
    /// The index of its text block.
    theirs: Option<usize>,
    /// Something else than text has been sent, or more text than is kept.
    is_final: bool,
    told: Told,
}

/// The text block that the client has.
#[derive(Default)]
struct Block {
    index: Option<usize>,
    is_open: bool,
    text: String,
}

impl Splice {
    /// Takes stock of a broken stream: `None` if it cannot be continued, because more than text has been sent or because
    /// not all of it was kept.
    pub(super) fn begin(
        transcript: &Transcript,
        from: Protocol,
        client: Protocol,
        context: ReplyContext,
        include_usage: bool,
        told: Told,
    ) -> Result<Self, Told> {
        let context = ReplyContext {
            keeps_id: from == client,
            ..context
        };
        let mut splice = Self {
            encoder: StreamEncoder::new(client, context, include_usage),
            decoder: StreamDecoder::new(from),
            events: Vec::new(),
            client: Block::default(),
            matched: 0,
            target: 0,
            theirs: None,
            is_final: false,
            told,
        };
        let mut sent = BytesMut::new();
        let is_text = transcript.is_whole() && splice.replay(transcript, &mut sent);
        // An encoder holds blank text back until more follows; a client that got it raw has it already.
        let is_blank = from == client && splice.client.text.trim().is_empty();
        if !is_text || is_blank || splice.client.text.is_empty() {
            return Err(splice.told);
        }
        Ok(splice)
    }

    /// Brings the encoder to where the client is; what it writes has been sent already. Whether it was text alone.
    fn replay(&mut self, transcript: &Transcript, sent: &mut BytesMut) -> bool {
        for raw in transcript.events() {
            let event = sse::Event::parse(raw.clone());
            self.decoder.decode(&event, &mut self.events);
            for event in std::mem::take(&mut self.events) {
                if !self.client.notes(&event) {
                    return false;
                }
                self.encoder.encode(&event, sent);
            }
            sent.clear();
        }
        true
    }

    /// Whether a further upstream could continue.
    pub(super) fn can_go_on(&self) -> bool {
        !self.is_final
    }

    /// What of the answer could not be said.
    pub(super) fn loss(&self) -> &Loss {
        self.encoder.loss()
    }

    /// Another upstream begins its answer.
    pub(super) fn resume(&mut self, from: Protocol) {
        self.decoder = StreamDecoder::new(from);
        self.matched = 0;
        self.target = self.client.text.len();
        self.theirs = None;
    }

    /// Whether everything that the client has was repeated.
    pub(super) fn has_caught_up(&self) -> bool {
        self.theirs.is_some() && self.matched == self.target
    }

    /// Appends what an event of the upstream means for the client.
    pub(super) fn pass(&mut self, event: &sse::Event, out: &mut BytesMut) -> Result<(), Diverged> {
        self.decoder.decode(event, &mut self.events);
        self.write(out)
    }

    /// The upstream ended properly, perhaps without its marker.
    pub(super) fn finish(&mut self, out: &mut BytesMut) -> Result<(), Diverged> {
        self.decoder.finish(&mut self.events);
        self.events.push(Event::End);
        self.write(out)
    }

    fn write(&mut self, out: &mut BytesMut) -> Result<(), Diverged> {
        for event in std::mem::take(&mut self.events) {
            if let ControlFlow::Continue(event) = self.fit(event)? {
                self.encoder.encode(&event, out);
            }
        }
        Ok(())
    }

    /// The event as it continues what the client has; `Break`: the client has it already.
    fn fit(&mut self, event: Event) -> Result<ControlFlow<(), Event>, Diverged> {
        let is_theirs = |index: usize| self.theirs == Some(index);
        let fitted = match event {
            Event::Start {
                usage: Some(usage), ..
            } => Event::Usage(usage),
            Event::Start { usage: None, .. } => return Ok(ControlFlow::Break(())),
            Event::Ping | Event::Usage(_) => event,
            Event::BlockStart {
                index,
                block: BlockStart::Text,
            } if self.theirs.is_none() => {
                self.theirs = Some(index);
                return Ok(ControlFlow::Break(()));
            }
            Event::Delta {
                index,
                delta: Delta::Text(text),
            } if is_theirs(index) => return self.text(text),
            Event::Delta {
                delta: Delta::Citations(_),
                ..
            } if !self.has_caught_up() => return Ok(ControlFlow::Break(())),
            _ if !self.has_caught_up() => return Err(Diverged),
            Event::BlockStop { index } if is_theirs(index) && !self.client.is_open => {
                return Ok(ControlFlow::Break(()));
            }
            Event::BlockStop { index } if is_theirs(index) => {
                self.client.is_open = false;
                Event::BlockStop {
                    index: self.place(index),
                }
            }
            Event::BlockStart { index, block } => {
                self.is_final = true;
                let index = self.place(index);
                Event::BlockStart { index, block }
            }
            Event::Delta { index, delta } => Event::Delta {
                index: self.place(index),
                delta,
            },
            Event::BlockStop { index } => Event::BlockStop {
                index: self.place(index),
            },
            Event::Stop(_) | Event::End => event,
        };
        Ok(ControlFlow::Continue(fitted))
    }

    /// Swallows what the client has; the rest goes on in the client's block.
    fn text(&mut self, text: String) -> Result<ControlFlow<(), Event>, Diverged> {
        let expected = self.client.text.get(self.matched..self.target);
        let expected = expected.unwrap_or_default();
        if !expected.is_empty() && expected.starts_with(&text) {
            self.matched += text.len();
            return Ok(ControlFlow::Break(()));
        }
        let Some(new) = text.strip_prefix(expected) else {
            return Err(Diverged);
        };
        self.matched = self.target;
        let (Some(index), true) = (self.client.index, self.client.is_open) else {
            return Err(Diverged);
        };
        if self.client.text.len() + new.len() > LONGEST {
            self.is_final = true;
        }
        if !self.is_final {
            self.client.text.push_str(new);
        }
        let delta = Delta::Text(new.to_owned());
        Ok(ControlFlow::Continue(Event::Delta { index, delta }))
    }

    /// Where a block of the upstream stands for the client.
    fn place(&self, index: usize) -> usize {
        let (ours, theirs) = (self.client.index, self.theirs);
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => (index + ours).saturating_sub(theirs),
            _ => index,
        }
    }

    /// Nobody continues: the error for the log, and its event for the client.
    pub(super) fn abandon(self) -> Told {
        self.told
    }
}

impl Block {
    /// Notes what the client has been sent; whether it can be continued.
    fn notes(&mut self, event: &Event) -> bool {
        match event {
            Event::Start { .. } | Event::Ping | Event::Usage(_) => true,
            Event::BlockStart {
                index,
                block: BlockStart::Text,
            } => {
                let is_first = self.index.is_none();
                self.index = Some(*index);
                self.is_open = true;
                is_first
            }
            Event::Delta {
                delta: Delta::Text(text),
                ..
            } => {
                self.text.push_str(text);
                true
            }
            Event::BlockStop { .. } => {
                self.is_open = false;
                true
            }
            Event::BlockStart { .. } | Event::Delta { .. } | Event::Stop(_) | Event::End => false,
        }
    }
}

#[cfg(test)]
mod tests;
