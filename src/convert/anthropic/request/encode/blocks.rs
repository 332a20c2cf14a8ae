//! Blocks as JSON. Which of them can be said has been decided before.

use std::borrow::Cow;

use super::tools;
use super::turns::{Arranged, Message, Part};
use super::typed;
use crate::conversation::{Block, CacheMark, Document, Image, Media, Path, Role, ToolResult};
use crate::convert::anthropic::request::nested::Nested;
use crate::convert::arguments;
use crate::convert::ids;
use crate::convert::loss::Loss;
use crate::convert::read;
use crate::convert::write::{self, Object};

/// Writes the blocks of one request.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    /// Members that only this protocol knows, for the blocks they came with.
    pub(super) nested: &'a Nested<'a>,
    /// Whether the client speaks this protocol.
    pub(super) own: bool,
    /// What cannot be said.
    pub(super) loss: &'a mut Loss,
}

impl Blocks<'_> {
    /// Writes `system` unless there is none, and `messages`.
    pub(super) fn conversation(
        &mut self,
        out: &mut Vec<u8>,
        body: &mut Object,
        arranged: &Arranged<'_>,
    ) {
        if !arranged.system.is_empty() {
            body.name(out, "system");
            self.content(out, &arranged.system);
        }
        body.name(out, "messages");
        write::array(out, &arranged.messages, |out, message| {
            self.message(out, message);
        });
    }

    fn message(&mut self, out: &mut Vec<u8>, message: &Message<'_>) {
        let mut object = Object::begin(out);
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        object.string(out, "role", role);
        object.name(out, "content");
        self.content(out, &message.parts);
        self.nested(out, &mut object, message.path);
        object.end(out);
    }

    fn content(&mut self, out: &mut Vec<u8>, parts: &[Part<'_>]) {
        let parts = parts.iter().map(|part| (&*part.block, part.path.clone()));
        self.list(out, &parts.collect::<Vec<_>>());
    }

    /// A string where there is nothing but one text, else an array.
    fn list(&mut self, out: &mut Vec<u8>, blocks: &[(&Block, Path)]) {
        if let [(block, path)] = blocks
            && let Some(text) = self.only_text(block, path)
        {
            write::string(out, text);
        } else {
            write::array(out, blocks, |out, (block, path)| {
                self.block(out, block, path);
            });
        }
    }

    fn only_text<'b>(&self, block: &'b Block, path: &Path) -> Option<&'b str> {
        match block {
            Block::Text {
                text,
                cache: None,
                citations: None,
            } if self.nested.at(path).is_empty() => Some(text),
            _ => None,
        }
    }

    fn block(&mut self, out: &mut Vec<u8>, block: &Block, path: &Path) {
        match block {
            Block::Text {
                text,
                cache,
                citations,
            } => {
                let mut object = typed(out, "text");
                object.string(out, "text", text);
                match citations {
                    Some(citations) if self.own => object.raw(out, "citations", citations.as_str()),
                    Some(_) => self.loss.dropped(format!("{path}.annotations")),
                    None => {}
                }
                self.finish(out, object, cache.as_ref(), path);
            }
            Block::Thinking { text, signature } => {
                let mut object = typed(out, "thinking");
                object.string(out, "thinking", text);
                object.string(out, "signature", signature.as_deref().unwrap_or_default());
                self.finish(out, object, None, path);
            }
            Block::RedactedThinking(data) => {
                let mut object = typed(out, "redacted_thinking");
                object.string(out, "data", data);
                self.finish(out, object, None, path);
            }
            Block::Image(image) => self.image(out, image, path),
            Block::Document(document) => self.document(out, document, path),
            Block::ToolCall {
                id,
                name,
                arguments,
                cache,
            } => {
                let mut object = typed(out, "tool_use");
                object.string(out, "id", &tool_id(id));
                object.string(out, "name", &tools::name(name, self.own));
                object.name(out, "input");
                self.input(out, arguments, path);
                self.finish(out, object, cache.as_ref(), path);
            }
            Block::ToolResult(result) => self.tool_result(out, result, path),
            Block::Other { value, .. } => write::raw(out, value.as_str()),
            // These are not blocks of this protocol and have been replaced or left out by now.
            Block::Refusal(_) | Block::Audio { .. } => write::raw(out, "null"),
        }
    }

    fn image(&mut self, out: &mut Vec<u8>, image: &Image, path: &Path) {
        let mut object = typed(out, "image");
        object.name(out, "source");
        source(out, &image.media);
        if image
            .detail
            .as_deref()
            .is_some_and(|detail| detail != "auto")
        {
            self.loss.dropped(format!("{path}.image_url.detail"));
        }
        self.finish(out, object, image.cache.as_ref(), path);
    }

    fn document(&mut self, out: &mut Vec<u8>, document: &Document, path: &Path) {
        let mut object = typed(out, "document");
        object.name(out, "source");
        source(out, &document.media);
        if let Some(title) = &document.title {
            object.string(out, "title", title);
        }
        for extra in &document.extras {
            if self.own {
                object.raw(out, &read::name(&extra.name), extra.value.as_str());
            } else {
                self.loss.dropped(read::join(path, &extra.name));
            }
        }
        self.finish(out, object, document.cache.as_ref(), path);
    }

    fn tool_result(&mut self, out: &mut Vec<u8>, result: &ToolResult, path: &Path) {
        let mut object = typed(out, "tool_result");
        object.string(out, "tool_use_id", &tool_id(&result.id));
        let blocks = result.content.iter().enumerate();
        let blocks = blocks.map(|(index, block)| (block, format!("{path}.content[{index}]")));
        let blocks: Vec<_> = blocks.collect();
        if !blocks.is_empty() {
            object.name(out, "content");
            self.list(out, &blocks);
        }
        if result.is_error {
            object.raw(out, "is_error", "true");
        }
        self.finish(out, object, result.cache.as_ref(), path);
    }

    /// The arguments of a call. Those that are no JSON object travel inside one.
    fn input(&mut self, out: &mut Vec<u8>, arguments: &str, path: &str) {
        let object = arguments::to_object(arguments);
        if matches!(object, Cow::Owned(_)) {
            self.loss.changed(format!("{path}.function.arguments"));
        }
        write::raw(out, &object);
    }

    fn finish(
        &self,
        out: &mut Vec<u8>,
        mut object: Object,
        cache: Option<&CacheMark>,
        path: &Path,
    ) {
        if let Some(CacheMark(mark)) = cache {
            object.raw(out, "cache_control", mark.as_str());
        }
        self.nested(out, &mut object, path);
        object.end(out);
    }

    fn nested(&self, out: &mut Vec<u8>, object: &mut Object, path: &str) {
        for (name, value) in self.nested.at(path) {
            object.raw(out, name, value);
        }
    }
}

fn source(out: &mut Vec<u8>, media: &Media) {
    let (kind, name, value) = match media {
        Media::Base64 { data, .. } => ("base64", "data", data),
        Media::Url(url) => ("url", "url", url),
        Media::File(id) => ("file", "file_id", id),
        Media::Text(text) => ("text", "data", text),
    };
    let mut object = typed(out, kind);
    match media {
        // A name in use that the provider does not take.
        Media::Base64 { media_type, .. } if media_type == "image/jpg" => {
            object.string(out, "media_type", "image/jpeg");
        }
        Media::Base64 { media_type, .. } => object.string(out, "media_type", media_type),
        Media::Text(_) => object.string(out, "media_type", "text/plain"),
        Media::Url(_) | Media::File(_) => {}
    }
    object.string(out, name, value);
    object.end(out);
}

/// A tool call's id as the provider takes it: in plain characters, and not empty.
fn tool_id(id: &str) -> Cow<'_, str> {
    match id {
        "" => Cow::Borrowed("_"),
        id => ids::plain(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_ids_keep_to_the_characters_the_provider_takes() {
        assert_eq!(tool_id("call_aB-1"), "call_aB-1");
        assert_eq!(tool_id("functions.f:0"), "functions-x2ef-x3a0");
        assert_eq!(tool_id(""), "_");
    }
}
