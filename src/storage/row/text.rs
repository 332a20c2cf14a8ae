//! Texts on their way into a row: secrets out, NUL out, cut at a limit.

use std::borrow::Cow;

use crate::secret::Scrubber;

/// Makes texts fit to be stored.
pub(super) struct Cleaner<'a> {
    scrubber: &'a Scrubber,
    longest_secret: usize,
}

impl<'a> Cleaner<'a> {
    pub(super) fn new(scrubber: &'a Scrubber) -> Self {
        Self {
            scrubber,
            longest_secret: scrubber.longest(),
        }
    }

    /// The text without secrets, cut at `limit` bytes or just before, with a note of what is missing.
    ///
    /// Secrets are replaced before the cut, which could otherwise leave half of one. Of a long text only what could
    /// be kept is searched: a secret that begins before the limit ends within `limit + longest_secret`.
    pub(super) fn clean<'t>(&self, text: impl Into<Cow<'t, str>>, limit: usize) -> String {
        let text = text.into();
        let reach = limit.saturating_add(self.longest_secret);
        let kept = if self.scrubber.finds(prefix(&text, reach).as_bytes()) {
            cut(Cow::Owned(self.scrubber.scrub(&text)), limit)
        } else {
            cut(text, limit)
        };
        // PostgreSQL stores no NUL.
        if memchr::memchr(0, kept.as_bytes()).is_some() {
            kept.replace('\0', "\u{fffd}")
        } else {
            kept
        }
    }
}

/// Stands for so many bytes that were left out.
pub(super) fn cut_mark(bytes: usize) -> String {
    format!("…[cut: {bytes} bytes]")
}

fn cut(text: Cow<'_, str>, limit: usize) -> String {
    if text.len() <= limit {
        return text.into_owned();
    }
    let kept = prefix(&text, limit);
    let mark = cut_mark(text.len() - kept.len());
    let mut short = String::with_capacity(kept.len() + mark.len());
    short.push_str(kept);
    short.push_str(&mark);
    short
}

/// At most `limit` bytes of the text, whole characters only.
fn prefix(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    // A character has at most four bytes.
    (limit.saturating_sub(3)..=limit)
        .rev()
        .find_map(|end| text.get(..end))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    const MARK: &str = "…[cut: ";

    fn scrubber() -> Scrubber {
        Scrubber::new([(Secret::new("sk-12345678"), "KEY".to_owned())])
    }

    #[test]
    fn a_text_within_its_limit_stays_as_it_is() {
        let scrubber = scrubber();
        assert_eq!(Cleaner::new(&scrubber).clean("größe", 7), "größe");
    }

    #[test]
    fn a_longer_text_is_cut_before_the_character_that_does_not_fit() {
        let scrubber = scrubber();
        let cleaner = Cleaner::new(&scrubber);
        assert_eq!(cleaner.clean("größe", 3), "gr…[cut: 5 bytes]");
        assert_eq!(cleaner.clean("größe", 4), "grö…[cut: 3 bytes]");
        assert_eq!(cleaner.clean("größe", 0), "…[cut: 7 bytes]");
    }

    #[test]
    fn a_secret_across_the_cut_leaves_no_part_of_itself() {
        let scrubber = scrubber();
        let cleaner = Cleaner::new(&scrubber);
        let text = format!("{}sk-12345678 and more", "x".repeat(20));
        for limit in 0..text.len() {
            assert!(!cleaner.clean(&text, limit).contains("sk-"), "{limit}");
        }
    }

    #[test]
    fn a_secret_moved_up_by_a_shorter_label_is_found_too() {
        let scrubber = scrubber();
        let text = "sk-12345678".repeat(5);
        let clean = Cleaner::new(&scrubber).clean(&text, 12);
        assert_eq!(clean, "[KEY][KEY][K…[cut: 13 bytes]");
    }

    #[test]
    fn nul_is_replaced() {
        let scrubber = scrubber();
        assert_eq!(Cleaner::new(&scrubber).clean("a\0b", 100), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn a_cut_keeps_whole_characters_and_counts_the_rest(text in "\\PC{0,60}", limit in 0_usize..80) {
            let scrubber = Scrubber::default();
            let clean = Cleaner::new(&scrubber).clean(&text, limit);
            if text.len() <= limit {
                prop_assert_eq!(clean, text);
            } else {
                let (kept, rest) = clean.rsplit_once(MARK).unwrap();
                prop_assert!(text.starts_with(kept));
                prop_assert!(kept.len() <= limit && kept.len() + 4 > limit);
                prop_assert_eq!(rest, format!("{} bytes]", text.len() - kept.len()));
            }
        }
    }
}
