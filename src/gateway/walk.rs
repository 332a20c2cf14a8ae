//! The walk through a plan: call after call as the course says, until one brings an answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

use super::attempt::{self, Engagement, FailedCall, Outcome, WholeAnswer};
use super::exchange::Exchange;
use super::fitting::{Fitted, Hub, Unfit};
use super::opening::Committed;
use super::verdict::{Circumstances, Failures};
use super::{Answer, ClientRequest, Gateway, Whole};
use crate::actors::key_pool::{Acquire, Soonest};
use crate::config::catalog::{Catalog, Route, StreamRecovery};
use crate::config::settings::LogContent;
use crate::convert::ReplyContext;
use crate::convert::memo::Memo;
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::raw::RawObject;
use crate::routing::course::{Course, End, Policy, Step};
use crate::routing::keyring::{Choice, Resting};
use crate::routing::outcome::{Judgement, RestKind, judge};
use crate::routing::plan::{Plan, PlannedRoute};
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
    course: Course,
    hub: Hub,
    failures: Failures,
    repaired: bool,
    /// What the answer has to know of the request as it went up last.
    memo: Memo,
}

/// Where a walk led.
pub(super) enum Ending {
    /// To something that can be told as a whole.
    Answer(Answer, Box<Exchange>),
    /// To a stream.
    Stream(Box<Arrived>),
}

/// A stream whose first content has arrived.
pub(super) struct Arrived {
    pub(super) committed: Committed,
    pub(super) engagement: Engagement,
    pub(super) exchange: Exchange,
    pub(super) catalog: Arc<Catalog>,
    /// What it takes to say the stream in the client's protocol.
    pub(super) context: ReplyContext,
    /// The routes that can be asked if the stream breaks.
    pub(super) detour: Option<Detour>,
}

/// What it takes to ask the routes that are left.
pub(super) struct Detour {
    gateway: Rc<Gateway>,
    request: ClientRequest,
    plan: Plan,
    catalog: Arc<Catalog>,
}

impl Detour {
    /// The walk along it.
    pub(super) fn walk(self, exchange: Exchange) -> Walk {
        Walk::new(
            self.gateway,
            self.request,
            self.plan,
            self.catalog,
            exchange,
        )
    }
}

/// How the calls ended.
enum Reached {
    Whole(Engagement, Box<WholeAnswer>),
    Stream(Engagement, Box<Committed>),
    Nothing,
    Stopped,
}

impl Walk {
    pub(super) fn new(
        gateway: Rc<Gateway>,
        request: ClientRequest,
        mut plan: Plan,
        catalog: Arc<Catalog>,
        exchange: Exchange,
    ) -> Self {
        let settings = &gateway.settings;
        let policy = Policy {
            max_attempts: usize::try_from(settings.max_attempts).unwrap_or(usize::MAX),
            key_cycles: settings.max_key_retry_cycles.max(1),
            max_wait: settings.max_wait,
        };
        let routes = std::mem::take(&mut plan.routes);
        Self {
            course: Course::new(routes, policy, exchange.attempts(), now()),
            gateway,
            request,
            plan,
            catalog,
            exchange,
            hub: Hub::default(),
            failures: Failures::default(),
            repaired: false,
            memo: Memo::default(),
        }
    }

    pub(super) async fn run(mut self) -> Ending {
        let stopped = self.gateway.stop.ended();
        let reached = tokio::select! {
            // The stop first: a stream that arrived after it would have nobody to end it.
            biased;
            () = stopped => Reached::Stopped,
            reached = self.calls() => reached,
        };
        match reached {
            Reached::Whole(engagement, whole) => {
                let answer = self.accept(engagement, *whole);
                Ending::Answer(answer, Box::new(self.exchange))
            }
            Reached::Stream(engagement, committed) => self.arrive(engagement, *committed),
            Reached::Nothing => {
                let soonest = self.soonest().await;
                let answer = self.conclude(soonest);
                Ending::Answer(answer, Box::new(self.exchange))
            }
            Reached::Stopped => self.stop(),
        }
    }

    async fn calls(&mut self) -> Reached {
        loop {
            let (planned, choice, wait) = match self.course.next(now(), fastrand::f64()) {
                Step::Call {
                    route,
                    choice,
                    wait,
                } => (route, choice, wait),
                Step::End(end) => {
                    if end == End::OutOfTime {
                        self.failures.out_of_time();
                    }
                    return Reached::Nothing;
                }
            };
            let Some(fitted) = self.fit(&planned) else {
                continue;
            };
            if !wait.is_zero() {
                sleep(wait).await;
                // On a busy machine it may have lasted longer: then the course says that the time is over.
                if now() >= self.course.deadline(&planned.route) {
                    continue;
                }
            }
            let engagement = match self.engage(&planned.route, choice).await {
                Ok(engagement) => engagement,
                Err(resting) => {
                    self.failures.rested(resting);
                    self.course.no_key(now(), resting);
                    continue;
                }
            };
            self.course.called(engagement.lease.key().digest);
            let route = &engagement.route;
            self.exchange.begin_attempt(route, engagement.lease.key());
            self.exchange.loses(&fitted.loss);
            self.memo = fitted.memo.clone();
            let total = Instant::from_std(self.course.deadline(route));
            match attempt::call(self, &engagement, &fitted, total).await {
                Outcome::Whole(whole) => return Reached::Whole(engagement, whole),
                Outcome::Stream(committed) => return Reached::Stream(engagement, committed),
                Outcome::Failed(failed) => self.fails(&engagement, *failed),
            }
        }
    }

    /// The body as the route wants it; `None`: it cannot be had, and the course knows.
    fn fit(&mut self, planned: &PlannedRoute) -> Option<Rc<Fitted>> {
        let fitted = self
            .hub
            .fit(&self.request, &planned.logical_model, &planned.route);
        match fitted {
            Ok(fitted) => Some(fitted),
            Err(Unfit::Here(error)) => {
                self.failures.unfit(error);
                self.course.unfit();
                None
            }
            Err(Unfit::Everywhere(error)) => {
                self.failures.unfit(error);
                self.course.end();
                None
            }
        }
    }

    /// A key for the route, from its provider's pool.
    async fn engage(&self, route: &Arc<Route>, choice: Choice) -> Result<Engagement, Resting> {
        let pool = self.gateway.registry.pool(&route.provider.name);
        let selection = &self.request.selection;
        let question = Acquire {
            route: Arc::clone(route),
            choice: choice.pinned(selection.pinned_key(route)),
        };
        match pool.send(question).timeout(ASK).await {
            Ok(Ok(lease)) => Ok(Engagement {
                call: selection.begin(route, &lease.key().digest),
                lease,
                pool,
                route: Arc::clone(route),
            }),
            Ok(Err(resting)) => Err(resting),
            Err(error) => {
                tracing::error!(provider = route.provider.name, %error, "the key pool does not answer");
                Err(Resting {
                    soonest: None,
                    kind: RestKind::Transient,
                })
            }
        }
    }

    /// A call came to nothing: what it means for the key, for the way on and for the words at the end.
    fn fails(&mut self, engagement: &Engagement, failed: FailedCall) {
        let judgement = self.reject(engagement, &failed);
        if judgement.repair && !self.repaired && self.repair() {
            self.course.repaired();
        } else {
            self.course.failed(now(), &judgement);
        }
        self.failures.add(&engagement.route, judgement, failed);
    }

    fn reject(&mut self, engagement: &Engagement, failed: &FailedCall) -> Judgement {
        let route = &engagement.route;
        let judgement = judge(&failed.failure(), route, self.gateway.settings.max_cooldown);
        engagement.report(judgement.key);
        engagement.call.judged(&judgement);
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
        judgement
    }

    /// Gives tool calls without a result one, if that is what is wrong with the request.
    fn repair(&mut self) -> bool {
        self.repaired = true;
        let protocol = self.request.protocol;
        let Some(body) = protocol.with_missing_results(&self.request.body) else {
            return false;
        };
        let Ok(body) = RawObject::parse(body) else {
            return false;
        };
        let Ok(head) = protocol.read_request(&body) else {
            return false;
        };
        self.request.body = body;
        self.request.head = head;
        self.hub = Hub::default();
        tracing::info!(
            request_id = self.exchange.request_id(),
            model = self.plan.model.name,
            "results were added for tool calls that had none"
        );
        true
    }

    fn accept(&mut self, mut engagement: Engagement, whole: WholeAnswer) -> Answer {
        engagement.succeed(whole.usage.as_ref());
        self.exchange.end_attempt(Some(whole.status), "ok");
        self.exchange.used(whole.usage);
        self.exchange.loses_of_answer(&whole.loss);
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
            memo: self.memo.clone(),
            keeps_id: false,
        }
    }

    fn keeps_content(&self) -> bool {
        self.gateway.settings.log_content == LogContent::Full
    }

    /// A stream's first content has arrived. The request is kept only if another route could be asked for the rest.
    fn arrive(mut self, mut engagement: Engagement, committed: Committed) -> Ending {
        engagement.lease.answers();
        engagement.call.answered(committed.first_content);
        let content = Content::from(&*self.gateway.settings);
        let detour = self.detour();
        let scrubber = &self.catalog.scrubber;
        self.exchange.commit(
            committed.status,
            committed.first_content,
            content,
            scrubber,
            detour.is_none(),
        );
        Ending::Stream(Box::new(Arrived {
            context: self.reply_context(),
            detour: detour.map(|plan| Detour {
                gateway: self.gateway,
                request: self.request,
                plan,
                catalog: Arc::clone(&self.catalog),
            }),
            committed,
            engagement,
            exchange: self.exchange,
            catalog: self.catalog,
        }))
    }

    fn detour(&self) -> Option<Plan> {
        let routes = self.course.rest();
        let recovers = self.plan.model.stream_recovery == StreamRecovery::Splice;
        let possible = recovers && self.request.head.choices == 1 && !routes.is_empty();
        possible.then(|| Plan {
            model: Arc::clone(&self.plan.model),
            routes,
            skipped: Vec::new(),
        })
    }

    /// The gateway stops before any content came.
    fn stop(mut self) -> Ending {
        let error = GatewayError::new(ErrorKind::Stopping, "The gateway is stopping");
        self.exchange.end_attempt(None, ErrorKind::Stopping.name());
        self.exchange.fail(&error);
        Ending::Answer(Answer::Failed(error), Box::new(self.exchange))
    }

    /// When the first key of any route may be used again, as the pools know it after this request's reports.
    async fn soonest(&self) -> Option<Duration> {
        let mut soonest = None;
        for planned in self.course.routes() {
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
        let answer = if self.course.routes().is_empty() {
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

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
