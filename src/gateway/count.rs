//! How many tokens a message would have: asked of the upstream that would be sent it now, or else estimated here.
//! It books nothing: no limit is touched, and no token counts as used.

use std::sync::Arc;

use super::attempt::Engagement;
use super::exchange::Exchange;
use super::{ClientRequest, Gateway, NoAnswer, Whole};
use crate::actors::ledger::RouteCall;
use crate::config::catalog::Catalog;
use crate::error::{ErrorKind, GatewayError};
use crate::routing::keyring::Choice;
use crate::routing::plan::Plan;

mod estimate;
mod inquiry;

use estimate::estimate;
use inquiry::{Inquiry, Said};

/// What a client is told.
pub enum Count {
    /// What an upstream counted.
    Told(Whole),
    /// What we guess.
    Estimated(u64),
    /// Neither.
    None(NoAnswer),
}

impl Gateway {
    /// Counts the tokens of a request of Anthropic's protocol. The first route that has a ready key decides: its
    /// upstream is asked if it speaks that protocol. No other is: models of another family would count otherwise.
    pub async fn count(
        &self,
        request: ClientRequest,
        plan: Plan,
        catalog: &Catalog,
        exchange: &mut Exchange,
    ) -> Count {
        tokio::select! {
            count = self.told_or_estimated(request, &plan, catalog, exchange) => count,
            () = self.stop.ended() => {
                let error = GatewayError::new(ErrorKind::Stopping, "The gateway is stopping");
                exchange.end_attempt(None, error.kind.name());
                unanswered(NoAnswer::Failed(error), exchange)
            }
        }
    }

    async fn told_or_estimated(
        &self,
        request: ClientRequest,
        plan: &Plan,
        catalog: &Catalog,
        exchange: &mut Exchange,
    ) -> Count {
        if let Some((engagement, url)) = self.counting_route(plan).await {
            let inquiry = Inquiry {
                gateway: self,
                request: &request,
                model: &plan.model.name,
                catalog,
                engagement,
            };
            match inquiry.ask(&url, exchange).await {
                Said::Count(whole) => {
                    exchange.complete(whole.status);
                    return Count::Told(whole);
                }
                Said::Fault(why) => return unanswered(why, exchange),
                Said::Nothing => {}
            }
        }
        match estimate(request.body).await {
            Ok(tokens) => {
                exchange.complete(200);
                Count::Estimated(tokens)
            }
            Err(error) => unanswered(NoAnswer::Failed(error), exchange),
        }
    }

    /// A key of the first route that has one ready, and where its upstream counts; `None` if that one does not count.
    async fn counting_route(&self, plan: &Plan) -> Option<(Engagement, String)> {
        for planned in &plan.routes {
            let route = &planned.route;
            let Some(url) = route.count_tokens_url() else {
                // Nobody is going to be called: whether one could is all there is to know.
                match self.resting(route).await {
                    Some(_) => continue,
                    None => return None,
                }
            };
            let choice = Choice::Ready { except: Vec::new() };
            if let Ok((pool, lease)) = self.lease(route, choice).await {
                let engagement = Engagement {
                    lease,
                    pool,
                    route: Arc::clone(route),
                    call: RouteCall::default(),
                };
                return Some((engagement, url));
            }
        }
        None
    }
}

fn unanswered(why: NoAnswer, exchange: &mut Exchange) -> Count {
    exchange.unanswered(&why);
    Count::None(why)
}
