//! Work that must not be in the way of requests: on a thread of its own, which the system runs after all others.

use std::thread;

use tokio::sync::oneshot;

/// Does the work; `None`: it panicked, or the system gave no thread.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("config".to_owned())
        .spawn(move || {
            give_way();
            // Whoever waited for it may be gone.
            let _ = sender.send(work());
        });
    if let Err(error) = thread {
        tracing::error!(%error, "no thread for reading the configuration");
        return None;
    }
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
