//! A request: who said what, what may be called, how the answer shall be.

use super::{Extra, Json, Path};

/// Where a request came from: the protocol to which its extras belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// OpenAI chat completions.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
}

/// One request. Decoders fill it, encoders read it; neither knows the other's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The protocol it was decoded from: the one to which `extras` belong.
    pub origin: Origin,
    /// The model as the client named it.
    pub model: String,
    /// Everything said, in order. System text stands where it was said: at the beginning, or between turns.
    pub turns: Vec<Turn>,
    /// Tools that may be called.
    pub tools: Vec<Tool>,
    /// Which tool must or may be called.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// Most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// 0 to 2 by OpenAI, 0 to 1 by Anthropic.
    pub temperature: Option<Json>,
    /// Nucleus sampling.
    pub top_p: Option<Json>,
    /// Only the so many likeliest tokens.
    pub top_k: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether a stream tells its usage (always so by Anthropic).
    pub include_usage: bool,
    /// An opaque id of the end user.
    pub user: Option<String>,
    /// How much to think.
    pub reasoning: Option<Reasoning>,
    /// The form of the answer.
    pub output: Option<OutputFormat>,
    /// Members of the request that the hub has no word for, by name (`logit_bias`, `context_management`, …) or by path
    /// where they stand inside one that it has a word for (`stream_options.include_obfuscation`).
    pub extras: Vec<Extra>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions: OpenAI's `system` and `developer`, Anthropic's `system`.
    System,
    /// The user, and tools that answer.
    User,
    /// The model.
    Assistant,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What, in order; never an empty text.
    pub blocks: Vec<Block>,
    /// OpenAI's `name` of the participant.
    pub name: Option<String>,
    /// Members of the message that the hub has no word for, each by its path within the turn: `reasoning_details`,
    /// `tool_calls[0].extra_content`, `content[1].prefix`.
    pub extras: Vec<Extra>,
    /// Where it stood.
    pub path: Path,
}

impl Turn {
    /// Where one of its blocks stood. Anthropic's `system` is an array itself and has no `content`.
    pub fn block_path(&self, index: usize) -> Path {
        match self.path.as_str() {
            "system" => format!("system[{index}]"),
            path => format!("{path}.content[{index}]"),
        }
    }
}

/// A part of a turn or of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Text.
    Text {
        /// Never empty.
        text: String,
        /// Cached up to here.
        cache: Option<CacheMark>,
        /// Citations or annotations, as their protocol writes them.
        citations: Option<Json>,
    },
    /// The model declined.
    Refusal(String),
    /// A picture.
    Image(Image),
    /// A document or file.
    Document(Document),
    /// OpenAI's `input_audio`: base64 data and format.
    Audio {
        /// Base64.
        data: String,
        /// Such as `wav`.
        format: String,
    },
    /// Visible reasoning, with the signature that its provider needs back unchanged.
    Thinking {
        /// May be empty where only the signature is told.
        text: String,
        /// Anthropic's signature.
        signature: Option<String>,
    },
    /// Reasoning that only its provider can read.
    RedactedThinking(String),
    /// The model calls a tool.
    ToolCall {
        /// Its id, as the client or the upstream knows it.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments as JSON text. It is an object unless the model wrote nonsense, which is kept as it is.
        arguments: String,
        /// Cached up to here.
        cache: Option<CacheMark>,
    },
    /// A tool's answer.
    ToolResult(ToolResult),
    /// A block that only its own protocol knows (server tools, search results, container uploads, …).
    Other {
        /// Its `type`.
        kind: String,
        /// The whole block, as it came.
        value: Json,
    },
}

/// Anthropic's `cache_control`, as it came (`{"type":"ephemeral","ttl":"1h"}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMark(pub Json);

/// Where media come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// Base64 data with its media type, such as `image/png`.
    Base64 {
        /// The media type.
        media_type: String,
        /// The data.
        data: String,
    },
    /// An address the provider fetches.
    Url(String),
    /// An id of a file that the provider keeps.
    File(String),
    /// Plain text (Anthropic's text documents).
    Text(String),
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Where it is.
    pub media: Media,
    /// OpenAI's `detail`.
    pub detail: Option<String>,
    /// Cached up to here.
    pub cache: Option<CacheMark>,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it is.
    pub media: Media,
    /// Its title or file name.
    pub title: Option<String>,
    /// Anthropic's `context` and `citations`, as they came.
    pub extras: Vec<Extra>,
    /// Cached up to here.
    pub cache: Option<CacheMark>,
}

/// A tool's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call that it answers.
    pub id: String,
    /// Text, images, documents; may be empty.
    pub content: Vec<Block>,
    /// The tool failed.
    pub is_error: bool,
    /// Cached up to here.
    pub cache: Option<CacheMark>,
}

/// A tool that the client offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// What it is.
    pub kind: ToolKind,
    /// Where it stood.
    pub path: Path,
}

/// Kinds of tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolKind {
    /// A function of the client's.
    Function {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// JSON schema of its arguments; the order of its members is kept, since caches depend on it.
        parameters: Option<Json>,
        /// Arguments follow the schema to the letter.
        strict: Option<bool>,
        /// Cached up to here.
        cache: Option<CacheMark>,
        /// Further members of its protocol (`input_examples`, `defer_loading`, …).
        extras: Vec<Extra>,
    },
    /// A tool that the provider runs itself (`web_search_…`, `bash_…`, OpenAI's custom tools).
    Server {
        /// Its `type`.
        kind: String,
        /// The whole definition, as it came.
        value: Json,
    },
}

/// Which tool is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// At least one.
    Required,
    /// None.
    None,
    /// This one.
    Named(String),
}

/// How much the model thinks before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reasoning {
    /// Not at all.
    Off,
    /// As much as the model thinks fit, perhaps guided by an effort.
    Adaptive {
        /// `low`, `medium`, `high`, `max`, …
        effort: Option<String>,
    },
    /// An effort: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`.
    Effort(String),
    /// At most so many tokens.
    Budget(u64),
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputFormat {
    /// Any JSON object.
    JsonObject,
    /// JSON by a schema.
    JsonSchema {
        /// Its name (OpenAI requires one).
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The schema, as it came.
        schema: Json,
        /// To the letter.
        strict: Option<bool>,
    },
}
