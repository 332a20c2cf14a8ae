//! The order of routes from request to request: turns, calls under way, failures, sessions, and catalogs that change.

use std::time::Duration;

use super::*;
use crate::config::catalog::{Model, Strategy};
use crate::routing::outcome::{self, Failure};
use crate::routing::plan::plan;
use crate::routing::samples;

/// A model with these routes, by id.
fn model(name: &str, strategy: Strategy, routes: &[&str]) -> Model {
    let provider = Arc::new(samples::provider("acme", 2));
    let routes = routes.iter().map(|id| {
        let mut route = samples::route(&provider, name);
        (*id).clone_into(&mut route.id);
        route
    });
    Model {
        strategy,
        ..samples::model(name, routes.collect())
    }
}

fn catalog(models: Vec<Model>) -> Catalog {
    let models = models.into_iter();
    Catalog {
        models: models
            .map(|model| (model.name.clone(), Arc::new(model)))
            .collect(),
        ..Catalog::default()
    }
}

struct Request {
    plan: Plan,
    selection: Selection,
}

impl Request {
    fn of(ledger: &Arc<Ledger>, catalog: &Catalog, session: Option<&Session>) -> Self {
        let mut plan = plan(catalog, "m").unwrap();
        let selection = ledger.select(&mut plan, session, true);
        Self { plan, selection }
    }

    fn order(&self) -> Vec<&str> {
        let routes = self.plan.routes.iter();
        routes.map(|planned| planned.route.id.as_str()).collect()
    }

    /// A call on the route at this place of the order, with this key.
    fn call(&self, place: usize, key: usize) -> RouteCall {
        let route = &self.plan.routes[place].route;
        self.selection.begin(route, &samples::key(key).digest)
    }

    fn pinned_key(&self, place: usize) -> Option<Digest> {
        self.selection.pinned_key(&self.plan.routes[place].route)
    }
}

fn order(ledger: &Arc<Ledger>, catalog: &Catalog) -> Vec<String> {
    let request = Request::of(ledger, catalog, None);
    request.order().into_iter().map(str::to_owned).collect()
}

fn tracks(ledger: &Ledger, model: &str) -> Option<usize> {
    let models = lock(&ledger.traffic.models);
    models.get(model).map(|traffic| traffic.tracks.len())
}

fn unavailable(route: &Route) -> Judgement {
    let failure = Failure {
        status: Some(503),
        ..Failure::default()
    };
    outcome::judge(&failure, route, Duration::from_secs(60))
}

#[test]
fn models_that_keep_their_order_leave_nothing_behind() {
    let ledger = Arc::new(Ledger::new());
    let catalog = catalog(vec![model("m", Strategy::Ordered, &["a", "b"])]);
    let request = Request::of(&ledger, &catalog, Some(&Session::new(&[1; 32], "s")));
    assert_eq!(request.order(), ["a", "b"]);
    request.call(0, 1).answered(Instant::now());
    assert_eq!(tracks(&ledger, "m"), None);
    assert_eq!(request.pinned_key(0), None);
}

#[test]
fn turns_go_on_from_request_to_request_and_fallbacks_stay_behind_in_their_own_order() {
    let ledger = Arc::new(Ledger::new());
    let mut first = model("m", Strategy::RoundRobin, &["a", "b"]);
    first.fallbacks = vec!["plain".to_owned(), "n".to_owned()];
    let plain = model("plain", Strategy::Ordered, &["p", "q"]);
    let catalog = catalog(vec![
        first,
        plain,
        model("n", Strategy::RoundRobin, &["x", "y", "z"]),
    ]);
    assert_eq!(
        order(&ledger, &catalog),
        ["a", "b", "p", "q", "x", "y", "z"]
    );
    assert_eq!(
        order(&ledger, &catalog),
        ["b", "a", "p", "q", "y", "z", "x"]
    );
}

#[test]
fn a_call_counts_until_it_is_dropped() {
    let ledger = Arc::new(Ledger::new());
    let catalog = catalog(vec![model("m", Strategy::LeastBusy, &["a", "b"])]);
    let request = Request::of(&ledger, &catalog, None);
    assert_eq!(request.order(), ["a", "b"]);
    let call = request.call(0, 1);
    for _ in 0..3 {
        assert_eq!(order(&ledger, &catalog), ["b", "a"]);
    }
    drop(call);
    assert_eq!(order(&ledger, &catalog), ["a", "b"]);
}

#[test]
fn a_route_that_failed_is_not_the_fastest() {
    let ledger = Arc::new(Ledger::new());
    let catalog = catalog(vec![model("m", Strategy::Fastest, &["a", "b"])]);
    let mut request = Request::of(&ledger, &catalog, None);
    // Chance may have put the other one first.
    let routes = &mut request.plan.routes;
    routes.sort_by_key(|planned| planned.route.id.clone());
    let call = request.call(0, 1);
    call.judged(&unavailable(&request.plan.routes[0].route));
    drop(call);
    let began = Instant::now();
    let call = request.call(1, 1);
    call.answered(began + Duration::from_secs(3));
    drop(call);
    let requests = 0..200;
    let fastest = requests
        .filter(|_| order(&ledger, &catalog)[0] == "b")
        .count();
    assert!((160..=200).contains(&fastest), "{fastest}");
}

#[test]
fn a_session_stays_with_the_route_and_key_that_answered_it_last() {
    let ledger = Arc::new(Ledger::new());
    let mut sticky = model("m", Strategy::RoundRobin, &["a", "b"]);
    sticky.session_affinity = true;
    let catalog = catalog(vec![sticky]);
    let session = Session::new(&[1; 32], "s");
    let request = Request::of(&ledger, &catalog, Some(&session));
    assert_eq!(request.order(), ["a", "b"]);
    assert_eq!(request.pinned_key(0), None);
    request.call(0, 2).answered(Instant::now());
    for _ in 0..3 {
        let request = Request::of(&ledger, &catalog, Some(&session));
        assert_eq!(request.order(), ["a", "b"]);
        assert_eq!(request.pinned_key(0), Some(samples::key(2).digest));
        assert_eq!(request.pinned_key(1), None);
    }
    // It failed there and was answered elsewhere.
    let request = Request::of(&ledger, &catalog, Some(&session));
    let failed = request.call(0, 2);
    failed.judged(&unavailable(&request.plan.routes[0].route));
    request.call(1, 1).answered(Instant::now());
    for _ in 0..3 {
        let request = Request::of(&ledger, &catalog, Some(&session));
        assert_eq!(request.order(), ["b", "a"]);
        assert_eq!(request.pinned_key(0), Some(samples::key(1).digest));
    }
    let others = Session::new(&[2; 32], "s");
    let others: Vec<String> = (0..2)
        .map(|_| Request::of(&ledger, &catalog, Some(&others)).order()[0].to_owned())
        .collect();
    assert_eq!(others.iter().filter(|id| *id == "a").count(), 1);
}

#[test]
fn vanished_routes_and_models_are_forgotten_and_the_others_are_not() {
    let ledger = Arc::new(Ledger::new());
    let both = catalog(vec![model("m", Strategy::LeastBusy, &["a", "b"])]);
    let request = Request::of(&ledger, &both, None);
    let on_a = request.call(0, 1);
    let on_b = request.call(1, 1);
    let still = request.call(0, 1);
    assert_eq!(tracks(&ledger, "m"), Some(2));
    let one = catalog(vec![model("m", Strategy::LeastBusy, &["a", "c"])]);
    ledger.keep_routes_of(&one);
    assert_eq!(tracks(&ledger, "m"), Some(1));
    assert_eq!(order(&ledger, &one), ["c", "a"]);
    drop((on_a, on_b));
    assert_eq!(
        order(&ledger, &one),
        ["c", "a"],
        "one call is still under way"
    );
    drop(still);
    let plain = catalog(vec![model("m", Strategy::Ordered, &["a", "c"])]);
    ledger.keep_routes_of(&plain);
    assert_eq!(tracks(&ledger, "m"), None);
}
