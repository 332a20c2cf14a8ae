//! A relay as an HTTP body, and the watch over clients that have stopped reading theirs.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::gateway::relay::Relay;

/// A stream on its way to a client.
pub struct StreamBody {
    watched: Rc<Watched>,
}

/// A relay with what the watch needs to know.
struct Watched {
    relay: RefCell<Relay>,
    /// When the client's connection last asked for more.
    polled: Cell<Instant>,
    /// It asked, and there was nothing: the silence is the upstream's.
    waiting: Cell<bool>,
}

/// The streams of one worker.
#[derive(Clone)]
pub struct Streams {
    running: Rc<RefCell<Vec<Weak<Watched>>>>,
    begun: Rc<Notify>,
}

impl Streams {
    /// Starts the watch: a stream that its client does not read for `stall` is given up.
    pub fn start(stall: Duration) -> Self {
        let streams = Self {
            running: Rc::default(),
            begun: Rc::default(),
        };
        // Lives as long as the worker's arbiter, and sleeps without a timer while there is no stream.
        actix_rt::spawn(streams.clone().watch(stall));
        streams
    }

    async fn watch(self, stall: Duration) {
        let step = (stall / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            if self.running.borrow().is_empty() {
                self.begun.notified().await;
            }
            sleep(step).await;
            self.sweep(stall, Instant::now());
        }
    }

    fn sweep(&self, stall: Duration, now: Instant) {
        self.running.borrow_mut().retain(|weak| {
            let Some(watched) = weak.upgrade() else {
                return false;
            };
            if watched.is_stalled(stall, now) {
                watched.relay.borrow_mut().give_up();
                return false;
            }
            true
        });
    }

    fn add(&self, watched: &Rc<Watched>) {
        self.running.borrow_mut().push(Rc::downgrade(watched));
        self.begun.notify_one();
    }
}

impl Watched {
    /// While the connection waits for the upstream, its idle limit wakes it; only a longer silence is the client's.
    fn is_stalled(&self, stall: Duration, now: Instant) -> bool {
        let patience = if self.waiting.get() {
            stall + self.relay.borrow().idle_limit()
        } else {
            stall
        };
        now.duration_since(self.polled.get()) > patience
    }
}

impl StreamBody {
    /// Puts a relay under watch.
    pub fn new(streams: &Streams, relay: Relay) -> Self {
        let watched = Rc::new(Watched {
            relay: RefCell::new(relay),
            polled: Cell::new(Instant::now()),
            waiting: Cell::new(false),
        });
        streams.add(&watched);
        Self { watched }
    }
}

impl MessageBody for StreamBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let polled = self.watched.relay.borrow_mut().poll_next(context);
        self.watched.polled.set(Instant::now());
        self.watched.waiting.set(polled.is_pending());
        polled.map(|bytes| bytes.map(Ok))
    }
}
