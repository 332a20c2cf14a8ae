//! The database: where it is, its schema, the request log's records that become rows, and the rests of keys.
//! Everything here blocks; callers run it on a blocking thread. It knows no actor and no HTTP.

use std::path::PathBuf;
use std::sync::Arc;

use diesel::{Connection as _, SqliteConnection};

use self::database_url::{DatabaseUrl, DatabaseUrlError};
pub use self::pool::PooledConnection;

pub mod batch;
pub mod database_url;
pub mod health;
mod pool;
mod prepare;
pub mod record;
pub mod requests;
pub mod rests;
pub mod row;
mod schema;

/// The open database; clones share one pool.
#[derive(Clone)]
pub struct Storage {
    pool: pool::Pool,
    url: Arc<DatabaseUrl>,
}

/// Why the database cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// `DATABASE_URL` is not an address we serve.
    #[error("DATABASE_URL: {0}")]
    Url(#[from] DatabaseUrlError),
    /// SQLite makes files, not directories.
    #[error("the directory of the database {} does not exist; create it or change DATABASE_URL", path.display())]
    NoDirectory {
        /// The database file.
        path: PathBuf,
    },
    /// A directory where the file should be.
    #[error("the database {} is a directory; DATABASE_URL must name a file", path.display())]
    IsDirectory {
        /// The database file.
        path: PathBuf,
    },
    /// It could not be opened.
    #[error("cannot open the database {}: {reason}; check its permissions and those of its directory", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// The database's words.
        reason: String,
    },
    /// It was opened, but could not be made ready.
    #[error("cannot {step} (database {}): {reason}", path.display())]
    Prepare {
        /// The database file.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// The database's words.
        reason: String,
    },
    /// The file was removed or renamed while it was open: what is written now is lost.
    #[error("the database file {} is gone; restart to make a new one", path.display())]
    Gone {
        /// The database file.
        path: PathBuf,
    },
    /// Every connection is busy, or no new one can be made.
    #[error("no connection to the database: {0}")]
    Pool(#[from] diesel::r2d2::PoolError),
    /// A statement failed.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
}

impl Storage {
    /// Opens the database at `url`, makes it if need be, and brings its schema up to date. Directories are not made.
    pub fn open(url: &str) -> Result<Self, StorageError> {
        let url = DatabaseUrl::parse(url)?;
        let path = url.path().to_owned();
        if path.is_dir() {
            return Err(StorageError::IsDirectory { path });
        }
        if path
            .parent()
            .is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
        {
            return Err(StorageError::NoDirectory { path });
        }
        let mut connection =
            SqliteConnection::establish(&pool::address(&path)).map_err(|error| {
                StorageError::Open {
                    path: path.clone(),
                    reason: error.to_string(),
                }
            })?;
        prepare::prepare(&mut connection).map_err(|failure| StorageError::Prepare {
            path: path.clone(),
            step: failure.step,
            reason: failure.reason,
        })?;
        drop(connection);
        Ok(Self {
            pool: pool::open(&path)?,
            url: Arc::new(url),
        })
    }

    /// Where it is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// A connection from the pool; waits up to five seconds for one.
    pub fn connection(&self) -> Result<PooledConnection, StorageError> {
        Ok(self.pool.get()?)
    }

    /// Whether the file is still there and the request log can be read.
    pub fn ping(&self) -> Result<(), StorageError> {
        let path = self.url.path();
        if !path.exists() {
            return Err(StorageError::Gone {
                path: path.to_owned(),
            });
        }
        requests::touch(&mut *self.connection()?)?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
