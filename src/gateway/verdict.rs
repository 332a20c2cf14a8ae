//! What the client hears when no call brought an answer: whose words, which status, when to come back.

use std::time::Duration;

use bytes::Bytes;

use super::attempt::FailedCall;
use super::{Answer, PassedHeaders, Refusal};
use crate::config::catalog::Route;
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::Protocol;
use crate::routing::keyring::Resting;
use crate::routing::outcome::{Class, Judgement, KeyEffect, Next, RestKind};
use crate::secret::Scrubber;

/// What went wrong on the way through a plan.
#[derive(Default)]
pub(super) struct Failures {
    calls: Vec<Failed>,
    /// Routes that were passed over because every key rested.
    rested: Vec<Resting>,
    out_of_time: bool,
}

struct Failed {
    provider: String,
    model: String,
    protocol: Protocol,
    judgement: Judgement,
    call: FailedCall,
}

impl Failures {
    pub(super) fn add(&mut self, route: &Route, judgement: Judgement, call: FailedCall) {
        self.calls.push(Failed {
            provider: route.provider.name.clone(),
            model: route.model.clone(),
            protocol: route.protocol,
            judgement,
            call,
        });
    }

    pub(super) fn rested(&mut self, resting: Resting) {
        self.rested.push(resting);
    }

    pub(super) fn out_of_time(&mut self) {
        self.out_of_time = true;
    }

    /// A prompt too long for a model is too long for the same model elsewhere in the plan.
    pub(super) fn makes_pointless(&self, route: &Route) -> bool {
        self.calls.iter().any(|failed| {
            failed.judgement.class == Class::ContextLength
                && failed.provider == route.provider.name
                && failed.model == route.model
        })
    }

    /// The one answer to all of them.
    pub(super) fn conclude(
        mut self,
        model: &str,
        attempts: usize,
        protocol: Protocol,
        scrubber: &Scrubber,
    ) -> Answer {
        let telling = self
            .calls
            .iter()
            .position(|failed| {
                let is_refusal = matches!(failed.judgement.next, Next::Return)
                    || failed.judgement.class == Class::ContextLength;
                is_refusal && failed.call.status.is_some()
            })
            .or_else(|| (attempts == 1 && self.only_call_is_told()).then_some(0));
        match telling {
            Some(position) => {
                let failed = self.calls.swap_remove(position);
                upstream_words(failed, model, protocol, scrubber)
            }
            None => Answer::Failed(self.our_words(model, attempts)),
        }
    }

    /// A plan that made one call in all hears that call's 429 or 5xx.
    fn only_call_is_told(&self) -> bool {
        self.calls.first().is_some_and(|failed| {
            failed
                .call
                .status
                .is_some_and(|status| status == 429 || status >= 500)
        })
    }

    fn our_words(&self, model: &str, attempts: usize) -> GatewayError {
        if self.calls.is_empty() && !self.out_of_time {
            return self.all_rest(model);
        }
        let calls = if attempts == 1 {
            "1 call".to_owned()
        } else {
            format!("{attempts} calls")
        };
        if self.all(Class::RateLimited) {
            return GatewayError::new(
                ErrorKind::UpstreamRateLimited,
                format!("Every route of model `{model}` is rate-limited ({calls} made)"),
            )
            .with_retry_after(self.soonest());
        }
        if self.out_of_time || self.all(Class::Timeout) {
            return GatewayError::new(
                ErrorKind::UpstreamTimeout,
                format!("No route of model `{model}` answered in time ({calls} made)"),
            );
        }
        GatewayError::new(
            ErrorKind::UpstreamUnavailable,
            format!("Every route of model `{model}` failed ({calls} made)"),
        )
        .with_retry_after(self.soonest())
    }

    fn all_rest(&self, model: &str) -> GatewayError {
        let banned = self
            .rested
            .iter()
            .all(|resting| resting.kind == RestKind::Banned);
        let kind = if banned {
            ErrorKind::UpstreamRateLimited
        } else {
            ErrorKind::UpstreamUnavailable
        };
        GatewayError::new(
            kind,
            format!(
                "Every key of model `{model}` is resting after earlier failures (0 calls made)"
            ),
        )
        .with_retry_after(self.soonest())
    }

    fn all(&self, class: Class) -> bool {
        self.calls
            .iter()
            .all(|failed| failed.judgement.class == class)
    }

    /// When the first key may be used again.
    fn soonest(&self) -> Option<Duration> {
        let rests = self
            .calls
            .iter()
            .filter_map(|failed| match failed.judgement.key {
                KeyEffect::Rest { duration, .. } => Some(duration),
                _ => None,
            });
        let rested = self.rested.iter().filter_map(|resting| resting.soonest);
        rests.chain(rested).min()
    }
}

/// An upstream's own refusal, as far as the client may hear it.
fn upstream_words(failed: Failed, model: &str, protocol: Protocol, scrubber: &Scrubber) -> Answer {
    let call = failed.call;
    let status = call.status.unwrap_or(502);
    if matches!(status, 401..=404) {
        return Answer::Failed(GatewayError::new(
            ErrorKind::UpstreamUnavailable,
            format!("Every route of model `{model}` failed (1 call made)"),
        ));
    }
    let message = scrubber.scrub(&call.message);
    let passed = call
        .body
        .filter(|body| failed.protocol == protocol && protocol.is_own_error_shape(body))
        .map(|body| scrubbed(body, scrubber));
    let Some(body) = passed else {
        let error = GatewayError::new(ErrorKind::UpstreamRefused(status), message)
            .with_retry_after(call.retry_after);
        return Answer::Failed(error);
    };
    Answer::Refused(Refusal {
        status,
        headers: refusal_headers(call.headers),
        body,
        message,
    })
}

fn scrubbed(body: Bytes, scrubber: &Scrubber) -> Bytes {
    if scrubber.finds(&body) {
        return Bytes::from(scrubber.scrub(&String::from_utf8_lossy(&body)));
    }
    body
}

/// The body is JSON by then, whatever the upstream called it.
fn refusal_headers(headers: PassedHeaders) -> PassedHeaders {
    headers
        .into_iter()
        .filter(|(name, _)| name != awc::http::header::CONTENT_TYPE)
        .collect()
}
