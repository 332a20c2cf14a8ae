//! What is wrong or odd with one file, collected while it is read: nothing found stops the reading.

use std::path::{Path, PathBuf};

use super::catalog::Finding;
use super::locate::Position;

/// The findings of one file.
#[derive(Debug)]
pub(crate) struct Report {
    source: PathBuf,
    /// What makes the file unusable.
    pub(crate) faults: Vec<Finding>,
    /// What is odd, but works.
    pub(crate) warnings: Vec<Finding>,
}

impl Report {
    /// An empty report about a file.
    pub(crate) fn new(source: &Path) -> Self {
        Self {
            source: source.to_owned(),
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Notes a fault.
    pub(crate) fn fault(
        &mut self,
        position: impl Into<Option<Position>>,
        message: impl Into<String>,
    ) {
        let finding = self.finding(position.into(), message.into());
        self.faults.push(finding);
    }

    /// Notes a warning.
    pub(crate) fn warning(
        &mut self,
        position: impl Into<Option<Position>>,
        message: impl Into<String>,
    ) {
        let finding = self.finding(position.into(), message.into());
        self.warnings.push(finding);
    }

    fn finding(&self, position: Option<Position>, message: String) -> Finding {
        Finding {
            source: self.source.clone(),
            position,
            message,
        }
    }
}
