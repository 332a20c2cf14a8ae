//! Images and documents: where they come from. Nothing is read of those whose source only this protocol knows.

use super::cache_mark;
use crate::conversation::{Block, Document, Image, Media};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;

/// An image.
pub(super) fn image(object: &mut Object<'_>) -> Result<Option<Block>, GatewayError> {
    let Some(media) = source(object)? else {
        return Ok(None);
    };
    Ok(Some(Block::Image(Image {
        media,
        detail: None,
        cache: cache_mark(object),
    })))
}

/// A document. Members that the hub has no word for are kept in it.
pub(super) fn document(object: &mut Object<'_>) -> Result<Option<Block>, GatewayError> {
    let Some(media) = source(object)? else {
        return Ok(None);
    };
    let mut document = Document {
        media,
        title: object.string("title")?,
        extras: Vec::new(),
        cache: cache_mark(object),
    };
    std::mem::take(object).rest("", &mut document.extras);
    Ok(Some(Block::Document(document)))
}

fn source(object: &mut Object<'_>) -> Result<Option<Media>, GatewayError> {
    let source = object.object("source")?;
    let mut source = source.ok_or_else(|| read::missing(&object.path_of("source")))?;
    let media = match source.required("type")?.as_str() {
        "base64" => Media::Base64 {
            media_type: source.required("media_type")?,
            data: source.required("data")?,
        },
        "url" => Media::Url(source.required("url")?),
        "file" => Media::File(source.required("file_id")?),
        "text" if source.take("media_type") == Some("\"text/plain\"") => {
            Media::Text(source.string("data")?.unwrap_or_default())
        }
        _ => return Ok(None),
    };
    Ok(source.is_empty().then_some(media))
}
