//! What every request about a conversation passes before the gateway hears of it, in the order that decides what is told.
//! Limits of clients are not its business: not everything counts towards them.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, web};

use super::body;
use super::caller::Caller;
use super::identity::request_id;
use super::worker::Worker;
use crate::actors::ledger::Selection;
use crate::error::{ErrorKind, GatewayError};
use crate::gateway::ClientRequest;
use crate::gateway::exchange::Exchange;
use crate::protocol::raw::RawObject;
use crate::protocol::{Protocol, RequestHead};
use crate::routing::plan::{Plan, plan};
use crate::upstream::Forwarded;

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a path says beside the body; kept with its resource.
#[derive(Clone, Copy)]
pub struct Surface {
    /// The path itself, as the log has it.
    pub path: &'static str,
    /// What its clients speak.
    pub protocol: Protocol,
    /// Whether it streams whatever the body says.
    pub always_streams: bool,
}

/// Opens the exchange of a request, and tells whether the gateway has more of them than it may.
pub fn open(
    surface: Surface,
    caller: &Caller,
    request: &HttpRequest,
    worker: &Worker,
) -> (Box<Exchange>, bool) {
    let shared = &worker.shared;
    let (live, others) = shared.stop.enter();
    let exchange = Exchange::open(
        request_id(request),
        surface.path,
        surface.protocol,
        Arc::clone(&caller.client),
        Arc::clone(&shared.buffer),
        live,
    );
    let limit = shared.settings.max_in_flight;
    (exchange, limit > 0 && others >= limit)
}

/// Judges a request unless there are too many, or until the gateway stops.
pub async fn admitting<Accepted, Refused: From<GatewayError>>(
    worker: &Worker,
    crowded: bool,
    judging: impl Future<Output = Result<Accepted, Refused>>,
) -> Result<Accepted, Refused> {
    if crowded {
        return Err(overloaded().into());
    }
    tokio::select! {
        judged = judging => judged,
        () = worker.shared.stop.ended() => Err(stopping().into()),
    }
}

/// Reads the body, checks the members that we need of it, and plans its routes.
///
/// # Errors
/// The body does not arrive, is too large, is not what the protocol says, or names a model that does not exist.
pub async fn read(
    surface: Surface,
    caller: &Caller,
    request: &HttpRequest,
    payload: web::Payload,
    worker: &Worker,
    exchange: &mut Exchange,
) -> Result<(ClientRequest, Plan), GatewayError> {
    let shared = &worker.shared;
    let (bytes, taken) =
        body::read(payload, request.headers(), &shared.settings, &shared.budget).await?;
    exchange.holds(taken);
    let raw = RawObject::parse(bytes).map_err(|fault| {
        GatewayError::new(
            ErrorKind::InvalidRequest,
            format!("The request body is not a JSON object: {fault}"),
        )
    })?;
    exchange.body(raw.clone());
    let head = surface.protocol.read_request(&raw)?;
    let streaming = head.stream || surface.always_streams;
    exchange.asks(&head.model, streaming);
    let plan = plan(&caller.catalog, &head.model).ok_or_else(|| unknown(&head))?;
    let asked = ClientRequest {
        protocol: surface.protocol,
        body: raw,
        head,
        streaming,
        forwarded: forwarded(request),
        selection: Selection::default(),
    };
    Ok((asked, plan))
}

/// A body that ended early is logged as the client's departure. If it is still there after all, its framing was wrong.
pub fn audible(error: GatewayError) -> GatewayError {
    match error.kind {
        ErrorKind::ClientLeft => GatewayError::new(
            ErrorKind::InvalidRequest,
            "The request body is not framed as its headers say",
        ),
        _ => error,
    }
}

fn overloaded() -> GatewayError {
    GatewayError::new(
        ErrorKind::Overloaded,
        "The gateway has as many requests in flight as it may, try again in a moment",
    )
    .with_retry_after(Some(Duration::from_secs(1)))
}

fn stopping() -> GatewayError {
    GatewayError::new(ErrorKind::Stopping, "The gateway is stopping")
}

fn unknown(head: &RequestHead) -> GatewayError {
    GatewayError::new(
        ErrorKind::ModelNotFound,
        format!("The model `{}` does not exist", head.model),
    )
    .with_param("model")
}

fn forwarded(request: &HttpRequest) -> Forwarded {
    let headers = request.headers();
    let mut query = request.query_string().split('&');
    Forwarded {
        beta: query.any(|pair| pair == "beta=true"),
        anthropic_version: headers.get(ANTHROPIC_VERSION).cloned(),
        anthropic_beta: headers.get_all(ANTHROPIC_BETA).cloned().collect(),
        idempotency_key: headers.get(IDEMPOTENCY_KEY).cloned(),
    }
}
