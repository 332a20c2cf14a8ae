//! Tests of the database as a whole.

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use tempfile::TempDir;

use super::*;

/// A database in a directory of its own, which goes with the guard.
pub(crate) fn temporary() -> (TempDir, Storage) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&url(&directory)).unwrap();
    (directory, storage)
}

/// Where `temporary` puts it.
pub(crate) fn url(directory: &TempDir) -> String {
    format!("sqlite:///{}", directory.path().join("log.db").display())
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

fn pragma(connection: &mut SqliteConnection, name: &str) -> String {
    let query = format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}");
    let found: Value = sql_query(query).get_result(connection).unwrap();
    found.value
}

#[test]
fn a_new_database_is_in_wal_mode_gives_pages_back_and_every_connection_is_told_its_pragmas() {
    let (_directory, storage) = temporary();
    let mut connections: Vec<_> = (0..4).map(|_| storage.connection().unwrap()).collect();
    for connection in &mut connections {
        assert_eq!(pragma(connection, "journal_mode"), "wal");
        assert_eq!(pragma(connection, "auto_vacuum"), "2");
        assert_eq!(pragma(connection, "synchronous"), "1");
        assert_eq!(pragma(connection, "foreign_keys"), "1");
        let busy: Value =
            sql_query("SELECT CAST(timeout AS TEXT) AS value FROM pragma_busy_timeout")
                .get_result(connection)
                .unwrap();
        assert_eq!(busy.value, "5000");
    }
}

#[test]
fn a_database_opens_again_with_what_it_held() {
    let (directory, storage) = temporary();
    let row = row::Row {
        id: "1".to_owned(),
        ..row::Row::default()
    };
    requests::insert(&mut storage.connection().unwrap(), &[row]).unwrap();
    drop(storage);
    let storage = Storage::open(&url(&directory)).unwrap();
    let count = requests::count(&mut storage.connection().unwrap()).unwrap();
    assert_eq!(count, 1);
    assert_eq!(storage.url().to_string(), url(&directory));
}

#[test]
fn what_cannot_be_opened_says_where_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("sqlite:///{}", directory.path().join(name).display());
    let error = |url: &str| Storage::open(url).err().unwrap();

    let missing = error(&path("missing/log.db"));
    assert!(matches!(missing, StorageError::NoDirectory { .. }));
    assert!(
        missing
            .to_string()
            .contains("missing/log.db does not exist")
    );
    assert!(matches!(error(&path("")), StorageError::IsDirectory { .. }));
    assert!(matches!(
        error("postgres://u:p@h/d"),
        StorageError::Url(DatabaseUrlError::Postgres)
    ));
    std::fs::write(directory.path().join("text.db"), "no database ".repeat(100)).unwrap();
    let text = error(&path("text.db")).to_string();
    assert!(
        text.contains("text.db") && text.contains("not a database"),
        "{text}"
    );
}

#[test]
fn a_name_that_looks_like_a_uri_is_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file:log.db");
    Storage::open(&format!("sqlite:///{}", path.display())).unwrap();
    assert!(path.is_file());
    assert_eq!(pool::address(std::path::Path::new("file:x")), "./file:x");
}

#[test]
fn a_ping_notices_a_missing_file_and_a_missing_table() {
    let (_directory, storage) = temporary();
    storage.ping().unwrap();
    storage
        .connection()
        .unwrap()
        .batch_execute("ALTER TABLE request_logs RENAME TO elsewhere")
        .unwrap();
    assert!(matches!(storage.ping(), Err(StorageError::Query(_))));
    std::fs::remove_file(storage.url().path()).unwrap();
    assert!(matches!(storage.ping(), Err(StorageError::Gone { .. })));
}
