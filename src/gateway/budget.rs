//! The bytes of request bodies that the process holds at once, bounded.

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

    /// An empty taking that can grow.
    pub fn open(&self) -> Taken {
        Taken {
            used: Arc::clone(&self.used),
            bytes: 0,
        }
    }

    /// Takes more bytes; false: there is no room, and nothing was taken.
    pub fn grow(&self, taken: &mut Taken, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::AcqRel);
        if before.saturating_add(bytes) > self.limit {
            self.used.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        taken.bytes += bytes;
        true
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::AcqRel);
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
        assert!(budget.grow(&mut first, 8));
        assert!(!budget.grow(&mut second, 3));
        drop(first);
        assert!(budget.grow(&mut second, 3));
    }
}
