//! The queue in front of the database: workers push, the Logger takes. Not an actor: a push costs a short lock, and
//! only the first into an empty buffer sends a message.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use actix::Recipient;

use super::Wake;
use crate::storage::record::Record;

/// Records on their way to the database, bounded by the bytes they hold until they are written.
pub struct LogBuffer {
    bound: usize,
    records: Mutex<Vec<Record>>,
    /// Weight of the records here and of those that the Logger has taken and not yet released.
    held: AtomicUsize,
    stripped: AtomicU64,
    dropped: AtomicU64,
    logger: OnceLock<Recipient<Wake>>,
}

impl LogBuffer {
    /// A buffer of at most `bound` bytes that wakes nobody yet.
    pub fn new(bound: usize) -> Self {
        Self {
            bound,
            records: Mutex::new(Vec::new()),
            held: AtomicUsize::new(0),
            stripped: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            logger: OnceLock::new(),
        }
    }

    /// Takes a record over. Above half of the bound it loses its content, above the bound it is dropped and counted.
    pub fn push(&self, mut record: Record) {
        let content = record.content_weight();
        let weight = record.weight();
        let mut held = self.held.fetch_add(weight, Ordering::Relaxed) + weight;
        if held > self.bound / 2 && content > 0 {
            record.strip_content();
            held = held.saturating_sub(content);
            self.release(content);
            self.stripped.fetch_add(1, Ordering::Relaxed);
        }
        if held > self.bound {
            self.release(record.weight());
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut records = self.lock();
        let first = records.is_empty();
        records.push(record);
        drop(records);
        if first && let Some(logger) = self.logger.get() {
            logger.do_send(Wake);
        }
    }

    /// Everything pushed so far. It still counts against the bound until it is released.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.lock())
    }

    /// Bytes that need no longer be held.
    pub fn release(&self, weight: usize) {
        self.held.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Bytes held at the moment.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Records that lost their content to the bound, since the start.
    pub fn stripped(&self) -> u64 {
        self.stripped.load(Ordering::Relaxed)
    }

    /// Records that were dropped at the bound, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// From now on a push into the empty buffer wakes this Logger. Only the first call counts.
    pub(super) fn wake(&self, logger: Recipient<Wake>) {
        // A second Logger would compete with the first for the records; it is simply not woken.
        let _ = self.logger.set(logger);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::record::tests::{body, record};
    use crate::storage::record::{Answer, Condensed};

    fn heavy(bytes: usize) -> Record {
        Record {
            request: Some(body(bytes)),
            ..record("heavy")
        }
    }

    #[test]
    fn what_was_taken_counts_until_it_is_released() {
        let buffer = LogBuffer::new(100_000);
        buffer.push(heavy(1000));
        let weight = buffer.held();
        assert!(weight > 1000);
        let records = buffer.take();
        assert_eq!(records.len(), 1);
        assert_eq!(buffer.held(), weight);
        buffer.release(weight);
        assert_eq!(buffer.held(), 0);
        assert!(buffer.take().is_empty());
    }

    #[test]
    fn above_half_of_the_bound_content_goes_and_above_the_bound_records_go() {
        let empty = record("heavy").weight();
        let buffer = LogBuffer::new(2 * (2 * empty + 1000));
        buffer.push(heavy(1000));
        buffer.push(heavy(1000));
        buffer.push(heavy(1000));
        assert_eq!((buffer.stripped(), buffer.dropped()), (2, 0));
        while buffer.dropped() == 0 {
            buffer.push(heavy(1000));
        }
        assert!(buffer.held() <= 2 * (2 * empty + 1000));
        let records = buffer.take();
        assert_eq!(records[0].content_weight(), 1000);
        assert_eq!(
            records[2].answer,
            Answer::Stripped {
                request: 1000,
                answer: 0
            }
        );
        assert_eq!(
            records.iter().map(Record::weight).sum::<usize>(),
            buffer.held()
        );
    }

    #[test]
    fn a_condensed_record_gives_back_what_it_took() {
        let condensed = || Record {
            condensed: Some(Condensed {
                parameters: "p".repeat(300),
                messages: Some("m".repeat(1000)),
                body: 5000,
            }),
            ..record("condensed")
        };
        let buffer = LogBuffer::new(2 * (condensed().weight() + 100));
        buffer.push(condensed());
        buffer.push(condensed());
        assert_eq!((buffer.stripped(), buffer.dropped()), (1, 0));
        let records = buffer.take();
        let stripped = Answer::Stripped {
            request: 5000,
            answer: 0,
        };
        assert_eq!(records[1].answer, stripped);
        let weight = records.iter().map(Record::weight).sum();
        assert_eq!(buffer.held(), weight);
        buffer.release(weight);
        assert_eq!(buffer.held(), 0);
    }

    #[test]
    fn a_record_larger_than_half_the_bound_is_kept_without_its_content() {
        let buffer = LogBuffer::new(4096);
        buffer.push(heavy(1 << 20));
        assert_eq!(buffer.take().len(), 1);
        assert!(buffer.held() < 4096);
    }
}
