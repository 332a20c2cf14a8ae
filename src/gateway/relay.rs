//! A stream after its commit point: events pass from upstream to client as the client polls, and the stream ends
//! exactly once: complete, with an error event, or dropped because the client left.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::attempt::Engagement;
use super::exchange::Exchange;
use super::opening::Committed;
use super::transcript::Transcript;
use super::{ClientRequest, Gateway};
use crate::config::catalog::Catalog;
use crate::config::settings::LogContent;
use crate::convert::pair::StreamConverter;
use crate::error::{ErrorKind, FaultKind, GatewayError, Phase};
use crate::protocol::sse::{Decoder, Event};
use crate::protocol::{Protocol, StreamReader, UpstreamError, Verdict};
use crate::routing::outcome::{Failure, KeyEffect, judge};
use crate::storage::record::Answer;
use crate::upstream::UpstreamBody;

/// Bytes that are ready are merged up to this much before they go out.
const MERGE: usize = 64 * 1024;

/// A stream under way.
pub struct Relay {
    source: Source,
    out: BytesMut,
    protocol: Protocol,
    /// Where the upstream speaks another protocol than the client.
    converter: Option<StreamConverter>,
    /// We asked for usage and the client did not: the usage chunk is ours.
    hides_usage: bool,
    transcript: Transcript,
    /// The upstream's own error event has gone out.
    error_sent: bool,
    /// Dropped when the stream has ended.
    party: Option<Party>,
    catalog: Arc<Catalog>,
    max_cooldown: Duration,
    idle: Duration,
    ends_by: Option<Instant>,
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
    exchange: Exchange,
    engagement: Engagement,
}

impl Relay {
    pub(super) fn new(
        gateway: &Gateway,
        request: &ClientRequest,
        catalog: Arc<Catalog>,
        exchange: Exchange,
        engagement: Engagement,
        committed: Committed,
        converter: Option<StreamConverter>,
    ) -> Self {
        let settings = &gateway.settings;
        let mut body = committed.body;
        let idle = engagement.route.timeouts.idle;
        let ends_by =
            (!settings.stream_max.is_zero()).then(|| Instant::now() + settings.stream_max);
        body.limit_idle(idle, ends_by);
        let asked_usage = engagement.route.provider.stream_usage;
        let mut relay = Self {
            source: Source {
                body: Some(body),
                decoder: committed.decoder,
                reader: committed.reader,
                at_end: committed.at_end,
            },
            out: BytesMut::new(),
            protocol: request.protocol,
            converter,
            hides_usage: asked_usage && !request.head.include_usage,
            transcript: Transcript::new(settings.log_content == LogContent::Full),
            error_sent: false,
            party: Some(Party {
                exchange,
                engagement,
            }),
            catalog,
            max_cooldown: settings.max_cooldown,
            idle,
            ends_by,
        };
        for (event, verdict) in committed.prelude {
            relay.pass(event, verdict);
        }
        relay
    }

    /// The next bytes for the client; `None` once the stream has ended.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
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
        Poll::Ready(Some(self.out.split().freeze()))
    }

    /// How long the upstream may be silent.
    pub fn idle_limit(&self) -> Duration {
        self.idle
    }

    /// Ends the stream for a reason of ours or the client's: nothing more is read from the upstream.
    pub fn give_up(&mut self, reason: ErrorKind) {
        let words = match reason {
            ErrorKind::ClientStalled => "The client stopped reading its stream",
            _ => "The gateway is stopping and could not wait for the rest of this answer",
        };
        self.close(&GatewayError::new(reason, words), KeyEffect::None);
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
        if self.ends_by.is_some_and(|limit| Instant::now() > limit) && self.party.is_some() {
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
        let hidden = matches!(verdict, Verdict::UsageOnly) && self.hides_usage;
        match &mut self.converter {
            Some(converter) if !matches!(verdict, Verdict::Comment) => {
                converter.convert(&event, &mut self.out);
            }
            _ if hidden => {}
            _ => self.out.extend_from_slice(&event.raw),
        }
        if !matches!(verdict, Verdict::Comment) {
            self.transcript.push(&event.raw);
        }
        if matches!(verdict, Verdict::End) {
            self.complete();
        }
    }

    /// The body ended without the terminal event.
    fn finish(&mut self) {
        if let Some(event) = self.source.decoder.finish() {
            self.take(event);
        }
        if self.party.is_none() {
            return;
        }
        self.broken(FaultKind::Cut);
    }

    /// What the upstream forgot to say at the end.
    fn add_end(&mut self) {
        match &mut self.converter {
            Some(converter) => converter.finish(&mut self.out),
            None => self
                .out
                .extend_from_slice(self.protocol.end_marker().as_bytes()),
        }
    }

    fn complete(&mut self) {
        if let Some(body) = self.source.body.take() {
            // Ends by itself within 50 ms; a connection that is read to its end is used again.
            actix_rt::spawn(body.drain());
        }
        let Some(mut party) = self.party.take() else {
            return;
        };
        party
            .engagement
            .succeed(self.source.reader.usage().as_ref());
        party.exchange.end_attempt(None, "ok");
        self.write_up(&mut party);
        party.exchange.complete(200);
    }

    /// The upstream broke the stream. One that has told its finish reason is complete without its marker.
    fn broken(&mut self, fault: FaultKind) {
        if self.source.reader.complete() && fault != FaultKind::Malformed {
            self.source.body = None;
            self.add_end();
            self.complete();
            return;
        }
        let past_limit = self.ends_by.is_some_and(|limit| Instant::now() >= limit);
        let fault = match fault {
            FaultKind::Timeout(_) if past_limit => FaultKind::Timeout(Phase::Total),
            fault => fault,
        };
        let message = match fault {
            FaultKind::Timeout(Phase::Total) => "The stream ran longer than stream_max_seconds",
            FaultKind::Timeout(_) => "The upstream fell silent before the answer was complete",
            FaultKind::Malformed => "The upstream sent what the protocol does not know",
            _ => "The upstream closed the stream before the answer was complete",
        };
        let failure = Failure {
            status: None,
            fault: Some(fault),
            error: None,
            retry_after: None,
        };
        let error = GatewayError::new(ErrorKind::UpstreamBroken(fault), message);
        self.fail(&failure, &error);
    }

    /// The upstream sent an error of its own: clients know its words and its type better than ours.
    fn upstream_error(&mut self, event: &Event, told: &UpstreamError) {
        let failure = Failure {
            error: Some(told),
            ..Failure::default()
        };
        let error = GatewayError::new(
            ErrorKind::UpstreamErrorEvent,
            self.catalog.scrubber.scrub(&told.message),
        );
        if self.converter.is_none() && self.protocol.is_own_error_shape(&event.data) {
            let raw = self.catalog.scrubber.scrub_bytes(event.raw.clone());
            self.out.extend_from_slice(&raw);
            self.error_sent = true;
        }
        self.fail(&failure, &error);
    }

    fn fail(&mut self, failure: &Failure<'_>, error: &GatewayError) {
        let Some(party) = &mut self.party else {
            return;
        };
        let judgement = judge(failure, &party.engagement.route, self.max_cooldown);
        party
            .exchange
            .end_attempt(failure.status, judgement.class.name());
        self.close(error, judgement.key);
    }

    /// Ends the stream with an error event and lets everybody go.
    fn close(&mut self, error: &GatewayError, effect: KeyEffect) {
        self.source.body = None;
        let Some(mut party) = self.party.take() else {
            return;
        };
        if !matches!(effect, KeyEffect::None) {
            party.engagement.report(effect);
        }
        if !self.error_sent {
            let event = self
                .protocol
                .error_event(error, party.exchange.request_id());
            self.out.extend_from_slice(event.as_bytes());
        }
        party.exchange.end_attempt(None, error.kind.name());
        self.write_up(&mut party);
        party.exchange.fail(error);
    }

    fn write_up(&mut self, party: &mut Party) {
        let exchange = &mut party.exchange;
        let protocol = party.engagement.route.protocol;
        let dropped = self.source.reader.dropped();
        if dropped > 0 {
            tracing::warn!(
                request_id = exchange.request_id(),
                dropped,
                "events of a stream that held no data or did not parse were dropped"
            );
        }
        exchange.used(self.source.reader.usage());
        let transcript = std::mem::take(&mut self.transcript);
        exchange.said(Answer::Events(transcript.into_events()), protocol);
    }
}

impl Drop for Relay {
    /// The client left: what had been said and counted is still worth its row.
    fn drop(&mut self) {
        if let Some(mut party) = self.party.take() {
            self.write_up(&mut party);
        }
    }
}
