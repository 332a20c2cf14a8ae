//! Images and documents: where they come from.

use super::reader::Object;
use crate::conversation::{Block, Document, Extra, Image, Media};
use crate::error::GatewayError;

/// An image, and the members that the hub has no word for; nothing if its source is one that only this protocol
/// knows.
pub(super) fn image(mut object: Object<'_>) -> Result<Option<(Block, Vec<Extra>)>, GatewayError> {
    let Some(media) = source(&mut object)? else {
        return Ok(None);
    };
    let image = Image {
        media,
        detail: None,
        cache: object.cache_mark(),
    };
    Ok(Some((Block::Image(image), object.rest_as_steps())))
}

/// A document; nothing if its source is one that only this protocol knows.
pub(super) fn document(mut object: Object<'_>) -> Result<Option<Block>, GatewayError> {
    let Some(media) = source(&mut object)? else {
        return Ok(None);
    };
    Ok(Some(Block::Document(Document {
        media,
        title: object.text("title")?,
        cache: object.cache_mark(),
        extras: object.rest(),
    })))
}

fn source(object: &mut Object<'_>) -> Result<Option<Media>, GatewayError> {
    let path = object.path("source");
    let mut source = Object::read(path, object.required("source")?)?;
    let media = match source.required_text("type")?.as_str() {
        "base64" => Media::Base64 {
            media_type: source.required_text("media_type")?,
            data: source.required_text("data")?,
        },
        "url" => Media::Url(source.required_text("url")?),
        "file" => Media::File(source.required_text("file_id")?),
        "text" => {
            let media_type = source.text("media_type")?;
            if media_type.is_some_and(|media_type| media_type != "text/plain") {
                return Ok(None);
            }
            Media::Text(source.required_text("data")?)
        }
        _ => return Ok(None),
    };
    Ok(source.is_spent().then_some(media))
}
