//! Tests of the Logger with a real database.

use std::future::Future;
use std::thread;
use std::time::SystemTime;

use actix_rt::System;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::config::settings::LogContent;
use crate::secret::{Scrubber, Secret};
use crate::storage::record::tests::record;
use crate::storage::requests;
use crate::storage::row::{Row, row};
use crate::storage::tests::temporary;

const OPTIONS: Options = Options {
    content: Content {
        mode: LogContent::Full,
        max_bytes: 65_536,
    },
    retention_days: 30,
    queue_bytes: 1 << 20,
};

/// A record that the retention leaves alone.
fn recent(id: &str) -> Record {
    Record {
        started: SystemTime::now(),
        ..record(id)
    }
}

struct Case {
    _directory: TempDir,
    storage: Storage,
    catalog: Arc<ArcSwap<Catalog>>,
    handles: Handles,
}

impl Case {
    fn new(storage: Storage, directory: TempDir) -> Self {
        let catalog = Arc::new(ArcSwap::from_pointee(Catalog::default()));
        Self {
            handles: start(storage.clone(), Arc::clone(&catalog), OPTIONS),
            _directory: directory,
            storage,
            catalog,
        }
    }

    fn push(&self, ids: &[&str]) {
        for id in ids {
            self.handles.buffer.push(recent(id));
        }
    }

    async fn flush(&self) -> Result<(), Unwritten> {
        self.handles.logger.send(Flush).await.unwrap()
    }

    fn execute(&self, sql: &str) {
        self.storage
            .connection()
            .unwrap()
            .batch_execute(sql)
            .unwrap();
    }

    fn count(&self) -> i64 {
        requests::count(&mut self.storage.connection().unwrap()).unwrap()
    }

    fn rows(&self, id: &str) -> Vec<Row> {
        requests::by_request_id(&mut self.storage.connection().unwrap(), id).unwrap()
    }
}

/// Runs a test with a Logger on a system of its own.
fn with_logger<F: Future<Output = ()>>(test: impl FnOnce(Case) -> F) {
    System::new().block_on(async {
        let (directory, storage) = temporary();
        test(Case::new(storage, directory)).await;
    });
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_record_is_on_disk_soon_without_a_flush() {
    with_logger(async |case| {
        for number in 1..4 {
            let pushed = Instant::now();
            case.push(&["one"]);
            until("the row is there", || case.count() == number).await;
            assert!(pushed.elapsed() < Duration::from_secs(2));
        }
        until("nothing is held", || case.handles.buffer.held() == 0).await;
    });
}

#[test]
fn after_a_flush_everything_that_was_pushed_before_it_is_on_disk() {
    with_logger(async |case| {
        assert_eq!(case.flush().await, Ok(()));
        for round in 1..4 {
            let pushers: Vec<_> = (0..4)
                .map(|_| {
                    let buffer = Arc::clone(&case.handles.buffer);
                    thread::spawn(move || (0..50).for_each(|_| buffer.push(recent("x"))))
                })
                .collect();
            for pusher in pushers {
                pusher.join().unwrap();
            }
            assert_eq!(case.flush().await, Ok(()));
            assert_eq!(case.count(), 200 * round);
        }
        assert_eq!(case.handles.buffer.held(), 0);
    });
}

#[test]
fn flushes_during_a_write_are_answered_too() {
    with_logger(async |case| {
        case.push(&["one"]);
        let first = case.handles.logger.send(Flush);
        let second = case.handles.logger.send(Flush);
        let pushed = async {
            case.push(&["two"]);
            case.flush().await
        };
        let (first, second, third) = tokio::join!(first, second, pushed);
        assert_eq!(
            (first.unwrap(), second.unwrap(), third),
            (Ok(()), Ok(()), Ok(()))
        );
        assert_eq!(case.count(), 2);
    });
}

#[test]
fn a_database_locked_by_another_for_a_while_loses_nothing() {
    with_logger(async |case| {
        let connections: Vec<_> = (0..4).map(|_| case.storage.connection().unwrap()).collect();
        for mut connection in connections {
            connection.batch_execute("PRAGMA busy_timeout = 0").unwrap();
        }
        let path = case.storage.url().path().display().to_string();
        let mut other = SqliteConnection::establish(&path).unwrap();
        other.batch_execute("BEGIN IMMEDIATE").unwrap();
        case.push(&["one", "two"]);
        until("the lock is noticed", || {
            let error = case.handles.health.error();
            error.is_some_and(|error| error.contains("locked"))
        })
        .await;
        case.push(&["three"]);
        assert_eq!(case.flush().await.unwrap_err().records, 3);
        other.batch_execute("COMMIT").unwrap();
        case.push(&["four"]);
        until("all rows are there", || case.count() == 4).await;
    });
}

#[test]
fn a_batch_that_cannot_be_written_is_kept_and_written_once_the_database_works_again() {
    with_logger(async |case| {
        case.execute("ALTER TABLE request_logs RENAME TO elsewhere");
        case.push(&["one", "two"]);
        until("the failure is known", || {
            case.handles.health.error().is_some()
        })
        .await;
        case.push(&["three"]);
        let unwritten = case.flush().await.unwrap_err();
        assert_eq!(unwritten.records, 3);
        assert!(unwritten.reason.contains("no such table"), "{unwritten}");
        assert!(case.handles.buffer.held() > 0);

        case.execute("ALTER TABLE elsewhere RENAME TO request_logs");
        until("all rows are there", || case.count() == 3).await;
        until("nothing is held", || case.handles.buffer.held() == 0).await;
        assert_eq!(case.handles.health.error(), None);
        assert_eq!(case.flush().await, Ok(()));
        assert_eq!(case.count(), 3);
    });
}

#[test]
fn a_row_that_is_refused_never_takes_its_batch_with_it() {
    with_logger(async |case| {
        case.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON request_logs WHEN NEW.request_id = 'bad'
             BEGIN SELECT RAISE(ABORT, 'no such row here'); END",
        );
        case.push(&["one", "bad", "two"]);
        assert_eq!(case.flush().await, Ok(()));
        assert_eq!(case.count(), 2);
        assert_eq!(case.handles.buffer.held(), 0);
        assert!(case.handles.health.healthy(Instant::now()));
    });
}

#[test]
fn a_secret_of_a_new_catalog_is_kept_out_of_later_rows() {
    with_logger(async |case| {
        let leaking = || Record {
            loss: Some("sk-12345678".to_owned()),
            ..recent("leak")
        };
        case.handles.buffer.push(leaking());
        case.flush().await.unwrap();
        case.catalog.store(Arc::new(Catalog {
            scrubber: Arc::new(Scrubber::new([(
                Secret::new("sk-12345678"),
                "KEY_1".to_owned(),
            )])),
            ..Catalog::default()
        }));
        case.handles.buffer.push(leaking());
        case.flush().await.unwrap();
        let losses: Vec<_> = case.rows("leak").into_iter().map(|row| row.loss).collect();
        assert_eq!(
            losses,
            [Some("sk-12345678".to_owned()), Some("[KEY_1]".to_owned())]
        );
    });
}

#[test]
fn old_rows_are_deleted_from_the_start_on_in_steps() {
    System::new().block_on(async {
        let (directory, storage) = temporary();
        let old = row(&record("old"), OPTIONS.content, &Scrubber::default());
        let rows: Vec<Row> = (0..1200)
            .map(|number| Row {
                id: number.to_string(),
                ..old.clone()
            })
            .collect();
        requests::insert(&mut storage.connection().unwrap(), &rows).unwrap();
        let case = Case::new(storage, directory);
        case.push(&["new"]);
        until("one step is done", || case.count() <= 701).await;
        until("only new rows are left", || case.count() == 1).await;
        assert_eq!(case.rows("new").len(), 1);
    });
}
