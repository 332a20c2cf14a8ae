//! Requests whose body nobody reads to its end. Left alone, actix reads on for as long as the client sends chunks, and
//! waits for ever for one that has fallen silent; while somebody holds the body, it answers, discards for a second what
//! still comes, so that the client can read the answer, and closes.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage as _;
use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::Next;
use bytes::Bytes;
use futures_core::Stream;

/// Middleware: the body of a chunked request lives as long as that of its answer. Where a length is given, actix
/// closes by itself.
pub async fn hold<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    if !request.chunked().unwrap_or(false) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let payload = Shared(Rc::new(RefCell::new(request.take_payload())));
    let held = Shared(Rc::clone(&payload.0));
    request.set_payload(Payload::Stream {
        payload: Box::pin(payload),
    });
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(response.map_body(|_, body| {
        let body = Holding { body, _held: held };
        EitherBody::right(BoxBody::new(body))
    }))
}

/// A request's body that has two owners, of whom one reads.
struct Shared(Rc<RefCell<Payload>>);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// The body of an answer, and that of its request.
struct Holding {
    body: BoxBody,
    _held: Shared,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(context)
    }
}
