//! A stream up to its commit point: what precedes the first content is held back, so that every failure before it can
//! still move the request elsewhere.

use awc::http::header::HeaderMap;
use tokio::time::Instant;

use super::PassedHeaders;
use super::attempt::{ERROR_LIMIT, FailedCall, Outcome, passed_headers};
use super::walk::Walk;
use crate::config::catalog::Route;
use crate::error::{FaultKind, Phase};
use crate::protocol::sse::{Decoder, Event, LINE_LIMIT};
use crate::protocol::{StreamReader, Verdict};
use crate::upstream::UpstreamBody;
use crate::upstream::request::Response;

/// Bytes that may precede the first content of a stream.
const PRELUDE_LIMIT: usize = 4 * 1024 * 1024;

/// A stream at its commit point.
pub(super) struct Committed {
    pub(super) status: u16,
    pub(super) headers: PassedHeaders,
    pub(super) body: UpstreamBody,
    pub(super) decoder: Decoder,
    pub(super) reader: StreamReader,
    /// Everything up to and including the commit event, in order.
    pub(super) prelude: Vec<(Event, Verdict)>,
    /// The body has ended already.
    pub(super) at_end: bool,
}

/// Reads a stream up to its first content.
pub(super) async fn open(
    walk: &Walk,
    route: &Route,
    response: Response,
    deadline: (Instant, Phase),
) -> Outcome {
    let status = response.status().as_u16();
    if is_json(response.headers()) {
        return unstreamed(route, response, deadline).await;
    }
    let mut opening = Box::new(Committed {
        status,
        headers: passed_headers(response.headers()),
        body: UpstreamBody::new(response),
        decoder: Decoder::new(LINE_LIMIT),
        reader: StreamReader::new(route.protocol, walk.request.head.choices),
        prelude: Vec::new(),
        at_end: false,
    });
    let mut held = 0;
    loop {
        loop {
            let event = match opening.decoder.next() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => {
                    return FailedCall::fault(
                        FaultKind::Malformed,
                        "an event is larger than 16 MiB",
                    );
                }
            };
            held += event.raw.len();
            match opening.take(event) {
                Step::Committed => return Outcome::Stream(opening),
                Step::Failed(outcome) => return outcome,
                Step::More if held > PRELUDE_LIMIT => {
                    return FailedCall::fault(FaultKind::Malformed, "no content within 4 MiB");
                }
                Step::More => {}
            }
        }
        match opening.body.next_before(deadline.0, deadline.1).await {
            Ok(Some(chunk)) => opening.decoder.push(chunk),
            Ok(None) => return opening.ended_early(),
            // A stream that has told its finish reason is complete, however its connection ends.
            Err(_) if opening.reader.complete() => {
                opening.at_end = true;
                return Outcome::Stream(opening);
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

impl Committed {
    fn take(&mut self, event: Event) -> Step {
        let reading = self.reader.read(&event);
        match reading.verdict {
            Verdict::Drop => Step::More,
            Verdict::Error(error) => Step::Failed(FailedCall::told(error)),
            Verdict::End if !self.reader.complete() => Step::Failed(FailedCall::fault(
                FaultKind::Cut,
                "the stream ended without a finish reason",
            )),
            verdict => {
                let commits = reading.content || matches!(verdict, Verdict::End);
                self.prelude.push((event, verdict));
                if commits { Step::Committed } else { Step::More }
            }
        }
    }

    /// The body ended before any content.
    fn ended_early(mut self: Box<Self>) -> Outcome {
        if let Some(event) = self.decoder.finish() {
            match self.take(event) {
                Step::Committed => {
                    self.at_end = true;
                    return Outcome::Stream(self);
                }
                Step::Failed(outcome) => return outcome,
                Step::More => {}
            }
        }
        if self.reader.complete() {
            self.at_end = true;
            return Outcome::Stream(self);
        }
        if self.prelude.is_empty() {
            return FailedCall::fault(FaultKind::Malformed, "the answer holds no event");
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
