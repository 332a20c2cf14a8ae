//! A stream as an HTTP body, and the watch over clients that have stopped reading theirs.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::error::ErrorKind;
use crate::gateway::stop::Stop;
use crate::gateway::stream::ClientStream;

/// A stream on its way to a client.
pub struct StreamBody {
    watched: Rc<Watched>,
}

/// A stream with what the watch needs to know.
struct Watched {
    stream: RefCell<ClientStream>,
    /// Wakes the client's connection, which waits for the upstream.
    waker: Cell<Option<Waker>>,
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
    /// Starts the watch: a stream that its client does not read for `stall` is given up, and all of them are when the
    /// gateway's patience with them ends.
    pub fn start(stall: Duration, stop: Stop) -> Self {
        let streams = Self {
            running: Rc::default(),
            begun: Rc::default(),
        };
        // Lives as long as the worker's arbiter, and sleeps without a timer while there is no stream.
        actix_rt::spawn(streams.clone().watch(stall, stop));
        streams
    }

    async fn watch(self, stall: Duration, stop: Stop) {
        let step = (stall / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
        tokio::select! {
            () = stop.ended() => {}
            () = self.watch_stalls(stall, step) => {}
        }
        loop {
            self.sweep(|_| Some(ErrorKind::Stopping));
            self.begun.notified().await;
        }
    }

    async fn watch_stalls(&self, stall: Duration, step: Duration) {
        loop {
            if self.running.borrow().is_empty() {
                self.begun.notified().await;
            }
            sleep(step).await;
            let now = Instant::now();
            self.sweep(|watched| {
                watched
                    .is_stalled(stall, now)
                    .then_some(ErrorKind::ClientStalled)
            });
        }
    }

    /// Gives up the streams for which there is a reason, and forgets those that have ended.
    fn sweep(&self, reason: impl Fn(&Watched) -> Option<ErrorKind>) {
        self.running.borrow_mut().retain(|weak| {
            let Some(watched) = weak.upgrade() else {
                return false;
            };
            let Some(reason) = reason(&watched) else {
                return true;
            };
            watched.stream.borrow_mut().give_up(reason);
            if let Some(waker) = watched.waker.take() {
                waker.wake();
            }
            false
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
        let patience = match (self.waiting.get(), self.stream.borrow().idle_limit()) {
            (true, Some(idle)) => stall + idle,
            (true, None) => return false,
            (false, _) => stall,
        };
        now.duration_since(self.polled.get()) > patience
    }
}

impl StreamBody {
    /// Puts a stream under watch.
    pub fn new(streams: &Streams, stream: ClientStream) -> Self {
        let watched = Rc::new(Watched {
            stream: RefCell::new(stream),
            waker: Cell::new(None),
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
        let polled = self.watched.stream.borrow_mut().poll_next(context);
        self.watched.polled.set(Instant::now());
        self.watched.waiting.set(polled.is_pending());
        if polled.is_pending() {
            self.watched.waker.set(Some(context.waker().clone()));
        }
        polled.map(|bytes| bytes.map(Ok))
    }
}
