//! The connection pool, and what every SQLite connection must be told before its first statement.

use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::r2d2::{self, ConnectionManager, CustomizeConnection};
use diesel::{QueryResult, SqliteConnection};

/// A connection on loan from the pool.
pub type PooledConnection = r2d2::PooledConnection<ConnectionManager<SqliteConnection>>;

pub(super) type Pool = r2d2::Pool<ConnectionManager<SqliteConnection>>;

/// One writer, one probe, and two for whoever reads meanwhile.
const MOST_CONNECTIONS: u32 = 4;

/// How long a question waits for a connection.
const WAIT: Duration = Duration::from_secs(5);

/// Opens the pool with one connection; the others follow on demand and stay.
pub(super) fn open(path: &Path) -> Result<Pool, r2d2::PoolError> {
    Pool::builder()
        .max_size(MOST_CONNECTIONS)
        .min_idle(Some(1))
        .max_lifetime(None)
        .idle_timeout(None)
        .test_on_check_out(false)
        .connection_timeout(WAIT)
        .connection_customizer(Box::new(Pragmas))
        .build(ConnectionManager::new(address(path)))
}

/// The path as SQLite reads it back: `./` keeps a name such as `file:x` from being taken for a URI.
pub(super) fn address(path: &Path) -> String {
    Path::new(".").join(path).display().to_string()
}

/// Pragmas that belong to a connection and not to the file. The busy timeout comes first: those after it may have to
/// wait for a lock.
pub(super) fn set_pragmas(connection: &mut SqliteConnection) -> QueryResult<()> {
    connection.batch_execute(
        "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;",
    )
}

#[derive(Debug)]
struct Pragmas;

impl CustomizeConnection<SqliteConnection, r2d2::Error> for Pragmas {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), r2d2::Error> {
        set_pragmas(connection).map_err(r2d2::Error::QueryError)
    }
}
