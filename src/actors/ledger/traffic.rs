//! What the routes of each model have to show, and where sessions belong; from it the order in which a request tries its
//! routes. Plain state behind short locks; models that keep the order of their file are never looked up.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use foldhash::HashMap;

use super::{Ledger, lock};
use crate::config::catalog::{Catalog, Route};
use crate::routing::affinity::{Pin, Pins, RouteIdentity, Session};
use crate::routing::outcome::Judgement;
use crate::routing::plan::{Plan, PlannedRoute};
use crate::routing::select::{CallId, Candidate, Track, order};
use crate::secret::Digest;

/// The state of all models whose routes are chosen among.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    models: Mutex<HashMap<String, ModelTraffic>>,
    pins: Mutex<Pins>,
}

#[derive(Debug, Default)]
struct ModelTraffic {
    turn: u64,
    tracks: HashMap<RouteIdentity, Arc<Mutex<Track>>>,
}

impl Traffic {
    /// Throws idle sessions away.
    pub(super) fn sweep(&self, now: Instant) {
        lock(&self.pins).sweep(now);
    }

    /// Throws away what belongs to models and routes that are not there any more. Calls under way end as they would.
    fn keep(&self, catalog: &Catalog) {
        lock(&self.models).retain(|name, traffic| {
            let model = catalog.model(name).filter(|model| !model.keeps_order());
            let Some(model) = model else {
                return false;
            };
            let routes = model.routes.iter().map(|route| RouteIdentity::of(route));
            let routes: HashSet<RouteIdentity> = routes.collect();
            traffic.tracks.retain(|route, _| routes.contains(route));
            true
        });
    }

    /// A new turn of the model, and the records of these routes.
    fn look_up(&self, model: &str, routes: &[RouteIdentity]) -> (u64, Vec<Arc<Mutex<Track>>>) {
        let mut models = lock(&self.models);
        if !models.contains_key(model) {
            models.insert(model.to_owned(), ModelTraffic::default());
        }
        let Some(traffic) = models.get_mut(model) else {
            return (0, Vec::new());
        };
        let turn = traffic.turn;
        traffic.turn = turn.wrapping_add(1);
        let tracks = routes
            .iter()
            .map(|route| Arc::clone(traffic.tracks.entry(*route).or_default()))
            .collect();
        (turn, tracks)
    }
}

impl Ledger {
    /// Puts the routes of each model of a plan into the order in which this request is to try them: by the model's
    /// strategy, but where the session belongs first.
    pub fn select(
        self: &Arc<Self>,
        plan: &mut Plan,
        session: Option<&Session>,
        streaming: bool,
    ) -> Selection {
        let mut selection = Selection::default();
        let is_plain = |planned: &PlannedRoute| planned.logical_model.keeps_order();
        if plan.routes.iter().all(is_plain) {
            return selection;
        }
        selection.streaming = streaming;
        let planned = std::mem::take(&mut plan.routes);
        for routes in planned.chunk_by(is_same_model) {
            if routes.iter().all(is_plain) {
                plan.routes.extend_from_slice(routes);
                continue;
            }
            for (planned, tracked) in self.ordered(routes, session, streaming) {
                plan.routes.push(planned);
                selection.tracked.push(tracked);
            }
        }
        selection
    }

    /// What vanished routes had to show is forgotten.
    pub(in crate::actors) fn keep_routes_of(&self, catalog: &Catalog) {
        self.traffic.keep(catalog);
    }

    /// The routes of one model, each with its record.
    fn ordered(
        self: &Arc<Self>,
        routes: &[PlannedRoute],
        session: Option<&Session>,
        streaming: bool,
    ) -> Vec<(PlannedRoute, Tracked)> {
        let Some(model) = routes.first().map(|planned| &*planned.logical_model) else {
            return Vec::new();
        };
        let now = Instant::now();
        let identities: Vec<RouteIdentity> = routes
            .iter()
            .map(|planned| RouteIdentity::of(&planned.route))
            .collect();
        let (turn, tracks) = self.traffic.look_up(&model.name, &identities);
        let candidates: Vec<Candidate> = routes
            .iter()
            .zip(&tracks)
            .map(|(planned, track)| lock(track).candidate(now, streaming, planned.route.weight))
            .collect();
        let mut order = order(model.strategy, &candidates, turn, &mut fastrand::f64);
        let session = session.filter(|_| model.session_affinity);
        let session = session.map(|session| session.with(&model.name));
        let pin = session.and_then(|session| lock(&self.traffic.pins).get(now, &session));
        if let Some(pin) = pin {
            // Stable: the others stay as the strategy wants them.
            order.sort_by_key(|position| identities.get(*position) != Some(&pin.route));
        }
        let tracked = order.into_iter().filter_map(|position| {
            let planned = routes.get(position)?.clone();
            let identity = *identities.get(position)?;
            let tracked = Tracked {
                route: Arc::clone(&planned.route),
                track: Arc::clone(tracks.get(position)?),
                identity,
                session: session.map(|session| (Arc::clone(self), session)),
                key: pin.filter(|pin| pin.route == identity).map(|pin| pin.key),
            };
            Some((planned, tracked))
        });
        tracked.collect()
    }
}

fn is_same_model(one: &PlannedRoute, other: &PlannedRoute) -> bool {
    Arc::ptr_eq(&one.logical_model, &other.logical_model)
}

/// How the routes of one request came into their order: it knows what to note of the calls on them. The default is that
/// of a request whose models all keep the order of their files: nothing is noted.
#[derive(Debug, Default)]
pub struct Selection {
    tracked: Vec<Tracked>,
    streaming: bool,
}

struct Tracked {
    route: Arc<Route>,
    track: Arc<Mutex<Track>>,
    identity: RouteIdentity,
    /// Of models with affinity.
    session: Option<(Arc<Ledger>, Session)>,
    /// The one that answered the session last, if it was on this route.
    key: Option<Digest>,
}

impl fmt::Debug for Tracked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tracked({})", self.route.id)
    }
}

impl Selection {
    /// The key of this route that answered the session last.
    pub fn pinned_key(&self, route: &Arc<Route>) -> Option<Digest> {
        self.find(route)?.key
    }

    /// A call on this route begins, with this key.
    pub fn begin(&self, route: &Arc<Route>, key: &Digest) -> RouteCall {
        let Some(tracked) = self.find(route) else {
            return RouteCall::default();
        };
        let id = lock(&tracked.track).begin(Instant::now(), self.streaming);
        let pin = Pin {
            route: tracked.identity,
            key: *key,
        };
        let session = tracked.session.as_ref();
        let pinning = session.map(|(ledger, session)| (Arc::clone(ledger), *session, pin));
        RouteCall {
            counted: Some((Arc::clone(&tracked.track), id)),
            pinning: Cell::new(pinning),
        }
    }

    fn find(&self, route: &Arc<Route>) -> Option<&Tracked> {
        let mut tracked = self.tracked.iter();
        tracked.find(|tracked| Arc::ptr_eq(&tracked.route, route))
    }
}

/// A call under way on a route. Dropping it ends it; one that was told neither of an answer nor of a failure was given
/// up by the client.
#[derive(Default)]
pub struct RouteCall {
    counted: Option<(Arc<Mutex<Track>>, CallId)>,
    /// Taken by the first answer.
    pinning: Cell<Option<(Arc<Ledger>, Session, Pin)>>,
}

impl RouteCall {
    /// The first content of a stream, or a whole answer, arrived at this moment. Later ones say nothing new.
    pub fn answered(&self, at: Instant) {
        if let Some((track, id)) = &self.counted {
            lock(track).answered(id, at);
        }
        if let Some((ledger, session, pin)) = self.pinning.take() {
            lock(&ledger.traffic.pins).set(at, session, pin);
        }
    }

    /// The call failed, before or after its first content.
    pub fn judged(&self, judgement: &Judgement) {
        let Some((track, id)) = &self.counted else {
            return;
        };
        if judgement.blames_route() {
            lock(track).failed(id, Instant::now());
        } else {
            lock(track).told_nothing(id);
        }
    }
}

impl Drop for RouteCall {
    fn drop(&mut self) {
        if let Some((track, id)) = self.counted.take() {
            lock(&track).end(&id, Instant::now());
        }
    }
}

impl fmt::Debug for RouteCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RouteCall").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
