//! What the Logger does besides writing: it deletes old rows, asks the database how it is, and owns up to losses.

use std::time::{Duration, Instant, SystemTime};

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context};
use actix_rt::task::{JoinError, spawn_blocking};

use super::Logger;
use crate::storage::{StorageError, requests};

/// Rows deleted in one step, and the pause between steps: others want the disk too.
const RETENTION_STEP: i64 = 500;
const RETENTION_PAUSE: Duration = Duration::from_millis(100);

impl Logger {
    /// Deletes one step of old rows; the next step follows after a pause.
    pub(super) fn retire(&mut self, context: &mut Context<Self>) {
        self.retention_due = false;
        let Some(before) = self
            .retention
            .and_then(|retention| SystemTime::now().checked_sub(retention))
        else {
            return;
        };
        self.busy = true;
        let storage = self.storage.clone();
        let job = move || -> Result<usize, StorageError> {
            let mut connection = storage.connection()?;
            Ok(requests::delete_older_than(
                &mut connection,
                before,
                RETENTION_STEP,
            )?)
        };
        let retired = wrap_future::<_, Self>(spawn_blocking(job)).map(
            |deleted, logger, context: &mut Context<Self>| {
                logger.retired(deleted, context);
                logger.go_on(context);
            },
        );
        context.spawn(retired);
    }

    fn retired(
        &mut self,
        deleted: Result<Result<usize, StorageError>, JoinError>,
        context: &mut Context<Self>,
    ) {
        let deleted = match deleted {
            Ok(deleted) => deleted.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match deleted {
            Ok(0) => {}
            Ok(rows) => {
                tracing::debug!(rows, "old rows of the request log were deleted");
                // The next step finds nothing if this was the last; that is simpler than to count.
                context.run_later(RETENTION_PAUSE, |logger, context| {
                    logger.retention_due = true;
                    logger.due(context);
                });
            }
            Err(error) => tracing::warn!(
                error,
                "old rows of the request log could not be deleted; the next attempt is in an hour"
            ),
        }
    }

    pub(super) fn probe(&mut self, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.probing, true) {
            return;
        }
        let storage = self.storage.clone();
        let job = move || {
            let started = Instant::now();
            storage.ping().map(|()| started.elapsed())
        };
        let probed = wrap_future::<_, Self>(spawn_blocking(job)).map(
            |answer, logger, _: &mut Context<Self>| {
                logger.probing = false;
                match answer {
                    Ok(Ok(took)) => logger.health.probe_succeeded(Instant::now(), took),
                    Ok(Err(error)) => logger.probe_failed(&error.to_string()),
                    Err(error) => logger.probe_failed(&error.to_string()),
                }
            },
        );
        context.spawn(probed);
    }

    fn probe_failed(&self, error: &str) {
        tracing::error!(error, "the database does not answer");
        self.health.probe_failed(error.to_owned());
    }

    pub(super) fn report_losses(&mut self) {
        let dropped = self.buffer.dropped();
        let stripped = self.buffer.stripped();
        if dropped > self.reported.dropped {
            tracing::error!(
                records = dropped - self.reported.dropped,
                "records are missing from the request log: its queue was full (log_queue_bytes)"
            );
        }
        if stripped > self.reported.stripped {
            tracing::warn!(
                records = stripped - self.reported.stripped,
                "records lost prompts and answers: the queue of the request log was half full (log_queue_bytes)"
            );
        }
        self.reported.dropped = dropped;
        self.reported.stripped = stripped;
    }
}
