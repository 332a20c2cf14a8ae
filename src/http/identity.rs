//! The id of a request: the client's own if it is decent, else ours; on every answer, whoever gives it.

use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest};
use uuid::Uuid;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const LONGEST: usize = 128;

/// The id of a request, kept in its extensions.
#[derive(Clone)]
pub struct RequestId(pub Arc<str>);

/// The id of a request that has one.
pub fn request_id(request: &HttpRequest) -> Arc<str> {
    let extensions = request.extensions();
    extensions
        .get::<RequestId>()
        .map_or_else(Arc::default, |id| Arc::clone(&id.0))
}

/// Gives the request its id, before anything else looks at it.
pub fn assign(request: &ServiceRequest) -> Arc<str> {
    if let Some(id) = request.extensions().get::<RequestId>() {
        return Arc::clone(&id.0);
    }
    let id: Arc<str> = request
        .headers()
        .get(&X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_decent(id))
        .map_or_else(new, Arc::from);
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    id
}

fn new() -> Arc<str> {
    let mut text = Uuid::encode_buffer();
    Arc::from(&*Uuid::now_v7().hyphenated().encode_lower(&mut text))
}

fn is_decent(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !id.is_empty() && id.len() <= LONGEST && id.bytes().all(allowed)
}

/// What an answer is stamped with: the id, on messages under Anthropic's name too.
pub struct Stamp {
    id: Arc<str>,
    on_messages: bool,
}

impl Stamp {
    /// That of a request, which gets its id here.
    pub fn of(request: &ServiceRequest) -> Self {
        Self {
            id: assign(request),
            on_messages: super::is_messages(request.match_info().as_str()),
        }
    }

    /// Puts it on the answer.
    pub fn put_on(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.id) {
            if self.on_messages {
                headers.insert(REQUEST_ID, value.clone());
            }
            headers.insert(X_REQUEST_ID, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incoming_id_is_kept_only_if_it_is_short_and_plain() {
        assert!(is_decent("a.B_c-9"));
        assert!(!is_decent(""));
        assert!(!is_decent("a b"));
        assert!(!is_decent("a\"b"));
        assert!(!is_decent(&"x".repeat(129)));
    }
}
