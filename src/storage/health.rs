//! Whether the database works, as a flag that a probe and the Logger keep and that anybody reads without a query.
//! The clock is a parameter.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So long may the database be away before the gateway is called unhealthy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stands for "no failure" where a time in milliseconds is stored.
const NEVER: u64 = u64::MAX;

/// What is known of the database's health. Times are kept as milliseconds since `opened`.
#[derive(Debug)]
pub struct DatabaseHealth {
    opened: Instant,
    last_answer: AtomicU64,
    writes_fail_since: AtomicU64,
    response_micros: AtomicU64,
    error: Mutex<Option<String>>,
}

impl DatabaseHealth {
    /// The health of a database that has just been opened.
    pub fn new(now: Instant) -> Self {
        Self {
            opened: now,
            last_answer: AtomicU64::new(0),
            writes_fail_since: AtomicU64::new(NEVER),
            response_micros: AtomicU64::new(0),
            error: Mutex::new(None),
        }
    }

    /// The probe was answered after `took`.
    pub fn probe_succeeded(&self, now: Instant, took: Duration) {
        self.last_answer.store(self.millis(now), Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.response_micros.store(micros, Ordering::Relaxed);
        if self.writes_fail_since.load(Ordering::Relaxed) == NEVER {
            self.set_error(None);
        }
    }

    /// The probe was not answered.
    pub fn probe_failed(&self, error: String) {
        self.set_error(Some(error));
    }

    /// A batch was written.
    pub fn write_succeeded(&self, now: Instant) {
        self.last_answer.store(self.millis(now), Ordering::Relaxed);
        self.writes_fail_since.store(NEVER, Ordering::Relaxed);
        self.set_error(None);
    }

    /// A batch could not be written. A probe that reads well does not make up for it.
    pub fn write_failed(&self, now: Instant, error: String) {
        let now = self.millis(now);
        self.writes_fail_since.fetch_min(now, Ordering::Relaxed);
        self.set_error(Some(error));
    }

    /// False once the database has not answered, or has refused every write, for 30 s.
    pub fn healthy(&self, now: Instant) -> bool {
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
        let now = self.millis(now);
        let silent = now.saturating_sub(self.last_answer.load(Ordering::Relaxed));
        let refused = now.saturating_sub(self.writes_fail_since.load(Ordering::Relaxed));
        silent < patience && refused < patience
    }

    /// How long the last answered probe took, in milliseconds.
    pub fn response_time_ms(&self) -> f64 {
        let micros = self.response_micros.load(Ordering::Relaxed);
        Duration::from_micros(micros).as_secs_f64() * 1000.0
    }

    /// What is wrong at the moment, in the database's words; for the eyes of operators only.
    pub fn error(&self) -> Option<String> {
        self.error
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn set_error(&self, error: Option<String>) {
        *self
            .error
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = error;
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.opened).as_millis()).unwrap_or(NEVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_database_is_healthy_after_it_was_opened_and_for_thirty_silent_seconds() {
        let start = Instant::now();
        let health = DatabaseHealth::new(start);
        assert!(health.healthy(start));
        assert!(health.healthy(start + 29 * SECOND));
        assert!(!health.healthy(start + 30 * SECOND));
        health.probe_succeeded(start + 31 * SECOND, Duration::from_micros(1500));
        assert!(health.healthy(start + 32 * SECOND));
        assert!((health.response_time_ms() - 1.5).abs() < 1e-9);
    }

    #[test]
    fn refused_writes_make_it_unhealthy_though_the_probe_is_answered() {
        let start = Instant::now();
        let health = DatabaseHealth::new(start);
        health.write_failed(start, "disk full".to_owned());
        health.write_failed(start + 20 * SECOND, "disk full".to_owned());
        health.probe_succeeded(start + 29 * SECOND, Duration::ZERO);
        assert!(health.healthy(start + 29 * SECOND));
        assert_eq!(health.error().as_deref(), Some("disk full"));
        assert!(!health.healthy(start + 30 * SECOND));
        health.write_succeeded(start + 31 * SECOND);
        assert!(health.healthy(start + 31 * SECOND));
        assert_eq!(health.error(), None);
    }

    #[test]
    fn a_failed_probe_tells_its_reason_until_the_next_answer() {
        let start = Instant::now();
        let health = DatabaseHealth::new(start);
        health.probe_failed("gone".to_owned());
        assert_eq!(health.error().as_deref(), Some("gone"));
        health.probe_succeeded(start, Duration::ZERO);
        assert_eq!(health.error(), None);
    }
}
