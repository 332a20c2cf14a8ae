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

/// Turns a stream of one protocol into one of another, event by event.
pub struct StreamConverter {
    decoder: Decoder,
    encoder: Encoder,
    /// Kept between events for its room.
    events: Vec<Event>,
}

enum Decoder {
    OpenAi(openai::stream::Decoder),
    Anthropic(anthropic::stream::Decoder),
}

enum Encoder {
    OpenAi(openai::stream::Encoder),
    Anthropic(anthropic::stream::Encoder),
}

impl StreamConverter {
    /// A converter for one stream; `include_usage`: an OpenAI client asked for usage.
    pub fn new(from: Protocol, to: Protocol, context: ReplyContext, include_usage: bool) -> Self {
        Self {
            decoder: match from {
                Protocol::OpenAi => Decoder::OpenAi(openai::stream::Decoder::new()),
                Protocol::Anthropic => Decoder::Anthropic(anthropic::stream::Decoder::new()),
            },
            encoder: match to {
                Protocol::OpenAi => {
                    Encoder::OpenAi(openai::stream::Encoder::new(context, include_usage))
                }
                Protocol::Anthropic => {
                    Encoder::Anthropic(anthropic::stream::Encoder::new(context, include_usage))
                }
            },
            events: Vec::new(),
        }
    }

    /// Appends what an upstream event means for the client.
    pub fn convert(&mut self, event: &sse::Event, out: &mut BytesMut) {
        match &mut self.decoder {
            Decoder::OpenAi(decoder) => decoder.decode(event, &mut self.events),
            Decoder::Anthropic(decoder) => decoder.decode(event, &mut self.events),
        }
        self.encode(out);
    }

    /// The upstream ended properly, perhaps without its marker: appends what is missing.
    pub fn finish(&mut self, out: &mut BytesMut) {
        match &mut self.decoder {
            Decoder::OpenAi(decoder) => decoder.finish(&mut self.events),
            Decoder::Anthropic(decoder) => decoder.finish(&mut self.events),
        }
        self.encode(out);
    }

    /// What of the stream could not be said so far, as paths into the upstream's answer put together.
    pub fn loss(&self) -> &Loss {
        match &self.encoder {
            Encoder::OpenAi(encoder) => encoder.loss(),
            Encoder::Anthropic(encoder) => encoder.loss(),
        }
    }

    fn encode(&mut self, out: &mut BytesMut) {
        for event in self.events.drain(..) {
            match &mut self.encoder {
                Encoder::OpenAi(encoder) => encoder.encode(&event, out),
                Encoder::Anthropic(encoder) => encoder.encode(&event, out),
            }
        }
    }
}

#[cfg(test)]
mod tests;
