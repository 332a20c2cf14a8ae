//! Finds any of very many texts in another. An automaton would find them as fast, but takes seconds to build for the keys
//! of 100,000 clients, and a hundred megabytes.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::Secret;

/// More of a beginning tells hardly more.
const LONGEST_BEGINNING: usize = 16;

/// Very many texts, sorted.
pub(super) struct Lexicon {
    entries: Vec<Entry>,
    /// The two bytes with which texts begin: most places are passed by these alone.
    pairs: Pairs,
    /// Length of the beginnings: that of the shortest text, but at most [`LONGEST_BEGINNING`].
    beginning: usize,
    /// What texts begin with: where none of these stands, none begins.
    beginnings: HashSet<u128, RandomState>,
}

struct Entry {
    text: Secret,
    /// What the caller calls it.
    number: usize,
    /// The longest other entry with which this one begins.
    shorter: Option<usize>,
}

impl fmt::Debug for Lexicon {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Lexicon")
            .field("texts", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl Lexicon {
    /// Sorts texts, which must be at least 8 bytes long; each is called by its number in this list. Of equal ones the
    /// first counts.
    pub(super) fn new(texts: Vec<Secret>) -> Self {
        let mut entries: Vec<Entry> = texts
            .into_iter()
            .enumerate()
            .map(|(number, text)| Entry {
                text,
                number,
                shorter: None,
            })
            .collect();
        // Stable: of equal ones the first stays.
        entries.sort_by(|left, right| left.bytes().cmp(right.bytes()));
        entries.dedup_by(|left, right| left.bytes() == right.bytes());
        link(&mut entries);
        let shortest = entries.iter().map(|entry| entry.bytes().len()).min();
        let beginning = shortest.unwrap_or(0).min(LONGEST_BEGINNING);
        let beginnings = entries
            .iter()
            .filter_map(|entry| entry.bytes().get(..beginning).and_then(number))
            .collect();
        let pairs = Pairs::of(&entries);
        Self {
            entries,
            pairs,
            beginning,
            beginnings,
        }
    }

    /// Where the first text from a place on stands, and its number; of several that begin there the longest.
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<(Range<usize>, usize)> {
        let rest = bytes.get(from..)?;
        let places = (rest.len() + 1).checked_sub(self.beginning)?;
        let pairs = rest.iter().zip(rest.get(1..)?).take(places).enumerate();
        pairs
            .filter(|(_, (first, second))| self.pairs.holds(**first, **second))
            .find_map(|(offset, _)| {
                let entry = self.entry_at(rest.get(offset..)?)?;
                let start = from + offset;
                Some((start..start + entry.bytes().len(), entry.number))
            })
    }

    /// The longest entry with which these bytes begin, if any does.
    fn entry_at(&self, bytes: &[u8]) -> Option<&Entry> {
        let beginning = number(bytes.get(..self.beginning)?)?;
        self.beginnings.contains(&beginning).then_some(())?;
        self.longest_that_begins(bytes)
    }

    /// The longest entry with which these bytes begin.
    fn longest_that_begins(&self, bytes: &[u8]) -> Option<&Entry> {
        // All that lies between such an entry and the bytes begins with it too.
        let behind = self.entries.partition_point(|entry| entry.bytes() <= bytes);
        let mut candidate = behind.checked_sub(1);
        while let Some(entry) = self.entries.get(candidate?) {
            if bytes.starts_with(entry.bytes()) {
                return Some(entry);
            }
            candidate = entry.shorter;
        }
        None
    }
}

impl Entry {
    fn bytes(&self) -> &[u8] {
        self.text.expose().as_bytes()
    }
}

/// Two bytes each, a bit for every pair there is: 8 KiB, which stay in the processor's nearest cache, as the set of
/// beginnings does not.
struct Pairs(Box<[u64; 1 << 10]>);

impl Pairs {
    fn of(entries: &[Entry]) -> Self {
        let mut pairs = Self(Box::new([0; _]));
        for entry in entries {
            if let [first, second, ..] = *entry.bytes() {
                let (word, bit) = Self::place(first, second);
                if let Some(word) = pairs.0.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        pairs
    }

    fn holds(&self, first: u8, second: u8) -> bool {
        let (word, bit) = Self::place(first, second);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(first: u8, second: u8) -> (usize, u64) {
        let pair = u16::from_le_bytes([first, second]);
        (usize::from(pair >> 6), 1 << (pair & 63))
    }
}

/// Links sorted entries to those with which they begin.
fn link(entries: &mut [Entry]) {
    let mut open: Vec<(usize, Secret)> = Vec::new();
    for (place, entry) in entries.iter_mut().enumerate() {
        while let Some((_, text)) = open.last()
            && !entry.bytes().starts_with(text.expose().as_bytes())
        {
            open.pop();
        }
        entry.shorter = open.last().map(|(place, _)| *place);
        open.push((place, entry.text.clone()));
    }
}

/// 8 to 16 bytes as one number: the first 8 and the last 8.
fn number(bytes: &[u8]) -> Option<u128> {
    let first = u64::from_le_bytes(*bytes.first_chunk()?);
    let last = u64::from_le_bytes(*bytes.last_chunk()?);
    Some(u128::from(first) << 64 | u128::from(last))
}

#[cfg(test)]
mod tests {
    use aho_corasick::{AhoCorasick, Input, MatchKind};
    use proptest::prelude::*;

    use super::*;

    fn lexicon(texts: &[impl AsRef<str>]) -> Lexicon {
        Lexicon::new(
            texts
                .iter()
                .map(|text| Secret::new(text.as_ref()))
                .collect(),
        )
    }

    #[test]
    fn the_longest_text_that_begins_first_is_found() {
        let lexicon = lexicon(&["abcdefgh", "abcdefghij", "abcdefghik", "cdefghijkl"]);
        let find = |text: &str| lexicon.find(text.as_bytes(), 0);
        assert_eq!(find("abcdefgh"), Some((0..8, 0)));
        assert_eq!(find("x abcdefghijkl"), Some((2..12, 1)));
        assert_eq!(find("x abcdefghilkl"), Some((2..10, 0)));
        assert_eq!(find("x abcdefg"), None);
        assert_eq!(find(""), None);
        assert_eq!(lexicon.find(b"abcdefghijkl", 1), Some((2..12, 3)));
    }

    #[test]
    fn of_equal_texts_the_first_counts() {
        let lexicon = lexicon(&["zzzzzzzz", "abcdefgh", "abcdefgh"]);
        assert_eq!(lexicon.find(b"abcdefgh", 0), Some((0..8, 1)));
    }

    #[test]
    fn an_empty_lexicon_finds_nothing() {
        assert_eq!(lexicon(&[""; 0]).find(b"anything at all", 0), None);
    }

    #[test]
    fn its_debug_text_tells_nothing() {
        let text = format!("{:?}", lexicon(&["sk-secret"]));
        assert_eq!(text, "Lexicon { texts: 1, .. }");
    }

    proptest! {
        #[test]
        fn it_finds_what_an_automaton_finds(
            texts in prop::collection::vec("[ab]{8,20}|[ab]{8}é[ab]{0,12}", 1..40),
            parts in prop::collection::vec(("[abc]{0,12}", any::<prop::sample::Index>()), 0..6),
        ) {
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(&texts)
                .unwrap();
            let lexicon = lexicon(&texts);
            let text: String = parts
                .iter()
                .flat_map(|(before, text)| [before, text.get(&texts)])
                .map(String::as_str)
                .collect();
            for from in 0..=text.len() {
                let expected = automaton.find(Input::new(&text).range(from..));
                let expected = expected.map(|found| (found.range(), found.pattern().as_usize()));
                prop_assert_eq!(lexicon.find(text.as_bytes(), from), expected);
            }
        }
    }
}
