//! Clients that speak HTTP/1.0. They know no chunks: a stream for them ends where its connection does.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Version};

/// Whether the client of a request cannot read chunks.
pub fn knows_no_chunks(request: &ServiceRequest) -> bool {
    request.version() < Version::HTTP_11
}

/// Ends a stream with its connection.
pub fn without_chunks<B: MessageBody>(response: &mut ServiceResponse<B>) {
    if response.response().body().size() == BodySize::Stream {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
}
