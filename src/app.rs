//! The application: what starts in which order, and how it stops without losing anything.

mod handle;
mod open_files;
mod server;
mod shutdown;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actix::{Actor as _, Arbiter};
use arc_swap::ArcSwap;
use socket2::SockRef;

use crate::actors::config_watcher::ConfigWatcher;
use crate::actors::key_pool::KeyPools;
use crate::actors::ledger::Ledger;
use crate::actors::logger;
use crate::actors::rate_limiter::RateLimiter;
use crate::config::catalog::{Catalog, Finding};
use crate::config::environment::Environment;
use crate::config::library::Library;
use crate::config::settings::Settings;
use crate::gateway::budget::BodyBudget;
use crate::gateway::stop::Stop;
use crate::http::worker::Shared;
use crate::routing::keyring::KeptRest;
use crate::storage::rests::RestStore;
use crate::storage::{Storage, StorageError};
use crate::telemetry;

pub use handle::AppHandle;

/// Connections that may wait to be accepted; the system has a bound of its own. With the 128 of std the median of 2,000
/// clients that come at once waited a second, until its system tried again.
const BACKLOG: i32 = 4096;

/// Why the application did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is missing or faulty, where the settings say that this is fatal.
    #[error("cannot start with this configuration:\n{}", lines(.0))]
    Configuration(Vec<Finding>),
    /// The database could not be opened.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// The address could not be taken.
    #[error("cannot listen on {address}: {source}; choose another with HOST and PORT")]
    Listen {
        /// Host and port as set.
        address: String,
        /// The system's word.
        source: std::io::Error,
    },
}

impl StartError {
    /// Whether the fault is in what the user configured (exit code 64) rather than in the machine.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Configuration(_) | Self::Storage(StorageError::Url(_)) => true,
            Self::Storage(_) | Self::Listen { .. } => false,
        }
    }
}

fn lines(findings: &[Finding]) -> String {
    let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
    words.join("\n")
}

/// A gateway that is ready to run: configuration read, database open, port taken.
pub struct Application {
    settings: Arc<Settings>,
    environment: Environment,
    library: Library,
    catalog: Arc<ArcSwap<Catalog>>,
    storage: Storage,
    listener: TcpListener,
    address: SocketAddr,
    handle: AppHandle,
    signals: bool,
}

impl Application {
    /// Reads the configuration, opens the database and takes the port.
    pub fn build(settings: Settings, environment: Environment) -> Result<Self, StartError> {
        let (library, catalog) = Library::load(&settings, &environment);
        let reasons = catalog.reasons_not_to_start(&settings);
        if !reasons.is_empty() {
            return Err(StartError::Configuration(reasons));
        }
        telemetry::keep_out(Arc::clone(&catalog.scrubber));
        let storage = Storage::open(&settings.database_url)?;
        let listen_error = |source| StartError::Listen {
            address: format!("{}:{}", settings.host, settings.port),
            source,
        };
        let listener =
            TcpListener::bind((settings.host.as_str(), settings.port)).map_err(listen_error)?;
        SockRef::from(&listener)
            .listen(BACKLOG)
            .map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        Ok(Self {
            settings: Arc::new(settings),
            environment,
            library,
            catalog: Arc::new(ArcSwap::from_pointee(catalog)),
            storage,
            listener,
            address,
            handle: AppHandle::default(),
            signals: false,
        })
    }

    /// The port that was taken.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The catalog as of the start.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Stops and flushes from other threads.
    pub fn handle(&self) -> AppHandle {
        self.handle.clone()
    }

    /// SIGTERM and SIGINT stop the application; a second one ends it at once.
    #[must_use]
    pub fn on_signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// Runs until it is stopped, on this thread and its workers'.
    pub fn run_until_stopped(self) -> Result<(), RunError> {
        self.run_and_tell(|| ())
    }

    /// The same; `ready` is called once requests are served and signals are heard.
    pub fn run_and_tell(self, ready: impl FnOnce()) -> Result<(), RunError> {
        actix::System::new().block_on(self.run(ready))
    }

    async fn run(self, ready: impl FnOnce()) -> Result<(), RunError> {
        if self.signals {
            handle::listen_to_signals(&self.handle).map_err(RunError::Server)?;
        }
        open_files::raise(self.settings.max_in_flight);
        let stop = Stop::new();
        let ledger = Arc::new(Ledger::new());
        let rests = RestStore::new(self.storage.clone());
        let pools = KeyPools::new(Arc::clone(&ledger), Arbiter::current(), Some(rests.clone()));
        let log = logger::start(
            self.storage.clone(),
            Arc::clone(&self.catalog),
            logger::Options::from(&*self.settings),
        );
        self.handle.attach(log.logger.clone());
        pools.sync(&self.catalog.load()).await;
        pools
            .restore(kept(&rests, &self.settings), self.settings.max_cooldown)
            .await;
        RateLimiter::start_on(&Arbiter::current(), Arc::clone(&ledger));
        let watcher = ConfigWatcher::new(
            Arc::clone(&self.settings),
            self.environment,
            self.library,
            Arc::clone(&self.catalog),
            pools.clone(),
        )
        .start();
        let shared = Shared {
            settings: Arc::clone(&self.settings),
            catalog: self.catalog,
            ledger,
            pools: pools.clone(),
            buffer: log.buffer,
            database: log.health,
            budget: BodyBudget::new(self.settings.body_budget_bytes),
            stop: stop.clone(),
            started: Instant::now(),
        };
        let server = server::start(shared, self.listener).map_err(RunError::Server)?;
        ready();
        shutdown::Shutdown {
            server,
            logger: log.logger,
            watcher,
            stop,
            handle: self.handle,
            pools,
            patience: self.settings.shutdown_timeout,
        }
        .run()
        .await
    }
}

/// What an earlier process wrote down of keys' rests, unless rests are switched off. Without it keys are merely tried
/// too early.
fn kept(rests: &RestStore, settings: &Settings) -> Vec<(String, KeptRest)> {
    let read = if settings.key_cooldown.is_zero() {
        rests.forget().map(|()| Vec::new())
    } else {
        rests.load(SystemTime::now())
    };
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "the rests of keys could not be read, every key begins ready");
        Vec::new()
    })
}

/// Why a running application ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The HTTP server could not be started.
    #[error("the HTTP server could not be started: {0}")]
    Server(std::io::Error),
    /// The HTTP server ended by itself.
    #[error("the HTTP server ended unexpectedly")]
    ServerEnded,
    /// An actor died; nothing restarts it within the process.
    #[error("the {0} died; the process ends so that its supervisor starts it anew")]
    ActorDied(&'static str),
    /// A second signal.
    #[error("stopped at once by a second signal; requests under way were cut")]
    Forced,
    /// Requests did not end when they were told to; their records are lost.
    #[error("{0} requests did not end in time; they are missing from the request log")]
    StillLive(usize),
    /// Records were not on disk when the time was up.
    #[error("the request log could not be written to the end: {0}")]
    NotFlushed(String),
}
