//! `strategy` of a model and `weight` of its routes. What they do to a request is routing's to say.

use super::RouteFile;
use crate::config::catalog::Strategy;
use crate::config::document::{Located, Members};
use crate::config::nearest::hint;
use crate::config::report::Report;

/// More tells nothing that less could not.
const GREATEST_WEIGHT: f64 = 1e6;

/// The model's `strategy`; warns of weights that have no effect.
pub(super) fn strategy(
    members: &mut Members<'_>,
    routes: &[RouteFile],
    report: &mut Report,
) -> Strategy {
    let Some(node) = members.take("strategy") else {
        warn_of_weights(Strategy::default(), routes, report);
        return Strategy::default();
    };
    let Some(name) = node.string(report) else {
        return Strategy::default();
    };
    let known = Strategy::ALL;
    let Some(strategy) = known.into_iter().find(|known| known.name() == name) else {
        let names = known.map(Strategy::name);
        let hint = hint(&name, names);
        let message = format!("must be one of `{}`{hint}", names.join("`, `"));
        node.fault(&message, report);
        return Strategy::default();
    };
    warn_of_weights(strategy, routes, report);
    let is_idle = |route: &RouteFile| {
        route
            .weight
            .as_ref()
            .is_some_and(|weight| weight.value == 0.0)
    };
    if strategy == Strategy::Weighted && !routes.is_empty() && routes.iter().all(is_idle) {
        node.warning(
            "chooses nothing, since every route has the weight 0: they are tried as listed",
            report,
        );
    }
    strategy
}

fn warn_of_weights(strategy: Strategy, routes: &[RouteFile], report: &mut Report) {
    if strategy == Strategy::Weighted {
        return;
    }
    let weights = routes.iter().enumerate();
    for (index, weight) in
        weights.filter_map(|(index, route)| Some((index, route.weight.as_ref()?)))
    {
        let message = format!(
            "model_routings[{index}].weight is ignored: only `\"strategy\": \"weighted\"` looks at it, and this model's is `{}`",
            strategy.name()
        );
        report.warning(weight.position, message);
    }
}

/// A route's `weight`.
pub(super) fn weight(members: &mut Members<'_>, report: &mut Report) -> Option<Located<f64>> {
    let node = members.take("weight")?;
    Some(node.located(node.number(GREATEST_WEIGHT, report)?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::model::ModelFile;

    fn read(members: &str, first: &str, second: &str) -> (Option<ModelFile>, Report) {
        let text = format!(
            r#"{{"logical_name": "m", {members}
"model_routings": [{{"provider": "p", "model": "m"{first}}},
{{"provider": "q", "model": "m"{second}}}]}}"#
        );
        ModelFile::parse("m", Path::new("m.json"), &text)
    }

    fn told(findings: &[crate::config::catalog::Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_model_is_ordered_and_without_affinity_unless_it_says_otherwise() {
        let (file, report) = read("", "", "");
        let file = file.unwrap();
        assert_eq!(file.strategy, Strategy::Ordered);
        assert!(!file.session_affinity);
        assert!(file.routes[0].weight.is_none());
        assert_eq!(told(&report.warnings), [""; 0]);
    }

    #[test]
    fn every_strategy_is_known_by_its_name() {
        for strategy in Strategy::ALL {
            let members = format!(
                r#""strategy": "{}", "session_affinity": true,"#,
                strategy.name()
            );
            let (file, report) = read(&members, "", "");
            let file = file.unwrap();
            assert_eq!(file.strategy, strategy);
            assert!(file.session_affinity);
            assert_eq!(told(&report.warnings), [""; 0]);
        }
    }

    #[test]
    fn weights_may_be_fractions_and_zero() {
        let (file, report) = read(
            r#""strategy": "weighted","#,
            r#", "weight": 0.5"#,
            r#", "weight": 0"#,
        );
        let weights = file.unwrap().routes;
        let weights = weights
            .iter()
            .map(|route| route.weight.as_ref().unwrap().value);
        assert_eq!(weights.collect::<Vec<_>>(), [0.5, 0.0]);
        assert_eq!(told(&report.warnings), [""; 0]);
    }

    #[test]
    fn an_unknown_strategy_and_weights_that_are_none_are_faults_at_their_place() {
        let (file, report) = read(
            r#""strategy": "round-robin", "session_affinity": "yes","#,
            r#", "weight": -1"#,
            r#", "weight": "2""#,
        );
        assert!(file.is_none());
        assert_eq!(
            told(&report.faults),
            [
                "m.json:2:62: model_routings[0].weight must be a number from 0 to 1000000",
                "m.json:3:43: model_routings[1].weight must be a number from 0 to 1000000",
                "m.json:1:35: strategy must be one of `ordered`, `round_robin`, `weighted`, `least_busy`, `fastest`; did you mean `round_robin`?",
                "m.json:1:70: session_affinity must be true or false, not a string",
            ]
        );
    }

    #[test]
    fn a_weight_that_nobody_looks_at_is_warned_of() {
        let (_, report) = read("", r#", "weight": 2"#, "");
        assert_eq!(
            told(&report.warnings),
            [
                r#"m.json:2:62: model_routings[0].weight is ignored: only `"strategy": "weighted"` looks at it, and this model's is `ordered`"#
            ]
        );
    }

    #[test]
    fn weights_that_are_all_zero_are_warned_of() {
        let zero = r#", "weight": 0"#;
        let (_, report) = read(r#""strategy": "weighted","#, zero, zero);
        assert_eq!(report.warnings.len(), 1);
        assert!(report.warnings[0].message.contains("chooses nothing"));
    }
}
