//! What a reload changed, in the process log: once for each new fault, once for each mended one.

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
    new.iter().filter(move |finding| !old.contains(finding))
}
