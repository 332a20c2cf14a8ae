//! The two ways to notice a change: the system's events, and what the files look like.

use std::path::Path;
use std::sync::Arc;

use actix::Recipient;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Changed;
use crate::config::files::{Stamp, Stamps, stamps};

/// The system's events for the configuration, while it is kept.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
}

impl Watch {
    /// Asks for events. Without them the scan still notices every change, only later.
    pub(super) fn start(directory: Option<&Path>, changed: Recipient<Changed>) -> Option<Self> {
        let told = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let matters = match event {
                Ok(event) => {
                    !matches!(event.kind, EventKind::Access(_))
                        && event.paths.iter().any(|path| concerns(path))
                }
                Err(_) => true,
            };
            if matters {
                changed.do_send(Changed);
            }
        });
        let mut watcher = match told {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(%error, "no file events, configuration files are looked at every 2 seconds");
                return None;
            }
        };
        if let Some(directory) = directory
            && let Err(error) = watch(&mut watcher, directory)
        {
            tracing::warn!(
                directory = %directory.display(),
                %error,
                "no file events for this directory, it is looked at every 2 seconds"
            );
        }
        Some(Self { watcher })
    }

    /// Watches the file that has this name now. Its directory is not watched: that often holds the database, and each
    /// write to it would wake us (3 of 21 system calls a plain request). To be called again after a change,
    /// which may have put another file in its place.
    pub(super) fn follow(&mut self, file: &Path) {
        // One that is not there, or that cannot be watched, is found by the scan.
        if let Err(error) = self.watcher.watch(file, RecursiveMode::NonRecursive) {
            tracing::debug!(file = %file.display(), %error, "no file events for this file");
        }
    }
}

/// A directory may hold other files too.
fn concerns(path: &Path) -> bool {
    path.extension().is_none_or(|extension| extension == "json")
}

fn watch(watcher: &mut RecommendedWatcher, directory: &Path) -> notify::Result<()> {
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    for name in ["providers", "models"] {
        let inner = directory.join(name);
        if inner.is_dir() {
            watcher.watch(&inner, RecursiveMode::Recursive)?;
        }
    }
    Ok(())
}

/// What the files looked like.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) directory: Option<Arc<Stamps>>,
    pub(super) dotenv: Option<Stamp>,
}

impl Seen {
    pub(super) fn now(directory: Option<&Path>, dotenv: Option<&Path>) -> Self {
        Self {
            directory: directory.map(|directory| Arc::new(stamps(directory))),
            dotenv: dotenv.and_then(Stamp::of),
        }
    }
}
