//! The stop: nobody new, running answers to their end or their limit, then every record to disk.

use std::future::Future;
use std::time::Duration;

use actix::Addr;
use actix_web::dev::{Server, ServerHandle};
use tokio::time::{Instant, interval, sleep, timeout};

use super::{AppHandle, RunError};
use crate::actors::config_watcher::ConfigWatcher;
use crate::actors::key_pool::KeyPools;
use crate::actors::logger::{Flush, Logger};
use crate::gateway::stop::Stop;

/// How often the actors are looked after.
const CHECK: Duration = Duration::from_secs(5);
/// How often the count of live requests is read while stopping.
const COUNT: Duration = Duration::from_millis(5);
/// Streams that were told to end have done so by then.
const END: Duration = Duration::from_secs(5);
/// Answers that are already written reach their clients within what is left of the patience, or at least this.
const LINGER: Duration = Duration::from_secs(1);
/// The last records are on disk by then.
const FLUSH: Duration = Duration::from_secs(10);

/// What runs, and in which order it ends.
pub(super) struct Shutdown {
    pub(super) server: Server,
    pub(super) logger: Addr<Logger>,
    pub(super) watcher: Addr<ConfigWatcher>,
    pub(super) stop: Stop,
    pub(super) handle: AppHandle,
    pub(super) pools: KeyPools,
    pub(super) patience: Duration,
}

impl Shutdown {
    /// Runs until a stop or a death, then stops.
    pub(super) async fn run(self) -> Result<(), RunError> {
        let control = self.server.handle();
        let mut server = actix_rt::spawn(self.server);
        let ended = tokio::select! {
            () = self.handle.stopped() => Ok(()),
            _ = &mut server => Err(RunError::ServerEnded),
            name = death(&self.logger, &self.watcher) => Err(RunError::ActorDied(name)),
        };
        let forced = self.handle.clone();
        let stopping = drain(
            &control,
            &self.stop,
            &self.pools,
            &self.logger,
            self.patience,
        );
        tokio::select! {
            drained = stopping => ended.and(drained),
            () = forced.stopped_at_once() => Err(RunError::Forced),
        }
    }
}

/// Resolves to the name of an actor that is gone.
async fn death(logger: &Addr<Logger>, watcher: &Addr<ConfigWatcher>) -> &'static str {
    let mut checks = interval(CHECK);
    loop {
        checks.tick().await;
        if !logger.connected() {
            return "logger";
        }
        if !watcher.connected() {
            return "config watcher";
        }
    }
}

async fn drain(
    control: &ServerHandle,
    stop: &Stop,
    pools: &KeyPools,
    logger: &Addr<Logger>,
    patience: Duration,
) -> Result<(), RunError> {
    let patient_until = Instant::now() + patience;
    stop.drain();
    let closed = actix_rt::spawn(control.stop(true));
    if !within(patience, nobody_live(stop)).await {
        tracing::warn!(
            requests = stop.live(),
            "requests still run at the end of shutdown_timeout_seconds, ending them"
        );
    }
    stop.end();
    if !within(END, nobody_live(stop)).await {
        within(END, pools.save()).await;
        return Err(RunError::StillLive(stop.live()));
    }
    let left = patient_until.saturating_duration_since(Instant::now());
    within(left.max(LINGER), async {
        let _ = closed.await;
    })
    .await;
    within(END, pools.save()).await;
    let reason = match timeout(FLUSH, logger.send(Flush)).await {
        Ok(Ok(Ok(()))) => {
            tracing::info!("stopped, every request is in the log");
            return Ok(());
        }
        Ok(Ok(Err(unwritten))) => unwritten.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no time left".to_owned(),
    };
    Err(RunError::NotFlushed(reason))
}

async fn nobody_live(stop: &Stop) {
    while stop.live() > 0 {
        sleep(COUNT).await;
    }
}

async fn within(limit: Duration, future: impl Future<Output = ()>) -> bool {
    timeout(limit, future).await.is_ok()
}
