//! Tokens of texts, in bounded time: however long a text, and however unlike a language.

use std::sync::OnceLock;

use tiktoken::CoreBpe;

/// Bytes that are counted exactly; more than any model reads. Beyond them a text is taken to be as dense as so far.
const EXACT: usize = 8 * 1024 * 1024;

/// Longest piece that is looked at at once. Merging a run without any break takes n·log n steps on memory that a
/// piece of this length keeps in the processor's cache.
const PIECE: usize = 16 * 1024;

/// Texts counted so far.
#[derive(Default)]
pub(super) struct Texts {
    bytes: usize,
    tokens: usize,
    beyond: usize,
}

impl Texts {
    /// Counts one more.
    pub(super) fn add(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let room = EXACT.saturating_sub(self.bytes);
        let (exact, beyond) = text.split_at(boundary(text, room));
        self.beyond = self.beyond.saturating_add(beyond.len());
        self.bytes += exact.len();
        let encoder = encoder();
        let mut rest = exact;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(cut(rest));
            self.tokens += encoder.count(piece);
            rest = later;
        }
    }

    /// All tokens.
    pub(super) fn tokens(&self) -> u64 {
        let [bytes, tokens, beyond] = [self.bytes, self.tokens, self.beyond].map(|n| n as u128);
        let guessed = (beyond * tokens).checked_div(bytes).unwrap_or(0);
        u64::try_from(tokens + guessed).unwrap_or(u64::MAX)
    }
}

/// The vocabulary, unpacked on first use.
fn encoder() -> &'static CoreBpe {
    static ENCODER: OnceLock<CoreBpe> = OnceLock::new();
    ENCODER.get_or_init(tiktoken::encoding::o200k_base)
}

/// Where the next piece ends. No token reaches from a letter or digit over a space, so a cut between them changes
/// nothing; where there is none for half a piece, a cut costs a token or two.
fn cut(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let window = text.as_bytes().get(PIECE / 2..PIECE).unwrap_or_default();
    let found = window
        .windows(2)
        .rposition(|pair| matches!(pair, [before, b' '] if before.is_ascii_alphanumeric()));
    match found {
        Some(position) => PIECE / 2 + position + 1,
        None => boundary(text, PIECE),
    }
}

/// The end of the last whole character within this many bytes.
fn boundary(text: &str, limit: usize) -> usize {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> u64 {
        let mut texts = Texts::default();
        texts.add(text);
        texts.tokens()
    }

    /// Text of many kinds of words, from a fixed seed.
    fn prose(length: usize) -> String {
        let words = [
            "The",
            "gateway",
            "doesn't",
            "42",
            "répond",
            "à",
            "日本語",
            "{\"key\":",
            "fn",
            "main()",
            "x.y/z\n",
            "  ",
            "HTTPServer",
            "it's",
            "🙂",
        ];
        let mut text = String::new();
        let mut state: usize = 7;
        while text.len() < length {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text.push_str(words[(state >> 33) % words.len()]);
            text.push(' ');
        }
        text
    }

    #[test]
    fn texts_have_the_tokens_that_openai_publishes() {
        for (text, published) in [
            ("", 0),
            ("hello world", 2),
            ("tiktoken is great!", 6),
            ("antidisestablishmentarianism", 6),
            ("2 + 2 = 4", 7),
            ("お誕生日おめでとう", 8),
        ] {
            assert_eq!(tokens(text), published, "{text}");
        }
    }

    #[test]
    fn marks_of_the_vocabulary_are_text_like_any_other() {
        assert!(tokens("<|endoftext|>") > 1);
    }

    #[test]
    fn cutting_a_long_text_into_pieces_does_not_change_its_count() {
        let text = prose(200_000);
        let whole = encoder().count(&text) as u64;
        assert_eq!(tokens(&text), whole);
    }

    #[test]
    fn a_run_without_any_break_is_counted_within_a_thousandth() {
        for text in [
            "a".repeat(200_000),
            "語".repeat(60_000),
            " ".repeat(200_000),
        ] {
            let whole = encoder().count(&text) as u64;
            assert!(tokens(&text).abs_diff(whole) <= whole / 1000 + 1);
        }
    }

    #[test]
    fn what_is_beyond_the_bound_is_taken_to_be_as_dense() {
        let texts = Texts {
            bytes: 400,
            tokens: 100,
            beyond: 4_000_000_000,
        };
        assert_eq!(texts.tokens(), 1_000_000_100);
        assert_eq!(Texts::default().tokens(), 0);
    }

    #[test]
    fn pieces_end_between_characters() {
        let text = "é".repeat(PIECE);
        assert_eq!(cut(&text), PIECE);
        let text = format!("x{text}");
        assert_eq!(cut(&text), PIECE - 1);
        assert_eq!(boundary("é", 1), 0);
    }
}
