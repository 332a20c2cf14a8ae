//! Records in, rows on disk: what the Logger has done on a blocking thread. It knows no actor and no queue.

use super::record::Record;
use super::requests::{self, Rejected};
use super::row::{Content, row};
use super::{Storage, StorageError};
use crate::secret::Scrubber;

/// Records of one transaction; also the most rows held besides their records.
const RECORDS_PER_TRANSACTION: usize = 500;

/// What became of a batch.
#[derive(Debug)]
pub struct Outcome {
    /// Records from the front of the batch that need no further try: they are on disk or among `rejected`.
    pub done: usize,
    /// Those that the database refused for themselves.
    pub rejected: Vec<Rejected>,
    /// Why the rest was not written.
    pub error: Option<StorageError>,
}

/// Converts and writes records in their order, and stops where the database does.
pub fn write(
    storage: &Storage,
    records: &[Record],
    content: Content,
    scrubber: &Scrubber,
) -> Outcome {
    let mut outcome = Outcome {
        done: 0,
        rejected: Vec::new(),
        error: None,
    };
    for records in records.chunks(RECORDS_PER_TRANSACTION) {
        let rows: Vec<_> = records
            .iter()
            .map(|record| row(record, content, scrubber))
            .collect();
        let written = storage
            .connection()
            .and_then(|mut connection| Ok(requests::insert(&mut connection, &rows)?));
        match written {
            Ok(rejected) => {
                outcome.done += records.len();
                outcome.rejected.extend(rejected);
            }
            Err(error) => {
                outcome.error = Some(error);
                break;
            }
        }
    }
    outcome
}
