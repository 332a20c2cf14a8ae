//! Chat completions and messages: the order of judgement, then the gateway, then the answer as HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::caller::Caller;
use super::intake::Surface;
use super::stream::StreamBody;
use super::worker::Worker;
use super::{intake, limits, respond, session};
use crate::actors::rate_limiter::{Admit, Permit};
use crate::error::{ErrorKind, GatewayError};
use crate::gateway::exchange::Exchange;
use crate::gateway::{Answer, ClientRequest, OpenStream};
use crate::protocol::Protocol;
use crate::routing::plan::Plan;
use crate::routing::window::{Gauges, LimitKind, Refusal};

/// What an answer is reserved at when the client sets no lower limit.
const RESERVED_ANSWER: u64 = 1000;
/// Bytes of a prompt that are reserved as one token.
const BYTES_PER_TOKEN: usize = 4;

/// `POST` to a path of [`Surface`]. Boxed, because actix would copy it on its way to where it is polled.
pub fn answer(
    surface: web::Data<Surface>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
    worker: web::Data<Worker>,
) -> Pin<Box<impl Future<Output = HttpResponse>>> {
    Box::pin(serve(**surface, caller, request, payload, worker))
}

async fn serve(
    surface: Surface,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
    worker: web::Data<Worker>,
) -> HttpResponse {
    let (mut exchange, crowded) = intake::open(surface, &caller, &request, &worker);
    let judging = judge(surface, &caller, &request, payload, &worker, &mut exchange);
    match intake::admitting(&worker, crowded, judging).await {
        Ok((asked, plan)) => {
            let gauges = exchange.permit().map(Permit::gauges);
            let (answer, exchange) = worker
                .gateway
                .answer(asked, plan, caller.catalog, exchange)
                .await;
            let mut response = respond(&request, &worker, answer, exchange.as_deref());
            if let Some(gauges) = gauges {
                write_limits(&mut response, surface.protocol, &gauges);
            }
            response
        }
        Err(refused) => {
            exchange.fail(&refused.error);
            let mut response = respond::failure(&request, &intake::audible(refused.error));
            if let Some(gauges) = refused.gauges {
                write_limits(&mut response, surface.protocol, &gauges);
            }
            response
        }
    }
}

/// A request that goes no further, with the client's limits where they are the reason.
struct Refused {
    error: GatewayError,
    gauges: Option<Gauges>,
}

impl From<GatewayError> for Refused {
    fn from(error: GatewayError) -> Self {
        Self {
            error,
            gauges: None,
        }
    }
}

/// Everything that can be wrong before an upstream is asked, in the order that decides what is told.
async fn judge(
    surface: Surface,
    caller: &Caller,
    request: &HttpRequest,
    payload: web::Payload,
    worker: &Worker,
    exchange: &mut Exchange,
) -> Result<(ClientRequest, Plan), Refused> {
    let (mut asked, mut plan) =
        intake::read(surface, caller, request, payload, worker, exchange).await?;
    admit(caller, worker, &asked, exchange).await?;
    let session = plan
        .has_affinity()
        .then(|| session::of(&caller.client, request.headers(), &asked.body));
    let registry = &worker.gateway.registry;
    asked.selection = registry.select(&mut plan, session.flatten().as_ref(), asked.streaming);
    Ok((asked, plan))
}

async fn admit(
    caller: &Caller,
    worker: &Worker,
    asked: &ClientRequest,
    exchange: &mut Exchange,
) -> Result<(), Refused> {
    let prompt = asked.body.source().len() / BYTES_PER_TOKEN;
    let prompt = u64::try_from(prompt).unwrap_or(u64::MAX);
    let answer = asked.head.answer_limit.unwrap_or(RESERVED_ANSWER);
    let question = Admit {
        client: Arc::clone(&caller.client),
        tokens: prompt.saturating_add(answer.min(RESERVED_ANSWER)),
    };
    let limiter = worker.gateway.registry.limiter();
    match limiter.send(question).await {
        Ok(Ok(permit)) => {
            exchange.admitted(permit);
            Ok(())
        }
        Ok(Err(refusal)) => Err(over_limit(&refusal)),
        Err(error) => {
            tracing::error!(
                request_id = exchange.request_id(),
                client = caller.client.name,
                %error,
                "the rate limiter does not answer"
            );
            Err(GatewayError::new(ErrorKind::Internal, "The rate limiter does not answer").into())
        }
    }
}

fn over_limit(refusal: &Refusal) -> Refused {
    let (kind, what) = match refusal.which {
        LimitKind::Requests => (ErrorKind::RateLimited, "requests per minute"),
        LimitKind::Tokens => (ErrorKind::TokenLimited, "tokens per minute"),
        LimitKind::Slots => (ErrorKind::RateLimited, "concurrent requests"),
    };
    let error = GatewayError::new(
        kind,
        format!(
            "This client is over its limit of {what}; try again in {:.1} s",
            refusal.retry_after.as_secs_f64()
        ),
    )
    .with_retry_after(Some(refusal.retry_after));
    Refused {
        error,
        gauges: Some(refusal.gauges),
    }
}

fn respond(
    request: &HttpRequest,
    worker: &Worker,
    answer: Answer,
    exchange: Option<&Exchange>,
) -> HttpResponse {
    let mut attempts = exchange.map_or(0, Exchange::attempts);
    let mut response = match answer {
        Answer::Whole(whole) => respond::whole(whole),
        Answer::None(why) => respond::unanswered(request, why),
        Answer::Stream(open) => {
            attempts = open.source.as_ref().map_or(0, |source| source.attempts);
            stream(worker, *open)
        }
    };
    respond::attempts(&mut response, attempts);
    response
}

fn stream(worker: &Worker, open: OpenStream) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    respond::pass(&mut response, open.headers);
    if let Some(source) = &open.source {
        respond::route(&mut response, &source.route);
    }
    response.insert_header((
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    ));
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    response.insert_header((
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    ));
    let mut response = response.body(StreamBody::new(&worker.streams, open.stream));
    let loss = open.source.and_then(|source| source.loss);
    respond::loss(&mut response, loss.as_deref());
    response
}

fn write_limits(response: &mut HttpResponse, protocol: Protocol, gauges: &Gauges) {
    limits::write(response.headers_mut(), protocol, gauges, SystemTime::now());
}
