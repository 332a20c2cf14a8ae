//! What happens to the database file once, on one connection, before the pool opens: its format, the table that the
//! Python original may have left in it, migrations.

use std::error::Error;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryResult, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::pool;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// A step that failed.
pub(super) struct Failure {
    pub(super) step: &'static str,
    pub(super) reason: String,
}

/// Makes a new file ours, or an old one current.
pub(super) fn prepare(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let failed = |step| move |error: diesel::result::Error| Failure::new(step, &error);
    pool::set_pragmas(connection).map_err(failed("set its pragmas"))?;
    // Only a file without pages takes these, and only before it is in WAL mode. A row with content seldom fits into a half of
    // SQLite's usual 4 KiB, so it would have a page of its own: 28 µs and 4 KiB a row of 2.2 KB, here 16 µs and 2.2 KiB.
    if number(
        connection,
        "SELECT page_count AS number FROM pragma_page_count",
    )
    .map_err(failed("read it"))?
        == 0
    {
        connection
            .batch_execute("PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL")
            .map_err(failed("set its page size and auto_vacuum"))?;
    }
    connection
        .batch_execute("PRAGMA journal_mode = WAL")
        .map_err(failed("switch it to wal mode"))?;
    // One transaction, so that two processes that start at once do not both migrate.
    connection
        .immediate_transaction(|connection| -> Result<(), Box<dyn Error + Send + Sync>> {
            set_python_table_aside(connection)?;
            connection.run_pending_migrations(MIGRATIONS)?;
            Ok(())
        })
        .map_err(|error| Failure::new("migrate it", error.as_ref()))
}

impl Failure {
    fn new(step: &'static str, error: &(impl Error + ?Sized)) -> Self {
        Self {
            step,
            reason: error.to_string(),
        }
    }
}

/// Renames a `request_logs` table of the Python original, whose rows we can neither continue nor throw away.
fn set_python_table_aside(connection: &mut SqliteConnection) -> QueryResult<()> {
    if !is_python_table(connection)? {
        return Ok(());
    }
    let mut name = "request_logs_python".to_owned();
    let mut number = 1;
    while exists(connection, &name)? {
        number += 1;
        name = format!("request_logs_python_{number}");
    }
    tracing::warn!(
        table = name,
        "the database holds a request log of the python model-proxy; its table is renamed and kept"
    );
    sql_query(format!("ALTER TABLE request_logs RENAME TO {name}")).execute(connection)?;
    Ok(())
}

/// Its `id` is a number, ours a text; and from our first migration on ours has `attempts`.
fn is_python_table(connection: &mut SqliteConnection) -> QueryResult<bool> {
    let columns: Vec<Column> =
        sql_query("SELECT name, type AS kind FROM pragma_table_info('request_logs')")
            .load(connection)?;
    let integer_id = columns
        .iter()
        .any(|column| column.name == "id" && column.kind.to_ascii_uppercase().contains("INT"));
    let ours = columns.iter().any(|column| column.name == "attempts");
    Ok(!columns.is_empty() && (integer_id || !ours))
}

fn exists(connection: &mut SqliteConnection, table: &str) -> QueryResult<bool> {
    let found: Number = sql_query("SELECT count(*) AS number FROM sqlite_master WHERE name = ?")
        .bind::<Text, _>(table)
        .get_result(connection)?;
    Ok(found.number > 0)
}

fn number(connection: &mut SqliteConnection, query: &str) -> QueryResult<i64> {
    let found: Number = sql_query(query).get_result(connection)?;
    Ok(found.number)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[cfg(test)]
mod tests;
