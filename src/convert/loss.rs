//! What a conversion could not keep: paths into the client's request, each dropped or changed.

use std::collections::HashSet;
use std::fmt;

use crate::conversation::Path;

/// What happened to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// The target cannot say it.
    Dropped,
    /// The target says something near it.
    Changed,
}

/// A report names no more than this: it travels in a header, and a prompt of a million small parts must not make one
/// that is searched a million times.
const MOST: usize = 64;

/// The report of one conversion. Never holds values, only paths, and of very many only the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    items: Vec<(Path, Fate)>,
    /// The same, for a quick look: a request may have a million members that nobody knows.
    known: HashSet<(Path, Fate)>,
}

impl Loss {
    /// Notes a member that is left out.
    pub fn dropped(&mut self, path: impl Into<Path>) {
        self.note(path.into(), Fate::Dropped);
    }

    /// Notes a member that is said differently.
    pub fn changed(&mut self, path: impl Into<Path>) {
        self.note(path.into(), Fate::Changed);
    }

    fn note(&mut self, path: Path, fate: Fate) {
        let item = (path, fate);
        if self.items.len() < MOST && !self.items.contains(&item) {
            self.items.push(item);
        }
    }

    /// Whether everything was kept.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, in the order in which they were met.
    pub fn items(&self) -> &[(Path, Fate)] {
        &self.items
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Dropped => "dropped",
            Self::Changed => "changed",
        })
    }
}

/// As in the header: `messages[0].name dropped,temperature changed`.
impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (path, fate)) in self.items.iter().enumerate() {
            if position > 0 {
                formatter.write_str(",")?;
            }
            write!(formatter, "{path} {fate}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_each_member_once_with_its_fate() {
        let mut loss = Loss::default();
        loss.dropped("messages[0].name");
        loss.changed("temperature");
        loss.dropped("messages[0].name");
        assert_eq!(
            loss.to_string(),
            "messages[0].name dropped,temperature changed"
        );
    }

    #[test]
    fn a_report_has_an_end() {
        let mut loss = Loss::default();
        for index in 0..1_000_000 {
            loss.dropped(format!("messages[0].content[{index}]"));
        }
        assert_eq!(loss.items().len(), MOST);
    }
}
