//! The walk through a plan: each ready key of each route once, until one call brings an answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::attempt::{self, Committed, Engagement, FailedCall, Outcome, WholeAnswer};
use super::exchange::Exchange;
use super::relay::Relay;
use super::verdict::{Circumstances, Failures};
use super::{Answer, ClientRequest, Gateway, OpenStream, Whole};
use crate::actors::key_pool::{Acquire, Soonest};
use crate::config::catalog::{Catalog, Route};
use crate::config::settings::LogContent;
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::Rewrite;
use crate::routing::outcome::{Next, judge};
use crate::routing::plan::{Plan, PlannedRoute};
use crate::secret::Digest;
use crate::storage::record;
use crate::storage::row::Content;

/// An actor that does not answer within this is dead.
const ASK: Duration = Duration::from_secs(2);

/// One request on its way through its plan.
pub(super) struct Walk {
    pub(super) gateway: Rc<Gateway>,
    pub(super) request: ClientRequest,
    pub(super) plan: Plan,
    pub(super) catalog: Arc<Catalog>,
    pub(super) exchange: Exchange,
    failures: Failures,
    /// When the first route was tried; what came before was the client's own time.
    began: Instant,
}

/// Where a route led.
enum Leg {
    Whole(Answer),
    Stream(Engagement, Box<Committed>),
    NextRoute,
    GiveUp,
    Stopped,
}

impl Walk {
    pub(super) fn new(
        gateway: Rc<Gateway>,
        request: ClientRequest,
        plan: Plan,
        catalog: Arc<Catalog>,
        exchange: Exchange,
    ) -> Self {
        Self {
            gateway,
            request,
            plan,
            catalog,
            exchange,
            failures: Failures::default(),
            began: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) -> (Answer, Option<Exchange>) {
        let routes = std::mem::take(&mut self.plan.routes);
        let stop = self.gateway.stop.clone();
        let stopped = stop.ended();
        tokio::pin!(stopped);
        for (position, planned) in routes.iter().enumerate() {
            if self.failures.makes_pointless(&planned.route) {
                continue;
            }
            let later = routes.len().saturating_sub(position + 1);
            let leg = tokio::select! {
                leg = self.route(planned, later) => leg,
                () = &mut stopped => Leg::Stopped,
            };
            match leg {
                Leg::Whole(answer) => return (answer, Some(self.exchange)),
                Leg::Stream(engagement, committed) => return self.relay(engagement, *committed),
                Leg::NextRoute => {}
                Leg::GiveUp => break,
                Leg::Stopped => return self.stop(),
            }
        }
        let soonest = self.soonest(&routes).await;
        self.plan.routes = routes;
        let answer = self.conclude(soonest);
        (answer, Some(self.exchange))
    }

    /// Each ready key of one route, once. A route's first call is always allowed; further ones leave later routes theirs.
    async fn route(&mut self, planned: &PlannedRoute, later: usize) -> Leg {
        let route = &planned.route;
        if let Some(parameter) = self.missing_parameter(route) {
            self.failures.lacks(parameter);
            return Leg::NextRoute;
        }
        let total = self.began + route.timeouts.total;
        let most = usize::try_from(self.gateway.settings.max_attempts).unwrap_or(usize::MAX);
        let mut tried = Vec::new();
        loop {
            if Instant::now() >= total {
                self.failures.out_of_time();
                return Leg::GiveUp;
            }
            if !tried.is_empty() && self.exchange.attempts() + later >= most {
                return Leg::NextRoute;
            }
            let Some(engagement) = self.engage(route, &tried).await else {
                return Leg::NextRoute;
            };
            tried.push(engagement.lease.key().digest);
            self.exchange.begin_attempt(route, engagement.lease.key());
            match attempt::call(self, &engagement, total).await {
                Outcome::Whole(whole) => return Leg::Whole(self.accept(engagement, whole)),
                Outcome::Stream(committed) => return Leg::Stream(engagement, committed),
                Outcome::Failed(failed) => match self.reject(&engagement, *failed) {
                    Next::Return => return Leg::GiveUp,
                    Next::Key => {}
                    Next::Route => return Leg::NextRoute,
                },
            }
        }
    }

    /// A parameter that the provider's file requires and that neither the client nor the file's defaults give.
    fn missing_parameter(&self, route: &Route) -> Option<String> {
        let provider = &route.provider;
        let given = |name: &str| {
            self.request.body.get(name).is_some()
                || provider
                    .default_parameters
                    .iter()
                    .any(|(default, _)| default == name)
        };
        let mut required = provider.required_parameters.iter();
        required.find(|name| !given(name)).cloned()
    }

    /// A key for the route, from its provider's pool.
    async fn engage(&mut self, route: &Arc<Route>, tried: &[Digest]) -> Option<Engagement> {
        let pool = self.gateway.registry.pool(&route.provider.name);
        let question = Acquire {
            route: Arc::clone(route),
            tried: tried.to_vec(),
        };
        match pool.send(question).timeout(ASK).await {
            Ok(Ok(lease)) => Some(Engagement {
                lease,
                pool,
                route: Arc::clone(route),
            }),
            Ok(Err(resting)) => {
                self.failures.rested(resting);
                None
            }
            Err(error) => {
                tracing::error!(provider = route.provider.name, %error, "the key pool does not answer");
                None
            }
        }
    }

    /// The client's body as this route's upstream wants it.
    pub(super) fn upstream_body(&self, route: &Route) -> Bytes {
        let provider = &route.provider;
        let stream =
            (self.request.streaming != self.request.head.stream).then_some(self.request.streaming);
        self.request.protocol.rewrite(
            &self.request.body,
            &self.request.head,
            &Rewrite {
                model: &route.model,
                stream,
                ask_usage: self.request.streaming && provider.stream_usage,
                defaults: &provider.default_parameters,
            },
        )
    }

    fn accept(&mut self, mut engagement: Engagement, whole: WholeAnswer) -> Answer {
        let body = self.catalog.scrubber.scrub_bytes(whole.body);
        engagement.succeed(whole.usage.as_ref());
        self.exchange.end_attempt(Some(whole.status), "ok");
        self.exchange.used(whole.usage);
        if self.keeps_content() {
            self.exchange.said(record::Answer::Whole(body.clone()));
        }
        self.exchange.complete(whole.status);
        Answer::Whole(Whole {
            status: whole.status,
            headers: whole.headers,
            body,
            route: Arc::clone(&engagement.route),
        })
    }

    fn keeps_content(&self) -> bool {
        self.gateway.settings.log_content == LogContent::Full
    }

    fn reject(&mut self, engagement: &Engagement, failed: FailedCall) -> Next {
        let route = &engagement.route;
        let judgement = judge(&failed.failure(), route, self.gateway.settings.max_cooldown);
        engagement.report(judgement.key);
        let outcome = judgement.class.name();
        self.exchange.end_attempt(failed.status, outcome);
        tracing::warn!(
            request_id = self.exchange.request_id(),
            model = self.plan.model.name,
            provider = route.provider.name,
            key = engagement.lease.key().label,
            attempt = self.exchange.attempts(),
            status = failed.status,
            outcome,
            error = self.catalog.scrubber.scrub(&failed.message),
            "a call failed"
        );
        let next = judgement.next;
        self.failures.add(route, judgement, failed);
        next
    }

    fn relay(mut self, engagement: Engagement, committed: Committed) -> (Answer, Option<Exchange>) {
        let content = Content::from(&*self.gateway.settings);
        self.exchange
            .commit(committed.status, content, &self.catalog.scrubber);
        let headers = committed.headers.clone();
        let route = Arc::clone(&engagement.route);
        let attempts = self.exchange.attempts();
        let keeps_content = self.keeps_content();
        let relay = Relay::new(
            &self.gateway,
            &self.request,
            self.catalog,
            self.exchange,
            engagement,
            committed,
            keeps_content,
        );
        let open = OpenStream {
            headers,
            route,
            attempts,
            relay,
        };
        (Answer::Stream(Box::new(open)), None)
    }

    /// The gateway stops before any content came.
    fn stop(mut self) -> (Answer, Option<Exchange>) {
        let error = GatewayError::new(ErrorKind::Stopping, "The gateway is stopping");
        self.exchange.end_attempt(None, ErrorKind::Stopping.name());
        self.exchange.fail(&error);
        (Answer::Failed(error), Some(self.exchange))
    }

    /// When the first key of any route may be used again, as the pools know it after this request's reports.
    async fn soonest(&self, routes: &[PlannedRoute]) -> Option<Duration> {
        let mut soonest = None;
        for planned in routes {
            let route = Arc::clone(&planned.route);
            let pool = self.gateway.registry.pool(&route.provider.name);
            let resting = pool.send(Soonest { route }).timeout(ASK).await;
            let Ok(Some(resting)) = resting else {
                // A key is ready now, or nobody knows.
                return None;
            };
            soonest = match (soonest, resting.soonest) {
                (Some(known), Some(new)) => Some(Duration::min(known, new)),
                (known, new) => known.or(new),
            };
        }
        soonest
    }

    /// No call brought an answer.
    fn conclude(&mut self, soonest: Option<Duration>) -> Answer {
        let answer = if self.plan.routes.is_empty() {
            Answer::Failed(self.plan.why_empty())
        } else {
            let attempts = self.exchange.attempts();
            let failures = std::mem::take(&mut self.failures);
            failures.conclude(&Circumstances {
                model: &self.plan.model.name,
                attempts,
                protocol: self.request.protocol,
                scrubber: &self.catalog.scrubber,
                soonest,
            })
        };
        match &answer {
            Answer::Failed(error) => self.exchange.fail(error),
            Answer::Refused(refusal) => self
                .exchange
                .refused(refusal.status, refusal.message.clone()),
            Answer::Whole(_) | Answer::Stream(_) => {
                self.exchange.fail(&GatewayError::new(
                    ErrorKind::Internal,
                    "no failure to tell",
                ));
            }
        }
        answer
    }
}
