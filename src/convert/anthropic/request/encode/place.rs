//! Where the client finds in its own request what the report names.

use crate::conversation::{Block, Origin, Path, Tool, Turn};

/// The places of a turn's blocks. Other protocols keep some of them outside of a message's content.
pub(super) fn blocks(origin: Origin, turn: &Turn) -> impl Iterator<Item = (&Block, Path)> {
    let path = &turn.path;
    let (mut contents, mut calls) = (0.., 0..);
    let places = turn.blocks.iter().enumerate();
    places.map(move |(index, block)| {
        let place = match block {
            _ if origin == Origin::Anthropic => turn.block_path(index),
            Block::Thinking { .. } | Block::RedactedThinking(_) => {
                format!("{path}.reasoning_content")
            }
            Block::Refusal(_) => format!("{path}.refusal"),
            Block::ToolResult(_) => path.clone(),
            Block::ToolCall { .. } => {
                format!("{path}.tool_calls[{}]", calls.next().unwrap_or(0))
            }
            _ => format!("{path}.content[{}]", contents.next().unwrap_or(0)),
        };
        (block, place)
    })
}

/// The name of a tool in a request of OpenAI's, the forerunner `functions` included.
pub(super) fn tool_name(tool: &Tool) -> Path {
    let path = &tool.path;
    if path.starts_with("functions") {
        format!("{path}.name")
    } else {
        format!("{path}.function.name")
    }
}

/// What a member is called by the client.
pub(super) fn member(origin: Origin, anthropic: &str) -> Path {
    let name = match (origin, anthropic) {
        (Origin::OpenAi, "thinking") => "reasoning_effort",
        (Origin::OpenAi, "stop_sequences") => "stop",
        (Origin::OpenAi, "output_config.format") => "response_format",
        (_, name) => name,
    };
    name.to_owned()
}
