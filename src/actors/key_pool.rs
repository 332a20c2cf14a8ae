//! One actor per provider on the main arbiter: it has what takes time or is rare, namely new, vanished and listed keys,
//! and the provider's own end. Handlers ask the shell of their worker instead; both work on the ledger.

mod saving;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::dev::MessageResult;
use actix::{
    Actor, ActorContext, Addr, ArbiterHandle, AsyncContext, Context, Handler, MailboxError,
    Message, SpawnHandle,
};

use crate::actors::ledger::{Ledger, Ring};
use crate::config::catalog::{Catalog, Provider};
use crate::routing::keyring::{Clocks, KeptRest, KeyView, RingStatus};
use crate::storage::rests::RestStore;

use saving::Saving;

pub use saving::Save;
pub use shell::{Acquire, KeyPoolShell, Learn, Lease, Report, Soonest};

/// Between two looks at whether a provider that is gone has become idle.
const RETIRE_EVERY: Duration = Duration::from_secs(1);
/// A pool answers within microseconds; one that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks after the keys of one provider.
pub struct KeyPool {
    ledger: Arc<Ledger>,
    provider: String,
    ring: Arc<Ring>,
    retiring: Option<SpawnHandle>,
    saving: Saving,
}

impl fmt::Debug for KeyPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPool")
            .field("provider", &self.provider)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

impl KeyPool {
    fn new(ledger: Arc<Ledger>, provider: String, store: Option<RestStore>) -> Self {
        let ring = ledger.ring(&provider);
        Self {
            ledger,
            provider,
            ring,
            retiring: None,
            saving: Saving::new(store),
        }
    }

    fn try_to_retire(&mut self, context: &mut Context<Self>) {
        self.retiring = None;
        if !self.is_saving() && self.ledger.retire(&self.provider, Instant::now()) {
            tracing::debug!(provider = %self.provider, "provider is gone and idle: its keys are forgotten");
            context.stop();
        } else {
            self.retiring = Some(context.run_later(RETIRE_EVERY, Self::try_to_retire));
        }
    }
}

impl Actor for KeyPool {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.watch(context);
    }
}

/// The provider as a new catalog has it: its keys come in, those that are gone leave with their last lease.
#[derive(Debug)]
pub struct Sync {
    /// The provider.
    pub provider: Arc<Provider>,
}

impl Message for Sync {
    type Result = ();
}

impl Handler<Sync> for KeyPool {
    type Result = ();

    fn handle(&mut self, sync: Sync, context: &mut Context<Self>) {
        if let Some(handle) = self.retiring.take() {
            context.cancel_future(handle);
        }
        while !self.ring.sync(&sync.provider) {
            self.ring = self.ledger.ring(&self.provider);
            self.watch(context);
        }
    }
}

/// Rests that an earlier process wrote down. Send it after [`Sync`]: they are taken back for keys that are there.
#[derive(Debug)]
pub struct Restore {
    /// The rests of this provider.
    pub rests: Vec<KeptRest>,
    /// No rest is longer.
    pub longest: Duration,
}

impl Message for Restore {
    type Result = ();
}

impl Handler<Restore> for KeyPool {
    type Result = ();

    fn handle(&mut self, restore: Restore, _: &mut Context<Self>) {
        self.ring
            .restore(Clocks::now(), restore.longest, &restore.rests);
    }
}

/// The provider is in no catalog any more: its ring goes when no lease is out and nothing rests, and the pool with it.
#[derive(Debug, Clone, Copy)]
pub struct Retire;

impl Message for Retire {
    type Result = ();
}

impl Handler<Retire> for KeyPool {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Context<Self>) {
        if self.retiring.is_none() {
            self.try_to_retire(context);
        }
    }
}

/// Asks for the keys in numbers.
#[derive(Debug, Clone, Copy)]
pub struct Status;

impl Message for Status {
    type Result = RingStatus;
}

impl Handler<Status> for KeyPool {
    type Result = MessageResult<Status>;

    fn handle(&mut self, _: Status, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.ring.status(Instant::now()))
    }
}

/// Asks for the keys one by one, by label.
#[derive(Debug, Clone, Copy)]
pub struct List;

impl Message for List {
    type Result = Vec<KeyView>;
}

impl Handler<List> for KeyPool {
    type Result = Vec<KeyView>;

    fn handle(&mut self, _: List, _: &mut Context<Self>) -> Self::Result {
        self.ring.list(Instant::now())
    }
}

/// Ends rests: those of one key by its label, or those of the provider and all its keys. The answer is how many keys
/// that was for.
#[derive(Debug, Clone)]
pub struct Reset {
    /// The label; `None`: all.
    pub key: Option<String>,
}

impl Message for Reset {
    type Result = usize;
}

impl Handler<Reset> for KeyPool {
    type Result = usize;

    fn handle(&mut self, reset: Reset, _: &mut Context<Self>) -> usize {
        self.ring.reset(reset.key.as_deref())
    }
}

/// The pools of all providers, started and stopped as catalogs come and go. Clones share them.
#[derive(Clone)]
pub struct KeyPools {
    ledger: Arc<Ledger>,
    arbiter: ArbiterHandle,
    store: Option<RestStore>,
    pools: Arc<Mutex<BTreeMap<String, Addr<KeyPool>>>>,
}

impl fmt::Debug for KeyPools {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPools")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

impl KeyPools {
    /// No pools yet; those to come live on `arbiter`, which should be the main one, and write rests into `store`, if
    /// there is one.
    pub fn new(ledger: Arc<Ledger>, arbiter: ArbiterHandle, store: Option<RestStore>) -> Self {
        Self {
            ledger,
            arbiter,
            store,
            pools: Arc::default(),
        }
    }

    /// Tells the pools of a new catalog. When it returns, the ring of every provider has the catalog's keys;
    /// rings of providers that are gone follow when they are idle.
    pub async fn sync(&self, catalog: &Catalog) {
        self.ledger.keep_routes_of(catalog);
        for provider in catalog.providers.values() {
            self.tell(provider).await;
        }
        for provider in self.gone(catalog) {
            self.pool(&provider).do_send(Retire);
        }
    }

    /// Takes back what an earlier process wrote down, for the providers of the latest catalog. None of it rests longer
    /// than `longest`.
    pub async fn restore(&self, rests: Vec<(String, KeptRest)>, longest: Duration) {
        let mut providers: BTreeMap<String, Vec<KeptRest>> = BTreeMap::new();
        for (provider, rest) in rests {
            providers.entry(provider).or_default().push(rest);
        }
        for (provider, rests) in providers {
            let Some(pool) = self.get(&provider) else {
                continue;
            };
            let restore = Restore { rests, longest };
            if let Err(error) = pool.send(restore).timeout(PATIENCE).await {
                tracing::error!(provider, %error, "the key pool does not answer: restart the gateway");
            }
        }
    }

    /// Has every pool write down what it has not yet, and waits for it.
    pub async fn save(&self) {
        let pools = self.with(|pools| pools.clone());
        for (provider, pool) in pools {
            if let Err(error) = pool.send(Save).timeout(PATIENCE).await {
                tracing::warn!(provider, %error, "the rests of keys could not be written; the next start may forget them");
            }
        }
    }

    /// The pool of a provider, if there is one.
    pub fn get(&self, provider: &str) -> Option<Addr<KeyPool>> {
        self.with(|pools| pools.get(provider).filter(|pool| pool.connected()).cloned())
    }

    /// A pool that is about to stop loses the message; then a new one gets it.
    async fn tell(&self, provider: &Arc<Provider>) {
        let mut answer = Err(MailboxError::Closed);
        for _ in 0..2 {
            let sync = Sync {
                provider: Arc::clone(provider),
            };
            answer = self.pool(&provider.name).send(sync).timeout(PATIENCE).await;
            let Err(MailboxError::Closed) = answer else {
                break;
            };
            self.with(|pools| pools.remove(&provider.name));
        }
        if let Err(error) = answer {
            tracing::error!(provider = %provider.name, %error, "the key pool does not answer: restart the gateway");
        }
    }

    fn pool(&self, provider: &str) -> Addr<KeyPool> {
        self.with(|pools| match pools.get(provider) {
            Some(pool) if pool.connected() => pool.clone(),
            _ => {
                let ledger = Arc::clone(&self.ledger);
                let name = provider.to_owned();
                let store = self.store.clone();
                let pool =
                    KeyPool::start_in_arbiter(&self.arbiter, |_| KeyPool::new(ledger, name, store));
                pools.insert(provider.to_owned(), pool.clone());
                pool
            }
        })
    }

    /// Providers that have a pool or a ring, but no place in the catalog. A request with an old snapshot may have made
    /// a ring after its pool had gone.
    fn gone(&self, catalog: &Catalog) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.ledger.providers().into_iter().collect();
        self.with(|pools| {
            pools.retain(|_, pool| pool.connected());
            names.extend(pools.keys().cloned());
        });
        names.retain(|name| !catalog.providers.contains_key(name));
        names
    }

    fn with<T>(&self, action: impl FnOnce(&mut BTreeMap<String, Addr<KeyPool>>) -> T) -> T {
        action(&mut self.pools.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
