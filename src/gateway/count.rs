//! How many tokens a message would have: asked of the upstream that would be sent it now, or else estimated here.
//! It books nothing: no limit is touched, and no token counts as used.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Engagement;
use super::exchange::Exchange;
use super::{Answer, ClientRequest, Gateway, Refusal, Whole};
use crate::actors::key_pool::{Acquire, Soonest};
use crate::actors::ledger::RouteCall;
use crate::config::catalog::Catalog;
use crate::error::{ErrorKind, GatewayError};
use crate::routing::keyring::Choice;
use crate::routing::plan::Plan;

mod estimate;
mod inquiry;

use estimate::estimate;
use inquiry::{Inquiry, Said};

/// An actor that does not answer within this is dead.
const ASK: Duration = Duration::from_secs(2);

/// What a client is told.
pub enum Count {
    /// What an upstream counted.
    Told(Whole),
    /// What we guess.
    Estimated(u64),
    /// An upstream's refusal, in the client's protocol.
    Refused(Refusal),
    /// Ours.
    Failed(GatewayError),
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
                exchange.fail(&error);
                Count::Failed(error)
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
                Said::Fault(answer) => return fault(answer, exchange),
                Said::Nothing => {}
            }
        }
        match estimate(request.body).await {
            Ok(tokens) => {
                exchange.complete(200);
                Count::Estimated(tokens)
            }
            Err(error) => {
                exchange.fail(&error);
                Count::Failed(error)
            }
        }
    }

    /// A key of the first route that has one ready, and where its upstream counts; `None` if that one does not count.
    async fn counting_route(&self, plan: &Plan) -> Option<(Engagement, String)> {
        for planned in &plan.routes {
            let route = &planned.route;
            let pool = self.registry.pool(&route.provider.name);
            let Some(url) = route.count_tokens_url() else {
                // Nobody is going to be called: whether one could is all there is to know.
                let question = Soonest {
                    route: Arc::clone(route),
                };
                match pool.send(question).timeout(ASK).await {
                    Ok(Some(_)) => continue,
                    _ => return None,
                }
            };
            let question = Acquire {
                route: Arc::clone(route),
                choice: Choice::Ready { except: Vec::new() },
            };
            match pool.send(question).timeout(ASK).await {
                Ok(Ok(lease)) => {
                    let engagement = Engagement {
                        lease,
                        pool,
                        route: Arc::clone(route),
                        call: RouteCall::default(),
                    };
                    return Some((engagement, url));
                }
                Ok(Err(_)) => {}
                Err(error) => {
                    tracing::error!(provider = route.provider.name, %error, "the key pool does not answer");
                }
            }
        }
        None
    }
}

/// A refusal, as the client reads it and as the log does.
fn fault(answer: Answer, exchange: &mut Exchange) -> Count {
    match answer {
        Answer::Refused(refusal) => {
            exchange.refused(refusal.status, refusal.message.clone());
            Count::Refused(refusal)
        }
        Answer::Failed(error) => {
            exchange.fail(&error);
            Count::Failed(error)
        }
        Answer::Whole(_) | Answer::Stream(_) => {
            let error = GatewayError::new(ErrorKind::Internal, "a refusal became an answer");
            exchange.fail(&error);
            Count::Failed(error)
        }
    }
}
