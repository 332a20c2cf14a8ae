//! The estimate of a message's tokens, away from the threads that serve requests, and not too many at once.

use std::time::Duration;

use actix_rt::task::spawn_blocking;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::convert::pair;
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;
use crate::tokens;

/// Estimates under way in the process. Each keeps a core busy for a second at most; others wait their turn.
static ESTIMATES: Semaphore = Semaphore::const_new(2);

/// How long an estimate may wait for its turn.
const TURN: Duration = Duration::from_secs(10);

/// Reads and counts on a thread where nobody waits for anything else. A client that leaves does not free the place of
/// its estimate before that is done.
pub(super) async fn estimate(body: RawObject) -> Result<u64, GatewayError> {
    let Ok(Ok(turn)) = timeout(TURN, ESTIMATES.acquire()).await else {
        return Err(GatewayError::new(
            ErrorKind::Overloaded,
            "The gateway estimates as many token counts as it may, try again in a moment",
        )
        .with_retry_after(Some(Duration::from_secs(1))));
    };
    let counting = spawn_blocking(move || {
        let conversation = pair::decode_request(Protocol::Anthropic, &body);
        let tokens = conversation.map(|conversation| tokens::count(&conversation));
        drop(turn);
        tokens
    });
    counting.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an estimate of tokens failed");
        Err(GatewayError::new(
            ErrorKind::Internal,
            "The tokens could not be estimated",
        ))
    })
}
