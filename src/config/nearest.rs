//! "Did you mean": the known name that is most like a misspelled one.

/// More than this many edits is another word.
const MOST_EDITS: usize = 3;

/// The known name with the fewest edits to `name`, if it is likely what was meant.
pub(crate) fn nearest<'names>(
    name: &str,
    known: impl IntoIterator<Item = &'names str>,
) -> Option<&'names str> {
    let most = MOST_EDITS.min(name.chars().count() / 3 + 1);
    known
        .into_iter()
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or nothing.
pub(crate) fn hint<'names>(name: &str, known: impl IntoIterator<Item = &'names str>) -> String {
    nearest(name, known).map_or_else(String::new, |candidate| {
        format!("; did you mean `{candidate}`?")
    })
}

/// Levenshtein distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", "abc"), 0);
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["timeout_seconds", "model_routings", "provider"];
        assert_eq!(nearest("timout_seconds", known), Some("timeout_seconds"));
        assert_eq!(nearest("providers", known), Some("provider"));
        assert_eq!(nearest("temperature", known), None);
        assert_eq!(
            hint("model_routing", known),
            "; did you mean `model_routings`?"
        );
    }
}
