//! How a pool writes its provider's rests down: gathered, on a blocking thread, never in a request's way.
//! It knows the store and no table.

use std::time::Duration;

use actix::fut::wrap_future;
use actix::{
    ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseFuture, SpawnHandle,
};
use actix_rt::task::{JoinError, spawn_blocking};
use tokio::sync::oneshot;

use super::KeyPool;
use crate::actors::ledger::Wake;
use crate::routing::keyring::Clocks;
use crate::storage::StorageError;
use crate::storage::rests::RestStore;

/// From the first change to the write: what a crash may lose, besides the write itself.
const GATHER: Duration = Duration::from_millis(500);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(5);

/// The ring's rests have changed. Sent by the ring.
struct Changed;

impl Message for Changed {
    type Result = ();
}

/// Resolves when the rests as they are now are on disk, or one attempt to write them has failed.
#[derive(Debug, Clone, Copy)]
pub struct Save;

impl Message for Save {
    type Result = ();
}

/// What a pool has yet to write.
#[derive(Default)]
pub(super) struct Saving {
    /// `None`: rests end with the process.
    store: Option<RestStore>,
    /// The timer of the next write.
    due: Option<SpawnHandle>,
    writing: bool,
    /// The last write failed.
    unsaved: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Saving {
    pub(super) fn new(store: Option<RestStore>) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }
}

impl KeyPool {
    /// Has the ring tell this pool of changes.
    pub(super) fn watch(&self, context: &Context<Self>) {
        if self.saving.store.is_none() {
            return;
        }
        let pool = context.address().downgrade();
        self.ring.watch(Wake::new(move || {
            if let Some(pool) = pool.upgrade() {
                pool.do_send(Changed);
            }
        }));
    }

    /// Whether something has yet to be written.
    pub(super) fn is_saving(&self) -> bool {
        let Saving { due, writing, .. } = &self.saving;
        *writing || due.is_some() || (self.saving.store.is_some() && self.ring.has_changed())
    }

    fn save_after(&mut self, wait: Duration, context: &mut Context<Self>) {
        if self.saving.due.is_none() {
            self.saving.due = Some(context.run_later(wait, |pool, context| {
                pool.saving.due = None;
                pool.save(context);
            }));
        }
    }

    /// Begins a write unless one is under way, whose end looks for what came meanwhile.
    fn save(&mut self, context: &mut Context<Self>) {
        let Some(store) = self.saving.store.clone().filter(|_| !self.saving.writing) else {
            return;
        };
        let provider = self.provider.clone();
        let kept = self.ring.kept(Clocks::now());
        self.saving.writing = true;
        let write = spawn_blocking(move || store.replace(&provider, &kept));
        context.spawn(wrap_future::<_, Self>(write).map(
            |written, pool, context: &mut Context<Self>| {
                pool.written(written, context);
            },
        ));
    }

    fn written(
        &mut self,
        written: Result<Result<(), StorageError>, JoinError>,
        context: &mut Context<Self>,
    ) {
        self.saving.writing = false;
        let reason = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        self.saving.unsaved = reason.is_some();
        if let Some(error) = reason {
            tracing::warn!(
                provider = %self.provider,
                error,
                "the rests of keys cannot be written, a restart now would forget them; tried again"
            );
            self.save_after(RETRY, context);
        } else if self.ring.has_changed() {
            if !self.saving.waiting.is_empty() {
                return self.save(context);
            }
            self.save_after(GATHER, context);
        }
        for waiting in self.saving.waiting.drain(..) {
            // Whoever asked may have left.
            let _ = waiting.send(());
        }
    }
}

impl Handler<Changed> for KeyPool {
    type Result = ();

    fn handle(&mut self, _: Changed, context: &mut Context<Self>) {
        self.save_after(GATHER, context);
    }
}

impl Handler<Save> for KeyPool {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Save, context: &mut Context<Self>) -> Self::Result {
        if self.saving.store.is_none() || !(self.is_saving() || self.saving.unsaved) {
            return Box::pin(async {});
        }
        if let Some(due) = self.saving.due.take() {
            context.cancel_future(due);
        }
        let (sender, receiver) = oneshot::channel();
        self.saving.waiting.push(sender);
        self.save(context);
        Box::pin(async {
            // A pool that stops has nothing left to write.
            let _ = receiver.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Instant, SystemTime};

    use actix::System;

    use super::*;
    use crate::actors::key_pool::tests::until;
    use crate::actors::key_pool::{KeyPools, Reset};
    use crate::actors::ledger::Ledger;
    use crate::config::catalog::Catalog;
    use crate::routing::outcome::{Class, KeyEffect, RestKind, Scope};
    use crate::routing::samples;
    use crate::storage::tests::temporary;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        let provider = Arc::new(samples::provider("acme", 2));
        catalog.providers.insert("acme".to_owned(), provider);
        catalog
    }

    /// The pools of a process that has just started with this store, and their ledger.
    async fn started(store: &RestStore) -> (Arc<Ledger>, KeyPools) {
        let ledger = Arc::new(Ledger::new());
        let arbiter = System::current().arbiter().clone();
        let pools = KeyPools::new(Arc::clone(&ledger), arbiter, Some(store.clone()));
        pools.sync(&catalog()).await;
        let rests = store.load(SystemTime::now()).unwrap();
        pools.restore(rests, HOUR).await;
        (ledger, pools)
    }

    fn ban(ledger: &Ledger, key: usize) {
        let effect = KeyEffect::Rest {
            scope: Scope::Key,
            kind: RestKind::Banned,
            duration: Duration::from_secs(600),
            asked: false,
            why: Class::BadKey,
        };
        let digest = samples::key(key).digest;
        ledger
            .ring("acme")
            .report(Instant::now(), &digest, "m", effect);
    }

    fn written(store: &RestStore) -> usize {
        store.load(SystemTime::now()).unwrap().len()
    }

    #[test]
    fn a_rest_is_written_within_a_second_and_the_next_process_keeps_it() {
        System::new().block_on(async {
            let (_directory, storage) = temporary();
            let store = RestStore::new(storage);
            let (ledger, _pools) = started(&store).await;
            ban(&ledger, 1);
            let began = Instant::now();
            until(|| written(&store) == 1).await;
            assert!(began.elapsed() > GATHER / 2, "gathered");
            let (ledger, pools) = started(&store).await;
            assert_eq!(ledger.status("acme", Instant::now()).cooling, 1);
            let pool = pools.get("acme").unwrap();
            assert_eq!(pool.send(Reset { key: None }).await.unwrap(), 2);
            until(|| written(&store) == 0).await;
        });
    }

    #[test]
    fn a_stop_writes_at_once_what_has_been_gathered() {
        System::new().block_on(async {
            let (_directory, storage) = temporary();
            let store = RestStore::new(storage);
            let (ledger, pools) = started(&store).await;
            ban(&ledger, 1);
            ban(&ledger, 2);
            pools.save().await;
            assert_eq!(written(&store), 2);
            pools.save().await;
            let (ledger, _pools) = started(&store).await;
            assert_eq!(ledger.status("acme", Instant::now()).ready, 0);
        });
    }

    #[test]
    fn what_a_success_ends_is_forgotten_on_disk_too() {
        System::new().block_on(async {
            let (_directory, storage) = temporary();
            let store = RestStore::new(storage);
            let (ledger, pools) = started(&store).await;
            ban(&ledger, 1);
            pools.save().await;
            let digest = samples::key(1).digest;
            let ring = ledger.ring("acme");
            ring.report(Instant::now(), &digest, "m", KeyEffect::Success);
            pools.save().await;
            assert_eq!(written(&store), 0);
        });
    }
}
