//! Reading a client's body: bounded in size, in time and in what the process holds, before anything is parsed.

use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_core::Stream as _;
use std::future::poll_fn;
use std::pin::Pin;
use tokio::time::timeout;

use crate::config::settings::Settings;
use crate::error::{ErrorKind, GatewayError};
use crate::gateway::budget::{BodyBudget, Taken};

/// The most that is set aside on the word of a Content-Length alone.
const TRUSTED: usize = 1024 * 1024;

/// Reads the body whole.
pub async fn read(
    mut payload: web::Payload,
    headers: &HeaderMap,
    settings: &Settings,
    budget: &BodyBudget,
) -> Result<(Bytes, Taken), GatewayError> {
    check_type(headers)?;
    let promised = content_length(headers);
    if promised.is_some_and(|length| length > settings.body_limit_bytes) {
        return Err(too_large(settings));
    }
    let mut taken = budget.open();
    let mut body = BytesMut::new();
    loop {
        let next = poll_fn(|context| Pin::new(&mut payload).poll_next(context));
        let chunk = match timeout(settings.client_body, next).await {
            Err(_) => return Err(too_slow(settings)),
            Ok(None) => return Ok((body.freeze(), taken)),
            Ok(Some(Err(error))) => return Err(unreadable(&error)),
            Ok(Some(Ok(chunk))) => chunk,
        };
        if body.len() + chunk.len() > settings.body_limit_bytes {
            return Err(too_large(settings));
        }
        if !taken.grow(chunk.len()) {
            return Err(no_room());
        }
        if body.is_empty() && promised == Some(chunk.len()) {
            return Ok((chunk, taken));
        }
        if body.is_empty() {
            body.reserve(
                promised
                    .unwrap_or(0)
                    .clamp(chunk.len(), TRUSTED.max(chunk.len())),
            );
        }
        body.extend_from_slice(&chunk);
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// JSON, or nothing said.
fn check_type(headers: &HeaderMap) -> Result<(), GatewayError> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(GatewayError::new(
            ErrorKind::UnsupportedMediaType,
            "The request body is compressed: send it without Content-Encoding",
        ));
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let essence = essence.to_ascii_lowercase();
    if essence.ends_with("+json") {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorKind::UnsupportedMediaType,
        format!("The content type `{essence}` is not supported: send `application/json`"),
    ))
}

fn unreadable(error: &PayloadError) -> GatewayError {
    match error {
        PayloadError::Incomplete(_) => GatewayError::new(
            ErrorKind::ClientLeft,
            "the client closed the connection before its request was complete",
        ),
        error => GatewayError::new(
            ErrorKind::InvalidRequest,
            format!("The request body could not be read: {error}"),
        ),
    }
}

fn too_large(settings: &Settings) -> GatewayError {
    GatewayError::new(
        ErrorKind::BodyTooLarge,
        format!(
            "The request body is larger than {} bytes",
            settings.body_limit_bytes
        ),
    )
}

fn too_slow(settings: &Settings) -> GatewayError {
    GatewayError::new(
        ErrorKind::BodyTimeout,
        format!(
            "The request body stopped arriving for {} seconds",
            settings.client_body.as_secs_f64()
        ),
    )
}

fn no_room() -> GatewayError {
    GatewayError::new(
        ErrorKind::Overloaded,
        "The gateway holds as many request bodies as it may, try again in a moment",
    )
    .with_retry_after(Some(std::time::Duration::from_secs(1)))
}
