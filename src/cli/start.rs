//! What every command reads first: `.env`, the environment, the settings.

use std::path::Path;

use super::outcome::Failure;
use crate::config::environment::Environment;
use crate::config::settings::Settings;

/// Settings and environment as `serve` would use them.
pub(super) struct Sources {
    pub(super) settings: Settings,
    pub(super) environment: Environment,
}

/// Reads them, or names every fault.
pub(super) fn read() -> Result<Sources, Failure> {
    let environment = Environment::read(Path::new(".env"));
    let settings = Settings::read(&environment).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failure::usage(lines.join("\nmodel-proxy: "))
    })?;
    Ok(Sources {
        settings,
        environment,
    })
}
