//! Which route and key a session was answered by last. Sessions are digests here, whatever they were made of; the table
//! is bounded and forgets what is idle. It has no clock of its own.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use foldhash::HashMap;

use crate::config::catalog::Route;
use crate::secret::{self, Digest};

/// A session that was idle for so long has no pin any more; no provider keeps a prompt cached for longer.
pub const IDLE: Duration = Duration::from_secs(3600);
/// So many pins are kept in each of two generations: as many as fill a hash table of 3 MB.
const GENERATION: usize = 28 * 1024;

/// A session of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session(Digest);

impl Session {
    /// The session that the client calls so.
    pub fn new(client: &Digest, name: &str) -> Self {
        Self(secret::digest_of(&[client, name.as_bytes()]))
    }

    /// Its part with one logical model.
    #[must_use]
    pub fn with(&self, model: &str) -> Self {
        Self(secret::digest_of(&[&self.0, model.as_bytes()]))
    }
}

/// A route by what it is rather than by its place in memory, so that it stays itself over reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteIdentity(u64);

impl RouteIdentity {
    /// Of this route among those of its model: its id, its provider and what it calls there.
    pub fn of(route: &Route) -> Self {
        let mut hasher = DefaultHasher::new();
        (&route.id, &route.provider.name, &route.model, &route.url).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Where a session belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The route that answered last.
    pub route: RouteIdentity,
    /// The key that it was called with.
    pub key: Digest,
}

/// The pins of all sessions. Those used lately are in the young generation; when that is full, it becomes the old one,
/// and what was in the old one is forgotten.
#[derive(Debug, Default)]
pub struct Pins {
    young: HashMap<Session, (Pin, Instant)>,
    old: HashMap<Session, (Pin, Instant)>,
}

impl Pins {
    /// Where the session belongs.
    pub fn get(&self, now: Instant, session: &Session) -> Option<Pin> {
        let (pin, used) = self.young.get(session).or_else(|| self.old.get(session))?;
        is_fresh(now, *used).then_some(*pin)
    }

    /// The session was answered by this route with this key.
    pub fn set(&mut self, now: Instant, session: Session, pin: Pin) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&session) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(session, (pin, now));
    }

    /// Throws idle pins away; how many are left.
    pub fn sweep(&mut self, now: Instant) -> usize {
        for generation in [&mut self.young, &mut self.old] {
            generation.retain(|_, (_, used)| is_fresh(now, *used));
            generation.shrink_to_fit();
        }
        self.young.len() + self.old.len()
    }
}

fn is_fresh(now: Instant, used: Instant) -> bool {
    now.saturating_duration_since(used) < IDLE
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::routing::samples;

    fn session(number: usize) -> Session {
        Session::new(&[1; 32], &number.to_string())
    }

    fn pin(number: u64) -> Pin {
        Pin {
            route: RouteIdentity(number),
            key: [7; 32],
        }
    }

    #[test]
    fn a_session_is_told_from_the_same_name_of_another_client_or_with_another_model() {
        let session = Session::new(&[1; 32], "s");
        assert_eq!(session, Session::new(&[1; 32], "s"));
        assert_ne!(session, Session::new(&[2; 32], "s"));
        assert_ne!(session, Session::new(&[1; 32], "t"));
        assert_eq!(session.with("m"), session.with("m"));
        assert_ne!(session.with("m"), session.with("n"));
    }

    #[test]
    fn a_route_is_itself_in_every_catalog_and_another_one_elsewhere() {
        let route = || samples::route(&Arc::new(samples::provider("acme", 1)), "x");
        let identity = RouteIdentity::of(&route());
        assert_eq!(identity, RouteIdentity::of(&route()));
        let mut moved = route();
        moved.url.push('x');
        assert_ne!(identity, RouteIdentity::of(&moved));
        let other = samples::route(&Arc::new(samples::provider("other", 1)), "x");
        assert_ne!(identity, RouteIdentity::of(&other));
    }

    #[test]
    fn the_last_pin_counts_until_the_session_was_idle_for_an_hour() {
        let now = Instant::now();
        let mut pins = Pins::default();
        assert_eq!(pins.get(now, &session(1)), None);
        pins.set(now, session(1), pin(1));
        pins.set(now, session(1), pin(2));
        let later = now + IDLE - Duration::from_secs(1);
        assert_eq!(pins.get(later, &session(1)), Some(pin(2)));
        assert_eq!(pins.get(now + IDLE, &session(1)), None);
        assert_eq!(pins.sweep(later), 1);
        assert_eq!(pins.sweep(now + IDLE), 0);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_those_first_that_were_not_used() {
        let now = Instant::now();
        let mut pins = Pins::default();
        let busy = session(0);
        for number in 1..=2 * GENERATION {
            pins.set(now, session(number), pin(1));
            pins.set(now, busy, pin(2));
        }
        assert!(pins.young.len() + pins.old.len() <= 2 * GENERATION);
        assert_eq!(pins.get(now, &busy), Some(pin(2)));
        assert_eq!(pins.get(now, &session(1)), None);
        assert_eq!(pins.get(now, &session(2 * GENERATION)), Some(pin(1)));
    }
}
