//! What awc sends its tasks for while it makes a call, and why they are not run.

use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::task::LocalSet;

/// Runs a call; the tasks that it spawns on this thread are never run, and dropped with it.
///
/// For each call awc makes up a server's date, which a client never sends, and a task that renews it twice a second for
/// as long as the answer lasts: at 5,000 idle streams these took 60 ms of CPU a second, and 4 KiB each. (`ClientCodec` of
/// actix-http 3.20 makes itself a `ServiceConfig`.) What else it spawns is the closing of pooled connections that are too
/// old, which dropping does too.
pub(super) async fn unrun<F: Future>(call: F) -> F::Output {
    let tasks = LocalSet::new();
    let mut call = pin!(call);
    poll_fn(|context| {
        let _entered = tasks.enter();
        call.as_mut().poll(context)
    })
    .await
}
