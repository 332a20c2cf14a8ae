//! Reads streams as strict clients do: refuses every order of events that the protocols do not allow, and two answers in
//! one. Written from the protocols' documentation.

use model_proxy::protocol::Protocol;
use serde_json::Value;

use crate::support::client::Finished;
use crate::support::events::Event;

/// What a client has heard when its stream is over.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) text: String,
    pub(super) id: String,
    /// Pings and comments.
    pub(super) pings: usize,
    /// The last usage told.
    pub(super) usage: Value,
    /// The error that ended it.
    pub(super) error: Option<Value>,
    /// `finish_reason` or `stop_reason`.
    reason: Option<String>,
    /// `[DONE]` or `message_stop`.
    done: bool,
    /// What all chunks have in common.
    common: Option<Value>,
    /// Index of the block that is open.
    open: Option<u64>,
    blocks: u64,
}

/// A stream that must be complete.
#[track_caller]
pub(super) fn complete(protocol: Protocol, finished: &Finished) -> Heard {
    let heard = read(protocol, finished);
    let text = finished.text();
    assert!(heard.done, "not complete: {text}");
    assert!(heard.reason.is_some(), "no reason: {text}");
    assert_eq!(heard.open, None, "a block is left open: {text}");
    heard
}

/// A stream that must have ended with an error event, after content.
#[track_caller]
pub(super) fn broken(protocol: Protocol, finished: &Finished) -> Heard {
    let heard = read(protocol, finished);
    let text = finished.text();
    assert!(heard.error.is_some(), "no error event: {text}");
    assert!(!heard.done && heard.reason.is_none(), "{text}");
    heard
}

#[track_caller]
fn read(protocol: Protocol, finished: &Finished) -> Heard {
    assert!(finished.properly(), "{:?}", finished.ended);
    let mut heard = Heard::default();
    for event in &finished.events {
        if event.comment.is_some() {
            heard.pings += 1;
            continue;
        }
        let over = heard.done || heard.error.is_some();
        let read = match protocol {
            _ if over => Err("something after the end"),
            Protocol::OpenAi => heard.openai(event),
            Protocol::Anthropic => heard.anthropic(event),
        };
        if let Err(fault) = read {
            panic!("{fault}, at {event:?} in {}", finished.text());
        }
    }
    heard
}

type Read = Result<(), &'static str>;

fn require(holds: bool, fault: &'static str) -> Read {
    if holds { Ok(()) } else { Err(fault) }
}

impl Heard {
    fn openai(&mut self, event: &Event) -> Read {
        require(event.name.is_none(), "an event with a name")?;
        if event.data == "[DONE]" {
            self.done = true;
            return require(self.reason.is_some(), "[DONE] without a finish_reason");
        }
        let chunk = event.json();
        if chunk.get("error").is_some() {
            require(chunk["error"]["message"].is_string(), "no message")?;
            self.error = Some(chunk["error"].clone());
            return Ok(());
        }
        require(chunk["object"] == "chat.completion.chunk", "no chunk")?;
        let common = ["id", "created", "model"].map(|name| chunk[name].clone());
        let common = Value::from_iter(common);
        let is_first = self.common.is_none();
        require(
            *self.common.get_or_insert(common.clone()) == common,
            "another id, created or model",
        )?;
        self.id = chunk["id"].as_str().unwrap_or_default().to_owned();
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
        let choices = chunk["choices"].as_array().ok_or("no choices")?;
        let Some(choice) = choices.first() else {
            return require(self.reason.is_some(), "usage before the finish_reason");
        };
        require(self.reason.is_none(), "a choice after its finish_reason")?;
        let delta = &choice["delta"];
        require(
            delta["role"].is_null() != is_first,
            "the role comes first and once",
        )?;
        self.text
            .push_str(delta["content"].as_str().unwrap_or_default());
        self.reason = choice["finish_reason"].as_str().map(str::to_owned);
        Ok(())
    }

    fn anthropic(&mut self, event: &Event) -> Read {
        let value = event.json();
        let kind = value["type"].as_str().ok_or("no type")?;
        require(
            event.name.as_deref() == Some(kind),
            "another name than type",
        )?;
        let has_begun = self.common.is_some();
        let is_early = matches!(kind, "ping" | "error" | "message_start");
        require(has_begun || is_early, "before message_start")?;
        match kind {
            "ping" => self.pings += 1,
            "error" => {
                require(value["error"]["message"].is_string(), "no message")?;
                self.error = Some(value["error"].clone());
            }
            "message_start" => {
                require(!has_begun, "message_start twice")?;
                let message = &value["message"];
                require(message["usage"]["input_tokens"].is_u64(), "no input_tokens")?;
                self.id = message["id"].as_str().ok_or("no id")?.to_owned();
                self.usage = message["usage"].clone();
                self.common = Some(message.clone());
            }
            "content_block_start" => {
                require(
                    self.open.is_none() && self.reason.is_none(),
                    "a block in a block",
                )?;
                require(value["index"] == self.blocks, "an index out of order")?;
                self.open = Some(self.blocks);
                self.blocks += 1;
            }
            "content_block_delta" => {
                require(self.is_open(&value), "a delta of no open block")?;
                self.text
                    .push_str(value["delta"]["text"].as_str().unwrap_or_default());
            }
            "content_block_stop" => {
                require(self.is_open(&value), "the end of no open block")?;
                self.open = None;
            }
            "message_delta" => {
                require(
                    self.open.is_none() && self.reason.is_none(),
                    "an early message_delta",
                )?;
                let reason = value["delta"]["stop_reason"].as_str();
                self.reason = Some(reason.ok_or("no stop_reason")?.to_owned());
                self.usage = value["usage"].clone();
            }
            "message_stop" => {
                require(self.reason.is_some(), "message_stop without message_delta")?;
                self.done = true;
            }
            _ => return Err("an unknown event"),
        }
        Ok(())
    }

    fn is_open(&self, value: &Value) -> bool {
        self.open.is_some_and(|open| value["index"] == open)
    }
}
