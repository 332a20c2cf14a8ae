//! The root span of a request, with our field names.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Condition;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span};
use tracing_actix_web::{RootSpanBuilder, TracingLogger};

use super::identity;

/// Opens one span for each request. A stream's end is told by its exchange, not here: this one ends with the head.
///
/// At `debug`, because lines about a request name it themselves: no request pays for a span that nobody reads.
pub struct RequestSpan;

/// The middleware that opens it, where the process log can show it.
pub fn shown() -> Condition<TracingLogger<RequestSpan>> {
    let is_shown = LevelFilter::current() >= Level::DEBUG;
    Condition::new(is_shown, TracingLogger::new())
}

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let request_id = identity::assign(request);
        tracing::debug_span!(
            "request",
            request_id = &*request_id,
            method = request.method().as_str(),
            path = request.path(),
            status = Empty,
        )
    }

    fn on_request_end<B: MessageBody>(
        span: Span,
        outcome: &Result<ServiceResponse<B>, actix_web::Error>,
    ) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
    }
}
