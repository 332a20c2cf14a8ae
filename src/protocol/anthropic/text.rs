//! What the log keeps of an answer.

use bytes::Bytes;

use super::stream::Kind;
use crate::protocol::json::Scanner;
use crate::protocol::text::Rendering;
use crate::protocol::{json, sse};

/// Text and tool calls of a whole answer.
pub(in crate::protocol) fn answer_text(text: &str) -> Option<String> {
    let mut rendering = Rendering::default();
    let _ = json::members(text, |name, value| {
        if name == "content" {
            let mut position = 0;
            let _ = json::elements(value, |block| {
                read_block(&mut rendering, position, block);
                position += 1;
            });
        }
    });
    (!rendering.is_empty()).then(|| rendering.finish())
}

/// Text and tool calls of a stream, from the raw bytes of its events.
pub(in crate::protocol) fn stream_text(events: &[Bytes]) -> String {
    let mut rendering = Rendering::default();
    for event in events {
        let event = sse::Event::parse(event.clone());
        if let Ok(data) = json::text(&event.data) {
            read_event(&mut rendering, event.name(), data);
        }
    }
    rendering.finish()
}

fn read_event(rendering: &mut Rendering, name: Option<&str>, data: &str) {
    let (mut kind, mut index, mut block) = (name.and_then(Kind::of), 0, "");
    let mut delta = Delta::default();
    let _ = Scanner::new(data).object(|scanner, name| {
        if name == "delta" && scanner.is_at_object() {
            return delta.scan(scanner);
        }
        let value = scanner.value()?;
        match name {
            "type" => kind = kind.or_else(|| Kind::of(&json::string(value)?)),
            "index" => index = json::count(value).unwrap_or(0),
            "content_block" => block = value,
            _ => {}
        }
        Some(())
    });
    match kind {
        Some(Kind::BlockStart) => read_block(rendering, index, block),
        Some(Kind::BlockDelta) => {
            if let Some(text) = delta.text {
                rendering.push(text);
            }
            if let Some(json) = delta.json {
                rendering.arguments(index, json);
            }
        }
        _ => {}
    }
}

/// The members of a delta that are kept, as JSON texts.
#[derive(Default)]
struct Delta<'a> {
    text: Option<&'a str>,
    /// A piece of a tool's input.
    json: Option<&'a str>,
}

impl<'a> Delta<'a> {
    fn scan(&mut self, scanner: &mut Scanner<'a>) -> Option<()> {
        scanner.object(|scanner, name| {
            let value = scanner.value()?;
            match name {
                "text" => self.text = Some(value),
                "partial_json" => self.json = Some(value),
                _ => {}
            }
            Some(())
        })
    }
}

/// Reads a content block, whole or as it starts.
fn read_block(rendering: &mut Rendering, index: u64, block: &str) {
    let mut kind = None;
    let _ = json::members(block, |name, value| {
        if name == "type" {
            kind = json::string(value);
        }
    });
    let kind = kind.as_deref().unwrap_or_default();
    let is_call = matches!(kind, "tool_use" | "server_tool_use" | "mcp_tool_use");
    let _ = json::members(block, |name, value| match &*name {
        "text" if kind == "text" => rendering.push(value),
        "name" if is_call => rendering.name(index, value),
        "input" if is_call => rendering.input(index, value),
        _ => {}
    });
}
