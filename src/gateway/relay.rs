//! A stream after its commit point: events pass from upstream to client as the client polls, and the stream ends
//! exactly once: complete, with an error event, or dropped because the client left.

mod ending;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::attempt::Engagement;
use super::budget::Taken;
use super::exchange::Exchange;
use super::splice::Splice;
use super::transcript::Transcript;
use super::walk::{Arrived, Detour, Walk};
use crate::config::catalog::Catalog;
use crate::convert::ReplyContext;
use crate::convert::pair::StreamConverter;
use crate::error::{ErrorKind, FaultKind, GatewayError, Phase};
use crate::protocol::sse::{Decoder, Event};
use crate::protocol::{Protocol, StreamReader, Verdict};
use crate::routing::outcome::KeyEffect;
use crate::upstream::UpstreamBody;

/// Bytes that are ready are merged up to this much before they go out.
const MERGE: usize = 64 * 1024;
/// What was held back goes out in pieces of this length, as its client takes it.
const LARGEST: usize = 2 * MERGE;

/// What a stream depends on beside its upstream; the same for every upstream of a request.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// What the client speaks.
    pub(super) protocol: Protocol,
    /// The client asked for usage.
    pub(super) include_usage: bool,
    /// The log keeps what was said.
    pub(super) keeps_content: bool,
    pub(super) max_cooldown: Duration,
    /// How long a stream may run; zero: for ever.
    pub(super) longest: Duration,
    /// When it has to end for that, once it runs.
    pub(super) ends_by: Option<Instant>,
}

/// A stream under way.
pub(super) struct Relay {
    source: Source,
    out: BytesMut,
    /// What `out` takes of the budget until it has gone out: an answer that was held back.
    taken: Option<Taken>,
    terms: Terms,
    context: ReplyContext,
    /// Where the upstream speaks another protocol than the client.
    converter: Option<StreamConverter>,
    /// Where the upstream continues what another one began.
    splice: Option<Box<Splice>>,
    /// We asked for usage and the client did not: the usage chunk is ours.
    hides_usage: bool,
    transcript: Transcript,
    /// The upstream's own error event, as the client may see it.
    error_event: Option<Bytes>,
    /// Dropped when the stream has ended.
    party: Option<Party>,
    /// Where the stream goes on after this upstream broke it.
    onward: Option<(Box<Walk>, Box<Splice>)>,
    catalog: Arc<Catalog>,
    idle: Duration,
}

/// Where the events come from.
struct Source {
    body: Option<UpstreamBody>,
    decoder: Decoder,
    reader: StreamReader,
    at_end: bool,
}

/// Who is bound to a running stream.
struct Party {
    exchange: Box<Exchange>,
    engagement: Engagement,
    /// The routes that can be asked if this one breaks.
    detour: Option<Detour>,
}

impl Relay {
    pub(super) fn new(arrived: Arrived, terms: Terms, mut splice: Option<Box<Splice>>) -> Self {
        let Arrived {
            committed,
            engagement,
            exchange,
            catalog,
            context,
            detour,
        } = arrived;
        let route = &engagement.route;
        let from = route.protocol;
        if let Some(splice) = &mut splice {
            splice.resume(from);
        }
        let is_foreign = splice.is_none() && from != terms.protocol;
        let converter = is_foreign.then(|| {
            StreamConverter::new(from, terms.protocol, context.clone(), terms.include_usage)
        });
        let idle = route.timeouts.idle;
        let mut body = committed.body;
        body.limit_idle(idle, terms.ends_by);
        let mut relay = Self {
            source: Source {
                body: Some(body),
                decoder: committed.decoder,
                reader: committed.reader,
                at_end: committed.at_end,
            },
            out: BytesMut::new(),
            taken: committed.taken,
            context,
            converter,
            splice,
            hides_usage: route.provider.stream_usage && !terms.include_usage,
            transcript: Transcript::new(terms.keeps_content || detour.is_some()),
            error_event: None,
            party: Some(Party {
                exchange,
                engagement,
                detour,
            }),
            onward: None,
            catalog,
            idle,
            terms,
        };
        for (event, verdict) in committed.prelude {
            if relay.party.is_some() {
                relay.pass(event, verdict);
            }
        }
        relay
    }

    /// The next bytes for the client; `None` once the stream has ended.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            self.decode();
            if self.party.is_none() || self.out.len() >= MERGE {
                break;
            }
            if self.source.at_end {
                self.finish();
                break;
            }
            let Some(body) = &mut self.source.body else {
                break;
            };
            match body.poll_chunk(context) {
                Poll::Ready(Ok(Some(chunk))) => self.source.decoder.push(chunk),
                Poll::Ready(Ok(None)) => self.source.at_end = true,
                Poll::Ready(Err(fault)) => self.broken(fault),
                Poll::Pending if self.out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if self.out.is_empty() {
            return Poll::Ready(None);
        }
        if self.out.len() > LARGEST {
            return Poll::Ready(Some(self.out.split_to(LARGEST).freeze()));
        }
        self.taken = None;
        Poll::Ready(Some(self.out.split().freeze()))
    }

    /// Whether the client hears nothing because it has all of it already.
    pub(super) fn is_swallowing(&self) -> bool {
        let splice = self.splice.as_ref();
        splice.is_some_and(|splice| !splice.has_caught_up())
    }

    /// Where the stream goes on, once this upstream broke it.
    pub(super) fn take_detour(&mut self) -> Option<(Box<Walk>, Box<Splice>)> {
        self.onward.take()
    }

    /// How long the upstream may be silent.
    pub(super) fn idle_limit(&self) -> Duration {
        self.idle
    }

    /// Ends the stream for a reason of ours or the client's: nothing more is read from the upstream.
    pub(super) fn give_up(&mut self, reason: ErrorKind) {
        let words = match reason {
            ErrorKind::ClientStalled => "The client stopped reading its stream",
            _ => "The gateway is stopping and could not wait for the rest of this answer",
        };
        let error = GatewayError::new(reason, words);
        if let Some((mut walk, _)) = self.onward.take() {
            // Broken already, and its client has not come back for what follows.
            walk.exchange.fail(&error);
            let event = self
                .terms
                .protocol
                .error_event(&error, walk.exchange.request_id());
            self.out.extend_from_slice(event.as_bytes());
            return;
        }
        self.close(error, KeyEffect::None);
    }

    /// Passes on whatever has been received.
    fn decode(&mut self) {
        while self.party.is_some() && self.out.len() < MERGE {
            match self.source.decoder.next() {
                Ok(Some(event)) => self.take(event),
                Ok(None) => break,
                Err(_) => self.broken(FaultKind::Malformed),
            }
        }
        if self
            .terms
            .ends_by
            .is_some_and(|limit| Instant::now() > limit)
            && self.party.is_some()
        {
            self.broken(FaultKind::Timeout(Phase::Total));
        }
    }

    fn take(&mut self, event: Event) {
        let reading = self.source.reader.read(&event);
        match reading.verdict {
            Verdict::Drop => {}
            Verdict::Error(error) => self.upstream_error(&event, &error),
            Verdict::End if !self.source.reader.complete() => self.broken(FaultKind::Cut),
            verdict => self.pass(event, verdict),
        }
    }

    /// The event without the secrets that an upstream may have put into it.
    fn clean(&self, event: Event) -> Event {
        if self.catalog.scrubber.finds(&event.raw) {
            return Event::parse(self.catalog.scrubber.scrub_bytes(event.raw));
        }
        event
    }

    fn pass(&mut self, event: Event, verdict: Verdict) {
        let event = self.clean(event);
        let is_comment = matches!(verdict, Verdict::Comment);
        let hidden = matches!(verdict, Verdict::UsageOnly) && self.hides_usage;
        match (&mut self.splice, &mut self.converter) {
            (Some(_), _) if is_comment => {}
            (Some(splice), _) => {
                if splice.pass(&event, &mut self.out).is_err() {
                    return self.diverged();
                }
            }
            (None, Some(converter)) if !is_comment => converter.convert(&event, &mut self.out),
            _ if hidden => {}
            _ => self.out.extend_from_slice(&event.raw),
        }
        if !is_comment {
            self.keep(&event.raw);
        }
        if matches!(verdict, Verdict::End) {
            self.end();
        }
    }

    /// What was said beyond the bound of the transcript cannot be said again by another upstream.
    fn keep(&mut self, event: &Bytes) {
        self.transcript.push(event);
        if !self.transcript.is_whole()
            && let Some(party) = &mut self.party
            && party.detour.take().is_some()
        {
            party.exchange.let_body_go();
        }
    }
}

impl Drop for Relay {
    /// The client left: what had been said and counted is still worth its row.
    fn drop(&mut self) {
        if let Some(mut party) = self.party.take() {
            self.write_up(&mut party, self.is_swallowing());
        }
    }
}
