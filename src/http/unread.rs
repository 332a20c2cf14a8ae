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
use bytes::Bytes;
use futures_core::Stream;

/// A second hold on the body of a chunked request. Where a length is given, actix closes by itself.
pub fn hold(request: &mut ServiceRequest) -> Option<Held> {
    if !request.chunked().unwrap_or(false) {
        return None;
    }
    let payload = Shared(Rc::new(RefCell::new(request.take_payload())));
    let held = Shared(Rc::clone(&payload.0));
    request.set_payload(Payload::Stream {
        payload: Box::pin(payload),
    });
    Some(Held(held))
}

/// Has the held body live as long as that of the answer.
pub fn keep<B: MessageBody + 'static>(
    held: Option<Held>,
    response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B>> {
    let Some(held) = held else {
        return response.map_into_left_body();
    };
    response.map_into_boxed_body().map_body(|_, body| {
        let body = Holding { body, _held: held };
        EitherBody::right(BoxBody::new(body))
    })
}

/// The body of a request, held until its answer has gone out.
pub struct Held(#[expect(dead_code, reason = "held, not read")] Shared);

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
    _held: Held,
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
