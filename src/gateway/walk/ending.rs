//! What a walk led to: a whole answer, a stream that has begun, the failure of them all, or the stop of the gateway.
//! It makes no call.

use std::sync::Arc;
use std::time::Duration;

use super::{Arrived, Detour, Ending, Walk};
use crate::config::catalog::StreamRecovery;
use crate::config::settings::LogContent;
use crate::error::{ErrorKind, GatewayError};
use crate::gateway::attempt::{Engagement, WholeAnswer};
use crate::gateway::opening::Committed;
use crate::gateway::verdict::Circumstances;
use crate::gateway::{Answer, NoAnswer, Whole};
use crate::routing::plan::Plan;
use crate::storage::record;
use crate::storage::row::Content;

impl Walk {
    pub(super) fn accept(&mut self, mut engagement: Engagement, whole: WholeAnswer) -> Answer {
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
        self.condense();
        self.exchange.complete(whole.status);
        Answer::Whole(Whole {
            status: whole.status,
            headers: whole.headers,
            body: whole.body,
            taken: whole.taken,
            loss: self.exchange.loss().map(str::to_owned),
            route: Arc::clone(&engagement.route),
        })
    }

    fn keeps_content(&self) -> bool {
        self.gateway.settings.log_content == LogContent::Full
    }

    /// A stream's first content has arrived. The request is kept only if another route could be asked for the rest.
    pub(super) fn arrive(mut self, mut engagement: Engagement, committed: Committed) -> Ending {
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
    pub(super) fn stop(mut self) -> Ending {
        let error = GatewayError::new(ErrorKind::Stopping, "The gateway is stopping");
        self.exchange.end_attempt(None, ErrorKind::Stopping.name());
        self.exchange.fail(&error);
        Ending::Answer(Answer::None(NoAnswer::Failed(error)), self.exchange)
    }

    /// When the first key of any route may be used again, as the pools know it after this request's reports; `None`: one
    /// is ready now, or nobody knows.
    pub(super) async fn soonest(&self) -> Option<Duration> {
        let mut soonest = None;
        for planned in self.course.routes() {
            let resting = self.gateway.resting(&planned.route).await?;
            soonest = match (soonest, resting.soonest) {
                (Some(known), Some(new)) => Some(Duration::min(known, new)),
                (known, new) => known.or(new),
            };
        }
        soonest
    }

    /// No call brought an answer.
    pub(super) fn conclude(&mut self, soonest: Option<Duration>) -> Answer {
        let why = if self.course.routes().is_empty() {
            NoAnswer::Failed(self.plan.why_empty())
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
        self.condense();
        self.exchange.unanswered(&why);
        Answer::None(why)
    }

    /// Nobody needs the body any more but its row.
    fn condense(&mut self) {
        let content = Content::from(&*self.gateway.settings);
        self.exchange.condense(content, &self.catalog.scrubber);
    }
}
