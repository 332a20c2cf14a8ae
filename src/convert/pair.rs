//! From any protocol to any other, through the hub: the one place that knows all of them.

use bytes::BytesMut;

use super::loss::Loss;
use super::{Encoded, ReplyContext, Target, anthropic, openai};
use crate::conversation::{Conversation, Event};
use crate::error::{FaultKind, GatewayError};
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;
use crate::protocol::sse;

/// Reads a client's request. What is wrong with it is told as the client's protocol names it.
pub fn decode_request(from: Protocol, body: &RawObject) -> Result<Conversation, GatewayError> {
    match from {
        Protocol::OpenAi => openai::request::decode(body),
        Protocol::Anthropic => anthropic::request::decode(body),
    }
}

/// Writes a request for one route.
pub fn encode_request(to: Protocol, conversation: &Conversation, target: &Target<'_>) -> Encoded {
    match to {
        Protocol::OpenAi => openai::request::encode(conversation, target),
        Protocol::Anthropic => anthropic::request::encode(conversation, target),
    }
}

/// Turns a whole answer of one protocol into one of another. What could not be said is in the loss, as paths into the
/// upstream's answer.
pub fn convert_reply(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    context: &ReplyContext,
) -> Result<Encoded, FaultKind> {
    let reply = match from {
        Protocol::OpenAi => openai::reply::decode(body)?,
        Protocol::Anthropic => anthropic::reply::decode(body)?,
    };
    Ok(match to {
        Protocol::OpenAi => openai::reply::encode(&reply, context),
        Protocol::Anthropic => anthropic::reply::encode(&reply, context),
    })
}

/// Reads the events of an upstream's stream, whatever its protocol.
pub enum StreamDecoder {
    /// Chunks.
    OpenAi(openai::stream::Decoder),
    /// Message events.
    Anthropic(anthropic::stream::Decoder),
}

impl StreamDecoder {
    /// A decoder for one stream.
    pub fn new(from: Protocol) -> Self {
        match from {
            Protocol::OpenAi => Self::OpenAi(openai::stream::Decoder::new()),
            Protocol::Anthropic => Self::Anthropic(anthropic::stream::Decoder::new()),
        }
    }

    /// Appends what an event says.
    pub fn decode(&mut self, event: &sse::Event, out: &mut Vec<Event>) {
        match self {
            Self::OpenAi(decoder) => decoder.decode(event, out),
            Self::Anthropic(decoder) => decoder.decode(event, out),
        }
    }

    /// The upstream ended properly, perhaps without its marker: appends what is missing.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::OpenAi(decoder) => decoder.finish(out),
            Self::Anthropic(decoder) => decoder.finish(out),
        }
    }
}

/// Writes the events of a client's stream, whatever its protocol.
pub enum StreamEncoder {
    /// Chunks.
    OpenAi(openai::stream::Encoder),
    /// Message events.
    Anthropic(anthropic::stream::Encoder),
}

impl StreamEncoder {
    /// An encoder for one stream; `include_usage`: an OpenAI client asked for usage.
    pub fn new(to: Protocol, context: ReplyContext, include_usage: bool) -> Self {
        match to {
            Protocol::OpenAi => Self::OpenAi(openai::stream::Encoder::new(context, include_usage)),
            Protocol::Anthropic => {
                Self::Anthropic(anthropic::stream::Encoder::new(context, include_usage))
            }
        }
    }

    /// Appends the bytes for one event; for some there are none.
    pub fn encode(&mut self, event: &Event, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.encode(event, out),
            Self::Anthropic(encoder) => encoder.encode(event, out),
        }
    }

    /// What could not be said so far, as paths into the upstream's answer put together.
    pub fn loss(&self) -> &Loss {
        match self {
            Self::OpenAi(encoder) => encoder.loss(),
            Self::Anthropic(encoder) => encoder.loss(),
        }
    }
}

/// Turns a stream of one protocol into one of another, event by event.
pub struct StreamConverter {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    /// Kept between events for its room.
    events: Vec<Event>,
}

impl StreamConverter {
    /// A converter for one stream; `include_usage`: an OpenAI client asked for usage.
    pub fn new(from: Protocol, to: Protocol, context: ReplyContext, include_usage: bool) -> Self {
        Self {
            decoder: StreamDecoder::new(from),
            encoder: StreamEncoder::new(to, context, include_usage),
            events: Vec::new(),
        }
    }

    /// Appends what an upstream event means for the client.
    pub fn convert(&mut self, event: &sse::Event, out: &mut BytesMut) {
        self.decoder.decode(event, &mut self.events);
        self.encode(out);
    }

    /// The upstream ended properly, perhaps without its marker: appends what is missing.
    pub fn finish(&mut self, out: &mut BytesMut) {
        self.decoder.finish(&mut self.events);
        // Where the decoder found no answer at all, an empty one. What has been said already is not said again.
        self.events.push(Event::Start {
            id: String::new(),
            model: String::new(),
            created: None,
            usage: None,
        });
        self.events.push(Event::End);
        self.encode(out);
    }

    /// What of the stream could not be said so far, as paths into the upstream's answer put together.
    pub fn loss(&self) -> &Loss {
        self.encoder.loss()
    }

    fn encode(&mut self, out: &mut BytesMut) {
        for event in self.events.drain(..) {
            self.encoder.encode(&event, out);
        }
    }
}

#[cfg(test)]
mod tests;
