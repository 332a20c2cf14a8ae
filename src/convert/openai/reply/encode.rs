//! Writes a whole chat completion.

use bytes::BytesMut;

use super::finish;
use crate::conversation::{Block, Reply, StopReason, Usage};
use crate::convert::ids::{self, CallIds};
use crate::convert::loss::Loss;
use crate::convert::memo::Memo;
use crate::convert::{Encoded, ReplyContext, append};

/// Writes the answer. All its text is one content, its reasoning one `reasoning_content`; losses are paths into the
/// upstream's answer.
pub fn encode(reply: &Reply, context: &ReplyContext) -> Encoded {
    let mut loss = Loss::default();
    let message = Message::collect(reply, context, &mut loss);
    if let StopReason::StopSequence(Some(_)) = reply.stop {
        loss.dropped("stop_sequence");
    }
    let mut out = BytesMut::with_capacity(1024);
    append::raw(&mut out, r#"{"id":"#);
    append::string(&mut out, &ids::answer_id(ANSWER, &reply.id, context));
    append::raw(&mut out, r#","object":"chat.completion","created":"#);
    append::number(&mut out, reply.created.unwrap_or(context.now));
    append::raw(&mut out, r#","model":"#);
    append::string(&mut out, &reply.model);
    append::raw(&mut out, r#","choices":[{"index":0,"message":"#);
    message.write(&mut out);
    append::raw(&mut out, r#","logprobs":null,"finish_reason":""#);
    append::raw(
        &mut out,
        finish::write(&reply.stop, message.calls > 0, message.refusal.is_some()),
    );
    append::raw(&mut out, "\"}]");
    if let Some(usage) = &reply.usage {
        append::raw(&mut out, r#","usage":"#);
        write_usage(&mut out, usage);
    }
    append::raw(&mut out, "}");
    Encoded {
        body: out.freeze(),
        loss,
        memo: Memo::default(),
    }
}

/// The parts of the message, each in its member's form.
#[derive(Default)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
    reasoning: Option<String>,
    /// The elements of `tool_calls`.
    tool_calls: BytesMut,
    calls: usize,
}

impl Message {
    fn collect(reply: &Reply, context: &ReplyContext, loss: &mut Loss) -> Self {
        let mut message = Self::default();
        let mut ids = CallIds::default();
        for (position, block) in reply.blocks.iter().enumerate() {
            match block {
                Block::Text {
                    text, citations, ..
                } => {
                    push(&mut message.content, text);
                    if citations.is_some() {
                        loss.dropped(format!("content[{position}].citations"));
                    }
                }
                Block::Refusal(text) => push(&mut message.refusal, text),
                Block::Thinking { text, signature } => {
                    if !text.is_empty() {
                        push(&mut message.reasoning, text);
                    }
                    if signature.is_some() {
                        loss.dropped(format!("content[{position}].signature"));
                    }
                }
                Block::ToolCall {
                    id,
                    name,
                    arguments,
                    ..
                } => {
                    message.call(
                        &ids.next(CALL, id, &reply.id, context),
                        context.memo.tool_name(name),
                        arguments,
                    );
                }
                _ => loss.dropped(format!("content[{position}]")),
            }
        }
        message
    }

    fn call(&mut self, id: &str, name: &str, arguments: &str) {
        let out = &mut self.tool_calls;
        append::raw(
            out,
            if self.calls > 0 {
                r#",{"id":"#
            } else {
                r#"{"id":"#
            },
        );
        append::string(out, id);
        append::raw(out, r#","type":"function","function":{"name":"#);
        append::string(out, name);
        append::raw(out, r#","arguments":"#);
        append::string(out, complete(arguments));
        append::raw(out, "}}");
        self.calls += 1;
    }

    fn write(&self, out: &mut BytesMut) {
        append::raw(out, r#"{"role":"assistant","content":"#);
        let spoken = self.calls > 0 || self.refusal.is_some();
        let content = self.content.as_deref();
        append::optional_string(out, content.or((!spoken).then_some("")));
        append::raw(out, r#","refusal":"#);
        append::optional_string(out, self.refusal.as_deref());
        if let Some(reasoning) = &self.reasoning {
            append::raw(out, r#","reasoning_content":"#);
            append::string(out, reasoning);
        }
        if self.calls > 0 {
            append::raw(out, r#","tool_calls":["#);
            out.extend_from_slice(&self.tool_calls);
            append::raw(out, "]");
        }
        append::raw(out, "}");
    }
}

fn push(text: &mut Option<String>, more: &str) {
    text.get_or_insert_default().push_str(more);
}

/// Arguments as clients can parse them: none at all are an empty object.
fn complete(arguments: &str) -> &str {
    if arguments.trim().is_empty() {
        "{}"
    } else {
        arguments
    }
}

/// The prefix of an answer's id.
pub(in crate::convert::openai) const ANSWER: &str = "chatcmpl-";

/// The prefix of a call's id.
pub(in crate::convert::openai) const CALL: &str = "call_";

/// Writes a usage object. Cache writes have no official member; the one written here is OpenRouter's.
pub(in crate::convert::openai) fn write_usage(out: &mut BytesMut, usage: &Usage) {
    append::raw(out, r#"{"prompt_tokens":"#);
    append::number(out, usage.input);
    append::raw(out, r#","completion_tokens":"#);
    append::number(out, usage.output);
    append::raw(out, r#","total_tokens":"#);
    append::number(out, usage.input.saturating_add(usage.output));
    append::raw(out, r#","prompt_tokens_details":{"cached_tokens":"#);
    append::number(out, usage.cache_read);
    if usage.cache_write > 0 {
        append::raw(out, r#","cache_write_tokens":"#);
        append::number(out, usage.cache_write);
    }
    append::raw(out, r#"},"completion_tokens_details":{"reasoning_tokens":"#);
    append::number(out, usage.reasoning);
    append::raw(out, "}}");
}
