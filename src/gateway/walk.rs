//! The walk through a plan: call after call as the course says, until one brings an answer.

mod ending;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

use super::attempt::{self, Engagement, FailedCall, Outcome, WholeAnswer};
use super::exchange::Exchange;
use super::fitting::{Fitted, Hub, Unfit};
use super::opening::Committed;
use super::verdict::Failures;
use super::{Answer, ClientRequest, Gateway};
use crate::config::catalog::{Catalog, Route};
use crate::convert::ReplyContext;
use crate::convert::memo::Memo;
use crate::protocol::raw::RawObject;
use crate::routing::course::{Course, End, Policy, Step};
use crate::routing::keyring::{Choice, Resting};
use crate::routing::outcome::{Judgement, judge};
use crate::routing::plan::{Plan, PlannedRoute};

/// One request on its way through its plan. Boxed, since what is handed on is copied each time.
pub(super) struct Walk {
    pub(super) gateway: Rc<Gateway>,
    pub(super) request: ClientRequest,
    pub(super) plan: Plan,
    pub(super) catalog: Arc<Catalog>,
    pub(super) exchange: Box<Exchange>,
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
    pub(super) exchange: Box<Exchange>,
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
    pub(super) fn walk(self, exchange: Box<Exchange>) -> Box<Walk> {
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
        exchange: Box<Exchange>,
    ) -> Box<Self> {
        let settings = &gateway.settings;
        let policy = Policy {
            max_attempts: usize::try_from(settings.max_attempts).unwrap_or(usize::MAX),
            key_cycles: settings.max_key_retry_cycles.max(1),
            max_wait: settings.max_wait,
        };
        let routes = std::mem::take(&mut plan.routes);
        Box::new(Self {
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
        })
    }

    pub(super) async fn run(mut self: Box<Self>) -> Ending {
        let gateway = Rc::clone(&self.gateway);
        let stopped = gateway.stop.ended();
        let reached = tokio::select! {
            // The stop first: a stream that arrived after it would have nobody to end it.
            biased;
            () = stopped => Reached::Stopped,
            reached = self.calls() => reached,
        };
        match reached {
            Reached::Whole(engagement, whole) => {
                let answer = self.accept(engagement, *whole);
                Ending::Answer(answer, self.exchange)
            }
            Reached::Stream(engagement, committed) => self.arrive(engagement, *committed),
            Reached::Nothing => {
                let soonest = self.soonest().await;
                let answer = self.conclude(soonest);
                Ending::Answer(answer, self.exchange)
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
        let selection = &self.request.selection;
        let choice = choice.pinned(selection.pinned_key(route));
        let (pool, lease) = self.gateway.lease(route, choice).await?;
        Ok(Engagement {
            call: selection.begin(route, &lease.key().digest),
            lease,
            pool,
            route: Arc::clone(route),
        })
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
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
