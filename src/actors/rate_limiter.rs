//! Clients' limits: a shell on each worker answers from the ledger, and one sweeper throws idle windows away.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message};

use crate::actors::ledger::Ledger;
use crate::config::catalog::Client;
use crate::routing::window::{Admission, Gauges, Refusal};

/// A window is empty after a minute; looking more often would find little.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Answers for all clients on one worker.
#[derive(Debug)]
pub struct RateLimiterShell {
    ledger: Arc<Ledger>,
}

impl RateLimiterShell {
    pub(in crate::actors) fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger }
    }
}

impl Actor for RateLimiterShell {
    type Context = Context<Self>;
}

/// Asks whether a client may make one request. What is refused consumes nothing.
#[derive(Debug)]
pub struct Admit {
    /// The client, of the request's own snapshot.
    pub client: Arc<Client>,
    /// Tokens to reserve; more than the client's whole minute counts as that.
    pub tokens: u64,
}

impl Message for Admit {
    type Result = Result<Permit, Refusal>;
}

impl Handler<Admit> for RateLimiterShell {
    type Result = Result<Permit, Refusal>;

    fn handle(&mut self, admit: Admit, _: &mut Context<Self>) -> Self::Result {
        let Admit { client, tokens } = admit;
        let (admission, gauges) = self.ledger.admit(Instant::now(), &client, tokens)?;
        Ok(Permit {
            ledger: Arc::clone(&self.ledger),
            client,
            gauges,
            admission: Some(admission),
        })
    }
}

/// One admitted request. Dropping it frees its slot; without [`settle`](Self::settle) the reserved tokens stay
/// counted as they were, because nobody knows better.
pub struct Permit {
    ledger: Arc<Ledger>,
    client: Arc<Client>,
    gauges: Gauges,
    /// Taken by `Drop` alone.
    admission: Option<Admission>,
}

impl Permit {
    /// The client's limits as they stood when the request was admitted, itself included.
    pub fn gauges(&self) -> Gauges {
        self.gauges
    }

    /// Replaces the reserved tokens by those really used; may be called again when more is known.
    pub fn settle(&mut self, tokens: u64) {
        if let Some(admission) = &mut self.admission {
            let now = Instant::now();
            self.ledger
                .settle(now, &self.client.digest, admission, tokens);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.ledger.release(&self.client.digest, admission);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Permit({})", self.client.name)
    }
}

/// Throws idle windows away, once a minute. One for the process.
#[derive(Debug)]
pub struct RateLimiter {
    ledger: Arc<Ledger>,
}

impl RateLimiter {
    /// Starts it on `arbiter`, which should be the main one.
    pub fn start_on(arbiter: &ArbiterHandle, ledger: Arc<Ledger>) -> Addr<Self> {
        Self::start_in_arbiter(arbiter, |_| Self { ledger })
    }
}

impl Actor for RateLimiter {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(SWEEP_EVERY, |limiter, _| {
            limiter.ledger.sweep(Instant::now());
        });
    }
}

/// Throws idle windows away now; how many windows are left.
#[derive(Debug, Clone, Copy)]
pub struct Sweep;

impl Message for Sweep {
    type Result = usize;
}

impl Handler<Sweep> for RateLimiter {
    type Result = usize;

    fn handle(&mut self, _: Sweep, _: &mut Context<Self>) -> usize {
        self.ledger.sweep(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use actix::System;

    use super::*;
    use crate::config::catalog::Limits;
    use crate::routing::window::LimitKind;

    fn client(name: &str, limits: Limits) -> Arc<Client> {
        Arc::new(Client {
            name: name.to_owned(),
            digest: crate::secret::digest(name),
            limits,
        })
    }

    fn admit(client: &Arc<Client>, tokens: u64) -> Admit {
        Admit {
            client: Arc::clone(client),
            tokens,
        }
    }

    #[test]
    fn clients_have_windows_of_their_own_over_all_workers() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let one = RateLimiterShell::new(Arc::clone(&ledger)).start();
            let other = RateLimiterShell::new(ledger).start();
            let limits = Limits {
                requests_per_minute: Some(1),
                ..Limits::default()
            };
            let (first, second) = (client("client-1", limits), client("client-2", limits));
            let permit = one.send(admit(&first, 1)).await.unwrap().unwrap();
            assert_eq!(permit.gauges().requests.unwrap().remaining, 0);
            let refusal = other.send(admit(&first, 1)).await.unwrap().unwrap_err();
            assert_eq!(refusal.which, LimitKind::Requests);
            assert!(other.send(admit(&second, 1)).await.unwrap().is_ok());
        });
    }

    #[test]
    fn a_permit_frees_its_slot_when_dropped_and_keeps_what_was_settled() {
        System::new().block_on(async {
            let ledger = Arc::new(Ledger::new());
            let shell = RateLimiterShell::new(ledger).start();
            let client = client(
                "client-1",
                Limits {
                    tokens_per_minute: Some(1_000),
                    concurrent_requests: Some(1),
                    ..Limits::default()
                },
            );
            let mut permit = shell.send(admit(&client, 900)).await.unwrap().unwrap();
            let refusal = shell.send(admit(&client, 1)).await.unwrap().unwrap_err();
            assert_eq!(refusal.which, LimitKind::Slots);
            permit.settle(100);
            drop(permit);
            let permit = shell.send(admit(&client, 500)).await.unwrap().unwrap();
            assert_eq!(permit.gauges().tokens.unwrap().remaining, 400);
            drop(permit);
            let refusal = shell.send(admit(&client, 401)).await.unwrap().unwrap_err();
            assert_eq!(refusal.which, LimitKind::Tokens, "an unsettled one stays");
        });
    }

    #[test]
    fn the_sweeper_leaves_windows_alone_that_are_in_use() {
        let system = System::new();
        system.block_on(async {
            let ledger = Arc::new(Ledger::new());
            let shell = RateLimiterShell::new(Arc::clone(&ledger)).start();
            let sweeper = RateLimiter::start_on(System::current().arbiter(), ledger);
            let client = client("client-1", Limits::default());
            let permit = shell.send(admit(&client, 1)).await.unwrap().unwrap();
            assert_eq!(sweeper.send(Sweep).await.unwrap(), 1);
            drop(permit);
        });
    }
}
