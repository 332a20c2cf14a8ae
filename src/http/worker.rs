//! What the handlers of one worker share: the parts of the process, and the worker's own clients and shells.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use super::stream::Streams;
use crate::actors::key_pool::KeyPools;
use crate::actors::ledger::Ledger;
use crate::actors::logger::LogBuffer;
use crate::actors::registry::Registry;
use crate::config::catalog::Catalog;
use crate::config::settings::Settings;
use crate::gateway::Gateway;
use crate::gateway::budget::BodyBudget;
use crate::gateway::stop::Stop;
use crate::storage::health::DatabaseHealth;
use crate::upstream::Clients;

/// The parts of the process that every worker uses.
#[derive(Clone)]
pub struct Shared {
    /// Settings of the process.
    pub settings: Arc<Settings>,
    /// The catalog as of now; a request takes one snapshot.
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// Keys and windows.
    pub ledger: Arc<Ledger>,
    /// The key pools of the main arbiter.
    pub pools: KeyPools,
    /// Records on their way to the database.
    pub buffer: Arc<LogBuffer>,
    /// How the database is.
    pub database: Arc<DatabaseHealth>,
    /// Bytes of requests and answers held at once.
    pub budget: BodyBudget,
    /// The stop flag.
    pub stop: Stop,
    /// When the process started.
    pub started: Instant,
}

/// One HTTP worker's own.
pub struct Worker {
    /// What it shares with the others.
    pub shared: Shared,
    /// Answers requests.
    pub gateway: Rc<Gateway>,
    /// Streams under way.
    pub streams: Streams,
}

impl Worker {
    /// Made on the worker's thread: awc clients and shells stay there.
    pub fn start(shared: Shared) -> Self {
        let shared = Shared {
            stop: shared.stop.for_worker(),
            ..shared
        };
        let gateway = Gateway {
            settings: Arc::clone(&shared.settings),
            clients: Clients::default(),
            registry: Rc::new(Registry::new(Arc::clone(&shared.ledger))),
            stop: shared.stop.clone(),
            budget: shared.budget.clone(),
        };
        let streams = Streams::start(shared.settings.client_stall, shared.stop.clone());
        Self {
            shared,
            gateway: Rc::new(gateway),
            streams,
        }
    }
}
