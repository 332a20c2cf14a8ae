//! What a reload changed, in the process log: once for each new fault, once for each mended one.

use std::collections::BTreeSet;

use crate::config::catalog::{Catalog, Finding};

/// Tells the difference between two catalogs.
pub(super) fn tell(before: &Catalog, after: &Catalog) {
    for fault in news(&before.faults, &after.faults) {
        tracing::error!(%fault, "the configuration is faulty; what was good stays in use");
    }
    for warning in news(&before.warnings, &after.warnings) {
        tracing::warn!(%warning, "configuration");
    }
    for fault in news(&after.faults, &before.faults) {
        tracing::info!(source = %fault.source.display(), "a configuration file is good again");
    }
    tracing::info!(
        models = after.models.len(),
        faults = after.faults.len(),
        "configuration reloaded"
    );
}

/// Findings of the second list that the first does not have.
fn news<'a>(old: &'a [Finding], new: &'a [Finding]) -> impl Iterator<Item = &'a Finding> {
    let old: BTreeSet<&Finding> = old.iter().collect();
    new.iter().filter(move |finding| !old.contains(finding))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn news_are_what_was_not_there_before() {
        let finding = |message: &str| Finding {
            source: PathBuf::from("a.json"),
            position: None,
            message: message.to_owned(),
        };
        let (old, new) = ([finding("a"), finding("b")], [finding("b"), finding("c")]);
        let told: Vec<_> = news(&old, &new).collect();
        assert_eq!(told, [&finding("c")]);
    }
}
