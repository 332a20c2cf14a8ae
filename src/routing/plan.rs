//! Model name and catalog to an ordered list of routes: own routes first, then the fallback models depth-first.
//! It knows neither keys in use nor cooldowns: those change between planning and calling.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::config::catalog::{Catalog, Model, Route};
use crate::error::{ErrorKind, GatewayError};

/// The routes that a request may take, in order, and those it may not, with the reason.
#[derive(Debug)]
pub struct Plan {
    /// The model that the client named.
    pub model: Arc<Model>,
    /// What to try, in order.
    pub routes: Vec<PlannedRoute>,
    /// What was left out, in the order in which it would have been tried.
    pub skipped: Vec<SkippedRoute>,
}

/// A route to try.
#[derive(Debug, Clone)]
pub struct PlannedRoute {
    /// The logical model it belongs to: the requested one or one of its fallbacks.
    pub logical_model: Arc<Model>,
    /// The route.
    pub route: Arc<Route>,
}

/// A route that cannot be tried.
#[derive(Debug, Clone)]
pub struct SkippedRoute {
    /// The logical model it belongs to: the requested one or one of its fallbacks.
    pub logical_model: Arc<Model>,
    /// The route.
    pub route: Arc<Route>,
    /// Why it is left out.
    pub reason: SkipReason,
}

/// Why a route cannot be tried, whatever its keys do; `Display` says it to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// The provider file says `"enabled": false`.
    ProviderDisabled,
    /// No environment variable holds a key for this route.
    NoKeys,
    /// The provider cannot be called; the text says why (an unset `${VAR}`).
    ProviderUnusable(String),
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProviderDisabled => formatter.write_str("the provider is disabled"),
            Self::NoKeys => formatter.write_str("no key is set for it"),
            Self::ProviderUnusable(reason) => formatter.write_str(reason),
        }
    }
}

/// Plans a request; `None` if the catalog has no such model.
///
/// Fallback models follow depth-first and in pre-order; a model reached twice is expanded where it is reached
/// first, so that cycles end and dense graphs stay small. Names of unknown fallback models are passed over.
pub fn plan(catalog: &Catalog, model: &str) -> Option<Plan> {
    let model = catalog.models.get(model)?;
    let mut plan = Plan {
        model: Arc::clone(model),
        routes: Vec::new(),
        skipped: Vec::new(),
    };
    if model.fallbacks.is_empty() {
        for route in &model.routes {
            plan.add(model, route);
        }
        return Some(plan);
    }
    let mut expanded = HashSet::new();
    let mut waiting = vec![model];
    while let Some(next) = waiting.pop() {
        if !expanded.insert(next.name.as_str()) {
            continue;
        }
        for route in &next.routes {
            plan.add(next, route);
        }
        waiting.extend(
            next.fallbacks
                .iter()
                .rev()
                .filter_map(|name| catalog.models.get(name)),
        );
    }
    Some(plan)
}

impl Plan {
    fn add(&mut self, logical_model: &Arc<Model>, route: &Arc<Route>) {
        let logical_model = Arc::clone(logical_model);
        let route = Arc::clone(route);
        match skip_reason(&route) {
            None => self.routes.push(PlannedRoute {
                logical_model,
                route,
            }),
            Some(reason) => self.skipped.push(SkippedRoute {
                logical_model,
                route,
                reason,
            }),
        }
    }

    /// Whether it matters which session the request belongs to.
    pub fn has_affinity(&self) -> bool {
        let mut models = self.routes.iter().map(|planned| &planned.logical_model);
        models.any(|model| model.session_affinity)
    }

    /// What to tell the client when there is no route to try. It names the model and never a provider.
    pub fn why_empty(&self) -> GatewayError {
        let name = &self.model.name;
        let message = format!(
            "The model `{name}` has no usable route. On the gateway, `model-proxy explain {name}` tells why."
        );
        GatewayError::new(ErrorKind::NoUsableRoute, message)
    }
}

fn skip_reason(route: &Route) -> Option<SkipReason> {
    let provider = &route.provider;
    if !provider.enabled {
        return Some(SkipReason::ProviderDisabled);
    }
    if let Some(reason) = &provider.unusable {
        return Some(SkipReason::ProviderUnusable(reason.clone()));
    }
    route.keys.is_empty().then_some(SkipReason::NoKeys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;
    use crate::routing::samples;

    fn catalog(models: &[(&str, &[&str])]) -> Catalog {
        let provider = Arc::new(samples::provider("acme", 1));
        let mut catalog = Catalog::default();
        for (name, fallbacks) in models {
            let mut model = samples::model(name, vec![samples::route(&provider, name)]);
            model.fallbacks = fallbacks.iter().map(|name| (*name).to_owned()).collect();
            catalog.models.insert((*name).to_owned(), Arc::new(model));
        }
        catalog
    }

    fn order(plan: &Plan) -> Vec<&str> {
        plan.routes
            .iter()
            .map(|planned| planned.logical_model.name.as_str())
            .collect()
    }

    fn route_of(provider: &str, keys: usize) -> Route {
        samples::route(&Arc::new(samples::provider(provider, keys)), "x")
    }

    fn single(route: Route) -> Plan {
        let mut catalog = Catalog::default();
        let model = samples::model("m", vec![route]);
        catalog.models.insert("m".to_owned(), Arc::new(model));
        plan(&catalog, "m").unwrap()
    }

    #[test]
    fn an_unknown_model_has_no_plan() {
        assert!(plan(&catalog(&[]), "m").is_none());
    }

    #[test]
    fn fallbacks_follow_depth_first_and_each_model_once() {
        let catalog = catalog(&[
            ("a", &["b", "c"]),
            ("b", &["d"]),
            ("c", &["d"]),
            ("d", &["a"]),
        ]);
        let plan = plan(&catalog, "a").unwrap();
        assert_eq!(order(&plan), ["a", "b", "d", "c"]);
        assert_eq!(plan.model.name, "a");
    }

    #[test]
    fn a_model_that_falls_back_to_itself_is_tried_once() {
        let catalog = catalog(&[("a", &["a", "a"])]);
        assert_eq!(order(&plan(&catalog, "a").unwrap()), ["a"]);
    }

    #[test]
    fn unknown_fallbacks_are_passed_over() {
        let catalog = catalog(&[("a", &["ghost", "b"]), ("b", &[])]);
        assert_eq!(order(&plan(&catalog, "a").unwrap()), ["a", "b"]);
    }

    #[test]
    fn a_dense_graph_stays_small_and_a_long_chain_needs_no_stack() {
        let mut catalog = Catalog::default();
        let provider = Arc::new(samples::provider("acme", 1));
        let names: Vec<String> = (0..5_000).map(|number| format!("m{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            let mut model = samples::model(name, vec![samples::route(&provider, name)]);
            let near = number.saturating_sub(3)..(number + 4).min(names.len());
            model.fallbacks = names[near].to_vec();
            catalog.models.insert(name.clone(), Arc::new(model));
        }
        let plan = plan(&catalog, "m0").unwrap();
        assert_eq!(plan.routes.len(), names.len());
    }

    #[test]
    fn routes_that_cannot_be_called_are_skipped_with_the_reason() {
        let mut disabled = samples::provider("disabled", 1);
        disabled.enabled = false;
        let mut unset = samples::provider("unset", 1);
        unset.unusable = Some("`${REGION}` is not set".to_owned());
        let routes = vec![
            samples::route(&Arc::new(disabled), "x"),
            route_of("empty", 0),
            samples::route(&Arc::new(unset), "x"),
            route_of("good", 1),
        ];
        let mut catalog = Catalog::default();
        let model = samples::model("m", routes);
        catalog.models.insert("m".to_owned(), Arc::new(model));
        let plan = plan(&catalog, "m").unwrap();
        let reasons: Vec<_> = plan.skipped.iter().map(|skipped| &skipped.reason).collect();
        assert_eq!(
            reasons,
            [
                &SkipReason::ProviderDisabled,
                &SkipReason::NoKeys,
                &SkipReason::ProviderUnusable("`${REGION}` is not set".to_owned()),
            ]
        );
        assert_eq!(plan.routes.len(), 1);
        assert_eq!(reasons[2].to_string(), "`${REGION}` is not set");
    }

    #[test]
    fn routes_of_every_protocol_are_planned() {
        let mut route = route_of("acme", 1);
        route.protocol = Protocol::Anthropic;
        assert_eq!(single(route).routes.len(), 1);
    }

    #[test]
    fn a_model_without_a_usable_route_is_named_and_its_provider_is_not() {
        let plan = single(route_of("acme", 0));
        let error = plan.why_empty();
        assert_eq!(error.kind, ErrorKind::NoUsableRoute);
        assert!(error.message.contains("`m`") && !error.message.contains("acme"));
        let bare = Plan {
            skipped: Vec::new(),
            ..plan
        };
        assert_eq!(bare.why_empty().kind, ErrorKind::NoUsableRoute);
    }
}
