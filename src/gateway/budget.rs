//! The bytes of request bodies, and of answers that are held, that the process has at once: bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The budget; clones share it.
#[derive(Clone)]
pub struct BodyBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

/// Bytes taken from the budget, given back when dropped.
pub struct Taken {
    used: Arc<AtomicUsize>,
    limit: usize,
    bytes: usize,
}

impl BodyBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            used: Arc::default(),
            limit,
        }
    }

    /// An empty taking of a request.
    pub fn open(&self) -> Taken {
        self.up_to(self.limit)
    }

    /// An empty taking of an answer. It has been paid for: a quarter beyond the limit is kept for answers, so that
    /// requests are refused before they are.
    pub fn open_answer(&self) -> Taken {
        self.up_to(self.limit.saturating_add(self.limit / 4))
    }

    fn up_to(&self, limit: usize) -> Taken {
        Taken {
            used: Arc::clone(&self.used),
            limit,
            bytes: 0,
        }
    }
}

impl Taken {
    /// Takes more bytes; false: there is no room, and nothing was taken.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::AcqRel);
        if before.saturating_add(bytes) > self.limit {
            self.used.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        self.bytes += bytes;
        true
    }

    /// Takes what is missing to `bytes` in all.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        bytes <= self.bytes || self.grow(bytes - self.bytes)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.used.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_refused_when_the_budget_is_used_up_and_fits_again_later() {
        let budget = BodyBudget::new(10);
        let mut first = budget.open();
        let mut second = budget.open();
        assert!(first.grow(8));
        assert!(!second.grow(3));
        drop(first);
        assert!(second.grow(3));
    }

    #[test]
    fn an_answer_has_room_where_a_request_has_none_and_no_more_than_a_quarter() {
        let budget = BodyBudget::new(8);
        let mut request = budget.open();
        let mut answer = budget.open_answer();
        assert!(request.grow(8));
        assert!(!request.grow(1));
        assert!(answer.grow_to(2));
        assert!(answer.grow_to(1));
        assert!(!answer.grow_to(3));
        drop(request);
        assert!(answer.grow_to(10));
    }
}
