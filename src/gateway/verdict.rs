//! What the client hears when no call brought an answer: whose words, which status, when to come back.

use std::time::Duration;

use super::attempt::FailedCall;
use super::{NoAnswer, PassedHeaders, Refusal};
use crate::config::catalog::Route;
use crate::error::{ErrorKind, FaultKind, GatewayError};
use crate::protocol::Protocol;
use crate::routing::keyring::Resting;
use crate::routing::outcome::{Class, Judgement, Next, RestKind};
use crate::secret::Scrubber;

/// What went wrong on the way through a plan.
#[derive(Default)]
pub(super) struct Failures {
    calls: Vec<Failed>,
    /// Routes that were passed over because every key rested.
    rested: Vec<Resting>,
    /// Why the request did not fit the first route that was passed over for what the request is.
    unfit: Option<GatewayError>,
    out_of_time: bool,
}

struct Failed {
    protocol: Protocol,
    judgement: Judgement,
    call: FailedCall,
}

/// What the words depend on beside the failures.
pub(super) struct Circumstances<'a> {
    /// The logical model.
    pub(super) model: &'a str,
    /// Calls made.
    pub(super) attempts: usize,
    /// What the client speaks.
    pub(super) protocol: Protocol,
    pub(super) scrubber: &'a Scrubber,
    /// When the first key may be used again, if every key rests.
    pub(super) soonest: Option<Duration>,
}

impl Circumstances<'_> {
    fn calls(&self) -> String {
        match self.attempts {
            1 => "1 call made".to_owned(),
            attempts => format!("{attempts} calls made"),
        }
    }
}

impl Failures {
    /// Only the first and the last call are ever told. What those between said may be a megabyte each.
    pub(super) fn add(&mut self, route: &Route, judgement: Judgement, call: FailedCall) {
        if let [_, .., between] = self.calls.as_mut_slice() {
            between.call = FailedCall::default();
        }
        self.calls.push(Failed {
            protocol: route.protocol,
            judgement,
            call,
        });
    }

    pub(super) fn rested(&mut self, resting: Resting) {
        self.rested.push(resting);
    }

    pub(super) fn unfit(&mut self, error: GatewayError) {
        self.unfit.get_or_insert(error);
    }

    pub(super) fn out_of_time(&mut self) {
        self.out_of_time = true;
    }

    /// The one answer to all of them.
    pub(super) fn conclude(mut self, circumstances: &Circumstances<'_>) -> NoAnswer {
        match self.telling(circumstances.attempts) {
            Some(position) => upstream_words(self.calls.swap_remove(position), circumstances),
            None => NoAnswer::Failed(self.our_words(circumstances)),
        }
    }

    /// The call whose words the client hears: the one that found the client at fault, the first of several that all
    /// found the prompt too long or all the request wrong, or the only call of all if it was a 429 or 5xx.
    fn telling(&self, attempts: usize) -> Option<usize> {
        let at_fault = self.calls.iter().position(|failed| {
            failed.judgement.next == Next::Return
                && !matches!(failed.judgement.class, Class::Timeout | Class::Overloaded)
        });
        let all_alike = self.all(Class::ContextLength) || self.all(Class::ClientFault);
        let all_at_fault = (!self.calls.is_empty() && all_alike).then_some(0);
        let only_call = (attempts == 1
            && self.calls.first().is_some_and(Failed::may_be_told_alone))
        .then_some(0);
        at_fault.or(all_at_fault).or(only_call)
    }

    fn our_words(&self, circumstances: &Circumstances<'_>) -> GatewayError {
        let Circumstances { model, soonest, .. } = circumstances;
        let calls = circumstances.calls();
        if self.out_of_time || (!self.calls.is_empty() && self.all(Class::Timeout)) {
            return GatewayError::new(
                ErrorKind::UpstreamTimeout,
                format!("No route of model `{model}` answered in time ({calls})"),
            );
        }
        if self.calls.is_empty() {
            return self.nobody_called(circumstances);
        }
        if self.any(Class::Overloaded) {
            return GatewayError::new(
                ErrorKind::Overloaded,
                "The gateway has no room for this answer, try again in a moment",
            )
            .with_retry_after(Some(Duration::from_secs(1)));
        }
        let (kind, what) = if self.all(Class::RateLimited) {
            (ErrorKind::UpstreamRateLimited, "is rate-limited")
        } else {
            (ErrorKind::UpstreamUnavailable, "failed")
        };
        GatewayError::new(
            kind,
            format!("Every route of model `{model}` {what} ({calls})"),
        )
        .with_retry_after(*soonest)
    }

    fn nobody_called(&self, circumstances: &Circumstances<'_>) -> GatewayError {
        let Circumstances { model, soonest, .. } = circumstances;
        if let (true, Some(unfit)) = (self.rested.is_empty(), &self.unfit) {
            return unfit.clone();
        }
        let banned = |resting: &Resting| resting.kind == RestKind::Banned;
        let kind = if !self.rested.is_empty() && self.rested.iter().all(banned) {
            ErrorKind::UpstreamRateLimited
        } else {
            ErrorKind::UpstreamUnavailable
        };
        let rested = self
            .rested
            .iter()
            .filter_map(|resting| resting.soonest)
            .min();
        GatewayError::new(
            kind,
            format!(
                "Every key of model `{model}` rests after earlier failures or is at its limit of calls under way \
                 (no call made)"
            ),
        )
        .with_retry_after(soonest.or(rested))
    }

    fn any(&self, class: Class) -> bool {
        self.calls
            .iter()
            .any(|failed| failed.judgement.class == class)
    }

    fn all(&self, class: Class) -> bool {
        self.calls
            .iter()
            .all(|failed| failed.judgement.class == class)
    }
}

impl Failed {
    fn may_be_told_alone(&self) -> bool {
        let refused = self
            .call
            .status
            .is_some_and(|status| status == 429 || status >= 500);
        let is_no_answer = matches!(
            self.call.fault,
            Some(FaultKind::Cut | FaultKind::Malformed | FaultKind::Reset)
        );
        let told = self.call.status.is_none() && self.call.error.is_some();
        refused || told || is_no_answer
    }

    /// The status under which the client reads this failure. An error inside a success has none of its own: it is the
    /// client's fault or the upstream's.
    fn status(&self) -> u16 {
        let told = self.call.error.as_ref().and_then(|error| error.status);
        match (self.call.status, self.judgement.class) {
            (Some(status), _) if status < 600 => status,
            (Some(_), _) => 502,
            (None, Class::ClientFault | Class::ContextLength | Class::ContentPolicy) => told
                .filter(|status| (400..500).contains(status))
                .unwrap_or(400),
            (None, _) => 502,
        }
    }
}

/// An upstream's own refusal, as far as the client may hear it.
fn upstream_words(failed: Failed, circumstances: &Circumstances<'_>) -> NoAnswer {
    let status = failed.status();
    let Circumstances {
        model,
        protocol,
        scrubber,
        ..
    } = *circumstances;
    if matches!(status, 401..=404) {
        return NoAnswer::Failed(GatewayError::new(
            ErrorKind::UpstreamRefused(status),
            format!(
                "The request to model `{model}` was refused for what it asks ({})",
                circumstances.calls()
            ),
        ));
    }
    let call = failed.call;
    let message = match &call.error {
        Some(error) => scrubber.scrub(&error.message),
        None => wordless(status, &call, circumstances),
    };
    let passed = call
        .body
        .filter(|body| failed.protocol == protocol && protocol.is_own_error_shape(body))
        .map(|body| scrubber.scrub_bytes(body));
    let Some(body) = passed else {
        let kind = match failed.judgement.class {
            Class::ContextLength => ErrorKind::PromptTooLong,
            _ => ErrorKind::UpstreamRefused(status),
        };
        let error = GatewayError::new(kind, message).with_retry_after(call.retry_after);
        return NoAnswer::Failed(error);
    };
    NoAnswer::Refused(Refusal {
        status,
        headers: refusal_headers(call.headers),
        body,
        message,
    })
}

/// Our words for an upstream that has none.
fn wordless(status: u16, call: &FailedCall, circumstances: &Circumstances<'_>) -> String {
    let model = circumstances.model;
    let calls = circumstances.calls();
    if call.fault.is_some() {
        return format!("The upstream of model `{model}` gave no complete answer ({calls})");
    }
    format!("The upstream of model `{model}` refused with status {status} ({calls})")
}

/// The body is JSON by then, whatever the upstream called it.
fn refusal_headers(headers: PassedHeaders) -> PassedHeaders {
    headers
        .into_iter()
        .filter(|(name, _)| name != awc::http::header::CONTENT_TYPE)
        .collect()
}
