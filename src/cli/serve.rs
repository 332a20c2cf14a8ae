//! `model-proxy serve`.

use std::io::Write;

use super::outcome::Failure;
use super::{report, start};
use crate::app::{Application, StartError};
use crate::telemetry;

pub(super) fn run(out: &mut dyn Write) -> Result<(), Failure> {
    let sources = start::read()?;
    telemetry::init(
        &sources.settings.log_level,
        sources.settings.log_format.into(),
    )
    .map_err(Failure::usage)?;
    let application = Application::build(sources.settings, sources.environment)
        .map_err(start_failure)?
        .on_signals();
    let mut report = Vec::new();
    report::print(&application, &mut report)?;
    application
        .run_and_tell(|| {
            if let Err(error) = out.write_all(&report).and_then(|()| out.flush()) {
                tracing::warn!(%error, "the start report could not be printed");
            }
        })
        .map_err(Failure::failed)
}

/// Bad configuration is the user's to mend (64), the rest the machine's (1).
pub(super) fn start_failure(error: StartError) -> Failure {
    if error.is_usage() {
        Failure::usage(error)
    } else {
        Failure::failed(error)
    }
}
