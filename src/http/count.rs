//! `POST /v1/messages/count_tokens`: how many tokens a message would have. It counts towards no limit of the client.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::caller::Caller;
use super::intake::{self, Surface};
use super::respond;
use super::worker::Worker;
use crate::gateway::count::Count;
use crate::protocol::Protocol;
use crate::tokens;

/// Says that no upstream counted, and by which vocabulary we did.
const ESTIMATE: HeaderName = HeaderName::from_static("x-model-proxy-estimate");

/// The protocol that knows this path.
pub(super) const SURFACE: Surface = Surface {
    path: "/v1/messages/count_tokens",
    protocol: Protocol::Anthropic,
    always_streams: false,
};

/// Counts the tokens of a message that is not sent.
pub async fn tokens(
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
    worker: web::Data<Worker>,
) -> HttpResponse {
    let (mut exchange, crowded) = intake::open(SURFACE, &caller, &request, &worker);
    let reading = intake::read(SURFACE, &caller, &request, payload, &worker, &mut exchange);
    let (asked, plan) = match intake::admitting(&worker, crowded, reading).await {
        Ok(read) => read,
        Err(error) => {
            exchange.fail(&error);
            return respond::failure(&request, &intake::audible(error));
        }
    };
    let gateway = &worker.gateway;
    let count = gateway
        .count(asked, plan, &caller.catalog, &mut exchange)
        .await;
    let mut response = match count {
        Count::Told(whole) => respond::whole(whole),
        Count::Estimated(tokens) => estimate(tokens),
        Count::None(why) => respond::unanswered(&request, why),
    };
    respond::attempts(&mut response, exchange.attempts());
    response
}

fn estimate(tokens: u64) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ESTIMATE, HeaderValue::from_static(tokens::ENCODING)))
        .json(serde_json::json!({ "input_tokens": tokens }))
}
