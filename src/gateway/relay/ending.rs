//! How a stream under way ends: complete, with an error event, or handed to the next route. Whoever is bound to it is
//! let go here, once. It reads nothing from the upstream.

use bytes::Bytes;
use tokio::time::Instant;

use super::{Party, Relay};
use crate::convert::pair::StreamConverter;
use crate::error::{ErrorKind, FaultKind, GatewayError, Phase};
use crate::gateway::splice::{Splice, Told};
use crate::gateway::walk::Detour;
use crate::protocol::sse::Event;
use crate::protocol::{Protocol, UpstreamError};
use crate::routing::outcome::{Failure, KeyEffect, Next, judge};
use crate::storage::record::Answer;

impl Relay {
    /// The body ended without the terminal event.
    pub(super) fn finish(&mut self) {
        if let Some(event) = self.source.decoder.finish() {
            self.take(event);
        }
        if self.party.is_none() {
            return;
        }
        self.broken(FaultKind::Cut);
    }

    /// The upstream forgot its marker.
    fn add_end(&mut self) {
        if self.splice.is_none() && self.converter.is_none() {
            let marker = self.terms.protocol.end_marker();
            self.out.extend_from_slice(marker.as_bytes());
        }
        self.end();
    }

    /// The upstream is done: what is converted ends with it, whatever its events had to say.
    pub(super) fn end(&mut self) {
        match (&mut self.splice, &mut self.converter) {
            (Some(splice), _) => {
                if splice.finish(&mut self.out).is_err() {
                    return self.diverged();
                }
            }
            (None, Some(converter)) => converter.finish(&mut self.out),
            (None, None) => {}
        }
        self.complete();
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
        self.write_up(&mut party, self.is_swallowing());
        party.exchange.complete(200);
    }

    /// The upstream broke the stream. One that has told its finish reason is complete without its marker.
    pub(super) fn broken(&mut self, fault: FaultKind) {
        if self.source.reader.complete() && fault != FaultKind::Malformed {
            self.source.body = None;
            return self.add_end();
        }
        let past_limit = self
            .terms
            .ends_by
            .is_some_and(|limit| Instant::now() >= limit);
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
        self.fail(&failure, error);
    }

    /// The upstream sent an error of its own: clients know its words and its type better than ours.
    pub(super) fn upstream_error(&mut self, event: &Event, told: &UpstreamError) {
        let failure = Failure {
            error: Some(told),
            ..Failure::default()
        };
        let error = GatewayError::new(
            ErrorKind::UpstreamErrorEvent,
            self.catalog.scrubber.scrub(&told.message),
        );
        let speaks_alike = self.converter.is_none() && self.splice.is_none();
        if speaks_alike && self.terms.protocol.is_own_error_shape(&event.data) {
            self.error_event = Some(self.catalog.scrubber.scrub_bytes(event.raw.clone()));
        }
        self.fail(&failure, error);
    }

    /// The upstream broke the stream: another one may take over.
    fn fail(&mut self, failure: &Failure<'_>, error: GatewayError) {
        let Some(party) = &mut self.party else {
            return;
        };
        let judgement = judge(failure, &party.engagement.route, self.terms.max_cooldown);
        party.engagement.call.judged(&judgement);
        party
            .exchange
            .end_attempt(failure.status, judgement.class.name());
        if judgement.next == Next::Return {
            return self.close(error, judgement.key);
        }
        match party.detour.take() {
            Some(detour) if self.can_be_spliced() => self.go_on(detour, error, judgement.key),
            _ if self.is_swallowing() => self.close_splice(judgement.key),
            _ => self.close(error, judgement.key),
        }
    }

    fn can_be_spliced(&self) -> bool {
        match &self.splice {
            Some(splice) => splice.can_go_on(),
            None => self.transcript.is_whole(),
        }
    }

    /// What the client has so far, ready to be continued.
    fn splice(&mut self, from: Protocol, error: GatewayError) -> Result<Box<Splice>, Told> {
        if let Some(splice) = self.splice.take() {
            return Ok(splice);
        }
        let told = self.told(error);
        Splice::begin(
            &self.transcript,
            from,
            self.terms.protocol,
            self.context.clone(),
            self.terms.include_usage,
            told,
        )
        .map(Box::new)
    }

    fn told(&mut self, error: GatewayError) -> Told {
        let request_id = self
            .party
            .as_ref()
            .map_or("", |party| party.exchange.request_id());
        let event = self
            .error_event
            .take()
            .unwrap_or_else(|| Bytes::from(self.terms.protocol.error_event(&error, request_id)));
        Told { error, event }
    }

    /// Asks the routes that are left; what the client has stays as it is.
    fn go_on(&mut self, detour: Detour, error: GatewayError, effect: KeyEffect) {
        let Some(party) = &self.party else {
            return;
        };
        let from = party.engagement.route.protocol;
        let is_behind = self.is_swallowing();
        let splice = match self.splice(from, error) {
            Ok(splice) => splice,
            Err(told) => {
                self.error_event = Some(told.event);
                return self.close(told.error, effect);
            }
        };
        self.source.body = None;
        let Some(mut party) = self.party.take() else {
            return;
        };
        party.engagement.report(effect);
        self.write_up(&mut party, is_behind);
        tracing::warn!(
            request_id = party.exchange.request_id(),
            provider = party.engagement.route.provider.name,
            key = party.engagement.lease.key().label,
            attempt = party.exchange.attempts(),
            "a stream broke; the next route is asked for the rest"
        );
        self.onward = Some((detour.walk(party.exchange), splice));
    }

    /// The upstream says something else than what the client has: that is nobody's fault, and the end.
    pub(super) fn diverged(&mut self) {
        if let Some(party) = &mut self.party {
            party.exchange.end_attempt(None, "diverged");
        }
        self.close_splice(KeyEffect::None);
    }

    /// Ends a stream that could not be continued, as its first upstream left it.
    fn close_splice(&mut self, effect: KeyEffect) {
        self.source.body = None;
        let is_behind = self.is_swallowing();
        let (Some(splice), Some(mut party)) = (self.splice.take(), self.party.take()) else {
            return;
        };
        party.engagement.report(effect);
        self.write_up(&mut party, is_behind);
        let told = splice.abandon();
        party.exchange.fail(&told.error);
        self.out.extend_from_slice(&told.event);
    }

    /// Ends the stream with an error event and lets everybody go.
    pub(super) fn close(&mut self, error: GatewayError, effect: KeyEffect) {
        self.source.body = None;
        let told = self.told(error);
        let Some(mut party) = self.party.take() else {
            return;
        };
        party.engagement.report(effect);
        self.out.extend_from_slice(&told.event);
        party.exchange.end_attempt(None, told.error.kind.name());
        self.write_up(&mut party, self.is_swallowing());
        party.exchange.fail(&told.error);
    }

    /// Notes what this upstream said and counted; `is_behind`: it has said less than the client has.
    pub(super) fn write_up(&mut self, party: &mut Party, is_behind: bool) {
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
        if !is_behind {
            exchange.answered();
        }
        exchange.used(self.source.reader.usage());
        let spliced = self.splice.as_ref().map(|splice| splice.loss());
        let converted = self.converter.as_ref().map(StreamConverter::loss);
        if let Some(loss) = spliced.or(converted) {
            exchange.loses_of_answer(loss);
        }
        let transcript = std::mem::take(&mut self.transcript);
        if !is_behind && self.terms.keeps_content {
            exchange.said(Answer::Events(transcript.into_events()), protocol);
        }
    }
}
