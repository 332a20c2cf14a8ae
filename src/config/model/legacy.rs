//! The legacy `models.json`: a flat map from model name to one provider and its model. A newer file of the same name
//! is a cache of discovered models and no configuration; only the shape tells them apart.

use std::path::Path;

use super::{ModelFile, RouteFile};
use crate::config::catalog::{Strategy, StreamRecovery};
use crate::config::deadlines::Deadlines;
use crate::config::document::{Located, Members, Node};
use crate::config::report::Report;

/// Members that only the discovery cache has.
const CACHE_MEMBERS: [&str; 3] = ["discovered_models", "custom_models", "last_updated"];

/// One entry of the flat map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyModel {
    /// What clients name.
    pub name: String,
    /// Where the name's value stands.
    position: (usize, usize),
    /// The provider's name.
    pub provider: String,
    /// The upstream's name of the model.
    pub provider_model: String,
}

/// The entries of a flat map; none if the file is a discovery cache. `None`: it is neither; the report says why.
pub(crate) fn parse(source: &Path, text: &str) -> (Option<Vec<LegacyModel>>, Report) {
    let mut report = Report::new(source);
    let entries = Node::parse(text, &mut report)
        .and_then(|node| node.members(&mut report))
        .map(|members| entries(members, &mut report));
    if entries.as_ref().is_some_and(|entries| !entries.is_empty()) {
        report.warning(
            None,
            "is the legacy form of model files: run `model-proxy config migrate` to split it into models/<name>.json",
        );
    }
    (entries.filter(|_| report.faults.is_empty()), report)
}

fn entries(members: Members<'_>, report: &mut Report) -> Vec<LegacyModel> {
    if CACHE_MEMBERS.iter().any(|name| members.has(name)) {
        return Vec::new();
    }
    members
        .all()
        .filter_map(|(name, node)| entry(name, &node, report))
        .collect()
}

fn entry(name: String, node: &Node<'_>, report: &mut Report) -> Option<LegacyModel> {
    let position = node.position();
    let mut members = node.members(report)?;
    let provider = members.require("provider", report);
    let model = members.require("provider_model", report);
    Some(LegacyModel {
        position,
        provider: provider?.name(report)?,
        provider_model: model?.name(report)?,
        name,
    })
}

impl From<LegacyModel> for ModelFile {
    fn from(legacy: LegacyModel) -> Self {
        let route = RouteFile {
            id: None,
            provider: Located {
                value: legacy.provider,
                position: legacy.position,
            },
            model: legacy.provider_model,
            protocol: None,
            base_url: None,
            api_key_env: None,
            deadlines: Deadlines::default(),
            cooldown: None,
            reasoning: None,
            weight: None,
        };
        Self {
            name: legacy.name,
            position: legacy.position,
            deadlines: Deadlines::default(),
            cooldown: None,
            routes: vec![route],
            strategy: Strategy::default(),
            session_affinity: false,
            fallbacks: Vec::new(),
            strict: false,
            reasoning: None,
            stream_recovery: StreamRecovery::default(),
            keepalive: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Vec<LegacyModel>>, Report) {
        parse(Path::new("models.json"), text)
    }

    #[test]
    fn a_flat_map_is_models_with_one_route_and_a_warning_that_names_the_way_out() {
        let (entries, report) = read(
            r#"{"cerebras/glm-4.6": {"provider": "cerebras", "provider_model": "zai-glm-4.6"}}"#,
        );
        let model = ModelFile::from(entries.unwrap().remove(0));
        assert_eq!(model.name, "cerebras/glm-4.6");
        assert_eq!(model.routes[0].provider.value, "cerebras");
        assert_eq!(model.routes[0].model, "zai-glm-4.6");
        assert!(
            report.warnings[0]
                .message
                .contains("model-proxy config migrate")
        );
    }

    #[test]
    fn a_discovery_cache_is_no_configuration() {
        let (entries, report) = read(
            r#"{"discovered_models": {"groq": ["a"]}, "custom_models": {}, "last_updated": "2026-01-09"}"#,
        );
        assert_eq!(entries, Some(Vec::new()));
        assert!(report.warnings.is_empty());
    }

    #[test]
    fn what_is_neither_is_a_fault_at_the_entry() {
        let (entries, report) = read("{\n \"a\": {\"provider\": \"x\"},\n \"b\": 1\n}");
        assert_eq!(entries, None);
        let faults: Vec<_> = report.faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "models.json:2:7: a.provider_model is missing",
                "models.json:3:7: b must be an object, not a number",
            ]
        );
    }
}
