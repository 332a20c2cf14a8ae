//! One question to one upstream: how many tokens has this message? It must not know what is answered in its place.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::catalog::{Catalog, Route};
use crate::error::{FaultKind, Phase};
use crate::gateway::attempt::{Engagement, FailedCall, Refused, passed_headers};
use crate::gateway::exchange::Exchange;
use crate::gateway::verdict::{Circumstances, Failures};
use crate::gateway::{ClientRequest, Gateway, NoAnswer, Whole};
use crate::protocol::raw::Pieces;
use crate::protocol::{Rewrite, json};
use crate::routing::outcome::{Class, judge};
use crate::upstream::request::Response;
use crate::upstream::{Call, SendFault, UpstreamBody, send_to};

/// How long an upstream may take to count; then the estimate is the better answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A count is a few bytes; a page of something else is not read on.
const COUNT_LIMIT: usize = 64 * 1024;

/// Statuses by which an upstream says that it does not count tokens.
const DOES_NOT_COUNT: [u16; 3] = [404, 405, 501];

/// What an upstream that was asked had to say.
pub(super) enum Said {
    Count(Whole),
    /// The client is at fault, as it would be with the message itself.
    Fault(NoAnswer),
    /// Nothing that helps.
    Nothing,
}

/// One question to one upstream.
pub(super) struct Inquiry<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) request: &'a ClientRequest,
    /// The logical model.
    pub(super) model: &'a str,
    pub(super) catalog: &'a Catalog,
    pub(super) engagement: Engagement,
}

impl Inquiry<'_> {
    /// Asks, and reports to the key's pool if the key was refused.
    pub(super) async fn ask(&self, url: &str, exchange: &mut Exchange) -> Said {
        let route = &self.engagement.route;
        let key = self.engagement.lease.key();
        exchange.begin_attempt(route, key);
        let deadline = Instant::now() + patience(route);
        let call = Call {
            route,
            key,
            body: self.body(),
            streaming: false,
            forwarded: &self.request.forwarded,
            // That a count is slow says nothing about answers: no key rests for it.
            deadline: (deadline, Phase::Total),
        };
        let failed = match send_to(&self.gateway.clients, url, call).await {
            Err(SendFault { kind, message }) => FailedCall {
                fault: Some(kind),
                message,
                ..FailedCall::default()
            },
            Ok(response) if response.status().is_success() => {
                return self.counted(response, deadline, exchange).await;
            }
            Ok(response) => Refused::new(response).read(route, deadline).await,
        };
        self.failed(failed, exchange)
    }

    /// The client's bytes but for the model's name, and for what a message is sent without; what a message would be given
    /// beside them is none of a count's.
    fn body(&self) -> Pieces {
        let ClientRequest {
            protocol,
            body,
            head,
            ..
        } = self.request;
        let trimmed = protocol.without_unsigned_thinking(body);
        protocol.rewrite(
            trimmed.as_ref().map_or(body, |trimmed| &trimmed.body),
            head,
            &Rewrite {
                model: &self.engagement.route.model,
                stream: None,
                ask_usage: false,
                defaults: &[],
            },
        )
    }

    async fn counted(
        &self,
        response: Response,
        deadline: Instant,
        exchange: &mut Exchange,
    ) -> Said {
        let status = response.status().as_u16();
        let headers = passed_headers(response.headers());
        let mut body = UpstreamBody::new(response);
        let read = body
            .read_whole(COUNT_LIMIT, deadline, Phase::Total, |_| true)
            .await;
        match read {
            Ok(bytes) if is_count(&bytes) => {
                exchange.end_attempt(Some(status), "ok");
                Said::Count(Whole {
                    status,
                    headers,
                    body: self.catalog.scrubber.scrub_bytes(bytes),
                    taken: None,
                    loss: None,
                    route: Arc::clone(&self.engagement.route),
                })
            }
            // Whoever answers this path with something else does not count, which is no fault of the key.
            read => {
                let fault = read.err().unwrap_or(FaultKind::Malformed);
                self.note(
                    exchange,
                    Some(status),
                    fault.name(),
                    "the answer is no count",
                );
                Said::Nothing
            }
        }
    }

    fn failed(&self, failed: FailedCall, exchange: &mut Exchange) -> Said {
        let route = &self.engagement.route;
        if failed
            .status
            .is_some_and(|status| DOES_NOT_COUNT.contains(&status))
        {
            self.note(
                exchange,
                failed.status,
                Class::Misconfigured.name(),
                &failed.message,
            );
            return Said::Nothing;
        }
        let max_cooldown = self.gateway.settings.max_cooldown;
        let judgement = judge(&failed.failure(), route, max_cooldown);
        let class = judgement.class;
        // Counting has limits and troubles of its own; what it says of the key itself holds for messages too.
        if matches!(class, Class::BadKey | Class::Quota) {
            self.engagement.report(judgement.key);
        }
        self.note(exchange, failed.status, class.name(), &failed.message);
        if !matches!(class, Class::ClientFault | Class::ContentPolicy) {
            return Said::Nothing;
        }
        let mut failures = Failures::default();
        failures.add(route, judgement, failed);
        Said::Fault(failures.conclude(&Circumstances {
            model: self.model,
            attempts: exchange.attempts(),
            protocol: self.request.protocol,
            scrubber: &self.catalog.scrubber,
            soonest: None,
        }))
    }

    /// Ends the attempt, and says in the process log why it did not help.
    fn note(
        &self,
        exchange: &mut Exchange,
        status: Option<u16>,
        outcome: &'static str,
        message: &str,
    ) {
        exchange.end_attempt(status, outcome);
        tracing::warn!(
            request_id = exchange.request_id(),
            model = self.model,
            provider = self.engagement.route.provider.name,
            key = self.engagement.lease.key().label,
            status,
            outcome,
            error = self.catalog.scrubber.scrub(message),
            "tokens were not counted by the upstream"
        );
    }
}

fn patience(route: &Route) -> Duration {
    let timeouts = &route.timeouts;
    PATIENCE.min(timeouts.attempt.unwrap_or(timeouts.total))
}

/// `{"input_tokens": N}`, perhaps with more beside it.
fn is_count(body: &[u8]) -> bool {
    let mut counted = false;
    let read = json::text(body).is_ok_and(|text| {
        let members = json::members(text, |name, value| {
            counted |= name == "input_tokens" && json::count(value).is_some();
        });
        members.is_ok()
    });
    read && counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_with_a_count_is_one() {
        for (body, expected) in [
            (r#"{"input_tokens": 14}"#, true),
            (
                r#"{"context_management":{"original_input_tokens":9},"input_tokens":7}"#,
                true,
            ),
            (r#"{"input_tokens":"14"}"#, false),
            (r#"{"tokens":14}"#, false),
            (r#"{"input_tokens":14"#, false),
            ("<html>", false),
            ("[]", false),
            ("", false),
        ] {
            assert_eq!(is_count(body.as_bytes()), expected, "{body}");
        }
    }
}
