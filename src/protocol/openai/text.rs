//! What the log keeps of an answer.

use bytes::Bytes;

use crate::protocol::json::Scanner;
use crate::protocol::text::Rendering;
use crate::protocol::{json, sse};

/// Text, or refusal, and tool calls of the first choice of a whole answer.
pub(in crate::protocol) fn answer_text(text: &str) -> Option<String> {
    let mut collected = Collected::default();
    collected.read(text);
    let rendering = collected.into_rendering();
    (!rendering.is_empty()).then(|| rendering.finish())
}

/// Text, or refusal, and tool calls of the first choice of a stream, from the raw bytes of its events.
pub(in crate::protocol) fn stream_text(events: &[Bytes]) -> String {
    let mut collected = Collected::default();
    for event in events {
        let event = sse::Event::parse(event.clone());
        if let Ok(data) = json::text(&event.data) {
            collected.read(data);
        }
    }
    collected.into_rendering().finish()
}

#[derive(Default)]
struct Collected {
    answer: Rendering,
    refusal: Rendering,
}

impl Collected {
    /// A refusal stands for an answer that is not there.
    fn into_rendering(self) -> Rendering {
        if self.answer.is_empty() {
            self.refusal
        } else {
            self.answer
        }
    }

    /// Reads a whole answer or a chunk, in one pass down to its messages.
    fn read(&mut self, text: &str) {
        let mut scanner = Scanner::new(text);
        let _ = scanner.object(|scanner, name| match name {
            "choices" => {
                let _ = scanner.array(|scanner| self.read_choice(scanner));
                // Nothing that comes after them is text.
                None
            }
            _ => scanner.value().map(drop),
        });
    }

    fn read_choice(&mut self, scanner: &mut Scanner<'_>) -> Option<()> {
        if !scanner.is_at_object() {
            return scanner.value().map(drop);
        }
        let mut index = None;
        let mut unread = None;
        scanner.object(|scanner, name| {
            match name {
                "index" => index = Some(json::count(scanner.value()?).unwrap_or(0)),
                // Some upstreams stream a whole message.
                "delta" | "message" if scanner.is_at_object() => {
                    // Nearly always told by now.
                    if index == Some(0) {
                        return self.read_message(scanner);
                    }
                    unread = Some(scanner.value()?);
                }
                _ => drop(scanner.value()?),
            }
            Some(())
        })?;
        if let Some(message) = unread.filter(|_| index.unwrap_or(0) == 0) {
            self.read_message(&mut Scanner::new(message))?;
        }
        Some(())
    }

    fn read_message(&mut self, scanner: &mut Scanner<'_>) -> Option<()> {
        scanner.object(|scanner, name| {
            let value = scanner.value()?;
            match name {
                "content" => self.answer.push(value),
                "refusal" => self.refusal.push(value),
                "tool_calls" => {
                    let mut position = 0;
                    let _ = json::elements(value, |call| {
                        self.read_call(position, call);
                        position += 1;
                    });
                }
                "function_call" => self.read_function(0, value),
                _ => {}
            }
            Some(())
        })
    }

    /// Pieces of a call have its `index`; the calls of a whole answer have none, but a place.
    fn read_call(&mut self, position: u64, call: &str) {
        let mut index = None;
        let _ = json::members(call, |name, value| {
            if name == "index" {
                index = json::count(value);
            }
        });
        let _ = json::members(call, |name, value| {
            if matches!(&*name, "function" | "custom") {
                self.read_function(index.unwrap_or(position), value);
            }
        });
    }

    fn read_function(&mut self, key: u64, function: &str) {
        let _ = json::members(function, |name, value| match &*name {
            "name" => self.answer.name(key, value),
            "arguments" | "input" => self.answer.arguments(key, value),
            _ => {}
        });
    }
}
