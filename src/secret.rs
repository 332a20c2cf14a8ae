//! Values that must never be printed, and the scrubber that keeps them out of every text that leaves us.

mod lexicon;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Input, MatchKind, Span, packed};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use lexicon::Lexicon;

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

/// For more, an automaton takes longer to build than a few milliseconds.
const MOST_IN_AUTOMATON: usize = 2000;

/// Replaces every known secret in a text by its label.
#[derive(Debug, Default)]
pub struct Scrubber {
    matcher: Option<Matcher>,
    labels: Vec<Arc<str>>,
    /// Bytes of the shortest and of the longest secret.
    lengths: Option<(usize, usize)>,
}

/// All find the same.
#[derive(Debug)]
enum Matcher {
    /// Looks at sixteen bytes and more at once, where the processor can. It takes no more than 64 values.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
    Lexicon(Lexicon),
}

impl Matcher {
    /// `None` if there is nothing to find.
    fn new(values: Vec<Secret>) -> Option<Self> {
        if values.len() > MOST_IN_AUTOMATON {
            return Some(Self::Lexicon(Lexicon::new(values)));
        }
        let searcher = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostLongest)
            .builder()
            .extend(values.iter().map(Secret::expose))
            .build();
        if let Some(searcher) = searcher {
            return Some(Self::Packed(searcher));
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(values.iter().map(Secret::expose));
        automaton
            .ok()
            .filter(|_| !values.is_empty())
            .map(Self::Automaton)
    }

    /// Where the first value from a place on stands, and its number.
    fn find(&self, bytes: &[u8], from: usize) -> Option<(Range<usize>, usize)> {
        let found = match self {
            Self::Packed(searcher) => searcher.find_in(bytes, Span::from(from..bytes.len())),
            Self::Automaton(automaton) => automaton.find(Input::new(bytes).range(from..)),
            Self::Lexicon(lexicon) => return lexicon.find(bytes, from),
        };
        found.map(|found| (found.range(), found.pattern().as_usize()))
    }
}

impl Scrubber {
    /// Builds the matcher from secrets and their labels (such as `OPENAI_API_KEY_2`).
    pub fn new(secrets: impl IntoIterator<Item = (Secret, String)>) -> Self {
        let mut values = Vec::new();
        let mut labels = Vec::new();
        for (secret, label) in secrets {
            if secret.expose().len() < SHORTEST_SCRUBBED {
                continue;
            }
            let label: Arc<str> = label.into();
            for spelling in spellings(&secret) {
                values.push(spelling);
                labels.push(Arc::clone(&label));
            }
        }
        let lengths = || values.iter().map(|value| value.expose().len());
        let lengths = lengths().min().zip(lengths().max());
        Self {
            matcher: Matcher::new(values),
            labels,
            lengths,
        }
    }

    /// The text with every known secret replaced by `[label]`.
    pub fn scrub(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        let mut rest = 0;
        let bytes = text.as_bytes();
        while let Some((found, number)) = self
            .matcher
            .as_ref()
            .and_then(|matcher| matcher.find(bytes, rest))
        {
            clean.push_str(text.get(rest..found.start).unwrap_or_default());
            clean.push('[');
            clean.push_str(self.labels.get(number).map_or("secret", |label| label));
            clean.push(']');
            rest = found.end;
        }
        clean.push_str(text.get(rest..).unwrap_or_default());
        clean
    }

    /// Bytes of the longest known secret.
    pub fn longest(&self) -> usize {
        self.lengths.map_or(0, |(_, longest)| longest)
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
        let may_hold = self
            .lengths
            .is_some_and(|(shortest, _)| bytes.len() >= shortest);
        may_hold
            && self
                .matcher
                .as_ref()
                .is_some_and(|matcher| matcher.find(bytes, 0).is_some())
    }
}

/// A secret as it is, and as JSON writers spell it when they escape more or less than they must.
fn spellings(secret: &Secret) -> Vec<Secret> {
    const ESCAPED: [char; 9] = ['"', '\\', '/', '<', '>', '&', '=', '\'', '+'];
    let plain = secret.expose();
    let mut all = vec![secret.clone()];
    if !plain.contains(|letter: char| letter.is_ascii_control() || ESCAPED.contains(&letter)) {
        return all;
    }
    let quoted = serde_json::Value::from(plain).to_string();
    let json = quoted.trim_matches('"');
    let slashes = json.replace('/', "\\/");
    let html = ['<', '>', '&', '=', '\'', '+']
        .into_iter()
        .fold(json.to_owned(), |text, letter| {
            text.replace(letter, &format!("\\u{:04x}", u32::from(letter)))
        });
    for spelling in [json.to_owned(), slashes, html] {
        if all.iter().all(|known| known.expose() != spelling) {
            all.push(Secret::new(spelling));
        }
    }
    all
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
    fn very_many_secrets_are_found_as_few_are() {
        let secrets = (0..=MOST_IN_AUTOMATON).map(|number| {
            (
                Secret::new(format!("sk/client-{number}")),
                number.to_string(),
            )
        });
        let scrubber = Scrubber::new(secrets);
        assert!(matches!(scrubber.matcher, Some(Matcher::Lexicon(_))));
        assert_eq!(
            scrubber.scrub("é sk/client-1, sk\\/client-1000sk/client-23."),
            "é [1], [1000][23]."
        );
        assert_eq!(scrubber.longest(), "sk\\/client-1000".len());
        assert!(scrubber.finds(b"\xff sk/client-7"));
        assert!(!scrubber.finds(b"sk/client-, sk/clien"));
    }

    #[test]
    fn however_many_secrets_there_are_the_same_is_found() {
        let secrets = [
            "sk-abcdefgh",
            "sk-abcdefghij",
            "sk-abcdefghik",
            "cdefghijkl",
        ];
        let among = |others: usize| {
            let others = (0..others).map(|number| format!("other-{number:05}"));
            let all = secrets.map(str::to_owned).into_iter().chain(others);
            Scrubber::new(all.map(|secret| (Secret::new(secret.clone()), secret)))
        };
        let scrubbers = [0, 100, MOST_IN_AUTOMATON].map(among);
        assert!(matches!(
            scrubbers[0].matcher,
            Some(Matcher::Packed(_) | Matcher::Automaton(_))
        ));
        assert!(matches!(scrubbers[1].matcher, Some(Matcher::Automaton(_))));
        assert!(matches!(scrubbers[2].matcher, Some(Matcher::Lexicon(_))));
        for text in [
            "sk-abcdefgh",
            "x sk-abcdefghijkl",
            "sk-abcdefghilkl, cdefghijkl",
            "sk-sk-abcdefghiksk-abcdefghsk-abcdefg",
            "sk-abcdefg",
            "",
        ] {
            let scrubbed = scrubbers.each_ref().map(|scrubber| scrubber.scrub(text));
            assert_eq!(scrubbed[0], scrubbed[1], "{text}");
            assert_eq!(scrubbed[0], scrubbed[2], "{text}");
        }
        assert_eq!(
            scrubbers[0].scrub("x sk-abcdefghijkl"),
            "x [sk-abcdefghij]kl"
        );
    }

    #[test]
    fn a_scrubber_without_secrets_changes_nothing() {
        assert_eq!(Scrubber::new([]).scrub("text"), "text");
    }
}
