//! What every request and every answer passes, whatever its path: ids, and framing that actix does not see to. One middleware,
//! because each takes a boxed future and a poll more of every request.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use super::identity::Stamp;
use super::{unread, version};

/// The middleware.
///
/// # Errors
/// Those of what it wraps.
pub async fn pass<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let stamp = Stamp::of(&request);
    let knows_no_chunks = version::knows_no_chunks(&request);
    let held = unread::hold(&mut request);
    let mut response = next.call(request).await?;
    stamp.put_on(response.headers_mut());
    if knows_no_chunks {
        version::without_chunks(&mut response);
    }
    Ok(unread::keep(held, response))
}
