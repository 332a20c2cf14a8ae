//! A stream up to its commit point: what precedes the first content is held back, so that every failure before it can
//! still move the request elsewhere. A model may have its whole answer held back.

use std::time::Duration;

use awc::http::header::HeaderMap;
use tokio::time::Instant;

use super::PassedHeaders;
use super::attempt::{ERROR_LIMIT, FailedCall, Outcome, passed_headers};
use super::budget::{BodyBudget, Taken};
use super::walk::Walk;
use crate::config::catalog::{Route, StreamRecovery};
use crate::error::{FaultKind, Phase};
use crate::protocol::sse::{Decoder, Event, LINE_LIMIT};
use crate::protocol::{StreamReader, Verdict};
use crate::upstream::UpstreamBody;
use crate::upstream::request::Response;

/// Bytes that may precede the first content of a stream.
const PRELUDE_LIMIT: usize = 4 * 1024 * 1024;

/// Bytes of an answer that is held back whole; a longer one goes out as it comes.
const HOLD_LIMIT: usize = 4 * 1024 * 1024;

/// What is held back takes nothing of the budget up to here: nearly every stream commits before.
const UNCOUNTED: usize = 64 * 1024;

/// A stream at its commit point.
pub(super) struct Committed {
    pub(super) status: u16,
    pub(super) headers: PassedHeaders,
    pub(super) body: UpstreamBody,
    pub(super) decoder: Decoder,
    pub(super) reader: StreamReader,
    /// When the first content arrived.
    pub(super) first_content: std::time::Instant,
    /// Everything up to and including the commit event, in order.
    pub(super) prelude: Vec<(Event, Verdict)>,
    /// What it takes of the budget, if it is much.
    pub(super) taken: Option<Taken>,
    /// The body has ended already.
    pub(super) at_end: bool,
}

/// A stream before its commit point.
struct Opening {
    stream: Box<Committed>,
    /// The answer is held back until it is complete.
    holds: bool,
    /// Content has been seen: from now on silence counts, not the time to the first token.
    has_content: bool,
    /// Bytes held back.
    held: usize,
    /// The silence that is allowed once there is content.
    idle: Duration,
}

/// Reads a stream up to its first content, or up to its end if the model wants it held back.
pub(super) async fn open(
    walk: &Walk,
    route: &Route,
    response: Response,
    first_token: (Instant, Phase),
    total: Instant,
) -> Outcome {
    if is_json(response.headers()) {
        return unstreamed(route, response, first_token).await;
    }
    let mut opening = Opening::new(walk, route, response);
    loop {
        match opening.take_all(&walk.gateway.budget) {
            Step::Committed => return Outcome::Stream(opening.stream),
            Step::Failed(outcome) => return outcome,
            Step::More => {}
        }
        let (deadline, phase) = if opening.has_content {
            (total, Phase::Total)
        } else {
            first_token
        };
        match opening.stream.body.next_before(deadline, phase).await {
            Ok(Some(chunk)) => opening.stream.decoder.push(chunk),
            Ok(None) => return opening.ended_early(),
            // A stream that has told its finish reason is complete, however its connection ends.
            Err(_) if opening.stream.reader.complete() => {
                opening.stream.at_end = true;
                return Outcome::Stream(opening.stream);
            }
            Err(fault) if opening.has_content => {
                return FailedCall::fault(fault, "the answer broke while it was held back");
            }
            Err(fault) => return FailedCall::fault(fault, "the stream brought no content"),
        }
    }
}

/// What an event before the commit point leads to.
enum Step {
    More,
    Committed,
    Failed(Outcome),
}

impl Opening {
    fn new(walk: &Walk, route: &Route, response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = passed_headers(response.headers());
        let body = UpstreamBody::new(response);
        let holds = walk.plan.model.stream_recovery == StreamRecovery::Hold;
        Self {
            stream: Box::new(Committed {
                status,
                headers,
                body,
                decoder: Decoder::new(LINE_LIMIT),
                reader: StreamReader::new(route.protocol, walk.request.head.choices),
                first_content: std::time::Instant::now(),
                prelude: Vec::new(),
                taken: None,
                at_end: false,
            }),
            holds,
            has_content: false,
            held: 0,
            idle: route.timeouts.idle,
        }
    }

    /// Reads the events that have arrived.
    fn take_all(&mut self, budget: &BodyBudget) -> Step {
        loop {
            let event = match self.stream.decoder.next() {
                Ok(Some(event)) => event,
                Ok(None) if self.has_room(budget) => return Step::More,
                Ok(None) => return self.out_of_room(),
                Err(_) => {
                    return Step::Failed(FailedCall::fault(
                        FaultKind::Malformed,
                        "an event is larger than 16 MiB",
                    ));
                }
            };
            self.held += event.raw.len();
            match self.take(event) {
                Step::More => {}
                step => return step,
            }
            if self.has_content && self.held > HOLD_LIMIT {
                return Step::Committed;
            }
            if !self.has_content && self.held > PRELUDE_LIMIT {
                return Step::Failed(FailedCall::fault(
                    FaultKind::Malformed,
                    "no content within 4 MiB",
                ));
            }
        }
    }

    /// Takes room for what is held back, the beginning of the next event included.
    fn has_room(&mut self, budget: &BodyBudget) -> bool {
        let stream = &mut self.stream;
        let events = stream.prelude.len() * size_of::<(Event, Verdict)>();
        let bytes = self.held + events + stream.decoder.waiting();
        bytes <= UNCOUNTED
            || stream
                .taken
                .get_or_insert_with(|| budget.open_answer())
                .grow_to(bytes)
    }

    /// An answer that is no longer held back is worth more to its client than none.
    fn out_of_room(&self) -> Step {
        if self.has_content {
            return Step::Committed;
        }
        Step::Failed(FailedCall::no_room())
    }

    fn take(&mut self, event: Event) -> Step {
        let reading = self.stream.reader.read(&event);
        match reading.verdict {
            Verdict::Drop => Step::More,
            Verdict::Error(error) => Step::Failed(FailedCall::told(error)),
            Verdict::End if !self.stream.reader.complete() => Step::Failed(FailedCall::fault(
                FaultKind::Cut,
                "the stream ended without a finish reason",
            )),
            verdict => {
                let ends = matches!(verdict, Verdict::End);
                self.stream.prelude.push((event, verdict));
                if reading.content && !self.has_content {
                    self.first_content();
                }
                if ends || (self.has_content && !self.holds) {
                    Step::Committed
                } else {
                    Step::More
                }
            }
        }
    }

    fn first_content(&mut self) {
        self.has_content = true;
        self.stream.first_content = std::time::Instant::now();
        if self.holds {
            self.stream.body.limit_idle(self.idle, None);
        }
    }

    /// The body ended before the commit point.
    fn ended_early(mut self) -> Outcome {
        if let Some(event) = self.stream.decoder.finish() {
            match self.take(event) {
                Step::Committed => {
                    self.stream.at_end = true;
                    return Outcome::Stream(self.stream);
                }
                Step::Failed(outcome) => return outcome,
                Step::More => {}
            }
        }
        if self.stream.reader.complete() {
            self.stream.at_end = true;
            return Outcome::Stream(self.stream);
        }
        if self.stream.prelude.is_empty() {
            return FailedCall::fault(FaultKind::Malformed, "the answer holds no event");
        }
        if self.has_content {
            return FailedCall::fault(FaultKind::Cut, "the stream ended before it was complete");
        }
        FailedCall::fault(FaultKind::Cut, "the stream ended before any content")
    }
}

/// An upstream that answers a request for a stream with one JSON body: an error, or not what was asked for.
async fn unstreamed(route: &Route, response: Response, deadline: (Instant, Phase)) -> Outcome {
    let status = response.status().as_u16();
    let mut body = UpstreamBody::new(response);
    let read = body.read_prefix(ERROR_LIMIT, deadline.0).await;
    match route.protocol.read_answer(&read) {
        Ok(reading) if reading.error.is_some() => {
            FailedCall::told(reading.error.unwrap_or_default())
        }
        _ if read.len() < ERROR_LIMIT && Instant::now() >= deadline.0 => FailedCall::fault(
            FaultKind::Timeout(deadline.1),
            "the stream brought no content, only the head of a JSON answer",
        ),
        _ => FailedCall::fault(
            FaultKind::Malformed,
            format!("asked for a stream, got JSON with status {status}"),
        ),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(awc::http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("application/json"))
}
