//! `model-proxy check`: everything that `serve` would refuse or warn about, without serving.

use std::io::Write;

use super::outcome::{Failure, USAGE};
use super::{report, start};
use crate::config;
use crate::storage::database_url::DatabaseUrl;

pub(super) fn run(out: &mut dyn Write) -> Result<(), Failure> {
    let sources = start::read()?;
    let catalog = config::load(&sources.settings, &sources.environment);
    report::summary(&catalog, &sources.settings, out)?;
    let mut faults: Vec<String> = catalog.faults.iter().map(ToString::to_string).collect();
    if let Err(error) = DatabaseUrl::parse(&sources.settings.database_url) {
        faults.push(format!("DATABASE_URL: {error}"));
    }
    if sources.settings.require_client_api_key && catalog.clients.is_empty() {
        faults.push("CLIENT_API_KEY: not set, and REQUIRE_CLIENT_API_KEY=true".to_owned());
    }
    for warning in &catalog.warnings {
        writeln!(out, "warning:  {warning}")?;
    }
    for fault in &faults {
        writeln!(out, "fault:    {fault}")?;
    }
    match faults.len() {
        0 => Ok(writeln!(out, "the configuration is good")?),
        1 => {
            writeln!(out, "1 fault")?;
            Err(Failure::said(USAGE))
        }
        count => {
            writeln!(out, "{count} faults")?;
            Err(Failure::said(USAGE))
        }
    }
}
