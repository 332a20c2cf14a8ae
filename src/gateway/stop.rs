//! How a stop travels: first nobody new, then nobody at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// The stop flag of the process, shared by everything that has to end. Cheap to clone.
#[derive(Clone, Default)]
pub struct Stop {
    draining: CancellationToken,
    ended: CancellationToken,
    live: Arc<AtomicUsize>,
}

impl Stop {
    /// A stop that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same stop for one worker, whose requests then wait for it without touching what other workers' requests touch.
    pub fn for_worker(&self) -> Self {
        Self {
            ended: self.ended.child_token(),
            ..self.clone()
        }
    }

    /// The first stage: readiness says no, running requests may finish.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether the first stage has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// The second stage: what still runs ends itself now.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Resolves when the second stage begins.
    pub fn ended(&self) -> WaitForCancellationFuture<'_> {
        self.ended.cancelled()
    }

    /// Whether the second stage has begun.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Counts a request in, until the guard is dropped; how many were there before it.
    pub fn enter(&self) -> (Live, usize) {
        let before = self.live.fetch_add(1, Ordering::AcqRel);
        (Live(Arc::clone(&self.live)), before)
    }

    /// Requests whose log record has not been handed over yet.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }
}

/// One live request.
pub struct Live(Arc<AtomicUsize>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_live_until_its_guard_is_dropped() {
        let stop = Stop::new();
        let (guard, before) = stop.clone().enter();
        assert_eq!((before, stop.live()), (0, 1));
        drop(guard);
        assert_eq!(stop.live(), 0);
    }

    #[test]
    fn a_worker_hears_of_the_stop_and_its_requests_are_counted() {
        let stop = Stop::new();
        let of_worker = stop.for_worker();
        let (_guard, _) = of_worker.enter();
        assert_eq!(stop.live(), 1);
        stop.drain();
        assert!(of_worker.is_draining() && !of_worker.has_ended());
        stop.end();
        assert!(of_worker.has_ended());
    }
}
