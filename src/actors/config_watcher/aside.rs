//! Work that must not be in the way of requests: on a thread of its own, which the system runs after all others.

use std::thread;

use actix_rt::task::spawn_blocking;
use tokio::sync::oneshot;

/// Does the work; `None`: it panicked. Where the system gives no thread, one of tokio's does it.
pub(super) async fn aside<T, Work>(work: Work) -> Option<T>
where
    T: Send + 'static,
    Work: FnOnce() -> T + Send + 'static,
{
    let (hand_over, handed) = oneshot::channel::<Work>();
    let (sender, receiver) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("config".to_owned())
        .spawn(move || {
            give_way();
            if let Ok(work) = handed.blocking_recv() {
                // Whoever waited for it may be gone.
                let _ = sender.send(work());
            }
        });
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread of its own for reading the configuration");
        return spawn_blocking(work).await.ok();
    }
    let _ = hand_over.send(work);
    receiver.await.ok()
}

/// On Linux a thread has a priority of its own. It cannot be raised again, hence the thread for each piece of work.
#[cfg(target_os = "linux")]
fn give_way() {
    /// With all cores busy it gets a tenth of what another thread gets.
    const NICE: i32 = 10;
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "the thread that reads the configuration keeps its priority");
    }
}

/// Elsewhere it would be that of the whole process.
#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use actix_rt::System;

    use super::*;

    #[test]
    fn what_panics_is_told_from_what_is_done() {
        System::new().block_on(async {
            assert_eq!(aside(|| 1).await, Some(1));
            let panicked: Option<()> = aside(|| panic!("on purpose")).await;
            assert_eq!(panicked, None);
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_thread_aside_gives_way() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let inside = System::new().block_on(aside(nice));
        assert_eq!(inside, Some((before + 10).min(19)));
        assert_eq!(nice(), before);
    }
}
