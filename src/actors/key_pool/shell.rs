//! The key pool as a worker's handlers see it: answers from the ledger on the worker's own arbiter.
//! It keeps no state of its own but the place where the shared state is.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, Context, Handler, Message};

use crate::actors::ledger::{Held, Ledger, Ring};
use crate::config::catalog::{ProviderKey, Route};
use crate::routing::keyring::{Choice, Resting};
use crate::routing::outcome::{Headroom, KeyEffect};
use crate::secret::Digest;

/// Answers for one provider on one worker.
#[derive(Debug)]
pub struct KeyPoolShell {
    ledger: Arc<Ledger>,
    provider: String,
    ring: Arc<Ring>,
}

impl KeyPoolShell {
    pub(in crate::actors) fn new(ledger: Arc<Ledger>, provider: &str, ring: Arc<Ring>) -> Self {
        Self {
            ledger,
            provider: provider.to_owned(),
            ring,
        }
    }
}

impl Actor for KeyPoolShell {
    type Context = Context<Self>;
}

/// Asks for a key of a route of this provider.
#[derive(Debug)]
pub struct Acquire {
    /// The route, of the request's own snapshot.
    pub route: Arc<Route>,
    /// Which of the route's keys.
    pub choice: Choice,
}

impl Message for Acquire {
    type Result = Result<Lease, Resting>;
}

impl Handler<Acquire> for KeyPoolShell {
    type Result = Result<Lease, Resting>;

    fn handle(&mut self, acquire: Acquire, _: &mut Context<Self>) -> Self::Result {
        loop {
            let now = Instant::now();
            if let Some(answer) = self.ring.acquire(now, &acquire.route, &acquire.choice) {
                return answer.map(|held| Lease::new(Arc::clone(&self.ring), held));
            }
            self.ring = self.ledger.ring(&self.provider);
        }
    }
}

/// Tells what a call came to. A fact: send it with `do_send`, so that it arrives though the client hangs up.
#[derive(Debug)]
pub struct Report {
    /// The key.
    pub digest: Digest,
    /// The route that was called.
    pub route: Arc<Route>,
    /// What the call does to the key.
    pub effect: KeyEffect,
}

impl Message for Report {
    type Result = ();
}

impl Handler<Report> for KeyPoolShell {
    type Result = ();

    fn handle(&mut self, report: Report, _: &mut Context<Self>) {
        let Report {
            digest,
            route,
            effect,
        } = report;
        let now = Instant::now();
        self.ring.report(now, &digest, &route.model, effect);
    }
}

/// Tells what the head of an answer says is left for a key. A fact, too.
#[derive(Debug)]
pub struct Learn {
    /// The key.
    pub digest: Digest,
    /// The route that was called.
    pub route: Arc<Route>,
    /// What is left.
    pub headroom: Headroom,
    /// What that does to the key: it rests if nothing is left.
    pub effect: KeyEffect,
}

impl Message for Learn {
    type Result = ();
}

impl Handler<Learn> for KeyPoolShell {
    type Result = ();

    fn handle(&mut self, learn: Learn, _: &mut Context<Self>) {
        let Learn {
            digest,
            route,
            headroom,
            effect,
        } = learn;
        let now = Instant::now();
        self.ring
            .learn(now, &digest, &route.model, headroom, effect);
    }
}

/// Asks when the first key of a route can be had, those included that the request has tried; `None`: now, or the
/// route has no keys.
#[derive(Debug)]
pub struct Soonest {
    /// The route.
    pub route: Arc<Route>,
}

impl Message for Soonest {
    type Result = Option<Resting>;
}

impl Handler<Soonest> for KeyPoolShell {
    type Result = Option<Resting>;

    fn handle(&mut self, question: Soonest, _: &mut Context<Self>) -> Self::Result {
        self.ring.soonest(Instant::now(), &question.route)
    }
}

/// A key for one call. Dropping it gives the key back, also when it is dropped on its way to whoever asked.
pub struct Lease {
    key: Arc<ProviderKey>,
    ring: Arc<Ring>,
    /// Taken by `Drop` alone.
    held: Option<Held>,
}

impl Lease {
    fn new(ring: Arc<Ring>, held: Held) -> Self {
        Self {
            key: Arc::clone(held.key()),
            ring,
            held: Some(held),
        }
    }

    /// The key, with its secret and its label.
    pub fn key(&self) -> &Arc<ProviderKey> {
        &self.key
    }

    /// The call has begun to bring content: if it was to find out whether the key works, it has.
    pub fn answers(&mut self) {
        if let Some(held) = &mut self.held {
            self.ring.answers(held);
        }
    }

    /// The call has brought a complete answer, which may tell the tokens that it took; they count towards the provider's
    /// own limits. No message: it concerns the key that is held here, and every good call ends so.
    pub fn succeed(&mut self, model: &str, tokens: Option<u64>) {
        if let Some(held) = &mut self.held {
            self.ring.succeed(Instant::now(), held, model, tokens);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.ring.release(held);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lease({})", self.key.label)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use actix::System;

    use super::*;
    use crate::routing::outcome::{Class, RestKind, Scope};
    use crate::routing::samples;

    fn shell(ledger: &Arc<Ledger>) -> KeyPoolShell {
        KeyPoolShell::new(Arc::clone(ledger), "acme", ledger.ring("acme"))
    }

    fn route(keys: usize) -> Arc<Route> {
        let provider = Arc::new(samples::provider("acme", keys));
        Arc::new(samples::route(&provider, "m"))
    }

    fn acquire(route: &Arc<Route>) -> Acquire {
        Acquire {
            route: Arc::clone(route),
            choice: Choice::Ready { except: Vec::new() },
        }
    }

    fn in_flight(ledger: &Ledger) -> u64 {
        ledger.status("acme", Instant::now()).in_flight
    }

    #[test]
    fn keys_alternate_and_a_reported_one_rests() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let shell = shell(&ledger).start();
            let route = route(2);
            let mut labels = Vec::new();
            for _ in 0..3 {
                let lease = shell.send(acquire(&route)).await.unwrap().unwrap();
                labels.push(lease.key().label.clone());
            }
            assert_eq!(labels, ["KEY_1", "KEY_2", "KEY_1"]);
            shell.do_send(Report {
                digest: samples::key(2).digest,
                route: Arc::clone(&route),
                effect: KeyEffect::Rest {
                    scope: Scope::KeyModel,
                    kind: RestKind::Banned,
                    duration: Duration::from_secs(60),
                    asked: true,
                    why: Class::RateLimited,
                },
            });
            let lease = shell.send(acquire(&route)).await.unwrap().unwrap();
            assert_eq!(lease.key().label, "KEY_1");
            let tried = Acquire {
                choice: Choice::Ready {
                    except: vec![lease.key().digest],
                },
                ..acquire(&route)
            };
            let resting = shell.send(tried).await.unwrap().unwrap_err();
            assert_eq!(resting.kind, RestKind::Banned);
            assert!(resting.soonest > Some(Duration::from_secs(50)));
            let soonest = Soonest { route };
            assert_eq!(shell.send(soonest).await.unwrap(), None);
        });
    }

    #[test]
    fn dropping_a_lease_gives_the_key_back() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let shell = shell(&ledger).start();
            let lease = shell.send(acquire(&route(1))).await.unwrap().unwrap();
            assert_eq!(in_flight(&ledger), 1);
            drop(lease);
            assert_eq!(in_flight(&ledger), 0);
        });
    }

    #[test]
    fn a_lease_whose_receiver_is_gone_gives_the_key_back() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let shell = shell(&ledger).start();
            {
                let mut answer = pin!(shell.send(acquire(&route(1))));
                let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
                assert!(first.is_pending());
                while in_flight(&ledger) == 0 {
                    actix_rt::task::yield_now().await;
                }
            }
            assert_eq!(in_flight(&ledger), 0);
        });
    }

    #[test]
    fn a_question_that_nobody_waits_for_any_more_takes_no_key() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let shell = shell(&ledger).start();
            drop(shell.send(acquire(&route(1))));
            let lease = shell.send(acquire(&route(1))).await.unwrap().unwrap();
            assert_eq!(in_flight(&ledger), 1);
            drop(lease);
        });
    }

    #[test]
    fn a_shell_goes_on_with_the_new_ring_when_its_own_is_retired() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let shell = shell(&ledger).start();
            assert!(ledger.retire("acme", Instant::now()));
            let lease = shell.send(acquire(&route(1))).await.unwrap().unwrap();
            assert_eq!(in_flight(&ledger), 1);
            assert_eq!(format!("{lease:?}"), "Lease(KEY_1)");
        });
    }
}
