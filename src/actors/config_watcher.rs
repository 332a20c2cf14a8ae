//! The ConfigWatcher: sees changed files by events and by a scan, and publishes one new catalog for each quiet moment.
//! What a change means is the library's; requests in flight keep the snapshot with which they began.

mod aside;
mod log;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use arc_swap::ArcSwap;

use self::aside::aside;
use self::watch::{Seen, Watch};
use super::key_pool::KeyPools;
use crate::config::catalog::Catalog;
use crate::config::environment::Environment;
use crate::config::library::Library;
use crate::config::settings::Settings;
use crate::telemetry;

/// Events get lost on mounts, so the files are looked at as well.
const SCAN: Duration = Duration::from_secs(2);
/// A scan is followed by a rest of so many times what it took, …
const REST: u32 = 50;
/// … at most this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
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
    /// Catalogs that requests may still hold. To free a large one takes tens of milliseconds, and must not fall to the
    /// worker whose request is the last: it would stall all others.
    retired: Vec<Arc<Catalog>>,
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
            retired: Vec::new(),
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
            let before = slot.load_full();
            let reading = move || read(state, &settings, &before);
            let (state, catalog) = aside(reading).await?;
            pools.sync(&catalog).await;
            Some((state, slot.swap(catalog)))
        };
        context.spawn(work.into_actor(self).map(|read, actor, context| {
            let Some((state, before)) = read else {
                tracing::error!(
                    "reading the configuration failed for good, no further reload is possible"
                );
                context.stop();
                return;
            };
            actor.seen = state.seen();
            actor.state = Some(state);
            actor.retired.push(before);
            actor.follow_dotenv();
        }));
    }

    /// Looks at names, sizes and times on a thread of its own, and frees there what no request holds any more.
    fn scan(&mut self, context: &mut Context<Self>) {
        let Some(state) = &self.state else {
            context.run_later(SCAN, Self::scan);
            return;
        };
        let directory = self.settings.config_dir.clone();
        let dotenv = state.environment.dotenv_path().map(Path::to_owned);
        let is_free = |catalog: &mut Arc<Catalog>| Arc::strong_count(catalog) == 1;
        let free: Vec<_> = self.retired.extract_if(.., is_free).collect();
        let looking = aside(move || {
            drop(free);
            let begin = Instant::now();
            let seen = Seen::now(directory.as_deref(), dotenv.as_deref());
            (seen, begin.elapsed())
        });
        context.spawn(looking.into_actor(self).map(|looked, actor, context| {
            let Some((seen, took)) = looked else {
                context.run_later(SCAN, Self::scan);
                return;
            };
            if actor.state.is_some() && seen != actor.seen {
                actor.note_change(context);
            }
            context.run_later(pause_after(took), Self::scan);
        }));
    }
}

/// Until the next scan: with very many files, or slow ones, longer.
fn pause_after(took: Duration) -> Duration {
    (took * REST).clamp(SCAN, LONGEST_PAUSE)
}

fn read(mut state: State, settings: &Settings, before: &Catalog) -> (State, Arc<Catalog>) {
    state.environment = state.environment.reread();
    let catalog = state.library.reload(settings, &state.environment);
    telemetry::keep_out(Arc::clone(&catalog.scrubber));
    log::tell(before, &catalog);
    (state, Arc::new(catalog))
}

impl Actor for ConfigWatcher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let directory = self.settings.config_dir.as_deref();
        self.watch = Watch::start(directory, context.address().recipient());
        self.follow_dotenv();
        context.run_later(SCAN, Self::scan);
    }
}

impl Handler<Changed> for ConfigWatcher {
    type Result = ();

    fn handle(&mut self, _: Changed, context: &mut Self::Context) {
        self.note_change(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_of_very_many_files_are_rarer() {
        let pause = |milliseconds| pause_after(Duration::from_millis(milliseconds));
        assert_eq!(pause(0), SCAN);
        assert_eq!(pause(100), Duration::from_secs(5));
        assert_eq!(pause(10_000), LONGEST_PAUSE);
    }
}
