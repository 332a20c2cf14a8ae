//! One request from its door to the log: it lives as long as the request does and, when dropped, settles the
//! client's tokens and hands over exactly one record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::budget::Taken;
use super::stop::Live;
use crate::actors::logger::LogBuffer;
use crate::actors::rate_limiter::Permit;
use crate::config::catalog::{Client, ProviderKey, Route};
use crate::convert::loss::Loss;
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::{Protocol, UsageReport};
use crate::secret::Scrubber;
use crate::storage::record::{Answer, AttemptRecord, Record, RecordError};
use crate::storage::row::{self, Content};

/// A request under way.
pub struct Exchange {
    record: Record,
    started: Instant,
    attempt_started: Instant,
    calling: bool,
    permit: Option<Permit>,
    buffer: Arc<LogBuffer>,
    head_sent: bool,
    finished: bool,
    budget: Option<Taken>,
    /// Dropped last: once nobody is live, every record has been handed over.
    _live: Live,
}

impl Exchange {
    /// Opens the exchange of a client that is known.
    pub fn open(
        request_id: String,
        endpoint: String,
        protocol: Protocol,
        client: Arc<Client>,
        buffer: Arc<LogBuffer>,
        live: Live,
    ) -> Self {
        let now = Instant::now();
        let record = Record {
            client: Some(client),
            ..Record::new(request_id, endpoint, protocol)
        };
        Self {
            record,
            started: now,
            attempt_started: now,
            calling: false,
            permit: None,
            buffer,
            head_sent: false,
            finished: false,
            budget: None,
            _live: live,
        }
    }

    /// The id that the client sees.
    pub fn request_id(&self) -> &str {
        &self.record.request_id
    }

    /// Notes the body, with the bytes that it takes from the budget.
    pub fn body(&mut self, body: Bytes, budget: Taken) {
        self.record.request = Some(body);
        self.budget = Some(budget);
    }

    /// Notes what the client asks for.
    pub fn asks(&mut self, model: &str, streaming: bool) {
        self.record.requested_model = Some(model.to_owned());
        self.record.streaming = streaming;
    }

    /// Notes what the client's limits reserved.
    pub fn admitted(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// The limits of the client as of its admission.
    pub fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }

    /// Calls made so far.
    pub fn attempts(&self) -> usize {
        self.record.attempts.len()
    }

    /// A call begins.
    pub fn begin_attempt(&mut self, route: &Route, key: &ProviderKey) {
        self.calling = true;
        self.attempt_started = Instant::now();
        self.record.provider = Some(route.provider.name.clone());
        self.record.model = Some(route.model.clone());
        self.record.provider_key = Some(key.label.clone());
        self.record.retries = u32::try_from(self.record.attempts.len()).unwrap_or(u32::MAX);
        self.record.attempts.push(AttemptRecord {
            route: route.id.clone(),
            provider: route.provider.name.clone(),
            model: route.model.clone(),
            protocol: route.protocol,
            key: Some(key.label.clone()),
            status: None,
            outcome: "under_way",
            elapsed: Duration::ZERO,
            first_token: None,
            usage: None,
        });
    }

    /// The call under way ended; what ended before stays as it was.
    pub fn end_attempt(&mut self, status: Option<u16>, outcome: &'static str) {
        if !std::mem::take(&mut self.calling) {
            return;
        }
        let elapsed = self.attempt_started.elapsed();
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.elapsed = elapsed;
            attempt.status = status.or(attempt.status);
            attempt.outcome = outcome;
        }
    }

    /// The first content has arrived and the head goes out. From now on the body is kept only as far as its row needs it.
    pub fn commit(&mut self, status: u16, content: Content, scrubber: &Scrubber) {
        row::condense(&mut self.record, content, scrubber);
        self.budget = None;
        self.head_sent = true;
        self.record.status = status;
        self.record.first_token = Some(self.started.elapsed());
        let since_call = self.attempt_started.elapsed();
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.status = Some(status);
            attempt.first_token = Some(since_call);
        }
    }

    /// Notes what the upstream says it counted.
    pub fn used(&mut self, report: Option<UsageReport>) {
        let Some(report) = report else {
            return;
        };
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.usage = Some(report.usage);
        }
        self.record.usage = Some(report.usage);
        self.record.usage_raw = Some(report.raw);
    }

    /// Notes what was answered, in the protocol of the upstream.
    pub fn said(&mut self, answer: Answer, protocol: Protocol) {
        self.record.answer = answer;
        self.record.answer_protocol = protocol;
    }

    /// Notes what the route that is called now cannot be told.
    pub fn loses(&mut self, loss: &Loss) {
        self.record.loss = (!loss.is_empty()).then(|| loss.to_string());
    }

    /// What the last route called could not be told.
    pub fn loss(&self) -> Option<&str> {
        self.record.loss.as_deref()
    }

    /// The answer is complete.
    pub fn complete(&mut self, status: u16) {
        self.record.status = status;
        self.finished = true;
    }

    /// The request ends with an error. After the head the status stays what was sent.
    pub fn fail(&mut self, error: &GatewayError) {
        if !self.head_sent {
            self.record.status = error.kind.status();
        }
        self.note_error(error.kind.name(), error.message.clone());
        self.finished = true;
    }

    /// The request ends with an upstream's refusal.
    pub fn refused(&mut self, status: u16, message: String) {
        self.record.status = status;
        self.note_error(ErrorKind::UpstreamRefused(status).name(), message);
        self.finished = true;
    }

    fn note_error(&mut self, name: &'static str, message: String) {
        self.record.error = Some(RecordError { name, message });
    }

    fn settle(&mut self) {
        let Some(mut permit) = self.permit.take() else {
            return;
        };
        match self.record.usage {
            Some(usage) => permit.settle(usage.billed()),
            // Nothing was answered, so nothing was used. A stream that broke may have cost what was reserved.
            None if self.record.error.is_some() && !self.head_sent => permit.settle(0),
            None => drop(permit),
        }
    }

    /// One line in the process log for what failed; what went well has its row and a line at `debug`.
    fn report(&self) {
        let record = &self.record;
        let client = record.client.as_ref().map(|client| client.name.as_str());
        let elapsed_ms = u64::try_from(record.elapsed.as_millis()).unwrap_or(u64::MAX);
        match &record.error {
            None => tracing::debug!(
                request_id = record.request_id,
                client,
                model = record.requested_model,
                provider = record.provider,
                key = record.provider_key,
                attempt = record.attempts.len(),
                status = record.status,
                elapsed_ms,
                "answered"
            ),
            Some(error) => tracing::warn!(
                request_id = record.request_id,
                client,
                model = record.requested_model,
                provider = record.provider,
                key = record.provider_key,
                attempt = record.attempts.len(),
                status = record.status,
                outcome = error.name,
                error = error.message,
                elapsed_ms,
                "request failed"
            ),
        }
    }
}

/// Why an exchange can be dropped before it was told how it ended.
fn unfinished() -> GatewayError {
    if std::thread::panicking() {
        return GatewayError::new(ErrorKind::Internal, "the handler panicked");
    }
    GatewayError::new(
        ErrorKind::ClientLeft,
        "the client closed the connection before the answer was complete",
    )
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record.elapsed = self.started.elapsed();
        if !self.finished {
            let error = unfinished();
            self.end_attempt(None, error.kind.name());
            self.record.status = error.kind.status();
            self.note_error(error.kind.name(), error.message);
        }
        self.settle();
        self.report();
        let empty = Record::new(String::new(), String::new(), self.record.protocol);
        self.buffer.push(std::mem::replace(&mut self.record, empty));
    }
}
