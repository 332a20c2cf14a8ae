//! What the gateway asks the key pools. Their shells run on this very thread: one answers or is gone, so that no time limit
//! is set.

use std::rc::Rc;
use std::sync::Arc;

use actix::Addr;

use super::Gateway;
use crate::actors::key_pool::{Acquire, KeyPoolShell, Lease, Soonest};
use crate::config::catalog::Route;
use crate::routing::keyring::{Choice, Resting};
use crate::routing::outcome::RestKind;

impl Gateway {
    /// A key for a route, with the pool that wants to know what becomes of it.
    ///
    /// # Errors
    ///
    /// [`Resting`] if none can be had.
    pub(super) async fn lease(
        &self,
        route: &Arc<Route>,
        choice: Choice,
    ) -> Result<(Rc<Addr<KeyPoolShell>>, Lease), Resting> {
        let pool = self.registry.pool(&route.provider.name);
        let question = Acquire {
            route: Arc::clone(route),
            choice,
        };
        match pool.send(question).await {
            Ok(answer) => answer.map(|lease| (pool, lease)),
            Err(error) => {
                tracing::error!(provider = route.provider.name, %error, "the key pool does not answer");
                Err(Resting {
                    soonest: None,
                    kind: RestKind::Transient,
                })
            }
        }
    }

    /// When the first key of a route can be had; `None`: one is ready now, or nobody knows.
    pub(super) async fn resting(&self, route: &Arc<Route>) -> Option<Resting> {
        let pool = self.registry.pool(&route.provider.name);
        let route = Arc::clone(route);
        pool.send(Soonest { route }).await.ok()?
    }
}
