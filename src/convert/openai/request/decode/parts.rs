//! The content of a message: a text, or a list of parts.

use super::tools::cache_mark;
use crate::conversation::{Block, Document, Extra, Image, Json, Media};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;

/// Reads `content`. Empty texts vanish. Members of parts that nobody knows are kept under `content[k].…`, where `k`
/// counts the parts that are left.
pub(super) fn decode(
    message: &mut Object<'_>,
    extras: &mut Vec<Extra>,
) -> Result<Vec<Block>, GatewayError> {
    let path = message.path_of("content");
    let Some(value) = message.take("content") else {
        return Ok(Vec::new());
    };
    if let Some(text) = read::string(value) {
        return Ok(text_block(text).into_iter().collect());
    }
    if !value.starts_with('[') {
        return Err(read::wrong(&path, "a string or an array of parts", value));
    }
    let mut blocks = Vec::new();
    for (position, value) in read::elements(value, &path)?.into_iter().enumerate() {
        let mut part = Part {
            object: Object::read(value, format!("{path}[{position}]"))?,
            holder: format!("content[{}]", blocks.len()),
            extras: Vec::new(),
        };
        if let Some(block) = part.block(value)? {
            blocks.push(block);
            extras.append(&mut part.extras);
            part.object.rest(&part.holder, extras);
        }
    }
    Ok(blocks)
}

fn text_block(text: String) -> Option<Block> {
    (!text.is_empty()).then_some(Block::Text {
        text,
        cache: None,
        citations: None,
    })
}

/// One part that is being read.
struct Part<'a> {
    object: Object<'a>,
    holder: String,
    extras: Vec<Extra>,
}

impl Part<'_> {
    fn block(&mut self, whole: &str) -> Result<Option<Block>, GatewayError> {
        let kind = self.object.required("type")?;
        Ok(match kind.as_str() {
            "text" => self.text()?,
            "refusal" => self.refusal()?,
            "image_url" => Some(Block::Image(self.image()?)),
            "input_audio" => Some(self.audio()?),
            "file" => Some(self.file(whole)?),
            _ => Some(self.other(kind, whole)),
        })
    }

    fn text(&mut self) -> Result<Option<Block>, GatewayError> {
        let path = self.object.path_of("text");
        let text = self.object.string("text")?;
        let text = text.ok_or_else(|| read::missing(&path))?;
        let mark = cache_mark(&mut self.object);
        Ok(text_block(text).map(|mut block| {
            if let Block::Text { cache, .. } = &mut block {
                *cache = mark;
            }
            block
        }))
    }

    fn refusal(&mut self) -> Result<Option<Block>, GatewayError> {
        let path = self.object.path_of("refusal");
        let text = self.object.string("refusal")?;
        let text = text.ok_or_else(|| read::missing(&path))?;
        Ok((!text.is_empty()).then_some(Block::Refusal(text)))
    }

    /// `{"url":…,"detail":…}`; some clients write the address alone.
    fn image(&mut self) -> Result<Image, GatewayError> {
        let cache = cache_mark(&mut self.object);
        let path = self.object.path_of("image_url");
        if self
            .object
            .peek("image_url")
            .is_some_and(|value| value.starts_with('"'))
        {
            return Ok(Image {
                media: media(self.object.required("image_url")?, &path)?,
                detail: None,
                cache,
            });
        }
        let image = self.object.object("image_url")?;
        let mut image = image.ok_or_else(|| read::missing(&path))?;
        let path = image.path_of("url");
        let media = media(image.required("url")?, &path)?;
        let detail = image.text("detail")?;
        image.rest(&format!("{}.image_url", self.holder), &mut self.extras);
        Ok(Image {
            media,
            detail,
            cache,
        })
    }

    fn audio(&mut self) -> Result<Block, GatewayError> {
        let path = self.object.path_of("input_audio");
        let audio = self.object.object("input_audio")?;
        let mut audio = audio.ok_or_else(|| read::missing(&path))?;
        let (data, format) = (audio.required("data")?, audio.required("format")?);
        audio.rest(&format!("{}.input_audio", self.holder), &mut self.extras);
        Ok(Block::Audio { data, format })
    }

    /// `{"file_data":…,"filename":…}` or `{"file_id":…}`.
    fn file(&mut self, whole: &str) -> Result<Block, GatewayError> {
        let path = self.object.path_of("file");
        let file = self.object.object("file")?;
        let mut file = file.ok_or_else(|| read::missing(&path))?;
        let title = file.text("filename")?;
        let media = if let Some(data) = file.text("file_data")? {
            file_data(data, title.as_deref(), &file.path_of("file_data"))?
        } else if let Some(id) = file.text("file_id")? {
            Media::File(id)
        } else {
            return Ok(self.other("file".to_owned(), whole));
        };
        file.rest(&format!("{}.file", self.holder), &mut self.extras);
        Ok(Block::Document(Document {
            media,
            title,
            extras: Vec::new(),
            cache: cache_mark(&mut self.object),
        }))
    }

    /// A part that only this protocol knows, kept whole.
    fn other(&mut self, kind: String, whole: &str) -> Block {
        self.object = Object::default();
        Block::Other {
            kind,
            value: Json::new(whole),
        }
    }
}

/// An address, or the data that it holds itself.
fn media(url: String, path: &str) -> Result<Media, GatewayError> {
    Ok(data_url(&url, path)?.unwrap_or(Media::Url(url)))
}

/// The data of a file: a data URL, an address as OpenRouter takes it, or bare base64, which tells its type only by
/// the name of the file.
fn file_data(data: String, name: Option<&str>, path: &str) -> Result<Media, GatewayError> {
    if let Some(media) = data_url(&data, path)? {
        return Ok(media);
    }
    if ["http://", "https://", "data:"]
        .iter()
        .any(|scheme| data.starts_with(scheme))
    {
        return Ok(Media::Url(data));
    }
    let extension = name.and_then(|name| name.rsplit_once('.'));
    let media_type = match extension.map(|(_, extension)| extension) {
        Some("txt" | "md" | "csv") => "text/plain",
        _ => "application/pdf",
    };
    Ok(Media::Base64 {
        media_type: media_type.to_owned(),
        data,
    })
}

/// Takes `data:TYPE;base64,DATA` apart. Parameters between type and `base64` say nothing of a picture or document and
/// are left out; an address that is not base64, or tells no type, stays as it is.
///
/// # Errors
/// There is no data.
fn data_url(url: &str, path: &str) -> Result<Option<Media>, GatewayError> {
    let Some((media_type, data)) = base64_of(url) else {
        return Ok(None);
    };
    if data.is_empty() {
        let message = format!("Invalid value for '{path}': the data URL holds no data.");
        return Err(read::refusal(path, message));
    }
    Ok(Some(Media::Base64 {
        media_type: media_type.to_owned(),
        data: data.to_owned(),
    }))
}

/// The type that a data URL tells, and its data, if that is in base64.
fn base64_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_at_checked(5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (head, data) = rest.split_once(',')?;
    let (media_type, parameters) = head.split_once(';')?;
    let encoding = parameters.rsplit(';').next()?.trim();
    let media_type = media_type.trim();
    (!media_type.is_empty() && encoding.eq_ignore_ascii_case("base64"))
        .then_some((media_type, data))
}
