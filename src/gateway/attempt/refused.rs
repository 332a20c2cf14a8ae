//! What an upstream said that refused a call: its head, why in its body as far as that arrives in time, and what the
//! head alone means for the key. It must not know what is answered to the client.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{ERROR_LIMIT, Engagement, FailedCall, Outcome, passed_headers};
use crate::config::catalog::Route;
use crate::gateway::PassedHeaders;
use crate::gateway::walk::Walk;
use crate::routing::outcome::{self, Failure, KeyEffect};
use crate::upstream::UpstreamBody;
use crate::upstream::request::Response;

/// How long an error body may take once its head is there.
const ERROR_DEADLINE: Duration = Duration::from_secs(5);

/// Reads why an upstream refused. If the client leaves meanwhile, the pool still learns what the head said.
pub(super) async fn refused(
    walk: &Walk,
    engagement: &Engagement,
    response: Response,
    total: Instant,
) -> Outcome {
    let route = &*engagement.route;
    let refused = Refused::new(response);
    let (status, retry_after) = (refused.status, refused.retry_after);
    let provisional = Provisional::new(walk, engagement, status, retry_after);
    let failed = refused
        .read(route, total.min(Instant::now() + ERROR_DEADLINE))
        .await;
    provisional.overtaken();
    if walk.gateway.settings.verbose_http_errors {
        let read = failed.body.clone().unwrap_or_default();
        let text = walk.catalog.scrubber.scrub(&String::from_utf8_lossy(&read));
        tracing::warn!(
            request_id = walk.exchange.request_id(),
            provider = route.provider.name,
            status,
            body = text,
            "an upstream refused a call"
        );
    }
    Outcome::Failed(Box::new(failed))
}

/// An answer whose status is no success, its body unread.
pub(in crate::gateway) struct Refused {
    status: u16,
    retry_after: Option<Duration>,
    headers: PassedHeaders,
    body: UpstreamBody,
}

impl Refused {
    pub(in crate::gateway) fn new(response: Response) -> Self {
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        // A reset time belongs to a limit that was hit; beside any other status it says nothing.
        let retry_after = if status == 429 {
            outcome::retry_after(header, SystemTime::now())
        } else {
            outcome::retry_after_header(header, SystemTime::now())
        };
        Self {
            status,
            retry_after,
            headers: passed_headers(response.headers()),
            body: UpstreamBody::new(response),
        }
    }

    /// Reads why, as far as it arrives in time.
    pub(in crate::gateway) async fn read(mut self, route: &Route, deadline: Instant) -> FailedCall {
        let read = self.body.read_prefix(ERROR_LIMIT, deadline).await;
        let error = route.protocol.read_error(&read);
        let message = match &error {
            Some(error) => error.message.clone(),
            None => format!("status {}", self.status),
        };
        FailedCall {
            status: Some(self.status),
            fault: None,
            error,
            retry_after: self.retry_after,
            headers: self.headers,
            body: Some(read),
            message,
        }
    }
}

/// What a head alone means for the key, reported if nobody comes to know more.
struct Provisional<'a> {
    engagement: &'a Engagement,
    effect: KeyEffect,
}

impl<'a> Provisional<'a> {
    fn new(
        walk: &Walk,
        engagement: &'a Engagement,
        status: u16,
        retry_after: Option<Duration>,
    ) -> Self {
        let max_cooldown = walk.gateway.settings.max_cooldown;
        Self {
            engagement,
            effect: effect_of_head(status, retry_after, &engagement.route, max_cooldown),
        }
    }

    /// The body has been read: the caller reports.
    fn overtaken(mut self) {
        self.effect = KeyEffect::None;
    }
}

/// Other refusals, a 403 above all, may be about what the request says: only their bodies tell.
fn effect_of_head(
    status: u16,
    retry_after: Option<Duration>,
    route: &Route,
    max_cooldown: Duration,
) -> KeyEffect {
    if !matches!(status, 401 | 402 | 429 | 500..) {
        return KeyEffect::None;
    }
    let failure = Failure {
        status: Some(status),
        retry_after,
        ..Failure::default()
    };
    outcome::judge(&failure, route, max_cooldown).key
}

impl Drop for Provisional<'_> {
    fn drop(&mut self) {
        self.engagement.report(self.effect);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::routing::samples;

    #[test]
    fn the_head_of_a_refusal_that_may_be_about_the_request_rests_no_key() {
        let route = samples::route(&Arc::new(samples::provider("alpha", 1)), "up");
        let effect = |status| effect_of_head(status, None, &route, Duration::from_secs(60));
        for status in [400, 403, 404, 413, 422] {
            assert_eq!(effect(status), KeyEffect::None, "{status}");
        }
        for status in [401, 402, 429] {
            assert_ne!(effect(status), KeyEffect::None, "{status}");
        }
    }
}
