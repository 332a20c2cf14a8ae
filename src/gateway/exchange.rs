//! One request from its door to the log: it lives as long as the request does and, when dropped, settles the
//! client's tokens and hands over exactly one record.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::NoAnswer;
use super::budget::Taken;
use super::stop::Live;
use crate::actors::logger::LogBuffer;
use crate::actors::rate_limiter::Permit;
use crate::config::catalog::{Client, ProviderKey, Route};
use crate::convert::loss::Loss;
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::raw::RawObject;
use crate::protocol::{Protocol, UsageReport};
use crate::secret::Scrubber;
use crate::storage::record::{Answer, AttemptRecord, Record, RecordError};
use crate::storage::row::{self, Content};

/// To condense a larger body would hold up all that its worker serves; they are rare.
const LARGEST_CONDENSED: usize = 1024 * 1024;

/// A request under way.
pub struct Exchange {
    record: Record,
    started: Instant,
    attempt_started: Instant,
    calling: bool,
    permit: Option<Permit>,
    buffer: Arc<LogBuffer>,
    /// The status that has gone out; shared with whoever sends heads before there is content.
    head: Rc<Cell<Option<u16>>>,
    finished: bool,
    budget: Option<Taken>,
    /// Dropped last: once nobody is live, every record has been handed over.
    _live: Live,
}

impl Exchange {
    /// Opens the exchange of a client that is known. It is handed from stage to stage, each of which would copy it.
    pub fn open(
        request_id: Arc<str>,
        endpoint: &'static str,
        protocol: Protocol,
        client: Arc<Client>,
        buffer: Arc<LogBuffer>,
        live: Live,
    ) -> Box<Self> {
        let now = Instant::now();
        let record = Record {
            client: Some(client),
            ..Record::new(request_id, endpoint, protocol)
        };
        Box::new(Self {
            record,
            started: now,
            attempt_started: now,
            calling: false,
            permit: None,
            buffer,
            head: Rc::default(),
            finished: false,
            budget: None,
            _live: live,
        })
    }

    /// The id that the client sees.
    pub fn request_id(&self) -> &str {
        &self.record.request_id
    }

    /// The same, to be kept.
    pub fn shared_request_id(&self) -> Arc<str> {
        Arc::clone(&self.record.request_id)
    }

    /// Notes the bytes that the body takes from the budget.
    pub fn holds(&mut self, budget: Taken) {
        self.budget = Some(budget);
    }

    /// Notes the body.
    pub fn body(&mut self, body: RawObject) {
        self.record.request = Some(body);
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
    pub fn begin_attempt(&mut self, route: &Arc<Route>, key: &Arc<ProviderKey>) {
        self.calling = true;
        self.attempt_started = Instant::now();
        self.record.attempts.push(AttemptRecord {
            route: Arc::clone(route),
            key: Arc::clone(key),
            status: None,
            outcome: "under_way",
            elapsed: Duration::ZERO,
            first_token: None,
            usage: None,
        });
        if self.record.first_token.is_none() {
            self.answered();
        }
    }

    /// The row is about the latest call from now on: it says what the client gets. A stream that broke stays the row's
    /// until another call has taken it over.
    pub fn answered(&mut self) {
        let record = &mut self.record;
        record.usage = None;
        record.usage_raw = None;
        record.answering = record.attempts.len();
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

    /// Where it is noted that a head has gone out before there is content, by its status.
    pub fn head(&self) -> Rc<Cell<Option<u16>>> {
        Rc::clone(&self.head)
    }

    /// The first content has arrived, at `first_content`, and the head goes out if it has not yet. From now on the body
    /// is kept only as far as its row needs it; `lets_body_go`: nobody else keeps it either.
    pub fn commit(
        &mut self,
        status: u16,
        first_content: Instant,
        content: Content,
        scrubber: &Scrubber,
        lets_body_go: bool,
    ) {
        row::condense(&mut self.record, content, scrubber);
        if lets_body_go {
            self.budget = None;
        }
        self.head.set(Some(status));
        self.record.status = status;
        let since_start = self.started.elapsed();
        self.record.first_token.get_or_insert(since_start);
        let since_call = first_content.saturating_duration_since(self.attempt_started);
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.status = Some(status);
            attempt.first_token = Some(since_call);
        }
    }

    /// From now on a body that its row cuts is kept only as far as the row needs it. Rows wait to be written, so that bodies
    /// kept whole would each take new memory.
    pub fn condense(&mut self, content: Content, scrubber: &Scrubber) {
        let body = self.record.request.as_ref();
        let bytes = body.map_or(0, |body| body.source().len());
        if bytes > content.max_bytes && bytes <= LARGEST_CONDENSED {
            row::condense(&mut self.record, content, scrubber);
        }
    }

    /// Nobody keeps the body any more.
    pub fn let_body_go(&mut self) {
        self.budget = None;
    }

    /// Notes what the upstream says it counted.
    pub fn used(&mut self, report: Option<UsageReport>) {
        let Some(report) = report else {
            return;
        };
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.usage = Some(report.usage);
        }
        if self.record.answering == self.record.attempts.len() {
            self.record.usage = Some(report.usage);
            self.record.usage_raw = Some(report.raw);
        }
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

    /// Notes what of the answer cannot be said in the client's protocol; its paths begin with `answer`.
    pub fn loses_of_answer(&mut self, loss: &Loss) {
        if loss.is_empty() {
            return;
        }
        let request = self.record.loss.take().into_iter();
        let answer = loss
            .items()
            .iter()
            .map(|(path, fate)| format!("answer.{path} {fate}"));
        self.record.loss = Some(request.chain(answer).collect::<Vec<_>>().join(","));
    }

    /// What the last route called could not be told, and what of its answer cannot be said.
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
        self.record.status = self.head.get().unwrap_or(error.kind.status());
        self.note_error(error.kind.name(), error.message.clone());
        self.finished = true;
    }

    /// The request ends without an answer.
    pub fn unanswered(&mut self, why: &NoAnswer) {
        match why {
            NoAnswer::Failed(error) => self.fail(error),
            NoAnswer::Refused(refusal) => {
                let status = refusal.status;
                self.record.status = self.head.get().unwrap_or(status);
                let name = ErrorKind::UpstreamRefused(status).name();
                self.note_error(name, refusal.message.clone());
                self.finished = true;
            }
        }
    }

    fn note_error(&mut self, name: &'static str, message: String) {
        self.record.error = Some(RecordError { name, message });
    }

    fn settle(&mut self) {
        let Some(mut permit) = self.permit.take() else {
            return;
        };
        let usages = self.record.attempts.iter().filter_map(|call| call.usage);
        let billed = usages
            .map(|usage| usage.billed())
            .reduce(u64::saturating_add);
        match billed {
            Some(tokens) => permit.settle(tokens),
            // Nothing was answered, so nothing was used. A stream that broke may have cost what was reserved.
            None if self.record.error.is_some() && self.record.first_token.is_none() => {
                permit.settle(0);
            }
            None => drop(permit),
        }
    }

    /// One line in the process log for what failed; what went well has its row and a line at `debug`.
    fn report(&self) {
        let record = &self.record;
        let client = record.client.as_ref().map(|client| client.name.as_str());
        let call = record.call();
        let elapsed_ms = u64::try_from(record.elapsed.as_millis()).unwrap_or(u64::MAX);
        match &record.error {
            None => tracing::debug!(
                request_id = &*record.request_id,
                client,
                model = record.requested_model,
                provider = call.map(|call| call.route.provider.name.as_str()),
                key = call.map(|call| call.key.label.as_str()),
                attempt = record.attempts.len(),
                status = record.status,
                elapsed_ms,
                "answered"
            ),
            Some(error) => tracing::warn!(
                request_id = &*record.request_id,
                client,
                model = record.requested_model,
                provider = call.map(|call| call.route.provider.name.as_str()),
                key = call.map(|call| call.key.label.as_str()),
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
        let mut record = std::mem::replace(&mut self.record, Record::blank());
        record.detach();
        self.buffer.push(record);
    }
}
