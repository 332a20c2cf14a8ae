//! The turns, each to one message, or, where tools answer, to several.

use super::extras::{self, OfMessage};
use super::parts::{self, Item};
use super::report::Report;
use super::{call_id, tool_name};
use crate::conversation::{Block, CacheMark, Conversation, Extra, Media, Role, ToolResult, Turn};
use crate::convert::arguments;
use crate::convert::read;
use crate::convert::write::{self, Array, Object};
use crate::protocol::json;

/// Writes the value of `messages`.
pub(super) fn encode(conversation: &Conversation, out: &mut Vec<u8>, report: &mut Report) {
    let mut messages = Messages {
        array: Array::begin(out),
        out,
        report,
        pending: Vec::new(),
    };
    let mut turns = conversation.turns.iter().peekable();
    while let Some(turn) = turns.next() {
        messages.turn(turn, turns.peek().copied());
    }
    messages.flush();
    let Messages { array, out, .. } = messages;
    array.end(out);
}

/// The list that is being written.
struct Messages<'a, 'o> {
    array: Array,
    out: &'o mut Vec<u8>,
    report: &'o mut Report,
    /// What the user says once the tools have answered: nothing may come between their answers.
    pending: Vec<Item<'a>>,
}

impl<'a> Messages<'a, '_> {
    fn turn(&mut self, turn: &'a Turn, next: Option<&Turn>) {
        if !self.report.own() {
            for extra in turn.extras.iter().filter(|extra| !says_nothing(extra)) {
                self.report.dropped(read::join(&turn.path, &extra.name));
            }
        }
        if turn.role != Role::User {
            self.flush();
        }
        match turn.role {
            Role::System => {
                let items = parts::expressible(items(turn), self.report);
                self.plain("system", &items, Some(turn));
            }
            Role::User => self.user(turn, next),
            Role::Assistant => self.assistant(turn),
        }
    }

    /// The answers of tools, then what the user says.
    fn user(&mut self, turn: &'a Turn, next: Option<&Turn>) {
        let (results, rest): (Vec<_>, Vec<_>) =
            items(turn).partition(|item| matches!(item.block, Block::ToolResult(_)));
        if results.is_empty() {
            self.flush();
        }
        let mut moved = Vec::new();
        let answers = !results.is_empty();
        for item in results {
            if let Block::ToolResult(result) = item.block {
                moved.append(&mut self.tool(result, &item.path, turn));
            }
        }
        let rest = parts::expressible(rest, self.report);
        if !answers {
            return self.plain("user", &rest, Some(turn));
        }
        self.pending.append(&mut moved);
        self.pending.extend(rest);
        if !next.is_some_and(answers_tools) {
            self.flush();
        }
    }

    /// What waited for the tools' answers.
    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.plain("user", &pending, None);
    }

    /// A message that is nothing but content.
    fn plain(&mut self, role: &str, items: &[Item<'_>], turn: Option<&Turn>) {
        let members = self.own_extras(turn);
        if items.is_empty() && members.is_empty() {
            return;
        }
        let mut message = self.begin(role);
        message.name(self.out, "content");
        parts::write(items, &members, "\"\"", self.out, self.report);
        self.end(message, turn, &members);
    }

    /// One tool's answer, as a message of its own. Returns what such a message cannot hold and the user has to say.
    fn tool(&mut self, result: &'a ToolResult, path: &str, turn: &Turn) -> Vec<Item<'a>> {
        let items = result
            .content
            .iter()
            .enumerate()
            .map(|(index, block)| Item {
                block,
                path: format!("{path}.content[{index}]"),
            });
        let items = parts::expressible(items, self.report);
        let own = self.report.own();
        let (kept, moved): (Vec<_>, Vec<_>) = items
            .into_iter()
            .partition(|item| own || is_text(item.block));
        for item in &moved {
            self.report.changed(&item.path);
        }
        if result.is_error {
            self.report.dropped(format!("{path}.is_error"));
        }
        let members = self.own_extras(Some(turn));
        let mut message = self.begin("tool");
        message.string(self.out, "tool_call_id", &call_id(&result.id, own));
        message.name(self.out, "content");
        parts::write(&kept, &members, "\"\"", self.out, self.report);
        self.mark(&mut message, result.cache.as_ref(), path);
        self.end(message, Some(turn), &members);
        moved
    }

    fn assistant(&mut self, turn: &'a Turn) {
        let said = Said::of(turn, self.report);
        let members = self.own_extras(Some(turn));
        if said.content.is_empty()
            && said.thoughts.is_empty()
            && said.calls.is_empty()
            && members.is_empty()
        {
            return;
        }
        let mut message = self.begin("assistant");
        message.name(self.out, "content");
        let none = if said.calls.is_empty() && members.is_empty() {
            "\"\""
        } else {
            "null"
        };
        if let [
            Item {
                block: Block::Refusal(text),
                ..
            },
        ] = said.content.as_slice()
            && members.at("content[0]").next().is_none()
        {
            write::raw(self.out, "null");
            message.string(self.out, "refusal", text);
        } else {
            parts::write(&said.content, &members, none, self.out, self.report);
        }
        if !said.thoughts.is_empty() {
            message.string(self.out, "reasoning_content", &said.thoughts.join("\n"));
        }
        if !said.calls.is_empty() {
            message.name(self.out, "tool_calls");
            let mut array = Array::begin(self.out);
            for (position, item) in said.calls.iter().enumerate() {
                array.next(self.out);
                self.call(item, &members, position);
            }
            array.end(self.out);
        }
        self.end(message, Some(turn), &members);
    }

    fn call(&mut self, item: &Item<'_>, members: &OfMessage<'_>, position: usize) {
        let Block::ToolCall {
            id,
            name,
            arguments,
            cache,
        } = item.block
        else {
            return;
        };
        let place = format!("tool_calls[{position}]");
        let members = members.at(&place);
        let custom = extras::within(members.clone(), &place)
            .any(|(name, value)| name == "type" && value.as_str() == "\"custom\"");
        let (kind, member) = if custom {
            ("custom", "input")
        } else {
            ("function", "arguments")
        };
        let out = &mut *self.out;
        let mut call = Object::begin(out);
        call.string(out, "id", &call_id(id, self.report.own()));
        if !custom {
            call.string(out, "type", kind);
        }
        call.name(out, kind);
        let mut inner = Object::begin(out);
        inner.string(out, "name", &tool_name(name, self.report.own()));
        match arguments::unwrap(arguments).filter(|_| !self.report.own()) {
            Some(text) => inner.string(out, member, &text),
            None => inner.string(out, member, arguments),
        }
        let nested = format!("{place}.{kind}");
        extras::write(extras::within(members.clone(), &nested), &mut inner, out);
        inner.end(out);
        extras::write(extras::beside(members, &place, kind), &mut call, out);
        self.mark(&mut call, cache.as_ref(), &item.path);
        call.end(self.out);
    }

    fn mark(&mut self, object: &mut Object, cache: Option<&CacheMark>, path: &str) {
        match cache {
            Some(CacheMark(mark)) if self.report.own() => {
                object.raw(self.out, "cache_control", mark.as_str());
            }
            Some(_) => self.report.mark(path),
            None => {}
        }
    }

    fn begin(&mut self, role: &str) -> Object {
        self.array.next(self.out);
        let mut message = Object::begin(self.out);
        message.string(self.out, "role", role);
        message
    }

    fn end(&mut self, mut message: Object, turn: Option<&Turn>, members: &OfMessage<'_>) {
        if let Some(name) = turn.and_then(|turn| turn.name.as_deref()) {
            message.string(self.out, "name", name);
        }
        extras::write(members.own(), &mut message, self.out);
        message.end(self.out);
    }

    /// The extras of a message, where they belong to this protocol.
    fn own_extras<'t>(&self, turn: Option<&'t Turn>) -> OfMessage<'t> {
        match turn {
            Some(turn) if self.report.own() => OfMessage::new(&turn.extras),
            _ => OfMessage::default(),
        }
    }
}

/// What an assistant's message has places for: reasoning, then content, then calls.
struct Said<'a> {
    thoughts: Vec<&'a str>,
    content: Vec<Item<'a>>,
    calls: Vec<Item<'a>>,
}

impl<'a> Said<'a> {
    fn of(turn: &'a Turn, report: &mut Report) -> Self {
        let (mut thoughts, mut content, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for item in items(turn) {
            match item.block {
                Block::Thinking { text, signature } => {
                    if signature.is_some() {
                        report.thought(format!("{}.signature", item.path));
                    }
                    if !content.is_empty() || !calls.is_empty() {
                        report.changed(&item.path);
                    }
                    thoughts.push(text.as_str());
                }
                Block::RedactedThinking(_) => report.thought(item.path),
                Block::ToolCall { .. } => calls.push(item),
                _ => {
                    let mut fitting = parts::expressible([item], report);
                    if let (Some(item), false) = (fitting.first(), calls.is_empty()) {
                        report.changed(&item.path);
                    }
                    content.append(&mut fitting);
                }
            }
        }
        Self {
            thoughts,
            content,
            calls,
        }
    }
}

fn items(turn: &Turn) -> impl Iterator<Item = Item<'_>> {
    turn.blocks.iter().enumerate().map(|(index, block)| Item {
        block,
        path: turn.block_path(index),
    })
}

fn answers_tools(turn: &Turn) -> bool {
    turn.role == Role::User
        && (turn.blocks.iter()).any(|block| matches!(block, Block::ToolResult(_)))
}

/// It is empty, or what an SDK made of the text beside it.
fn says_nothing(extra: &Extra) -> bool {
    json::is_empty(extra.value.as_str()) || extra.name.ends_with(".parsed_output")
}

/// What an answer of a tool can hold by OpenAI.
fn is_text(block: &Block) -> bool {
    match block {
        Block::Text { .. } | Block::Refusal(_) => true,
        Block::Document(document) => matches!(document.media, Media::Text(_)),
        _ => false,
    }
}
