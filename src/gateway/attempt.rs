//! One call with one key on one route: sent, read up to its commit point, and either an answer or a failure.

mod refused;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::Addr;
use awc::http::header::{HeaderMap, HeaderName};
use bytes::Bytes;
use tokio::time::Instant;

use crate::actors::key_pool::{KeyPoolShell, Learn, Lease, Report};
use crate::actors::ledger::RouteCall;
use crate::error::{FaultKind, Phase};
use crate::protocol::{UpstreamError, UsageReport};
use crate::routing::outcome::{self, Failure, KeyEffect};
use crate::upstream::request::Response;
use crate::upstream::{Call, SendFault, UpstreamBody, send};

use super::PassedHeaders;
use super::budget::Taken;
use super::fitting::Fitted;
use super::opening::{Committed, open};
use super::walk::Walk;
use crate::config::catalog::Route;
use crate::convert::loss::Loss;
use crate::convert::pair;

use refused::refused;

pub(super) use refused::Refused;

/// A whole answer larger than this is malformed.
const WHOLE_LIMIT: usize = 64 * 1024 * 1024;
/// What of an error body is read; some upstreams repeat the prompt in it.
pub(super) const ERROR_LIMIT: usize = 1024 * 1024;

/// A key at work on a route; tells the pool how it went.
pub(super) struct Engagement {
    pub(super) lease: Lease,
    pub(super) pool: Rc<Addr<KeyPoolShell>>,
    pub(super) route: std::sync::Arc<Route>,
    /// What the route's record notes of it.
    pub(super) call: RouteCall,
}

impl Engagement {
    /// The call brought a complete answer.
    pub(super) fn succeed(&mut self, usage: Option<&UsageReport>) {
        self.call.answered(std::time::Instant::now());
        let tokens = usage.map(|report| report.usage.billed());
        self.lease.succeed(&self.route.model, tokens);
    }

    /// Tells the pool what the head of a success says is left for the key.
    pub(super) fn learn(&self, response: &Response, max_cooldown: Duration) {
        let headers = response.headers();
        let tells = |name: &HeaderName| {
            memchr::memmem::find(name.as_str().as_bytes(), b"ratelimit").is_some()
        };
        if !response.status().is_success() || !headers.keys().any(tells) {
            return;
        }
        let header = |name: &str| headers.get(name)?.to_str().ok();
        if let Some(headroom) = outcome::headroom(header, SystemTime::now()) {
            self.pool.do_send(Learn {
                digest: self.lease.key().digest,
                route: Arc::clone(&self.route),
                effect: outcome::spent(&headroom, &self.route, max_cooldown),
                headroom,
            });
        }
    }

    /// Tells the pool what the call means for the key.
    pub(super) fn report(&self, effect: KeyEffect) {
        if effect == KeyEffect::None {
            return;
        }
        self.pool.do_send(Report {
            digest: self.lease.key().digest,
            route: Arc::clone(&self.route),
            effect,
        });
    }
}

/// How a call ended.
pub(super) enum Outcome {
    Whole(Box<WholeAnswer>),
    Stream(Box<Committed>),
    Failed(Box<FailedCall>),
}

/// A complete answer, checked, in the client's protocol.
pub(super) struct WholeAnswer {
    pub(super) status: u16,
    pub(super) headers: PassedHeaders,
    pub(super) body: Bytes,
    /// What it takes of the budget; nothing if it came in one piece.
    pub(super) taken: Option<Taken>,
    /// What the client's protocol cannot say of it.
    pub(super) loss: Loss,
    /// As the upstream said it.
    pub(super) original: Bytes,
    pub(super) usage: Option<UsageReport>,
}

/// A call that brought no answer.
#[derive(Debug, Default)]
pub(super) struct FailedCall {
    pub(super) status: Option<u16>,
    pub(super) fault: Option<FaultKind>,
    pub(super) error: Option<UpstreamError>,
    pub(super) retry_after: Option<Duration>,
    pub(super) headers: PassedHeaders,
    pub(super) body: Option<Bytes>,
    /// In words, for the process log.
    pub(super) message: String,
}

impl FailedCall {
    pub(super) fn fault(kind: FaultKind, message: impl Into<String>) -> Outcome {
        Outcome::Failed(Box::new(Self {
            fault: Some(kind),
            message: message.into(),
            ..Self::default()
        }))
    }

    /// The budget for what is held is used up.
    pub(super) fn no_room() -> Outcome {
        Self::fault(
            FaultKind::NoRoom,
            "body_budget_bytes has no room for the answer",
        )
    }

    /// An error inside a success: whatever status it tells, the upstream's own head said 200.
    pub(super) fn told(error: UpstreamError) -> Outcome {
        Outcome::Failed(Box::new(Self {
            message: error.message.clone(),
            error: Some(error),
            ..Self::default()
        }))
    }

    /// As the judge wants it.
    pub(super) fn failure(&self) -> Failure<'_> {
        Failure {
            status: self.status,
            fault: self.fault,
            error: self.error.as_ref(),
            retry_after: self.retry_after,
        }
    }
}

/// Makes one call and reads its answer up to the commit point, or whole.
pub(super) async fn call(
    walk: &Walk,
    engagement: &Engagement,
    fitted: &Fitted,
    total: Instant,
) -> Outcome {
    let route = &*engagement.route;
    let deadline = deadline(route, walk.request.streaming, total);
    let sent = send(
        &walk.gateway.clients,
        Call {
            route,
            key: engagement.lease.key(),
            body: fitted.body.clone(),
            streaming: walk.request.streaming,
            forwarded: &walk.request.forwarded,
            deadline,
        },
    )
    .await;
    if let Ok(response) = &sent {
        engagement.learn(response, walk.gateway.settings.max_cooldown);
    }
    match sent {
        Err(SendFault { kind, message }) => FailedCall::fault(kind, message),
        Ok(response) if !response.status().is_success() => {
            refused(walk, engagement, response, total).await
        }
        Ok(response) if walk.request.streaming => {
            open(walk, route, response, deadline, total).await
        }
        Ok(response) => whole(walk, route, response, deadline).await,
    }
}

/// The nearest deadline of an attempt that begins now.
fn deadline(route: &Route, streaming: bool, total: Instant) -> (Instant, Phase) {
    let (limit, phase) = if streaming {
        (Some(route.timeouts.first_token), Phase::FirstToken)
    } else {
        (route.timeouts.attempt, Phase::Attempt)
    };
    match limit.map(|limit| Instant::now() + limit) {
        Some(own) if own < total => (own, phase),
        _ => (total, Phase::Total),
    }
}

async fn whole(
    walk: &Walk,
    route: &Route,
    response: Response,
    deadline: (Instant, Phase),
) -> Outcome {
    let status = response.status().as_u16();
    let headers = passed_headers(response.headers());
    let mut body = UpstreamBody::new(response);
    let budget = &walk.gateway.budget;
    let mut taken: Option<Taken> = None;
    let has_room = |bytes| {
        let taken = taken.get_or_insert_with(|| budget.open_answer());
        taken.grow(bytes)
    };
    let read = body.read_whole(WHOLE_LIMIT, deadline.0, deadline.1, has_room);
    let bytes = match read.await {
        Ok(bytes) => bytes,
        Err(FaultKind::NoRoom) => return FailedCall::no_room(),
        Err(fault) => return FailedCall::fault(fault, "the answer's body did not arrive whole"),
    };
    match route.protocol.read_answer(&bytes) {
        Err(fault) => FailedCall::fault(fault, "the answer is not what the protocol says"),
        Ok(reading) => match reading.error {
            Some(error) => FailedCall::told(error),
            None if !reading.complete => {
                FailedCall::fault(FaultKind::Cut, "the answer tells no finish reason")
            }
            None => {
                let scrubbed = walk.catalog.scrubber.scrub_bytes(bytes);
                let Some((body, loss)) = translated(walk, route, &scrubbed) else {
                    return FailedCall::fault(
                        FaultKind::Malformed,
                        "the answer cannot be converted",
                    );
                };
                Outcome::Whole(Box::new(WholeAnswer {
                    status,
                    headers,
                    body,
                    taken,
                    loss,
                    original: scrubbed,
                    usage: reading.usage,
                }))
            }
        },
    }
}

/// The answer in the client's protocol.
fn translated(walk: &Walk, route: &Route, body: &Bytes) -> Option<(Bytes, Loss)> {
    let (from, to) = (route.protocol, walk.request.protocol);
    if from == to {
        return Some((body.clone(), Loss::default()));
    }
    let context = walk.reply_context();
    let encoded = pair::convert_reply(from, to, body, &context).ok()?;
    Some((encoded.body, encoded.loss))
}

/// What of an upstream's headers the client may see. Its rate-limit headers describe our key, not the client.
const PASSED: [&str; 5] = [
    "content-type",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "openai-processing-ms",
];
const PASSED_PREFIX: &str = "anthropic-ratelimit-unified-";

pub(super) fn passed_headers(headers: &HeaderMap) -> PassedHeaders {
    headers
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn passes(name: &HeaderName) -> bool {
    PASSED.contains(&name.as_str()) || name.as_str().starts_with(PASSED_PREFIX)
}
