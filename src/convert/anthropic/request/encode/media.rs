//! Pictures and documents of other protocols: which of them the provider takes, and text that came as a file.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::conversation::{Block, Document, Media};

/// Types of pictures; the last is a name in use for the one before.
const PICTURES: [&str; 5] = [
    "image/gif",
    "image/png",
    "image/webp",
    "image/jpeg",
    "image/jpg",
];

/// The only type of documents that are taken as data.
const DOCUMENT: &str = "application/pdf";

/// Types that are text, and are taken as such.
const TEXTS: [&str; 3] = ["application/json", "application/xml", "application/x-yaml"];

/// The block, with the text that a file holds in the place of its data.
pub(super) fn fitting(block: &Block) -> Cow<'_, Block> {
    let Block::Document(document) = block else {
        return Cow::Borrowed(block);
    };
    match text(&document.media) {
        None => Cow::Borrowed(block),
        Some(text) => Cow::Owned(Block::Document(Document {
            media: Media::Text(text),
            ..document.clone()
        })),
    }
}

fn text(media: &Media) -> Option<String> {
    let Media::Base64 { media_type, data } = media else {
        return None;
    };
    if !media_type.starts_with("text/") && !TEXTS.contains(&media_type.as_str()) {
        return None;
    }
    let bytes = STANDARD.decode(data.trim()).ok()?;
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.trim().is_empty())
}

/// Whether the provider takes it as a picture.
pub(super) fn is_picture(media: &Media) -> bool {
    match media {
        Media::Base64 { media_type, .. } => PICTURES.contains(&media_type.as_str()),
        Media::Url(_) => true,
        Media::File(_) | Media::Text(_) => false,
    }
}

/// Whether the provider takes it as a document.
pub(super) fn is_document(media: &Media) -> bool {
    match media {
        Media::Base64 { media_type, .. } => media_type == DOCUMENT,
        Media::Url(_) | Media::Text(_) => true,
        Media::File(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(media_type: &str, data: &str) -> Media {
        Media::Base64 {
            media_type: media_type.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn a_file_that_is_text_is_told_as_text() {
        assert_eq!(
            text(&data("text/csv", "YSxiCg==")).as_deref(),
            Some("a,b\n")
        );
        assert_eq!(
            text(&data("application/json", "e30=")).as_deref(),
            Some("{}")
        );
        for other in [
            data("application/pdf", "YSxiCg=="),
            data("text/plain", "no base64"),
            data("text/plain", "/w=="),
            data("text/plain", ""),
        ] {
            assert_eq!(text(&other), None, "{other:?}");
        }
    }

    #[test]
    fn what_the_provider_does_not_take_is_not_sent() {
        assert!(is_picture(&data("image/jpg", "")));
        assert!(!is_picture(&data("image/svg+xml", "")));
        assert!(is_document(&data("application/pdf", "")));
        assert!(!is_document(&data("application/msword", "")));
    }
}
