//! One request as the request log receives it: plain data, cheap to fill while the request is still being served.
//! It decodes nothing; `row` does, later and elsewhere.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use uuid::Uuid;

use crate::config::catalog::{Client, ProviderKey, Route};
use crate::conversation::Usage;
use crate::error::CLIENT_LEFT;
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;

/// Larger bodies have nearly whole buffers for themselves.
const LARGEST_DETACHED: usize = 8 * 1024;

/// One request, before its content is decoded, scrubbed and cut.
#[derive(Debug, Clone)]
pub struct Record {
    /// Our id of the row, a UUID v7.
    pub id: Uuid,
    /// What the client reads as `x-request-id`; it may have chosen it, so it need not be unique.
    pub request_id: Arc<str>,
    /// When the request arrived.
    pub started: SystemTime,
    /// The path, without query.
    pub endpoint: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// Who asked.
    pub client: Option<Arc<Client>>,
    /// The client's protocol: the form of `request`.
    pub protocol: Protocol,
    /// The upstream's protocol: the form of `answer`.
    pub answer_protocol: Protocol,
    /// The model that the client named.
    pub requested_model: Option<String>,
    /// The client's body, until it is condensed; none if it was no JSON object.
    pub request: Option<RawObject>,
    /// What its row needs of the body, where that is all that is left of it.
    pub condensed: Option<Condensed>,
    /// The status sent; 499 if the client left before one was.
    pub status: u16,
    /// From arrival to the end of the answer.
    pub elapsed: Duration,
    /// From arrival to the first content sent.
    pub first_token: Option<Duration>,
    /// What was sent.
    pub answer: Answer,
    /// Tokens, counted OpenAI's way.
    pub usage: Option<Usage>,
    /// The upstream's own usage object, as JSON.
    pub usage_raw: Option<String>,
    /// Whether a stream was asked for.
    pub streaming: bool,
    /// What went wrong.
    pub error: Option<RecordError>,
    /// Every call made, in order.
    pub attempts: Vec<AttemptRecord>,
    /// Which of them the row is about, from 1; 0 before the first.
    pub answering: usize,
    /// What a conversion dropped or changed.
    pub loss: Option<String>,
}

/// A body as its row keeps it, scrubbed and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condensed {
    /// A JSON object.
    pub parameters: String,
    /// A JSON array, perhaps cut, or an object of counts.
    pub messages: Option<String>,
    /// Bytes of the body.
    pub body: usize,
}

/// The end of a request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Low-cardinality name, for the `error_type` column.
    pub name: &'static str,
    /// Words for people.
    pub message: String,
}

/// What was sent to the client, in its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing worth keeping.
    None,
    /// A body.
    Whole(Bytes),
    /// The raw events of a stream; the sender caps them.
    Events(Vec<Bytes>),
    /// Content given up because the log queue was filling: bytes of the request and of the answer.
    Stripped {
        /// Bytes of the client's body.
        request: usize,
        /// Bytes of the answer.
        answer: usize,
    },
}

impl Answer {
    fn weight(&self) -> usize {
        match self {
            Self::None | Self::Stripped { .. } => 0,
            Self::Whole(body) => body.len(),
            Self::Events(events) => events
                .iter()
                .map(|event| size_of::<Bytes>() + event.len())
                .sum(),
        }
    }
}

/// One call to an upstream.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// Where it went.
    pub route: Arc<Route>,
    /// With which key; only its label is written.
    pub key: Arc<ProviderKey>,
    /// The upstream's status, if there was one.
    pub status: Option<u16>,
    /// Low-cardinality name of how it ended.
    pub outcome: &'static str,
    /// From the call to its end.
    pub elapsed: Duration,
    /// From the call to the first content.
    pub first_token: Option<Duration>,
    /// Tokens of this call.
    pub usage: Option<Usage>,
}

impl Record {
    /// A record of which only the beginning is known. Until it is told otherwise, the client left (499).
    pub fn new(request_id: Arc<str>, endpoint: &'static str, protocol: Protocol) -> Self {
        Self {
            id: Uuid::now_v7(),
            request_id,
            started: SystemTime::now(),
            endpoint,
            protocol,
            answer_protocol: protocol,
            ..Self::blank()
        }
    }

    /// A record of nothing, for where one has been taken away.
    pub fn blank() -> Self {
        Self {
            id: Uuid::nil(),
            request_id: Arc::default(),
            started: SystemTime::UNIX_EPOCH,
            endpoint: "",
            method: "POST",
            client: None,
            protocol: Protocol::OpenAi,
            answer_protocol: Protocol::OpenAi,
            requested_model: None,
            request: None,
            condensed: None,
            status: CLIENT_LEFT,
            elapsed: Duration::ZERO,
            first_token: None,
            answer: Answer::None,
            usage: None,
            usage_raw: None,
            streaming: false,
            error: None,
            attempts: Vec::new(),
            answering: 0,
            loss: None,
        }
    }

    /// The call that the row is about.
    pub fn call(&self) -> Option<&AttemptRecord> {
        self.attempts.get(self.answering.checked_sub(1)?)
    }

    /// Bytes it holds, for the bound of the queue.
    pub fn weight(&self) -> usize {
        let texts = [&self.requested_model, &self.usage_raw, &self.loss];
        size_of::<Self>()
            + self.request_id.len()
            + texts
                .into_iter()
                .map(|text| length(text.as_deref()))
                .sum::<usize>()
            + self.error.as_ref().map_or(0, |error| error.message.len())
            + self.attempts.len() * size_of::<AttemptRecord>()
            + (self.condensed.as_ref()).map_or(0, |kept| kept.parameters.len())
            + self.content_weight()
    }

    /// Bytes that `strip_content` frees.
    pub fn content_weight(&self) -> usize {
        self.request.as_ref().map_or(0, |body| body.source().len())
            + (self.condensed.as_ref()).map_or(0, |kept| length(kept.messages.as_deref()))
            + self.answer.weight()
    }

    /// Copies small bodies out of the buffers that they were read into. Records wait to be written: buffers that wait with
    /// them are replaced by new memory for each request, which costs more than the copy.
    pub fn detach(&mut self) {
        if let Some(body) = self
            .request
            .take_if(|body| body.source().len() <= LARGEST_DETACHED)
        {
            self.request = Some(body.detached());
        }
        if let Answer::Whole(body) = &mut self.answer
            && body.len() <= LARGEST_DETACHED
        {
            *body = Bytes::copy_from_slice(body);
        }
    }

    /// Drops prompt and answer and remembers how long they were. Without content nothing changes.
    pub fn strip_content(&mut self) {
        let condensed = self
            .condensed
            .as_mut()
            .and_then(|kept| kept.messages.take().map(|_| kept.body));
        if self.request.is_none()
            && condensed.is_none()
            && matches!(self.answer, Answer::None | Answer::Stripped { .. })
        {
            return;
        }
        let whole = self.request.take().map(|body| body.source().len());
        let request = whole.or(condensed).unwrap_or_default();
        let answer = match std::mem::replace(&mut self.answer, Answer::None) {
            Answer::None | Answer::Stripped { .. } => 0,
            Answer::Whole(body) => body.len(),
            Answer::Events(events) => events.iter().map(Bytes::len).sum(),
        };
        self.answer = Answer::Stripped { request, answer };
    }
}

fn length(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::routing::samples;

    /// A record of a plain success, for tests to change.
    pub(crate) fn record(request_id: &str) -> Record {
        Record {
            id: Uuid::now_v7(),
            request_id: request_id.into(),
            started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            endpoint: "/v1/chat/completions",
            requested_model: Some("small".to_owned()),
            status: 200,
            elapsed: Duration::from_millis(1234),
            ..Record::blank()
        }
    }

    /// A call to the model `gpt-x` of the provider `openai`, with the key of this number.
    pub(crate) fn attempt(key: usize) -> AttemptRecord {
        let provider = Arc::new(samples::provider("openai", key));
        AttemptRecord {
            route: Arc::new(samples::route(&provider, "gpt-x")),
            key: samples::key(key),
            status: Some(200),
            outcome: "success",
            elapsed: Duration::from_millis(321),
            first_token: None,
            usage: None,
        }
    }

    /// A client's body of so many bytes.
    pub(crate) fn body(bytes: usize) -> RawObject {
        let text = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(bytes - 13));
        RawObject::parse(text.into()).unwrap()
    }

    #[test]
    fn a_record_weighs_what_it_holds() {
        let mut record = record("r");
        let empty = record.weight();
        record.request = Some(body(1000));
        record.answer = Answer::Whole(Bytes::from_static(b"answer"));
        assert_eq!(record.weight(), empty + 1006);
        assert_eq!(record.content_weight(), 1006);
        record.loss = Some("12345".to_owned());
        assert_eq!(record.weight(), empty + 1011);
    }

    #[test]
    fn a_stripped_record_tells_how_much_it_lost() {
        let mut record = record("r");
        let empty = record.weight();
        record.request = Some(body(100));
        record.answer = Answer::Events(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"d")]);
        record.strip_content();
        let stripped = Answer::Stripped {
            request: 100,
            answer: 4,
        };
        assert_eq!(record.answer, stripped);
        assert_eq!(record.weight(), empty);
        record.strip_content();
        assert_eq!(record.answer, stripped);
    }

    #[test]
    fn a_detached_record_holds_no_buffer_but_large_ones() {
        for (bytes, is_shared) in [(100, false), (LARGEST_DETACHED + 1, true)] {
            let read = body(bytes);
            let answer = Bytes::from(vec![b'a'; bytes]);
            let mut record = Record {
                request: Some(read.clone()),
                answer: Answer::Whole(answer.clone()),
                ..record("r")
            };
            record.detach();
            let kept = record.request.unwrap();
            assert_eq!(kept.source(), read.source());
            assert_eq!(kept.get("prompt"), read.get("prompt"));
            assert_eq!(kept.source().as_ptr() == read.source().as_ptr(), is_shared);
            let Answer::Whole(kept) = record.answer else {
                panic!("the answer is gone");
            };
            assert_eq!(kept, answer);
            assert_eq!(kept.as_ptr() == answer.as_ptr(), is_shared);
        }
    }

    #[test]
    fn a_record_without_content_has_nothing_to_strip() {
        let mut record = record("r");
        record.strip_content();
        assert_eq!(record.answer, Answer::None);
    }
}
