//! The hub: what the protocols say, said once. A superset of them, so that a conversion loses only what its target
//! cannot say. It knows no wire format.

pub mod event;
mod json;
pub mod reply;
pub mod request;
mod usage;

pub use event::{BlockStart, Delta, Event};
pub use json::Json;
pub use reply::{Reply, StopReason};
pub use request::{
    Block, CacheMark, Conversation, Document, Image, Media, Origin, OutputFormat, Reasoning, Role,
    Tool, ToolChoice, ToolKind, ToolResult, Turn,
};
pub use usage::Usage;

/// A JSON path into the request or answer it came from, such as `messages[3].content[0]`.
pub type Path = String;

/// A member that only its own protocol knows. Encoders of that protocol write it back; others report it as lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// Its name, or its path within what holds it. With the path of the holder before it, it is the path of the loss.
    pub name: String,
    /// Its value, as it came.
    pub value: Json,
}
