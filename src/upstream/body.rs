//! The body of an upstream answer: chunks with an idle limit, a bounded read, and the drain that saves a connection.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::dev::Payload;
use bytes::{Bytes, BytesMut};
use futures_core::Stream as _;
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};

use super::request::Response;
use crate::error::{FaultKind, Phase};

/// How long a connection may take to end after the terminal event, to be reused.
const DRAIN: Duration = Duration::from_millis(50);

/// The body of an answer.
pub struct UpstreamBody {
    payload: Payload,
    /// What the head promised; a body that ends earlier was cut.
    remaining: Option<u64>,
    idle: Option<Duration>,
    ends_by: Option<Instant>,
    last_chunk: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// awc panics when a body is read beyond its end.
    ended: bool,
}

impl UpstreamBody {
    /// Takes the body of an answer, without an idle limit.
    pub fn new(mut response: Response) -> Self {
        let remaining = response
            .headers()
            .get(awc::http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            payload: response.take_payload(),
            remaining,
            idle: None,
            ends_by: None,
            last_chunk: Instant::now(),
            timer: None,
            ended: false,
        }
    }

    /// From now on a silence of `idle` between two chunks is a fault, and any silence at `ends_by`.
    pub fn limit_idle(&mut self, idle: Duration, ends_by: Option<Instant>) {
        self.idle = Some(idle);
        self.ends_by = ends_by;
        self.last_chunk = Instant::now();
        // One that is set already may be later than the new limit.
        self.timer = None;
    }

    /// The next chunk; `None` at the end of the body, which says nothing about the answer being complete.
    pub fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, FaultKind>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        let polled = Pin::new(&mut self.payload).poll_next(context);
        self.ended = matches!(polled, Poll::Ready(None | Some(Err(_))));
        match polled {
            Poll::Ready(Some(Ok(chunk))) => {
                self.last_chunk = Instant::now();
                if let Some(remaining) = &mut self.remaining {
                    *remaining = remaining.saturating_sub(chunk.len() as u64);
                }
                Poll::Ready(Ok(Some(chunk)))
            }
            Poll::Ready(None) if self.remaining.is_some_and(|missing| missing > 0) => {
                Poll::Ready(Err(FaultKind::Cut))
            }
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(payload_fault(&error))),
            Poll::Pending => {
                ready!(self.poll_idle(context));
                Poll::Ready(Err(FaultKind::Timeout(Phase::Idle)))
            }
        }
    }

    /// Ready when the silence has lasted too long. The timer is set again only when it fires, not with each chunk.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(idle) = self.idle else {
            return Poll::Pending;
        };
        loop {
            let quiet_until = self.last_chunk + idle;
            let deadline = self.ends_by.map_or(quiet_until, |end| end.min(quiet_until));
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// The next chunk before a deadline; the idle limit holds too where it ends earlier.
    pub async fn next_before(
        &mut self,
        deadline: Instant,
        phase: Phase,
    ) -> Result<Option<Bytes>, FaultKind> {
        timeout_at(deadline, poll_fn(|context| self.poll_chunk(context)))
            .await
            .unwrap_or(Err(FaultKind::Timeout(phase)))
    }

    /// Reads the whole body. More than `limit` bytes are a malformed answer. Whatever comes after the first chunk is read
    /// only if `has_room` says so of its length.
    pub async fn read_whole(
        &mut self,
        limit: usize,
        deadline: Instant,
        phase: Phase,
        mut has_room: impl FnMut(usize) -> bool,
    ) -> Result<Bytes, FaultKind> {
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        while let Some(chunk) = self.next_before(deadline, phase).await? {
            if first.len() + joined.len() + chunk.len() > limit {
                return Err(FaultKind::Malformed);
            }
            if first.is_empty() && joined.is_empty() {
                first = chunk;
                continue;
            }
            if !has_room(chunk.len()) {
                return Err(FaultKind::NoRoom);
            }
            if joined.is_empty() {
                joined.reserve(first.len() + chunk.len());
                joined.extend_from_slice(&first);
                first = Bytes::new();
            }
            joined.extend_from_slice(&chunk);
        }
        Ok(if joined.is_empty() {
            first
        } else {
            joined.freeze()
        })
    }

    /// What arrives of the body before the deadline and within the limit, however it ends.
    pub async fn read_prefix(&mut self, limit: usize, deadline: Instant) -> Bytes {
        let mut read = BytesMut::new();
        while read.len() < limit
            && let Ok(Some(chunk)) = self.next_before(deadline, Phase::Attempt).await
        {
            read.extend_from_slice(&chunk);
        }
        read.truncate(limit);
        read.freeze()
    }

    /// Reads on for a moment after the answer is complete: awc reuses a connection only when its body was read to the end.
    pub async fn drain(mut self) {
        let end =
            async { while let Ok(Some(_)) = poll_fn(|context| self.poll_chunk(context)).await {} };
        let _ = timeout(DRAIN, end).await;
    }
}

fn payload_fault(error: &awc::error::PayloadError) -> FaultKind {
    match error {
        awc::error::PayloadError::Incomplete(_) => FaultKind::Cut,
        awc::error::PayloadError::Io(_) => FaultKind::Reset,
        _ => FaultKind::Malformed,
    }
}
