//! Values that must never be printed, and the scrubber that keeps them out of every text that leaves us.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A SHA-256 digest; the identity of a key in maps and logs.
pub type Digest = [u8; 32];

/// A secret text: no `Display`, a `Debug` that tells nothing, zeroed when the last clone is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text over.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(value.into())))
    }

    /// The text itself; call it only where it goes on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> Digest {
        digest(self.expose())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// SHA-256 of a text.
pub fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// SHA-256 of several parts, each told from the next: two lists have the same digest only if they are the same.
pub fn digest_of(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Shorter values are not scrubbed: they cannot be told from ordinary words, and answers are scrubbed too.
const SHORTEST_SCRUBBED: usize = 8;

/// Replaces every known secret in a text by its label.
#[derive(Debug, Default)]
pub struct Scrubber {
    matcher: Option<AhoCorasick>,
    labels: Vec<String>,
}

impl Scrubber {
    /// Builds the matcher from secrets and their labels (such as `OPENAI_API_KEY_2`).
    pub fn new(secrets: impl IntoIterator<Item = (Secret, String)>) -> Self {
        let (values, labels): (Vec<_>, Vec<_>) = secrets
            .into_iter()
            .filter(|(secret, _)| secret.expose().len() >= SHORTEST_SCRUBBED)
            .flat_map(|(secret, label)| {
                spellings(&secret).map(move |spelling| (spelling, label.clone()))
            })
            .unzip();
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(values.iter().map(Secret::expose))
            .ok()
            .filter(|_| !labels.is_empty());
        Self { matcher, labels }
    }

    /// The text with every known secret replaced by `[label]`.
    pub fn scrub(&self, text: &str) -> String {
        let Some(matcher) = &self.matcher else {
            return text.to_owned();
        };
        let mut clean = String::with_capacity(text.len());
        matcher.replace_all_with(text, &mut clean, |found, _, clean| {
            let label = self.labels.get(found.pattern().as_usize());
            clean.push('[');
            clean.push_str(label.map_or("secret", String::as_str));
            clean.push(']');
            true
        });
        clean
    }

    /// Bytes of the longest known secret.
    pub fn longest(&self) -> usize {
        self.matcher
            .as_ref()
            .map_or(0, AhoCorasick::max_pattern_len)
    }

    /// The bytes as they are, unless they hold a known secret.
    pub fn scrub_bytes(&self, bytes: Bytes) -> Bytes {
        if self.finds(&bytes) {
            return Bytes::from(self.scrub(&String::from_utf8_lossy(&bytes)));
        }
        bytes
    }

    /// Whether the bytes hold a known secret.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.matcher
            .as_ref()
            .is_some_and(|matcher| matcher.find(bytes).is_some())
    }
}

/// A secret as it is, and as JSON writers spell it when they escape more or less than they must.
fn spellings(secret: &Secret) -> impl Iterator<Item = Secret> + use<> {
    let plain = secret.expose();
    let quoted = serde_json::Value::from(plain).to_string();
    let json = quoted.trim_matches('"');
    let slashes = json.replace('/', "\\/");
    let html = ['<', '>', '&', '=', '\'', '+']
        .into_iter()
        .fold(json.to_owned(), |text, letter| {
            text.replace(letter, &format!("\\u{:04x}", u32::from(letter)))
        });
    let mut all: Vec<String> = Vec::new();
    for spelling in [plain.to_owned(), json.to_owned(), slashes, html] {
        if !all.contains(&spelling) {
            all.push(spelling);
        }
    }
    all.into_iter().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Secret::new("sk-123456")), "Secret(…)");
    }

    #[test]
    fn every_known_secret_is_replaced_by_its_label() {
        let scrubber = Scrubber::new([
            (Secret::new("sk-abcde"), "A".to_owned()),
            (Secret::new("sk-abcdefgh"), "B".to_owned()),
        ]);
        assert_eq!(
            scrubber.scrub("bad key sk-abcdefgh, sk-abcde."),
            "bad key [B], [A]."
        );
        assert!(scrubber.finds(b"x sk-abcde"));
        assert!(!scrubber.finds(b"x sk-abcd"));
    }

    #[test]
    fn a_secret_is_found_however_json_spells_it() {
        let scrubber = Scrubber::new([(Secret::new("sk-a/b+c=d\"e"), "KEY".to_owned())]);
        for text in [
            r#"sk-a/b+c=d"e"#,
            r#"sk-a/b+c=d\"e"#,
            r#"sk-a\/b+c=d\"e"#,
            r#"sk-a/b\u002bc\u003dd\"e"#,
        ] {
            assert_eq!(scrubber.scrub(text), "[KEY]", "{text}");
        }
    }

    #[test]
    fn a_word_that_is_a_secret_does_not_destroy_ordinary_text() {
        let scrubber = Scrubber::new([(Secret::new("test"), "client-1".to_owned())]);
        assert_eq!(scrubber.scrub("this is a test"), "this is a test");
    }

    #[test]
    fn a_scrubber_without_secrets_changes_nothing() {
        assert_eq!(Scrubber::new([]).scrub("text"), "text");
    }
}
