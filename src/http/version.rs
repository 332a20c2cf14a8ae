//! Clients that speak HTTP/1.0. They know no chunks: a stream for them ends where its connection does.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Version};
use actix_web::middleware::Next;

/// Middleware: no chunks for a client that cannot read them.
pub async fn without_chunks<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let is_old = request.version() < Version::HTTP_11;
    let mut response = next.call(request).await?;
    let response_body = response.response().body();
    if is_old && response_body.size() == BodySize::Stream {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}
