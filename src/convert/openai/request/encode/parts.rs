//! The content of a message: a text where that says it all, else a list of parts.

use super::extras::{self, OfMessage};
use super::report::Report;
use crate::conversation::{Block, CacheMark, Document, Image, Media};
use crate::convert::read;
use crate::convert::write::{self, Array, Object};

/// A block of a turn or of a tool's answer, and where it stood.
pub(super) struct Item<'a> {
    pub(super) block: &'a Block,
    pub(super) path: String,
}

/// Leaves those that a message can hold, and reports the others as lost.
pub(super) fn expressible<'a>(
    items: impl IntoIterator<Item = Item<'a>>,
    report: &mut Report,
) -> Vec<Item<'a>> {
    let mut kept = Vec::new();
    for item in items {
        let fits = match item.block {
            Block::Text { .. } | Block::Refusal(_) | Block::Audio { .. } => true,
            Block::Image(image) => match &image.media {
                Media::Base64 { .. } | Media::Url(_) => true,
                Media::File(_) | Media::Text(_) => false,
            },
            Block::Document(document) => match &document.media {
                Media::Base64 { .. } | Media::Url(_) | Media::Text(_) => true,
                // An id says something only to the provider that gave it.
                Media::File(_) => report.own(),
            },
            Block::Other { .. } => report.own(),
            Block::Thinking { .. }
            | Block::RedactedThinking(_)
            | Block::ToolCall { .. }
            | Block::ToolResult(_) => false,
        };
        if fits {
            kept.push(item);
        } else {
            report.dropped(item.path);
        }
    }
    kept
}

/// Writes the value of `content`; `none` where there is nothing to write.
pub(super) fn write(
    items: &[Item<'_>],
    members: &OfMessage<'_>,
    none: &str,
    out: &mut Vec<u8>,
    report: &mut Report,
) {
    if items.is_empty() {
        return write::raw(out, none);
    }
    let own = report.own();
    if let [Item { block, path }] = items
        && let Block::Text { text, cache, .. } = block
        && (cache.is_none() || !own)
        && members.at("content[0]").next().is_none()
    {
        lost_of_text(block, path, report);
        return write::string(out, text);
    }
    let mut array = Array::begin(out);
    for (position, item) in items.iter().enumerate() {
        array.next(out);
        let mut part = Part {
            members,
            holder: format!("content[{position}]"),
            path: &item.path,
            out,
            report,
        };
        part.write(item.block);
    }
    array.end(out);
}

/// What a text has beside itself that OpenAI's messages have not.
fn lost_of_text(block: &Block, path: &str, report: &mut Report) {
    let Block::Text {
        cache, citations, ..
    } = block
    else {
        return;
    };
    if cache.is_some() && !report.own() {
        report.mark(path);
    }
    if citations.is_some() {
        report.dropped(format!("{path}.citations"));
    }
}

/// One part that is being written.
struct Part<'a> {
    members: &'a OfMessage<'a>,
    holder: String,
    path: &'a str,
    out: &'a mut Vec<u8>,
    report: &'a mut Report,
}

impl Part<'_> {
    fn write(&mut self, block: &Block) {
        match block {
            Block::Text { text, cache, .. } => {
                lost_of_text(block, self.path, self.report);
                // Its mark is reported there.
                let cache = cache.as_ref().filter(|_| self.report.own());
                self.flat("text", text, cache);
            }
            Block::Refusal(text) => self.flat("refusal", text, None),
            Block::Image(image) => self.image(image),
            Block::Audio { data, format } => self.nested("input_audio", None, |inner, out| {
                inner.string(out, "data", data);
                inner.string(out, "format", format);
            }),
            Block::Document(document) => self.document(document),
            Block::Other { value, .. } => write::raw(self.out, value.as_str()),
            // They are no content; see `expressible`.
            Block::Thinking { .. }
            | Block::RedactedThinking(_)
            | Block::ToolCall { .. }
            | Block::ToolResult(_) => write::raw(self.out, "null"),
        }
    }

    /// A part whose type is also the name of its text.
    fn flat(&mut self, kind: &str, text: &str, cache: Option<&CacheMark>) {
        let mut object = Object::begin(self.out);
        object.string(self.out, "type", kind);
        object.string(self.out, kind, text);
        let rest = extras::within(self.members.at(&self.holder), &self.holder);
        extras::write(rest, &mut object, self.out);
        self.end(object, cache);
    }

    /// A part whose type is also the name of an object.
    fn nested(
        &mut self,
        kind: &str,
        cache: Option<&CacheMark>,
        write: impl FnOnce(&mut Object, &mut Vec<u8>),
    ) {
        let mut object = Object::begin(self.out);
        object.string(self.out, "type", kind);
        object.name(self.out, kind);
        let mut inner = Object::begin(self.out);
        write(&mut inner, self.out);
        let holder = format!("{}.{kind}", self.holder);
        let rest = extras::within(self.members.at(&self.holder), &holder);
        extras::write(rest, &mut inner, self.out);
        inner.end(self.out);
        let rest = extras::beside(self.members.at(&self.holder), &self.holder, kind);
        extras::write(rest, &mut object, self.out);
        self.end(object, cache);
    }

    fn end(&mut self, mut object: Object, cache: Option<&CacheMark>) {
        if let Some(CacheMark(mark)) = cache {
            if self.report.own() {
                object.raw(self.out, "cache_control", mark.as_str());
            } else {
                self.report.mark(self.path);
            }
        }
        object.end(self.out);
    }

    fn image(&mut self, image: &Image) {
        let url = address(&image.media);
        self.nested("image_url", image.cache.as_ref(), |inner, out| {
            inner.string(out, "url", &url);
            if let Some(detail) = &image.detail {
                inner.string(out, "detail", detail);
            }
        });
    }

    /// A file. Of a text document the text is said as it is: few servers take such files. OpenAI fetches no addresses
    /// of documents, but servers that do take them in the same place.
    fn document(&mut self, document: &Document) {
        let own = self.report.own();
        for extra in &document.extras {
            self.report.dropped(read::join(self.path, &extra.name));
        }
        let cache = document.cache.as_ref();
        let title = document.title.as_deref();
        match &document.media {
            Media::Text(text) => {
                self.report.changed(self.path);
                if title.is_some() {
                    self.report.dropped(format!("{}.title", self.path));
                }
                self.flat("text", text, cache);
            }
            Media::File(id) => self.nested("file", cache, |inner, out| {
                inner.string(out, "file_id", id);
                if let Some(title) = title {
                    inner.string(out, "filename", title);
                }
            }),
            media => {
                if matches!(media, Media::Url(_)) && !own {
                    self.report.changed(self.path);
                }
                let name = title.or_else(|| (!own).then(|| file_name(media)));
                let data = address(media);
                self.nested("file", cache, |inner, out| {
                    if let Some(name) = name {
                        inner.string(out, "filename", name);
                    }
                    inner.string(out, "file_data", &data);
                });
            }
        }
    }
}

/// The address, or the data as one.
fn address(media: &Media) -> String {
    match media {
        Media::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Media::Url(text) | Media::File(text) | Media::Text(text) => text.clone(),
    }
}

/// A name for a file that has none, which OpenAI requires.
fn file_name(media: &Media) -> &'static str {
    match media {
        Media::Base64 { media_type, .. } if media_type.starts_with("text/") => "document.txt",
        _ => "document.pdf",
    }
}
