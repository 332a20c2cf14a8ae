//! The walk through a plan: each ready key of each route once, until one call brings an answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::attempt::{self, Engagement, FailedCall, Outcome, WholeAnswer};
use super::exchange::Exchange;
use super::fitting::{Hub, Unfit};
use super::opening::Committed;
use super::relay::Relay;
use super::verdict::{Circumstances, Failures};
use super::{Answer, ClientRequest, Gateway, OpenStream, Whole};
use crate::actors::key_pool::{Acquire, Soonest};
use crate::config::catalog::{Catalog, Route};
use crate::config::settings::LogContent;
use crate::convert::ReplyContext;
use crate::convert::pair::StreamConverter;
use crate::convert::tool_names::ToolNames;
use crate::error::{ErrorKind, GatewayError};
use crate::routing::keyring::Choice;
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
    hub: Hub,
    /// The tools that the route called last knows by other names.
    tool_names: ToolNames,
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
            hub: Hub::default(),
            tool_names: ToolNames::default(),
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
        let fitted = match self.hub.fit(&self.request, &planned.logical_model, route) {
            Ok(fitted) => fitted,
            Err(Unfit::Here(error)) => {
                self.failures.unfit(error);
                return Leg::NextRoute;
            }
            Err(Unfit::Everywhere(error)) => {
                self.failures.unfit(error);
                return Leg::GiveUp;
            }
        };
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
            self.exchange.loses(&fitted.loss);
            self.tool_names = fitted.tool_names.clone();
            match attempt::call(self, &engagement, &fitted, total).await {
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

    /// A key for the route, from its provider's pool.
    async fn engage(&mut self, route: &Arc<Route>, tried: &[Digest]) -> Option<Engagement> {
        let pool = self.gateway.registry.pool(&route.provider.name);
        let question = Acquire {
            route: Arc::clone(route),
            choice: Choice::Ready {
                except: tried.to_vec(),
            },
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

    fn accept(&mut self, mut engagement: Engagement, whole: WholeAnswer) -> Answer {
        engagement.succeed(whole.usage.as_ref());
        self.exchange.end_attempt(Some(whole.status), "ok");
        self.exchange.used(whole.usage);
        if self.keeps_content() {
            self.exchange.said(
                record::Answer::Whole(whole.original),
                engagement.route.protocol,
            );
        }
        self.exchange.complete(whole.status);
        Answer::Whole(Whole {
            status: whole.status,
            headers: whole.headers,
            body: whole.body,
            loss: self.exchange.loss().map(str::to_owned),
            route: Arc::clone(&engagement.route),
        })
    }

    /// What an answer in the client's protocol needs if the upstream's tells it not.
    pub(super) fn reply_context(&self) -> ReplyContext {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        ReplyContext {
            now: now.map_or(0, |since| since.as_secs()),
            fallback_id: self.exchange.request_id().to_owned(),
            tool_names: self.tool_names.clone(),
        }
    }

    fn converter(&self, route: &Route) -> Option<StreamConverter> {
        let (from, to) = (route.protocol, self.request.protocol);
        (from != to).then(|| {
            StreamConverter::new(
                from,
                to,
                self.reply_context(),
                self.request.head.include_usage,
            )
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
        let loss = self.exchange.loss().map(str::to_owned);
        let converter = self.converter(&route);
        let relay = Relay::new(
            &self.gateway,
            &self.request,
            self.catalog,
            self.exchange,
            engagement,
            committed,
            converter,
        );
        let open = OpenStream {
            headers,
            route,
            attempts,
            loss,
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
