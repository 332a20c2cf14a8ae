//! The ConfigWatcher: sees changed files by events and by a scan, and publishes one new catalog for each quiet moment.
//! What a change means is the library's; requests in flight keep the snapshot with which they began.

mod log;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use arc_swap::ArcSwap;

use self::watch::{Seen, Watch};
use super::key_pool::KeyPools;
use crate::config::catalog::Catalog;
use crate::config::environment::Environment;
use crate::config::library::Library;
use crate::config::settings::Settings;
use crate::telemetry;

/// Events get lost on mounts, so the files are looked at as well.
const SCAN: Duration = Duration::from_secs(2);
/// Files are read after so much quiet, …
const QUIET: Duration = Duration::from_millis(100);
/// … or after this, quiet or not.
const LONGEST: Duration = Duration::from_secs(1);

/// Reloads providers, models and keys while the process serves.
pub struct ConfigWatcher {
    settings: Arc<Settings>,
    catalog: Arc<ArcSwap<Catalog>>,
    pools: KeyPools,
    /// Away while a thread reads files.
    state: Option<State>,
    seen: Seen,
    /// When the first and the last unread change was noticed.
    changed: Option<(Instant, Instant)>,
    watch: Option<Watch>,
}

/// What a reload starts from.
struct State {
    library: Library,
    environment: Environment,
}

impl State {
    fn seen(&self) -> Seen {
        Seen {
            directory: self.library.seen(),
            dotenv: self.environment.dotenv_seen(),
        }
    }
}

/// Something in the watched directories changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Changed;

impl ConfigWatcher {
    /// A watcher that goes on from what was read at the start.
    pub fn new(
        settings: Arc<Settings>,
        environment: Environment,
        library: Library,
        catalog: Arc<ArcSwap<Catalog>>,
        pools: KeyPools,
    ) -> Self {
        let state = State {
            library,
            environment,
        };
        Self {
            settings,
            catalog,
            pools,
            seen: state.seen(),
            state: Some(state),
            changed: None,
            watch: None,
        }
    }

    /// Has the system tell of the next change of the `.env` file.
    fn follow_dotenv(&mut self) {
        let state = self.state.as_ref();
        if let (Some(watch), Some(dotenv)) = (
            &mut self.watch,
            state.and_then(|state| state.environment.dotenv_path()),
        ) {
            watch.follow(dotenv);
        }
    }

    fn note_change(&mut self, context: &mut Context<Self>) {
        let now = Instant::now();
        let waiting = self.changed.is_some();
        let first = self.changed.map_or(now, |(first, _)| first);
        self.changed = Some((first, now));
        if !waiting {
            context.run_later(QUIET, Self::reload_when_quiet);
        }
    }

    fn reload_when_quiet(&mut self, context: &mut Context<Self>) {
        let Some((first, last)) = self.changed else {
            return;
        };
        let due = (last + QUIET).min(first + LONGEST);
        let now = Instant::now();
        if now < due || self.state.is_none() {
            let pause = due
                .saturating_duration_since(now)
                .max(Duration::from_millis(10));
            context.run_later(pause, Self::reload_when_quiet);
            return;
        }
        self.changed = None;
        self.reload(context);
    }

    /// Reads everything again on a thread of its own, then publishes. Files that say what they said are not parsed anew.
    fn reload(&mut self, context: &mut Context<Self>) {
        let Some(state) = self.state.take() else {
            return;
        };
        let settings = Arc::clone(&self.settings);
        let pools = self.pools.clone();
        let slot = Arc::clone(&self.catalog);
        let work = async move {
            let reading = move || read(state, &settings);
            let (state, catalog) = actix_rt::task::spawn_blocking(reading).await.ok()?;
            telemetry::keep_out(Arc::clone(&catalog.scrubber));
            log::tell(&slot.load(), &catalog);
            let catalog = Arc::new(catalog);
            pools.sync(&catalog).await;
            slot.store(catalog);
            Some(state)
        };
        context.spawn(work.into_actor(self).map(|read, actor, context| {
            let Some(state) = read else {
                tracing::error!(
                    "reading the configuration panicked, no further reload is possible"
                );
                context.stop();
                return;
            };
            actor.seen = state.seen();
            actor.state = Some(state);
            actor.follow_dotenv();
        }));
    }

    /// Looks at names, sizes and times on a thread of its own.
    fn scan(&mut self, context: &mut Context<Self>) {
        let Some(state) = &self.state else {
            return;
        };
        let directory = self.settings.config_dir.clone();
        let dotenv = state.environment.dotenv_path().map(Path::to_owned);
        let looking = actix_rt::task::spawn_blocking(move || {
            Seen::now(directory.as_deref(), dotenv.as_deref())
        });
        context.spawn(looking.into_actor(self).map(|seen, actor, context| {
            if seen.is_ok_and(|seen| seen != actor.seen) {
                actor.note_change(context);
            }
        }));
    }
}

fn read(mut state: State, settings: &Settings) -> (State, Catalog) {
    state.environment = state.environment.reread();
    let catalog = state.library.reload(settings, &state.environment);
    (state, catalog)
}

impl Actor for ConfigWatcher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let directory = self.settings.config_dir.as_deref();
        self.watch = Watch::start(directory, context.address().recipient());
        self.follow_dotenv();
        context.run_interval(SCAN, Self::scan);
    }
}

impl Handler<Changed> for ConfigWatcher {
    type Result = ();

    fn handle(&mut self, _: Changed, context: &mut Self::Context) {
        self.note_change(context);
    }
}
