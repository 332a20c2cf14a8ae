//! Writes a whole message.

use std::borrow::Cow;

use bytes::BytesMut;

use super::stop;
use crate::conversation::{Block, Reply, Usage};
use crate::convert::ids::{self, CallIds};
use crate::convert::loss::Loss;
use crate::convert::memo::Memo;
use crate::convert::{Encoded, ReplyContext, append, arguments};
use crate::protocol::anthropic::UNSIGNED;

/// Writes the answer. Arguments that are no JSON object travel inside one (`convert::arguments`); losses are paths into
/// the upstream's answer.
pub fn encode(reply: &Reply, context: &ReplyContext) -> Encoded {
    let mut content = Content {
        context,
        answer: &reply.id,
        out: BytesMut::with_capacity(1024),
        blocks: 0,
        calls: CallIds::default(),
        loss: Loss::default(),
    };
    content.message(reply);
    Encoded {
        body: content.out.freeze(),
        loss: content.loss,
        memo: Memo::default(),
    }
}

struct Content<'a> {
    context: &'a ReplyContext,
    /// The upstream's id.
    answer: &'a str,
    out: BytesMut,
    blocks: usize,
    calls: CallIds,
    loss: Loss,
}

impl Content<'_> {
    fn message(&mut self, reply: &Reply) {
        self.raw(r#"{"id":"#);
        self.string(&ids::fresh_answer_id(ANSWER, &reply.id, self.context));
        self.raw(r#","type":"message","role":"assistant","model":"#);
        self.string(&reply.model);
        self.raw(r#","content":["#);
        for block in &reply.blocks {
            self.block(block);
        }
        let (reason, sequence) = stop::write(&reply.stop, self.calls.count() > 0);
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
            Block::Thinking {
                text,
                signature: None,
            } if text.is_empty() => {}
            Block::Thinking { text, signature } => {
                self.begin(r#"{"type":"thinking","thinking":"#);
                self.string(text);
                self.raw(r#","signature":"#);
                self.string(signature.as_deref().unwrap_or(UNSIGNED));
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

    /// A block of nothing but white space is refused when the client sends it back.
    fn text(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        self.begin(r#"{"type":"text","text":"#);
        self.string(text);
        self.raw("}");
    }

    fn call(&mut self, id: &str, name: &str, told: &str) {
        let input = arguments::to_object(told);
        if let Cow::Owned(_) = input {
            self.loss.changed(format!(
                "choices[0].message.tool_calls[{}].function.arguments",
                self.calls.count()
            ));
        }
        self.begin(r#"{"type":"tool_use","id":"#);
        let id = self
            .calls
            .next(CALL, &ids::plain(id), self.answer, self.context);
        self.string(&id);
        self.raw(r#","name":"#);
        self.string(self.context.memo.tool_name(name));
        self.raw(r#","input":"#);
        self.raw(&input);
        self.raw("}");
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

/// The prefix of an answer's id.
pub(in crate::convert::anthropic) const ANSWER: &str = "msg_";

/// The prefix of a call's id.
pub(in crate::convert::anthropic) const CALL: &str = "toolu_";

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
