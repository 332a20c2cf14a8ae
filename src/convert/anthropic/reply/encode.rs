//! Writes a whole message.

use std::borrow::Cow;

use bytes::BytesMut;

use super::stop;
use crate::conversation::{Block, Reply, Usage};
use crate::convert::loss::Loss;
use crate::convert::{Encoded, ReplyContext, append, arguments};

/// Writes the answer. Arguments that are no JSON object travel inside one (`convert::arguments`); losses are paths into
/// the upstream's answer.
pub fn encode(reply: &Reply, context: &ReplyContext) -> Encoded {
    let mut content = Content {
        context,
        out: BytesMut::with_capacity(1024),
        blocks: 0,
        calls: 0,
        loss: Loss::default(),
    };
    content.message(reply);
    Encoded {
        body: content.out.freeze(),
        loss: content.loss,
    }
}

struct Content<'a> {
    context: &'a ReplyContext,
    out: BytesMut,
    blocks: usize,
    calls: usize,
    loss: Loss,
}

impl Content<'_> {
    fn message(&mut self, reply: &Reply) {
        self.raw(r#"{"id":"#);
        self.string(&message_id(&reply.id, self.context));
        self.raw(r#","type":"message","role":"assistant","model":"#);
        self.string(&reply.model);
        self.raw(r#","content":["#);
        for block in &reply.blocks {
            self.block(block);
        }
        let (reason, sequence) = stop::write(&reply.stop, self.calls > 0);
        self.raw(r#"],"stop_reason":""#);
        self.raw(reason);
        self.raw(r#"","stop_sequence":"#);
        append::optional_string(&mut self.out, sequence);
        self.raw(r#","usage":"#);
        write_usage(&mut self.out, &reply.usage.unwrap_or_default());
        self.raw("}");
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Text {
                text, citations, ..
            } => {
                if citations.is_some() {
                    self.loss.dropped("choices[0].message.annotations");
                }
                self.text(text);
            }
            Block::Refusal(text) => self.text(text),
            Block::Thinking { text, signature } => {
                self.begin(r#"{"type":"thinking","thinking":"#);
                self.string(text);
                self.raw(r#","signature":"#);
                self.string(signature.as_deref().unwrap_or_default());
                self.raw("}");
            }
            Block::RedactedThinking(data) => {
                self.begin(r#"{"type":"redacted_thinking","data":"#);
                self.string(data);
                self.raw("}");
            }
            Block::ToolCall {
                id,
                name,
                arguments,
                ..
            } => self.call(id, name, arguments),
            Block::Other { kind, .. } => self.loss.dropped(format!("choices[0].message.{kind}")),
            Block::Image(_) | Block::Document(_) | Block::Audio { .. } | Block::ToolResult(_) => {
                self.loss.dropped("choices[0].message.content");
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.begin(r#"{"type":"text","text":"#);
        self.string(text);
        self.raw("}");
    }

    fn call(&mut self, id: &str, name: &str, told: &str) {
        let input = arguments::to_object(told);
        if let Cow::Owned(_) = input {
            self.loss.changed(format!(
                "choices[0].message.tool_calls[{}].function.arguments",
                self.calls
            ));
        }
        self.begin(r#"{"type":"tool_use","id":"#);
        let id = call_id(id, self.calls, self.context);
        self.string(&id);
        self.raw(r#","name":"#);
        self.string(name);
        self.raw(r#","input":"#);
        self.raw(&input);
        self.raw("}");
        self.calls += 1;
    }

    fn begin(&mut self, block: &str) {
        if self.blocks > 0 {
            self.raw(",");
        }
        self.blocks += 1;
        self.raw(block);
    }

    fn raw(&mut self, json: &str) {
        append::raw(&mut self.out, json);
    }

    fn string(&mut self, text: &str) {
        append::string(&mut self.out, text);
    }
}

/// The id in this protocol's style. One of another style gets a prefix, so that it can still be found upstream.
pub(in crate::convert::anthropic) fn message_id<'a>(
    id: &'a str,
    context: &'a ReplyContext,
) -> Cow<'a, str> {
    let id = if id.is_empty() {
        &context.fallback_id
    } else {
        id
    };
    if id.starts_with("msg_") {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("msg_{id}"))
}

/// The id of a call, made from its place if the upstream gave none. One of another style stays: it must match when the
/// client sends it back.
pub(in crate::convert::anthropic) fn call_id<'a>(
    id: &'a str,
    position: usize,
    context: &ReplyContext,
) -> Cow<'a, str> {
    if !id.is_empty() {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("toolu_{}_{position}", context.fallback_id))
}

/// Writes a usage object: here the input leaves out what was read from and written to the cache.
pub(in crate::convert::anthropic) fn write_usage(out: &mut BytesMut, usage: &Usage) {
    let cached = usage.cache_read.saturating_add(usage.cache_write);
    append::raw(out, r#"{"input_tokens":"#);
    append::number(out, usage.input.saturating_sub(cached));
    append::raw(out, r#","cache_creation_input_tokens":"#);
    append::number(out, usage.cache_write);
    append::raw(out, r#","cache_read_input_tokens":"#);
    append::number(out, usage.cache_read);
    append::raw(out, r#","output_tokens":"#);
    append::number(out, usage.output);
    append::raw(out, "}");
}
