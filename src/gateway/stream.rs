//! What a client gets as a stream: pings while calls go on, a relay once content flows, and calls again where another
//! route takes over. It ends exactly once.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};

use super::relay::{Relay, Terms};
use super::splice::Splice;
use super::walk::{Arrived, Ending};
use super::{Answer, ClientRequest, NoAnswer};
use crate::config::settings::{LogContent, Settings};
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::Protocol;

/// A walk under way.
pub(super) type Walking = Pin<Box<dyn Future<Output = Ending>>>;

/// A stream under way.
pub struct ClientStream {
    stage: Stage,
    terms: Terms,
    keepalive: Keepalive,
    request_id: Arc<str>,
}

enum Stage {
    /// Nobody answers yet, or nobody any more.
    Walking {
        walk: Walking,
        /// What the client has already, if an answer broke.
        splice: Option<Box<Splice>>,
    },
    Relaying(Box<Relay>),
    /// The last bytes are to go out.
    Last(Bytes),
    Ended,
}

/// When the client was last told that the connection lives.
struct Keepalive {
    every: Duration,
    ping: &'static str,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    /// The stream of a request whose first content has arrived.
    pub(super) fn relaying(
        arrived: Arrived,
        terms: Terms,
        pace: Duration,
        request_id: Arc<str>,
    ) -> Self {
        let mut stream = Self::new(Stage::Ended, terms, pace, request_id);
        stream.relay(arrived, None);
        stream
    }

    /// The stream of a request that is still waiting for content. It begins with a ping.
    pub(super) fn walking(
        walk: Walking,
        terms: Terms,
        pace: Duration,
        request_id: Arc<str>,
    ) -> Self {
        let stage = Stage::Walking { walk, splice: None };
        let mut stream = Self::new(stage, terms, pace, request_id);
        stream.keepalive.timer = Some(Box::pin(sleep(Duration::ZERO)));
        stream
    }

    fn new(stage: Stage, terms: Terms, pace: Duration, request_id: Arc<str>) -> Self {
        Self {
            stage,
            keepalive: Keepalive {
                every: pace,
                ping: terms.protocol.ping(),
                timer: None,
            },
            terms,
            request_id,
        }
    }

    /// The next bytes for the client; `None` once the stream has ended.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.stage {
                Stage::Walking { walk, .. } => match walk.as_mut().poll(context) {
                    Poll::Ready(ending) => self.arrive(ending),
                    Poll::Pending => return self.keepalive.poll(context).map(Some),
                },
                Stage::Relaying(relay) => match relay.poll_next(context) {
                    Poll::Ready(Some(bytes)) => {
                        self.keepalive.timer = None;
                        return Poll::Ready(Some(bytes));
                    }
                    Poll::Ready(None) => self.stage = relay.onward(),
                    Poll::Pending if relay.is_swallowing() => {
                        return self.keepalive.poll(context).map(Some);
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Stage::Last(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.stage = Stage::Ended;
                    return Poll::Ready(Some(bytes));
                }
                Stage::Ended => return Poll::Ready(None),
            }
        }
    }

    /// How long the upstream may be silent; `None`: as long as calls take.
    pub fn idle_limit(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Relaying(relay) => Some(relay.idle_limit()),
            Stage::Walking { .. } => None,
            Stage::Last(_) | Stage::Ended => Some(Duration::ZERO),
        }
    }

    /// Ends the stream for a reason of ours or the client's: nothing more is read from the upstream.
    pub fn give_up(&mut self, reason: ErrorKind) {
        match &mut self.stage {
            Stage::Relaying(relay) => relay.give_up(reason),
            // The walk ends itself when the gateway stops, and says so in the log.
            Stage::Walking { .. } if reason == ErrorKind::Stopping => {}
            Stage::Walking { .. } => self.stage = Stage::Ended,
            Stage::Last(_) | Stage::Ended => {}
        }
    }

    /// Content flows from now on; the time for all of it begins with the first.
    fn relay(&mut self, arrived: Arrived, splice: Option<Box<Splice>>) {
        let Terms {
            longest, ends_by, ..
        } = &mut self.terms;
        if ends_by.is_none() && !longest.is_zero() {
            *ends_by = Some(Instant::now() + *longest);
        }
        let relay = Relay::new(arrived, self.terms.clone(), splice);
        self.stage = Stage::Relaying(Box::new(relay));
    }

    /// A walk has ended: content flows from now on, or the client hears why not.
    fn arrive(&mut self, ending: Ending) {
        let Stage::Walking { splice, .. } = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return;
        };
        match ending {
            Ending::Stream(arrived) => self.relay(*arrived, splice),
            Ending::Answer(answer, mut exchange) => {
                self.stage = Stage::Last(match splice {
                    Some(splice) => {
                        let told = splice.abandon();
                        exchange.fail(&told.error);
                        told.event
                    }
                    None => error_event(&answer, self.terms.protocol, &self.request_id),
                });
            }
        }
    }
}

impl Relay {
    /// Where the stream goes when the relay has nothing more.
    fn onward(&mut self) -> Stage {
        match self.take_detour() {
            Some((walk, splice)) => Stage::Walking {
                walk: Box::pin(walk.run()),
                splice: Some(splice),
            },
            None => Stage::Ended,
        }
    }
}

impl Keepalive {
    /// Ready when the client has heard nothing for long enough.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        if self.every.is_zero() {
            return Poll::Pending;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(self.every)));
        ready!(timer.as_mut().poll(context));
        self.timer = None;
        Poll::Ready(Bytes::from_static(self.ping.as_bytes()))
    }
}

/// What had been an error with a status, now that the head has gone out.
fn error_event(answer: &Answer, protocol: Protocol, request_id: &str) -> Bytes {
    let event = match answer {
        Answer::None(NoAnswer::Failed(error)) => protocol.error_event(error, request_id),
        Answer::None(NoAnswer::Refused(refusal)) => {
            let kind = ErrorKind::UpstreamRefused(refusal.status);
            let error = GatewayError::new(kind, refusal.message.clone());
            protocol.error_event(&error, request_id)
        }
        // A stream was asked for.
        Answer::Whole(_) | Answer::Stream(_) => {
            let error = GatewayError::new(ErrorKind::Internal, "The answer is not a stream");
            protocol.error_event(&error, request_id)
        }
    };
    Bytes::from(event)
}

/// What the stream of this request depends on beside its upstream.
pub(super) fn terms(request: &ClientRequest, settings: &Settings) -> Terms {
    Terms {
        protocol: request.protocol,
        include_usage: request.head.include_usage,
        keeps_content: settings.log_content == LogContent::Full,
        max_cooldown: settings.max_cooldown,
        longest: settings.stream_max,
        ends_by: None,
    }
}
