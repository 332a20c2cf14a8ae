//! The shells of one worker, started when they are first asked for. It lives and stays on the worker's thread: a message
//! to a shell wakes no other thread.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr};
use foldhash::HashMap;

use crate::actors::key_pool::KeyPoolShell;
use crate::actors::ledger::{Ledger, Ring, Selection};
use crate::actors::rate_limiter::RateLimiterShell;
use crate::routing::affinity::Session;
use crate::routing::plan::Plan;

/// Hands out the addresses of this worker's shells. Make it in the server factory, inside the worker's arbiter.
pub struct Registry {
    ledger: Arc<Ledger>,
    pools: RefCell<HashMap<String, Shell>>,
    limiter: RefCell<Option<Rc<Addr<RateLimiterShell>>>>,
    /// The ledger's retirements when the pools were looked through last.
    retirements: Cell<u64>,
    /// Moved to another thread it would hand out addresses that are slow to reach.
    stays_on_its_thread: PhantomData<Rc<()>>,
}

struct Shell {
    address: Rc<Addr<KeyPoolShell>>,
    ring: Arc<Ring>,
}

impl Registry {
    /// A registry without shells.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            retirements: Cell::new(ledger.retirements()),
            ledger,
            pools: RefCell::default(),
            limiter: RefCell::default(),
            stays_on_its_thread: PhantomData,
        }
    }

    /// This worker's shell of a provider's key pool. Shared, because actix allocates for each copy of an address.
    pub fn pool(&self, provider: &str) -> Rc<Addr<KeyPoolShell>> {
        let mut pools = self.pools.borrow_mut();
        let retirements = self.ledger.retirements();
        if self.retirements.replace(retirements) != retirements {
            pools.retain(|_, shell| !shell.ring.is_retired());
        }
        match pools.get(provider) {
            Some(shell) if shell.address.connected() => Rc::clone(&shell.address),
            _ => {
                let ring = self.ledger.ring(provider);
                let ledger = Arc::clone(&self.ledger);
                let shell = KeyPoolShell::new(ledger, provider, Arc::clone(&ring));
                let address = Rc::new(shell.start());
                let shell = Shell {
                    address: Rc::clone(&address),
                    ring,
                };
                pools.insert(provider.to_owned(), shell);
                address
            }
        }
    }

    /// Puts the routes of a plan into the order in which this request is to try them.
    pub fn select(&self, plan: &mut Plan, session: Option<&Session>, streaming: bool) -> Selection {
        self.ledger.select(plan, session, streaming)
    }

    /// This worker's shell of the rate limiter.
    pub fn limiter(&self) -> Rc<Addr<RateLimiterShell>> {
        let mut limiter = self.limiter.borrow_mut();
        match limiter.as_ref().filter(|limiter| limiter.connected()) {
            Some(limiter) => Rc::clone(limiter),
            None => {
                let shell = RateLimiterShell::new(Arc::clone(&self.ledger));
                Rc::clone(limiter.insert(Rc::new(shell.start())))
            }
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use actix::System;

    use super::*;
    use crate::actors::key_pool::Acquire;
    use crate::routing::keyring::Choice;
    use crate::routing::samples;

    #[test]
    fn shells_are_started_once_and_dropped_with_their_ring() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let registry = Registry::new(Arc::clone(&ledger));
            let shell = registry.pool("acme");
            assert_eq!(shell, registry.pool("acme"));
            assert_eq!(registry.limiter(), registry.limiter());
            registry.pool("other");
            assert!(ledger.retire("acme", Instant::now()));
            registry.pool("other");
            assert_eq!(registry.pools.borrow().len(), 1);
            assert_ne!(shell, registry.pool("acme"));
        });
    }

    #[test]
    fn an_address_kept_over_its_ring_s_end_still_answers() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let registry = Registry::new(Arc::clone(&ledger));
            let shell = registry.pool("acme");
            assert!(ledger.retire("acme", Instant::now()));
            let provider = Arc::new(samples::provider("acme", 1));
            let acquire = Acquire {
                route: Arc::new(samples::route(&provider, "m")),
                choice: Choice::Ready { except: Vec::new() },
            };
            let lease = shell.send(acquire).await.unwrap().unwrap();
            assert_eq!(ledger.status("acme", Instant::now()).in_flight, 1);
            drop(lease);
        });
    }
}
