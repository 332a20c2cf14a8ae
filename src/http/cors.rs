//! Which web pages may call us. `*` is any page, and then never with credentials. Callers that are no pages send no
//! `Origin`, and nothing here costs them anything.

use actix_cors::{Cors, CorsError};
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{HttpServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::ORIGIN;
use actix_web::middleware::{Next, from_fn};
use actix_web::{guard, web};

use super::respond;
use crate::error::{ErrorKind, GatewayError};

/// Headers of ours that a page may read.
const EXPOSED: [&str; 22] = [
    "x-request-id",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "openai-processing-ms",
    "x-model-proxy-model",
    "x-model-proxy-attempts",
    "x-model-proxy-loss",
    "x-model-proxy-estimate",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
];

/// All paths, for requests that come from web pages.
pub fn pages(origins: &[String]) -> impl HttpServiceFactory + use<> {
    web::scope("")
        .guard(guard::fn_guard(|context| {
            context.head().headers().contains_key(ORIGIN)
        }))
        .configure(super::routes)
        .default_service(web::to(super::not_found))
        .wrap(cors(origins))
        .wrap(from_fn(explained))
}

/// The middleware for the configured origins.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "HEAD", "OPTIONS"])
        .allow_any_header()
        .expose_headers(EXPOSED)
        .block_on_origin_mismatch(false)
        .max_age(600);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins
        .iter()
        .fold(cors.supports_credentials(), |cors, origin| {
            cors.allowed_origin(origin)
        })
}

/// Middleware around [`cors`]: its refusals, which are bare text, in the shape of the path's protocol.
async fn explained<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let response = next.call(request).await?;
    let refusal = response.response().error();
    let Some(refusal) = refusal.and_then(|error| error.as_error::<CorsError>()) else {
        return Ok(response.map_into_left_body());
    };
    let error = GatewayError::new(
        ErrorKind::InvalidRequest,
        format!("{refusal} (CORS_ORIGINS says who may)"),
    );
    let told = respond::failure(response.request(), &error);
    Ok(response.into_response(told).map_into_right_body())
}
