//! The Logger: takes records from the shared buffer and has them written in batches, keeps the retention and the health
//! of the database. It holds no connection and runs no query itself: whatever blocks runs on a blocking thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, ResponseFuture,
    SpawnHandle,
};
use actix_rt::task::{JoinError, spawn_blocking};
use arc_swap::ArcSwap;
use tokio::sync::oneshot;

pub use self::buffer::LogBuffer;
use crate::config::catalog::Catalog;
use crate::config::settings::Settings;
use crate::storage::Storage;
use crate::storage::batch::{self, Outcome};
use crate::storage::health::DatabaseHealth;
use crate::storage::record::Record;
use crate::storage::row::Content;

mod buffer;
mod upkeep;

/// From the first record in an empty buffer to the write: what a crash may lose, besides the write itself.
const GATHER: Duration = Duration::from_millis(50);

/// First pause after a failed write; it doubles up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Between two probes of the database, and the least time between two lines about the same trouble.
const PROBE: Duration = Duration::from_secs(5);

const RETENTION_INTERVAL: Duration = Duration::from_secs(3600);
const SECONDS_A_DAY: u64 = 86_400;

/// The buffer is no longer empty. Sent by the buffer.
struct Wake;

impl Message for Wake {
    type Result = ();
}

/// Resolves when everything pushed before it is on disk, or one attempt to write it has failed. What failed is kept.
pub struct Flush;

impl Message for Flush {
    type Result = Result<(), Unwritten>;
}

/// Records that a [`Flush`] could not bring to disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{records} records of the request log could not be written: {reason}")]
pub struct Unwritten {
    /// How many.
    pub records: usize,
    /// The database's words.
    pub reason: String,
}

/// A running Logger and what others need of it.
#[derive(Clone)]
pub struct Handles {
    /// The actor; it lives as long as the system it was started on.
    pub logger: Addr<Logger>,
    /// Where records go.
    pub buffer: Arc<LogBuffer>,
    /// What health endpoints read.
    pub health: Arc<DatabaseHealth>,
}

/// What the settings say about the request log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What is kept of prompts and answers.
    pub content: Content,
    /// Older rows are deleted; 0 keeps them.
    pub retention_days: u32,
    /// Bound of what waits to be written.
    pub queue_bytes: usize,
}

impl From<&Settings> for Options {
    fn from(settings: &Settings) -> Self {
        Self {
            content: Content::from(settings),
            retention_days: settings.log_retention_days,
            queue_bytes: settings.log_queue_bytes,
        }
    }
}

/// Starts the Logger on the current arbiter, which should be the main one: those of workers end before it may.
pub fn start(storage: Storage, catalog: Arc<ArcSwap<Catalog>>, options: Options) -> Handles {
    let buffer = Arc::new(LogBuffer::new(options.queue_bytes));
    let health = Arc::new(DatabaseHealth::new(Instant::now()));
    let days = u64::from(options.retention_days);
    let logger = Logger {
        buffer: Arc::clone(&buffer),
        health: Arc::clone(&health),
        storage,
        catalog,
        content: options.content,
        retention: (days > 0).then(|| Duration::from_secs(days * SECONDS_A_DAY)),
        backlog: Vec::new(),
        flushes: Vec::new(),
        busy: false,
        again: false,
        retention_due: days > 0,
        probing: false,
        retry: None,
        next_retry: FIRST_RETRY,
        reported: Reported::default(),
    }
    .start();
    buffer.wake(logger.clone().recipient());
    Handles {
        logger,
        buffer,
        health,
    }
}

type Waiting = oneshot::Sender<Result<(), Unwritten>>;

/// The actor. At most one of its writes, batch or retention step, is in flight.
pub struct Logger {
    buffer: Arc<LogBuffer>,
    health: Arc<DatabaseHealth>,
    storage: Storage,
    catalog: Arc<ArcSwap<Catalog>>,
    content: Content,
    /// Age at which rows go; `None` keeps them.
    retention: Option<Duration>,
    /// Taken from the buffer by a write that failed; still counted by it.
    backlog: Vec<Record>,
    /// Flushes to be answered by the next write.
    flushes: Vec<Waiting>,
    /// A write is in flight.
    busy: bool,
    /// Something became due while it was.
    again: bool,
    retention_due: bool,
    probing: bool,
    /// The timer of the next attempt, while writes fail.
    retry: Option<SpawnHandle>,
    next_retry: Duration,
    reported: Reported,
}

/// What the process log has been told, so that it is not told too often.
#[derive(Default)]
struct Reported {
    stripped: u64,
    dropped: u64,
    failure: Option<Instant>,
}

impl Actor for Logger {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(PROBE, |logger, context| {
            logger.report_losses();
            logger.probe(context);
        });
        if self.retention.is_some() {
            context.run_interval(RETENTION_INTERVAL, |logger, context| {
                logger.retention_due = true;
                logger.due(context);
            });
        }
        // Also writes what was pushed before anybody could be woken.
        self.due(context);
    }
}

impl Handler<Wake> for Logger {
    type Result = ();

    fn handle(&mut self, _: Wake, context: &mut Self::Context) {
        context.run_later(GATHER, Self::due);
    }
}

impl Handler<Flush> for Logger {
    type Result = ResponseFuture<Result<(), Unwritten>>;

    fn handle(&mut self, _: Flush, context: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.flushes.push(sender);
        self.report_losses();
        if !self.busy {
            self.work(context);
        }
        Box::pin(async {
            receiver.await.unwrap_or_else(|_| {
                Err(Unwritten {
                    records: 0,
                    reason: "the logger has stopped".to_owned(),
                })
            })
        })
    }
}

impl Logger {
    /// A timer ran out: goes on unless a write is in flight or a failed one is to be left alone for a while.
    fn due(&mut self, context: &mut Context<Self>) {
        if self.busy {
            self.again = true;
        } else if self.retry.is_none() {
            self.work(context);
        }
    }

    /// Begins the next write; there must be none in flight.
    fn work(&mut self, context: &mut Context<Self>) {
        self.again = false;
        if let Some(retry) = self.retry.take() {
            context.cancel_future(retry);
        }
        self.backlog.append(&mut self.buffer.take());
        if !self.backlog.is_empty() {
            self.write(context);
            return;
        }
        answer(&mut self.flushes, &Ok(()));
        if self.retention_due {
            self.retire(context);
        }
    }

    /// A write ended: goes on at once if something became due meanwhile. Batches and retention steps take turns, so
    /// that neither waits for a lull.
    fn go_on(&mut self, context: &mut Context<Self>) {
        self.busy = false;
        if !self.flushes.is_empty() {
            self.work(context);
        } else if self.retention_due && self.retry.is_none() {
            self.retire(context);
        } else if self.again {
            self.due(context);
        }
    }

    fn write(&mut self, context: &mut Context<Self>) {
        self.busy = true;
        let flushes = std::mem::take(&mut self.flushes);
        let records = Arc::new(std::mem::take(&mut self.backlog));
        let job = {
            let (storage, records) = (self.storage.clone(), Arc::clone(&records));
            let (content, scrubber) = (self.content, Arc::clone(&self.catalog.load().scrubber));
            move || batch::write(&storage, &records, content, &scrubber)
        };
        let written = wrap_future::<_, Self>(spawn_blocking(job)).map(
            move |outcome, logger, context: &mut Context<Self>| {
                logger.written(Arc::unwrap_or_clone(records), flushes, outcome, context);
            },
        );
        context.spawn(written);
    }

    fn written(
        &mut self,
        mut records: Vec<Record>,
        mut flushes: Vec<Waiting>,
        outcome: Result<Outcome, JoinError>,
        context: &mut Context<Self>,
    ) {
        let panicked = outcome.is_err();
        let (done, rejected, error) = match outcome {
            Ok(outcome) => (
                outcome.done,
                outcome.rejected,
                outcome.error.map(|error| error.to_string()),
            ),
            Err(error) => (0, Vec::new(), Some(error.to_string())),
        };
        for row in rejected {
            tracing::error!(
                request_id = row.request_id,
                error = row.reason,
                "the database refused the row of this request; it is missing from the request log"
            );
        }
        let mut rest = records.split_off(done.min(records.len()));
        self.buffer
            .release(records.iter().map(Record::weight).sum());
        if panicked {
            self.strip(&mut rest);
        }
        match error {
            None => {
                self.write_succeeded();
                answer(&mut flushes, &Ok(()));
            }
            Some(reason) => {
                self.write_failed(rest.len(), &reason, context);
                let records = rest.len();
                answer(&mut flushes, &Err(Unwritten { records, reason }));
            }
        }
        self.backlog = rest;
        self.go_on(context);
    }

    /// No text may be able to break the log for good: if converting it panics, it is tried without content.
    fn strip(&mut self, records: &mut [Record]) {
        for record in records {
            self.buffer.release(record.content_weight());
            record.strip_content();
        }
    }

    fn write_succeeded(&mut self) {
        self.health.write_succeeded(Instant::now());
        self.next_retry = FIRST_RETRY;
        if self.reported.failure.take().is_some() {
            tracing::info!("the request log is written again");
        }
    }

    fn write_failed(&mut self, records: usize, reason: &str, context: &mut Context<Self>) {
        let now = Instant::now();
        self.health.write_failed(now, reason.to_owned());
        let reported = self.reported.failure;
        if reported.is_none_or(|reported| now.duration_since(reported) >= PROBE) {
            self.reported.failure = Some(now);
            tracing::error!(
                records,
                error = reason,
                "the request log cannot be written; its records are kept and tried again"
            );
        }
        self.retry = Some(context.run_later(self.next_retry, |logger, context| {
            logger.retry = None;
            logger.due(context);
        }));
        self.next_retry = LONGEST_RETRY.min(self.next_retry * 2);
    }
}

fn answer(flushes: &mut Vec<Waiting>, result: &Result<(), Unwritten>) {
    for flush in flushes.drain(..) {
        // Whoever asked may have left.
        let _ = flush.send(result.clone());
    }
}

#[cfg(test)]
mod tests;
