//! Statements on the table of requests. It knows rows, not how they came about.

use std::time::SystemTime;

use diesel::connection::SimpleConnection;
use diesel::dsl::count_star;
use diesel::prelude::*;
use uuid::Uuid;

use self::new_rows::NewRows;
use super::row::{Row, timestamp};
use super::schema::request_logs;

mod new_rows;

/// Rows in a statement where there are as many: SQLite then finds the ends of its trees once, not for each row.
const ROWS_PER_STATEMENT: usize = 16;

/// A row that the database refused for itself: the others of its batch are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The request that is missing from the log.
    pub request_id: String,
    /// The database's words.
    pub reason: String,
}

/// Writes rows in one transaction; if that fails though the database works, one by one. Rows that are there already
/// are left alone, so a batch whose fate is unknown may be written again. Returns the rows that were refused.
///
/// # Errors
/// The database does not work at the moment: some rows may be written, all should be tried again. The connection may
/// be broken.
pub fn insert(connection: &mut SqliteConnection, rows: &[Row]) -> QueryResult<Vec<Rejected>> {
    let mut begun = false;
    // Where SQLite has rolled back by itself, diesel reports that its own rollback failed. We want the first error.
    let mut cause = None;
    let together = connection.immediate_transaction(|connection| {
        begun = true;
        insert_new(connection, rows).map_err(|error| {
            cause = Some(error);
            diesel::result::Error::RollbackTransaction
        })
    });
    let Err(error) = together else {
        return Ok(Vec::new());
    };
    let error = cause.unwrap_or(error);
    if !begun || is_exhaustion(&error) || prove_writable(connection).is_err() {
        return Err(error);
    }
    insert_one_by_one(connection, rows)
}

fn insert_one_by_one(
    connection: &mut SqliteConnection,
    rows: &[Row],
) -> QueryResult<Vec<Rejected>> {
    let mut rejected = Vec::new();
    for row in rows {
        let Err(error) = insert_row(connection, row) else {
            continue;
        };
        if is_exhaustion(&error) || prove_writable(connection).is_err() {
            return Err(error);
        }
        rejected.push(Rejected {
            request_id: row.request_id.clone(),
            reason: error.to_string(),
        });
    }
    Ok(rejected)
}

/// Whether space or memory ran out. A small row may still fit then, so the proof below would not show it; diesel has no
/// code for it, so we know it by SQLite's words.
fn is_exhaustion(error: &diesel::result::Error) -> bool {
    let words = error.to_string();
    [
        "database or disk is full",
        "disk I/O error",
        "out of memory",
    ]
    .iter()
    .any(|exhaustion| words.contains(exhaustion))
}

/// Writes rows that are not there yet.
fn insert_new(connection: &mut SqliteConnection, rows: &[Row]) -> QueryResult<()> {
    let (full, rest) = rows.as_chunks::<ROWS_PER_STATEMENT>();
    for rows in full {
        NewRows(rows).execute(connection)?;
    }
    for row in rest {
        NewRows(std::array::from_ref(row)).execute(connection)?;
    }
    Ok(())
}

/// Writes a row that may be there.
fn insert_row(connection: &mut SqliteConnection, row: &Row) -> QueryResult<usize> {
    diesel::insert_into(request_logs::table)
        .values(row)
        .on_conflict(request_logs::id)
        .do_nothing()
        .execute(connection)
}

/// Writes an empty row and takes it back. What fails here is the database's fault, not that of a row; diesel's error
/// kinds do not tell the two apart.
fn prove_writable(connection: &mut SqliteConnection) -> QueryResult<()> {
    let id = Uuid::now_v7().to_string();
    let row = Row {
        id: id.clone(),
        ..Row::default()
    };
    connection.immediate_transaction(|connection| {
        insert_row(connection, &row)?;
        diesel::delete(request_logs::table.find(&id)).execute(connection)?;
        Ok(())
    })
}

/// Deletes at most `limit` rows that are older than `before`, the oldest first, and gives some pages back to the file
/// system. Returns how many; fewer than `limit` means that none is left.
pub fn delete_older_than(
    connection: &mut SqliteConnection,
    before: SystemTime,
    limit: i64,
) -> QueryResult<usize> {
    let old = diesel::alias!(request_logs as old_request_logs);
    let oldest = old
        .select(old.field(request_logs::id))
        .filter(old.field(request_logs::timestamp).lt(timestamp(before)))
        .order(old.field(request_logs::timestamp))
        .limit(limit);
    let deleted = diesel::delete(request_logs::table)
        .filter(request_logs::id.eq_any(oldest))
        .execute(connection)?;
    if deleted > 0 {
        connection.batch_execute("PRAGMA incremental_vacuum(200)")?;
    }
    Ok(deleted)
}

/// Reads as little as possible of the table.
pub(super) fn touch(connection: &mut SqliteConnection) -> QueryResult<()> {
    request_logs::table
        .select(request_logs::id)
        .limit(1)
        .load::<String>(connection)?;
    Ok(())
}

/// Number of rows.
pub fn count(connection: &mut SqliteConnection) -> QueryResult<i64> {
    request_logs::table
        .select(count_star())
        .get_result(connection)
}

/// The rows of a request id, the oldest first. Clients choose request ids, so there may be several.
pub fn by_request_id(connection: &mut SqliteConnection, request_id: &str) -> QueryResult<Vec<Row>> {
    request_logs::table
        .select(Row::as_select())
        .filter(request_logs::request_id.eq(request_id))
        .order(request_logs::id)
        .load(connection)
}

#[cfg(test)]
mod tests;
