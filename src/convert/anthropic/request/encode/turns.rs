//! Which turns become the system prompt and which become messages, and which of their blocks can be said at all.
//! A conversation of this protocol stays as it was arranged; another is brought into the order this one demands.

use std::borrow::Cow;

use super::{calls, media, place};
use crate::conversation::{Block, Conversation, Origin, Path, Role, ToolResult, Turn};
use crate::convert::loss::Loss;
use crate::convert::read;
use crate::protocol::json;

/// A block that is going to be written, and where it stood.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub(super) block: Cow<'a, Block>,
    pub(super) path: Path,
}

/// A message that is going to be written; never empty.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) role: Role,
    pub(super) parts: Vec<Part<'a>>,
    /// Where it stood; the first of several that became one.
    pub(super) path: &'a str,
}

/// A conversation as this protocol says it.
#[derive(Debug, Default)]
pub(super) struct Arranged<'a> {
    pub(super) system: Vec<Part<'a>>,
    pub(super) messages: Vec<Message<'a>>,
}

/// Arranges the turns of a conversation.
pub(super) fn arrange<'a>(conversation: &'a Conversation, loss: &mut Loss) -> Arranged<'a> {
    if conversation.origin == Origin::Anthropic {
        return own(&conversation.turns, loss);
    }
    let mut arranged = Arranged::default();
    let is_system = |turn: &Turn| turn.role == Role::System;
    let leading = conversation.turns.iter().take_while(|turn| is_system(turn));
    // There must be a message, so instructions that stand alone are said by the user.
    let lifted = match leading.count() {
        count if count == conversation.turns.len() => count.saturating_sub(1),
        count => count,
    };
    for (index, turn) in conversation.turns.iter().enumerate() {
        let mut parts = foreign_parts(conversation.origin, turn, loss);
        unsaid(turn, loss);
        if index < lifted {
            arranged.system.append(&mut parts);
        } else if !parts.is_empty() {
            let role = match turn.role {
                Role::System if lifted + 1 == conversation.turns.len() => {
                    loss.changed(format!("{}.role", turn.path));
                    Role::User
                }
                role => role,
            };
            let path = &turn.path;
            push(&mut arranged.messages, Message { role, parts, path });
        }
    }
    for message in &mut arranged.messages {
        message.parts.sort_by_key(|part| !is_result(part));
    }
    calls::tell_apart(&mut arranged.messages);
    trim_prefill(&mut arranged.messages, loss);
    arranged
}

/// What a client of this protocol said, in its own order.
fn own<'a>(turns: &'a [Turn], loss: &mut Loss) -> Arranged<'a> {
    let mut arranged = Arranged::default();
    for turn in turns {
        let parts = place::blocks(Origin::Anthropic, turn).map(|(block, path)| Part {
            block: Cow::Borrowed(block),
            path,
        });
        let parts: Vec<_> = parts.filter(|part| is_signed(part, loss)).collect();
        let is_prompt = turn.role == Role::System && turn.path == "system";
        if is_prompt && arranged.messages.is_empty() {
            arranged.system.extend(parts);
        } else if !parts.is_empty() {
            arranged.messages.push(Message {
                role: turn.role,
                parts,
                path: &turn.path,
            });
        }
    }
    arranged
}

/// Names what another protocol says of a message and this one cannot.
fn unsaid(turn: &Turn, loss: &mut Loss) {
    if turn.name.is_some() {
        loss.dropped(format!("{}.name", turn.path));
    }
    for extra in &turn.extras {
        // What SDKs made of the text and the arguments beside it.
        let is_copy = extra.name == "parsed" || extra.name.ends_with(".parsed_arguments");
        if !is_copy && !json::is_empty(extra.value.as_str()) {
            loss.dropped(read::join(&turn.path, &extra.name));
        }
    }
}

/// The provider refuses visible reasoning that it has not signed.
fn is_signed(part: &Part<'_>, loss: &mut Loss) -> bool {
    let unsigned = matches!(
        *part.block,
        Block::Thinking {
            signature: None,
            ..
        }
    );
    if unsigned {
        loss.dropped(part.path.clone());
    }
    !unsigned
}

/// The blocks of another protocol's turn that this one can say.
fn foreign_parts<'a>(origin: Origin, turn: &'a Turn, loss: &mut Loss) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    for (block, path) in place::blocks(origin, turn) {
        let said = match block {
            Block::Refusal(text) => {
                loss.changed(path.clone());
                let text = text.clone();
                Cow::Owned(Block::Text {
                    text,
                    cache: None,
                    citations: None,
                })
            }
            Block::ToolResult(result) => Cow::Owned(Block::ToolResult(ToolResult {
                content: foreign_content(result, &path, loss),
                ..result.clone()
            })),
            block => media::fitting(block),
        };
        if can_say(&said, turn.role) {
            parts.push(Part { block: said, path });
        } else {
            loss.dropped(path);
        }
    }
    parts
}

fn foreign_content(result: &ToolResult, path: &str, loss: &mut Loss) -> Vec<Block> {
    let mut content = Vec::with_capacity(result.content.len());
    for (index, block) in result.content.iter().enumerate() {
        let block = media::fitting(block);
        if can_say(&block, Role::User) && !matches!(*block, Block::ToolResult(_)) {
            content.push(block.into_owned());
        } else {
            loss.dropped(format!("{path}.content[{index}]"));
        }
    }
    content
}

/// Whether a turn of this role can hold the block. White space alone is refused as text by the provider.
fn can_say(block: &Block, role: Role) -> bool {
    match block {
        Block::Text { text, .. } => !text.trim().is_empty(),
        Block::Image(image) => role == Role::User && media::is_picture(&image.media),
        Block::Document(document) => role == Role::User && media::is_document(&document.media),
        Block::ToolResult(_) => role == Role::User,
        Block::ToolCall { .. } | Block::RedactedThinking(_) => role == Role::Assistant,
        Block::Thinking { signature, .. } => role == Role::Assistant && signature.is_some(),
        Block::Refusal(_) | Block::Audio { .. } | Block::Other { .. } => false,
    }
}

/// Adds a message. Messages of one role become one; instructions between calls and their results come after the
/// results, which must follow the calls at once.
fn push<'a>(messages: &mut Vec<Message<'a>>, message: Message<'a>) {
    let answers = message.role == Role::User && message.parts.iter().any(is_result);
    let spoken = messages.iter().rposition(|said| said.role != Role::System);
    let place = match spoken {
        Some(place) if answers => match messages.get(place) {
            Some(said) if said.role == Role::User || said.parts.iter().any(is_call) => place,
            _ => messages.len().saturating_sub(1),
        },
        _ => messages.len().saturating_sub(1),
    };
    match messages.get_mut(place) {
        Some(said) if said.role == message.role => {
            said.parts.extend(message.parts);
        }
        Some(_) => messages.insert(place + 1, message),
        None => messages.push(message),
    }
}

fn is_result(part: &Part<'_>) -> bool {
    matches!(*part.block, Block::ToolResult(_))
}

fn is_call(part: &Part<'_>) -> bool {
    matches!(*part.block, Block::ToolCall { .. })
}

/// An answer that the model shall continue must not end in white space.
fn trim_prefill(messages: &mut [Message<'_>], loss: &mut Loss) {
    let Some(last) = messages.last_mut() else {
        return;
    };
    if last.role != Role::Assistant {
        return;
    }
    if let Some(part) = last.parts.last_mut()
        && let Block::Text { text, .. } = &*part.block
        && text.trim_end().len() < text.len()
    {
        loss.changed(part.path.clone());
        if let Block::Text { text, .. } = part.block.to_mut() {
            text.truncate(text.trim_end().len());
        }
    }
}
