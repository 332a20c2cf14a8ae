//! Tokens of images and documents by Anthropic's published rules, from what the head of their data tells.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;

/// The most that an image counts; larger ones are scaled down before a model sees them.
pub(super) const LARGEST_IMAGE: u64 = 1600;

/// A page of a document: the middle of the published 1,500 to 3,000 tokens of its text, and its image.
pub(super) const PAGE: u64 = 2250 + LARGEST_IMAGE;

/// Longest edge of an image, in pixels; longer ones are scaled down to it.
const LONGEST_EDGE: u64 = 1568;

/// Pixels for one token.
const PIXELS_PER_TOKEN: u64 = 750;

/// What of an image is decoded in search of its size; photographs may carry a preview before it.
const IMAGE_HEAD: usize = 256 * 1024;

/// Bytes of a document for one page, where its pages cannot be seen.
const BYTES_PER_PAGE: usize = 50_000;

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Tokens of an image; the maximum where its size cannot be read.
pub(super) fn image_tokens(data: &str) -> u64 {
    match dimensions(data) {
        Some((width, height)) => scaled(width, height),
        None => LARGEST_IMAGE,
    }
}

/// Width and height in pixels.
fn dimensions(data: &str) -> Option<(u64, u64)> {
    let head = decode(data, IMAGE_HEAD)?;
    let size = imagesize::blob_size(&head).ok()?;
    Some((whole(size.width), whole(size.height)))
}

fn scaled(width: u64, height: u64) -> u64 {
    let longest = width.max(height);
    let mut pixels = u128::from(width) * u128::from(height);
    if longest > LONGEST_EDGE {
        let (now, then) = (u128::from(LONGEST_EDGE), u128::from(longest));
        pixels = pixels * now / then * now / then;
    }
    let tokens = pixels.div_ceil(u128::from(PIXELS_PER_TOKEN));
    u64::try_from(tokens).map_or(LARGEST_IMAGE, |tokens| tokens.clamp(1, LARGEST_IMAGE))
}

/// The text of a document that is nothing but text.
pub(super) fn plain_text(media_type: &str, data: &str) -> Option<String> {
    if !media_type.starts_with("text/") {
        return None;
    }
    let bytes = decode(data, usize::MAX)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Pages of a PDF, as far as they can be seen: newer files pack their page objects, and then the size must tell.
pub(super) fn pages(data: &str) -> u64 {
    let visible = decode(data, usize::MAX).map_or(0, |bytes| page_objects(&bytes));
    let pages = match visible {
        0 => decoded_length(data).div_ceil(BYTES_PER_PAGE),
        visible => visible,
    };
    whole(pages).max(1)
}

/// Objects of type `Page`; `Pages` are their folders.
fn page_objects(pdf: &[u8]) -> usize {
    let types = memmem::find_iter(pdf, b"/Type");
    let objects = types.filter(|start| {
        let value = pdf.get(start + b"/Type".len()..).unwrap_or_default();
        let name = value.trim_ascii_start().strip_prefix(b"/Page");
        name.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphabetic))
    });
    objects.count()
}

/// Bytes that base64 data stand for, about.
pub(super) fn decoded_length(data: &str) -> usize {
    data.len() / 4 * 3
}

/// The bytes of base64 data, of which at most `limit` characters are looked at. Line breaks are no fault.
fn decode(data: &str, limit: usize) -> Option<Vec<u8>> {
    let broken = memchr::memchr3(b'\n', b'\r', b' ', data.as_bytes()).is_some();
    if broken {
        let mut kept: Vec<u8> = data
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .take(limit)
            .collect();
        kept.truncate(kept.len() / 4 * 4);
        return ENGINE.decode(kept).ok();
    }
    let head = data.as_bytes().get(..limit).unwrap_or(data.as_bytes());
    ENGINE.decode(head).ok()
}

/// A count as we add them.
pub(super) fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        ENGINE.encode(bytes)
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 6, 0, 0, 0]);
        bytes
    }

    fn gif(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = b"GIF89a".to_vec();
        bytes.extend(width.to_le_bytes());
        bytes.extend(height.to_le_bytes());
        bytes.extend([0; 3]);
        bytes
    }

    /// With a preview of this length before the size.
    fn jpeg(width: u16, height: u16, preview: u16) -> Vec<u8> {
        let mut bytes = b"\xff\xd8\xff\xe1".to_vec();
        bytes.extend((preview + 2).to_be_bytes());
        bytes.extend(vec![7; usize::from(preview)]);
        bytes.extend(b"\xff\xc0\0\x11\x08");
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.extend([3; 12]);
        bytes
    }

    fn webp(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
        bytes.extend_from_slice(&(width - 1).to_le_bytes()[..3]);
        bytes.extend_from_slice(&(height - 1).to_le_bytes()[..3]);
        bytes
    }

    #[test]
    fn images_have_the_tokens_of_the_published_table() {
        for (width, height, published) in [
            (200, 200, 54),
            (1000, 1000, 1334),
            (1092, 1092, 1590),
            (784, 1568, 1600),
            (8000, 8000, 1600),
            // Scaled down to 1568 by 196 pixels.
            (8000, 1000, 410),
            (1, 1, 1),
        ] {
            assert_eq!(scaled(width, height), published, "{width}x{height}");
        }
    }

    #[test]
    fn the_size_is_read_from_every_format_that_anthropic_takes() {
        for bytes in [
            png(300, 200),
            gif(300, 200),
            jpeg(300, 200, 60_000),
            webp(300, 200),
        ] {
            assert_eq!(dimensions(&encoded(&bytes)), Some((300, 200)));
        }
    }

    #[test]
    fn data_that_is_no_image_counts_as_the_largest() {
        for data in [
            "",
            "!!!",
            "AAAA",
            &encoded(b"<svg/>"),
            &encoded(&png(9, 9)[..18]),
        ] {
            assert_eq!(image_tokens(data), LARGEST_IMAGE, "{data}");
        }
    }

    #[test]
    fn line_breaks_in_the_data_do_no_harm() {
        let mut data = encoded(&png(200, 200));
        data.insert(8, '\n');
        data.insert(20, '\r');
        assert_eq!(image_tokens(&data), 54);
    }

    #[test]
    fn visible_pages_of_a_pdf_are_counted_and_others_guessed_by_size() {
        let pdf =
            b"%PDF-1.4 <</Type/Pages/Kids[1 0 R]>> <</Type /Page/Parent 2 0 R>> <</Type\n/Page>>";
        assert_eq!(pages(&encoded(pdf)), 2);
        assert_eq!(pages(&encoded(&[b'x'; 120_000])), 3);
        assert_eq!(pages("not base64"), 1);
    }

    #[test]
    fn only_plain_text_is_read_as_text() {
        let data = encoded("naïve".as_bytes());
        assert_eq!(plain_text("text/plain", &data).as_deref(), Some("naïve"));
        assert_eq!(plain_text("application/pdf", &data), None);
    }
}
