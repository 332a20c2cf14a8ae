//! Records in, rows on disk: what the Logger has done on a blocking thread. It knows no actor and no queue.

use super::record::Record;
use super::requests::{self, Rejected};
use super::row::{Content, row};
use super::{Storage, StorageError};
use crate::secret::Scrubber;

/// Records of one transaction at most.
const RECORDS_PER_TRANSACTION: usize = 500;
/// Bytes that the records of one transaction hold, but for the last of them: about what their rows hold besides.
const BYTES_PER_TRANSACTION: usize = 2 * 1024 * 1024;

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
    let mut rest = records;
    while !rest.is_empty() {
        let (records, later) = rest.split_at(transaction(rest));
        rest = later;
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

/// How many of these records go into one transaction; at least the first.
fn transaction(records: &[Record]) -> usize {
    let mut bytes = 0;
    let fitting = records.iter().take_while(|record| {
        let fits = bytes < BYTES_PER_TRANSACTION;
        bytes += record.weight();
        fits
    });
    fitting.take(RECORDS_PER_TRANSACTION).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::record::tests::{body, record};

    #[test]
    fn a_transaction_is_bounded_by_records_and_by_bytes() {
        let large = |_| Record {
            request: Some(body(BYTES_PER_TRANSACTION)),
            ..record("large")
        };
        assert_eq!(transaction(&[0, 1].map(large)), 1);
        let small = vec![record("small"); RECORDS_PER_TRANSACTION + 1];
        assert_eq!(transaction(&small), RECORDS_PER_TRANSACTION);
        assert_eq!(transaction(&[record("small"), large(0), large(0)]), 2);
    }
}
