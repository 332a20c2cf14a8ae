//! Tests of the statements, and of batches.

use std::time::Duration;

use diesel::connection::SimpleConnection;

use super::*;
use crate::config::settings::LogContent;
use crate::secret::Scrubber;
use crate::storage::StorageError;
use crate::storage::batch;
use crate::storage::record::Record;
use crate::storage::record::tests::record;
use crate::storage::row::{Content, row};
use crate::storage::tests::temporary;

const CONTENT: Content = Content {
    mode: LogContent::Full,
    max_bytes: 65_536,
};

/// Refuses the rows of one request, whatever they hold: the fault of the row, as the database sees it.
const REFUSE: &str =
    "CREATE TRIGGER refuse BEFORE INSERT ON request_logs WHEN NEW.request_id = 'bad'
    BEGIN SELECT RAISE(ABORT, 'no such row here'); END";

fn rows(ids: &[&str]) -> Vec<Row> {
    let scrubber = Scrubber::default();
    ids.iter()
        .map(|id| row(&record(id), CONTENT, &scrubber))
        .collect()
}

#[test]
fn a_row_comes_back_as_it_was_written() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    let rows = rows(&["one", "two", "one"]);
    assert_eq!(insert(&mut connection, &rows).unwrap(), []);
    let found = by_request_id(&mut connection, "one").unwrap();
    assert_eq!(found, [rows[0].clone(), rows[2].clone()]);
    assert_eq!(count(&mut connection).unwrap(), 3);
}

#[test]
fn a_thousand_rows_are_written_together() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    assert_eq!(insert(&mut connection, &rows(&["x"; 1001])).unwrap(), []);
    assert_eq!(count(&mut connection).unwrap(), 1001);
}

#[test]
fn a_batch_whose_fate_was_unknown_may_be_written_again() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    let rows = rows(&["one", "two"]);
    insert(&mut connection, &rows[..1]).unwrap();
    assert_eq!(insert(&mut connection, &rows).unwrap(), []);
    assert_eq!(count(&mut connection).unwrap(), 2);
}

#[test]
fn a_row_that_is_refused_never_takes_its_batch_with_it() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    connection.batch_execute(REFUSE).unwrap();
    // In the middle of a statement of many.
    let mut ids = vec!["good"; 3 * ROWS_PER_STATEMENT];
    ids.insert(ROWS_PER_STATEMENT + 3, "bad");
    let rejected = insert(&mut connection, &rows(&ids)).unwrap();
    let reason = "no such row here".to_owned();
    let request_id = "bad".to_owned();
    assert_eq!(rejected, [Rejected { request_id, reason }]);
    let written = i64::try_from(ids.len() - 1).unwrap();
    assert_eq!(count(&mut connection).unwrap(), written);
}

#[test]
fn a_refused_row_that_is_alone_is_refused_all_the_same() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    connection.batch_execute(REFUSE).unwrap();
    let rejected = insert(&mut connection, &rows(&["bad"])).unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(count(&mut connection).unwrap(), 0);
}

#[test]
fn a_database_that_takes_no_row_refuses_none() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    connection.batch_execute("PRAGMA query_only = ON").unwrap();
    let error = insert(&mut connection, &rows(&["one", "two"])).unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
    connection
        .batch_execute("PRAGMA query_only = OFF; DROP TABLE request_logs")
        .unwrap();
    let error = insert(&mut connection, &rows(&["one", "two"])).unwrap_err();
    assert!(error.to_string().contains("no such table"), "{error}");
}

#[test]
fn a_full_database_keeps_what_it_has_and_refuses_nothing() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    connection
        .batch_execute("PRAGMA max_page_count = 40")
        .unwrap();
    let ids = vec!["x"; 2000];
    let error = insert(&mut connection, &rows(&ids)).unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    drop(connection);
    // Another connection of the pool has no such limit.
    let mut connections = [storage.connection().unwrap(), storage.connection().unwrap()];
    assert_eq!(insert(&mut connections[1], &rows(&ids)).unwrap(), []);
}

#[test]
fn a_batch_stops_where_the_database_does_and_tells_how_far_it_came() {
    let (_directory, storage) = temporary();
    storage
        .connection()
        .unwrap()
        .batch_execute("DROP TABLE request_logs")
        .unwrap();
    let records: Vec<Record> = (0..3).map(|_| record("x")).collect();
    let outcome = batch::write(&storage, &records, CONTENT, &Scrubber::default());
    assert_eq!(outcome.done, 0);
    assert!(matches!(outcome.error, Some(StorageError::Query(_))));
}

#[test]
fn old_rows_go_in_steps_the_oldest_first() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let second = |number: u64| start + Duration::from_secs(number);
    let rows: Vec<Row> = (0..10)
        .rev()
        .map(|number| Record {
            started: second(number),
            ..record(&number.to_string())
        })
        .map(|record| row(&record, CONTENT, &Scrubber::default()))
        .collect();
    insert(&mut connection, &rows).unwrap();
    let mut step = || delete_older_than(&mut connection, second(6), 4).unwrap();
    assert_eq!([step(), step(), step()], [4, 2, 0]);
    assert!(by_request_id(&mut connection, "5").unwrap().is_empty());
    assert_eq!(by_request_id(&mut connection, "6").unwrap().len(), 1);
}

#[test]
fn deleted_rows_give_their_pages_back() {
    let (_directory, storage) = temporary();
    let mut connection = storage.connection().unwrap();
    let rows: Vec<Row> = rows(&vec!["x"; 100])
        .into_iter()
        .map(|row| Row {
            messages: Some("m".repeat(40_000)),
            ..row
        })
        .collect();
    insert(&mut connection, &rows).unwrap();
    let pages = |connection: &mut SqliteConnection| -> i64 {
        diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(
            "(SELECT page_count FROM pragma_page_count)",
        ))
        .get_result(connection)
        .unwrap()
    };
    let before = pages(&mut connection);
    delete_older_than(&mut connection, SystemTime::now(), 500).unwrap();
    assert_eq!(pages(&mut connection), before - 200);
}
