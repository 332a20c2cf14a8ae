//! How many tokens a conversation has, as far as one can tell without its provider: texts by OpenAI's o200k vocabulary,
//! images and documents by Anthropic's published rules. It calls nobody; whoever calls it does so off the hot path.

use crate::conversation::{
    Block, Conversation, Document, Image, Media, OutputFormat, Tool, ToolKind, ToolResult, Turn,
};

mod media;
mod text;

use text::Texts;

/// The vocabulary by which texts are counted, as its publisher names it.
pub const ENCODING: &str = "o200k_base";

/// Marks around one message, its role among them: OpenAI's published way of counting chats.
const MESSAGE_FRAME: u64 = 4;
/// Before the name of a participant.
const NAME_FRAME: u64 = 1;
/// What the answer begins with.
const ANSWER_FRAME: u64 = 3;
/// Around the tools as a whole, and around each.
const TOOLS_FRAME: u64 = 12;
const TOOL_FRAME: u64 = 7;
/// Bytes of audio for one token: ten tokens a second at 128 kbit/s.
const AUDIO_BYTES_PER_TOKEN: usize = 1600;

/// Estimates the tokens of everything a model is given to read.
///
/// The first call loads the vocabulary. It takes about 10 ms for 100 KB of text, a second for the worst 8 MiB, and
/// hardly longer for more: what is beyond them is taken to be as dense.
pub fn count(conversation: &Conversation) -> u64 {
    let mut count = Count::default();
    for turn in &conversation.turns {
        count.turn(turn);
    }
    count.tools(&conversation.tools);
    if let Some(output) = &conversation.output {
        count.output(output);
    }
    count.fixed(ANSWER_FRAME);
    count.texts.tokens().saturating_add(count.others)
}

/// What has been counted so far.
#[derive(Default)]
struct Count {
    texts: Texts,
    /// Tokens that are not of texts.
    others: u64,
}

impl Count {
    fn fixed(&mut self, tokens: u64) {
        self.others = self.others.saturating_add(tokens);
    }

    fn text(&mut self, text: &str) {
        self.texts.add(text);
    }

    fn turn(&mut self, turn: &Turn) {
        self.fixed(MESSAGE_FRAME);
        if let Some(name) = &turn.name {
            self.fixed(NAME_FRAME);
            self.text(name);
        }
        self.blocks(&turn.blocks);
    }

    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Text { text, .. } | Block::Refusal(text) | Block::Thinking { text, .. } => {
                self.text(text);
            }
            Block::Image(image) => self.image(image),
            Block::Document(document) => self.document(document),
            Block::Audio { data, .. } => {
                let tokens = media::decoded_length(data) / AUDIO_BYTES_PER_TOKEN;
                self.fixed(media::whole(tokens).max(1));
            }
            // Only its own provider can read it, and that one leaves out what was thought in earlier turns.
            Block::RedactedThinking(_) => {}
            Block::ToolCall {
                name, arguments, ..
            } => {
                self.fixed(MESSAGE_FRAME);
                self.text(name);
                self.text(arguments);
            }
            Block::ToolResult(result) => self.result(result),
            Block::Other { value, .. } => self.text(value.as_str()),
        }
    }

    fn result(&mut self, result: &ToolResult) {
        self.fixed(MESSAGE_FRAME);
        self.blocks(&result.content);
    }

    fn image(&mut self, image: &Image) {
        self.fixed(match &image.media {
            Media::Base64 { data, .. } => media::image_tokens(data),
            Media::Url(_) | Media::File(_) | Media::Text(_) => media::LARGEST_IMAGE,
        });
    }

    fn document(&mut self, document: &Document) {
        if let Some(title) = &document.title {
            self.text(title);
        }
        for extra in &document.extras {
            self.text(extra.value.as_str());
        }
        match &document.media {
            Media::Text(text) => self.text(text),
            Media::Base64 { media_type, data } => match media::plain_text(media_type, data) {
                Some(text) => self.text(&text),
                None => self.fixed(media::pages(data).saturating_mul(media::PAGE)),
            },
            Media::Url(_) | Media::File(_) => self.fixed(media::PAGE),
        }
    }

    fn tools(&mut self, tools: &[Tool]) {
        if !tools.is_empty() {
            self.fixed(TOOLS_FRAME);
        }
        for tool in tools {
            self.fixed(TOOL_FRAME);
            match &tool.kind {
                ToolKind::Function {
                    name,
                    description,
                    parameters,
                    ..
                } => {
                    self.text(name);
                    self.text(description.as_deref().unwrap_or_default());
                    self.text(parameters.as_ref().map_or("", |schema| schema.as_str()));
                }
                ToolKind::Server { value, .. } => self.text(value.as_str()),
            }
        }
    }

    fn output(&mut self, output: &OutputFormat) {
        if let OutputFormat::JsonSchema {
            name,
            description,
            schema,
            ..
        } = output
        {
            self.text(name.as_deref().unwrap_or_default());
            self.text(description.as_deref().unwrap_or_default());
            self.text(schema.as_str());
        }
    }
}

#[cfg(test)]
mod tests;
