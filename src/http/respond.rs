//! Answers as HTTP: bodies of each protocol's shape, and the headers that are ours.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};

use super::held::HeldBody;
use super::identity::request_id;
use super::protocol_of;
use crate::config::catalog::Route;
use crate::error::{ErrorKind, GatewayError};
use crate::gateway::{NoAnswer, PassedHeaders, Refusal, Whole};
use crate::protocol::Protocol;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const MODEL: HeaderName = HeaderName::from_static("x-model-proxy-model");
const LOSS: HeaderName = HeaderName::from_static("x-model-proxy-loss");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The official SDKs wait for no longer `retry-after`: beyond it they come back at once, several times.
/// Source: `_calculate_retry_timeout` of openai-python and anthropic-sdk-python.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
const LONGEST_LOSS: usize = 2048;
const ATTEMPTS: HeaderName = HeaderName::from_static("x-model-proxy-attempts");

/// An error on its way out of an extractor, with what its shape depends on.
#[derive(Debug)]
pub struct Refused {
    error: GatewayError,
    protocol: Protocol,
    request_id: Arc<str>,
}

impl Refused {
    /// The error of a request.
    pub fn new(request: &HttpRequest, error: GatewayError) -> Self {
        Self {
            error,
            protocol: protocol_of(request),
            request_id: request_id(request),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        status(self.error.kind.status())
    }

    fn error_response(&self) -> HttpResponse {
        error(self.protocol, &self.error, &self.request_id)
    }
}

/// An error in the shape of the path's protocol.
pub fn failure(request: &HttpRequest, gateway_error: &GatewayError) -> HttpResponse {
    error(protocol_of(request), gateway_error, &request_id(request))
}

fn error(protocol: Protocol, error: &GatewayError, request_id: &str) -> HttpResponse {
    let mut response = HttpResponse::build(status(error.kind.status()));
    response.insert_header((CONTENT_TYPE, JSON));
    if let Some(delay) = error.retry_after {
        response.insert_header((RETRY_AFTER, whole_seconds(delay)));
        if delay > LONGEST_RETRY {
            response.insert_header((SHOULD_RETRY, HeaderValue::from_static("false")));
        }
    }
    if error.kind == ErrorKind::Unauthorized {
        response.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    response.body(protocol.error_body(error, request_id))
}

/// `retry-after` knows whole seconds only; rounded up, so that coming back then is not too early.
fn whole_seconds(delay: Duration) -> HeaderValue {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

/// A complete answer.
pub fn whole(whole: Whole) -> HttpResponse {
    let mut response = HttpResponse::build(status(whole.status));
    pass(&mut response, whole.headers);
    // Whatever the upstream called it, it has been read as JSON.
    response.insert_header((CONTENT_TYPE, JSON));
    route(&mut response, &whole.route);
    let mut response = match whole.taken {
        Some(taken) => response.body(HeldBody::new(whole.body, taken)),
        None => response.body(whole.body),
    };
    loss(&mut response, whole.loss.as_deref());
    response
}

/// Why nobody answered.
pub fn unanswered(request: &HttpRequest, why: NoAnswer) -> HttpResponse {
    match why {
        NoAnswer::Refused(refusal) => refused(refusal),
        NoAnswer::Failed(error) => failure(request, &error),
    }
}

/// An upstream's refusal, in the client's protocol already.
fn refused(refusal: Refusal) -> HttpResponse {
    let mut response = HttpResponse::build(status(refusal.status));
    pass(&mut response, refusal.headers);
    response.insert_header((CONTENT_TYPE, JSON));
    response.body(refusal.body)
}

/// Copies the headers that a client may see.
pub fn pass(response: &mut HttpResponseBuilder, headers: PassedHeaders) {
    for (name, value) in headers {
        response.append_header((name, value));
    }
}

/// Tells what the upstream could not be told.
pub fn loss(response: &mut HttpResponse, loss: Option<&str>) {
    let Some(loss) = loss.map(shortened) else {
        return;
    };
    if let Ok(value) = HeaderValue::try_from(loss) {
        response.headers_mut().insert(LOSS, value);
    }
}

/// Whole items only: a header that is too long makes the answer unreadable for some clients.
fn shortened(loss: &str) -> String {
    let mut kept = String::new();
    for item in loss.split(',') {
        if kept.len() + item.len() > LONGEST_LOSS {
            kept.push_str(",more");
            break;
        }
        if !kept.is_empty() {
            kept.push(',');
        }
        kept.push_str(item);
    }
    // Paths may hold names that the client chose.
    kept.replace(
        |letter: char| !letter.is_ascii_graphic() && letter != ' ',
        "?",
    )
}

/// Tells who answers.
pub fn route(response: &mut HttpResponseBuilder, route: &Route) {
    let name = [&*route.provider.name, "/", &*route.model].concat();
    if let Ok(value) = HeaderValue::try_from(name) {
        response.insert_header((MODEL, value));
    }
}

/// Tells how many calls it took.
pub fn attempts(response: &mut HttpResponse, attempts: usize) {
    if attempts > 0 {
        let attempts = u64::try_from(attempts).unwrap_or(u64::MAX);
        response.headers_mut().insert(ATTEMPTS, number(attempts));
    }
}

/// A number, in one allocation where `HeaderValue::from` makes two.
pub fn number(number: u64) -> HeaderValue {
    let mut digits = itoa::Buffer::new();
    HeaderValue::from_str(digits.format(number)).unwrap_or_else(|_| HeaderValue::from(number))
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_time_is_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), "1");
        assert_eq!(whole_seconds(Duration::from_millis(2001)), "3");
        assert_eq!(whole_seconds(Duration::from_secs(7)), "7");
    }
}
