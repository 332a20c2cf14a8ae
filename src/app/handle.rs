//! The application's handle for other threads: stop it, stop it at once, wait until its log is on disk.

use std::sync::{Arc, OnceLock};

use actix::Addr;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::actors::logger::{Flush, Logger};

/// Stops an application. Cheap to clone.
#[derive(Clone, Default)]
pub struct AppHandle {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    first: CancellationToken,
    second: CancellationToken,
    logger: OnceLock<Addr<Logger>>,
}

impl AppHandle {
    /// The first call stops gracefully, a second one at once.
    pub fn stop(&self) {
        if self.inner.first.is_cancelled() {
            self.inner.second.cancel();
        }
        self.inner.first.cancel();
    }

    /// Waits until every record handed over so far is on disk. Not for threads that run the application itself.
    pub fn flush(&self) {
        let Some(logger) = self.inner.logger.get() else {
            return;
        };
        let flushed = logger.send(Flush);
        match tokio::runtime::Builder::new_current_thread().build() {
            Ok(runtime) => {
                if let Err(error) = runtime.block_on(flushed) {
                    tracing::warn!(%error, "the logger did not flush");
                }
            }
            Err(error) => tracing::warn!(%error, "no runtime to wait for the logger"),
        }
    }

    pub(super) fn attach(&self, logger: Addr<Logger>) {
        // Set once: an application runs once.
        let _ = self.inner.logger.set(logger);
    }

    pub(super) async fn stopped(&self) {
        self.inner.first.cancelled().await;
    }

    pub(super) async fn stopped_at_once(&self) {
        self.inner.second.cancelled().await;
    }
}

/// SIGTERM and SIGINT call `stop`.
pub(super) fn listen_to_signals(handle: &AppHandle) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let handle = handle.clone();
    // Ends with the system.
    actix_rt::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "stopping");
            handle.stop();
        }
    });
    Ok(())
}
