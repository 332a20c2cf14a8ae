//! The HTTP surfaces: what each path takes and gives. Decisions about upstreams are the gateway's.

pub mod admin;
pub mod body;
pub mod caller;
pub mod chat;
pub mod cors;
pub mod count;
pub mod edge;
pub mod health;
mod held;
pub mod identity;
pub mod intake;
pub mod limits;
pub mod models;
pub mod respond;
mod session;
pub mod span;
pub mod stream;
pub mod unread;
pub mod version;
pub mod worker;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};

use crate::error::{ErrorKind, GatewayError};
use crate::protocol::Protocol;

/// Where conversations are answered: the path, what its clients speak, and whether it always streams.
const CHAT: [(&str, Protocol, bool); 5] = [
    ("/v1/chat/completions", Protocol::OpenAi, false),
    ("/v1/chat/completions-stream", Protocol::OpenAi, true),
    ("/v1/chat/completions/stream", Protocol::OpenAi, true),
    ("/v1/messages", Protocol::Anthropic, false),
    ("/v1/messages-stream", Protocol::Anthropic, true),
];

/// Every path that we serve.
pub fn routes(config: &mut ServiceConfig) {
    for (path, protocol, always_streams) in CHAT {
        let surface = intake::Surface {
            path,
            protocol,
            always_streams,
        };
        let resource = post(path).app_data(web::Data::new(surface));
        config.service(resource.route(web::post().to(chat::answer)));
    }
    config.service(post(count::SURFACE.path).route(web::post().to(count::tokens)));
    config.service(
        get("/v1/models")
            .route(web::get().to(models::list))
            .route(web::head().to(models::list)),
    );
    config.service(
        get("/v1/models/{id:.*}")
            .route(web::get().to(models::one))
            .route(web::head().to(models::one)),
    );
    config.service(
        get("/health")
            .route(web::get().to(health::brief))
            .route(web::head().to(health::brief)),
    );
    config.service(get("/health/detailed").route(web::get().to(health::detailed)));
    config.service(get("/admin/keys").route(web::get().to(admin::list)));
    config.service(post("/admin/keys/reset").route(web::post().to(admin::reset)));
    config.service(
        web::resource("/")
            .route(web::head().to(HttpResponse::Ok))
            .default_service(web::to(only_head)),
    );
}

fn post(path: &str) -> Resource {
    web::resource(path).default_service(web::to(only_post))
}

fn get(path: &str) -> Resource {
    web::resource(path).default_service(web::to(only_get))
}

async fn only_post(request: HttpRequest) -> HttpResponse {
    method_not_allowed(&request, "POST")
}

async fn only_get(request: HttpRequest) -> HttpResponse {
    method_not_allowed(&request, "GET, HEAD")
}

async fn only_head(request: HttpRequest) -> HttpResponse {
    method_not_allowed(&request, "HEAD")
}

fn method_not_allowed(request: &HttpRequest, allowed: &'static str) -> HttpResponse {
    let error = GatewayError::new(
        ErrorKind::MethodNotAllowed,
        format!(
            "{} is not allowed on {}, use {allowed}",
            request.method(),
            request.path()
        ),
    );
    let mut response = respond::failure(request, &error);
    response.headers_mut().insert(
        actix_web::http::header::ALLOW,
        actix_web::http::header::HeaderValue::from_static(allowed),
    );
    response
}

/// What every other path answers.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    let error = GatewayError::new(
        ErrorKind::NotFound,
        format!(
            "There is nothing at {} {}",
            request.method(),
            request.path()
        ),
    );
    respond::failure(&request, &error)
}

/// Whether a path, decoded as the router does, belongs to Anthropic's messages.
pub fn is_messages(path: &str) -> bool {
    path.starts_with("/v1/messages")
}

/// The protocol in which a path's errors are told.
pub fn protocol_of(request: &HttpRequest) -> Protocol {
    let path = request.match_info().as_str();
    let speaks_anthropic = is_messages(path)
        || (path.starts_with("/v1/models") && request.headers().contains_key("anthropic-version"));
    if speaks_anthropic {
        Protocol::Anthropic
    } else {
        Protocol::OpenAi
    }
}
