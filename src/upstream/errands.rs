//! What awc sends its tasks for while it makes a call, and why they are not run.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use tokio::task::LocalSet;

/// Calls that share a set: to make one costs as much as all else here, to keep one keeps the tasks of its calls.
const SHARED_BY: usize = 64;

thread_local! {
    /// The set, and how many calls have had it.
    static TASKS: RefCell<(Rc<LocalSet>, usize)> = RefCell::default();
}

/// Runs a call; the tasks that it spawns on this thread are never run, and dropped a few calls later.
///
/// For each call awc makes up a server's date, which a client never sends, and a task that renews it twice a second for
/// as long as the answer lasts: at 5,000 idle streams these took 52 ms of CPU a second. (`ClientCodec` of actix-http 3.20
/// makes itself a `ServiceConfig`.) What else it spawns is the closing of pooled connections that are too old, which
/// dropping does too.
pub(super) async fn unrun<F: Future>(call: F) -> F::Output {
    let tasks = tasks();
    let mut call = pin!(call);
    poll_fn(|context| {
        let _entered = tasks.enter();
        call.as_mut().poll(context)
    })
    .await
}

/// The set of this thread, or a new one once it has had its calls; whoever still uses the old one keeps it.
fn tasks() -> Rc<LocalSet> {
    TASKS.with_borrow_mut(|(tasks, calls)| {
        if *calls == SHARED_BY {
            *tasks = Rc::default();
            *calls = 0;
        }
        *calls += 1;
        Rc::clone(tasks)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use actix_rt::System;
    use actix_rt::task::yield_now;

    use super::*;

    #[test]
    fn what_a_call_spawns_is_not_run_and_what_others_spawn_is() {
        System::new().block_on(async {
            let (of_call, of_others) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
            let (ran, done) = (Rc::clone(&of_call), Rc::clone(&of_others));
            let call = async {
                actix_rt::spawn(async move { ran.set(true) });
                yield_now().await;
                "answer"
            };
            assert_eq!(unrun(call).await, "answer");
            actix_rt::spawn(async move { done.set(true) });
            while !of_others.get() {
                yield_now().await;
            }
            assert!(!of_call.get());
        });
    }

    #[test]
    fn what_was_spawned_is_dropped_after_some_calls() {
        System::new().block_on(async {
            let kept = Rc::new(());
            let held = Rc::clone(&kept);
            unrun(async { drop(actix_rt::spawn(async move { drop(held) })) }).await;
            assert_eq!(Rc::strong_count(&kept), 2);
            for _ in 0..SHARED_BY {
                unrun(yield_now()).await;
            }
            assert_eq!(Rc::strong_count(&kept), 1);
        });
    }
}
