//! Which version of which file counts: a file over the compiled-in provider of its name, the latest version over the last
//! good one, a model file over a legacy entry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{KEPT, Shelf, Version};
use crate::config::catalog::{Finding, Origin};
use crate::config::files::FileKind;
use crate::config::model::ModelFile;
use crate::config::nearest::hint;
use crate::config::provider::ProviderFile;
use crate::config::resolve::{ModelSource, ProviderSource};

/// What there is to say about the files.
pub(super) struct Findings {
    pub(super) faults: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

/// The providers by name, and the files of those that have no usable version.
pub(super) struct Providers<'library> {
    pub(super) usable: BTreeMap<&'library str, ProviderSource<'library>>,
    broken: BTreeMap<&'library str, &'library Path>,
}

/// The providers. A file that was never right takes its compiled-in namesake down with it: whoever writes
/// `openai.json` may not want their prompts sent to where the compiled-in file sends them.
pub(super) fn providers<'library>(
    built_in: &'library BTreeMap<String, Arc<ProviderFile>>,
    shelves: &'library BTreeMap<PathBuf, Shelf>,
) -> Providers<'library> {
    let mut usable: BTreeMap<_, _> = built_in
        .iter()
        .map(|(name, file)| {
            let origin = Origin::BuiltIn;
            (name.as_str(), ProviderSource { origin, file })
        })
        .collect();
    let mut broken = BTreeMap::new();
    for (path, shelf) in shelves {
        let FileKind::Provider(name) = &shelf.kind else {
            continue;
        };
        if let Some(file) = shelf.provider() {
            let origin = Origin::File(path.clone());
            usable.insert(name, ProviderSource { origin, file });
        } else {
            usable.remove(name.as_str());
            broken.insert(name.as_str(), path.as_path());
        }
    }
    Providers { usable, broken }
}

impl Providers<'_> {
    /// Why a model cannot be used: each of its routes whose provider is not there.
    fn missing(&self, source: &Path, model: &ModelFile) -> Vec<Finding> {
        let wanted = model.routes.iter().map(|route| &route.provider);
        wanted
            .filter(|provider| !self.usable.contains_key(provider.value.as_str()))
            .map(|provider| Finding {
                source: source.to_owned(),
                position: Some(provider.position),
                message: self.words(&provider.value),
            })
            .collect()
    }

    fn words(&self, name: &str) -> String {
        if let Some(path) = self.broken.get(name) {
            return format!(
                "provider `{name}` cannot be used until {} is right",
                path.display()
            );
        }
        let hint = hint(name, self.usable.keys().copied());
        format!(
            "there is no provider `{name}`: correct the name or add providers/{name}.json{hint}"
        )
    }

    fn resolves(&self, model: &ModelFile) -> bool {
        model
            .routes
            .iter()
            .all(|route| self.usable.contains_key(route.provider.value.as_str()))
    }
}

/// Of each file, whether it is a model file whose latest version can be used whole.
pub(super) fn acceptable(
    shelves: &BTreeMap<PathBuf, Shelf>,
    providers: &Providers<'_>,
) -> Vec<bool> {
    let is_acceptable = |shelf: &Shelf| {
        let resolve = |version: &Version| {
            let mut models = version.models().iter();
            models.all(|model| providers.resolves(model))
        };
        !matches!(shelf.kind, FileKind::Provider(_)) && shelf.latest.as_ref().is_ok_and(resolve)
    };
    shelves.values().map(is_acceptable).collect()
}

/// The models by name, and what is to say about every file.
pub(super) fn models<'library>(
    shelves: &'library BTreeMap<PathBuf, Shelf>,
    providers: &Providers<'_>,
    findings: &mut Findings,
) -> BTreeMap<&'library str, ModelSource<'library>> {
    let mut offers = Vec::new();
    for (path, shelf) in shelves {
        let (faults, kept) = offer(path, shelf, providers, &mut offers);
        findings.faults.extend(faults.into_iter().map(|mut fault| {
            if kept {
                fault.message.push_str(KEPT);
            }
            fault
        }));
        if let Ok(version) = &shelf.latest {
            findings.warnings.extend_from_slice(&version.warnings);
        }
    }
    choose(offers, findings)
}

/// Which of two models with one name counts: the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A file whose path spells the name.
    Exact,
    /// A file that spells it otherwise.
    Other,
    /// An entry of `models.json`.
    Legacy,
}

struct Offer<'library> {
    rank: Rank,
    source: ModelSource<'library>,
}

/// Adds what one file offers: its latest version as far as that resolves, else the last good one. Returns what is wrong
/// with the latest, and whether the last good one stands in.
fn offer<'library>(
    path: &'library Path,
    shelf: &'library Shelf,
    providers: &Providers<'_>,
    offers: &mut Vec<Offer<'library>>,
) -> (Vec<Finding>, bool) {
    let mut add = |version: &Version, file: &'library ModelFile| {
        let rank = match &shelf.kind {
            FileKind::Model(stem) if *stem == file.name => Rank::Exact,
            FileKind::LegacyModels => Rank::Legacy,
            _ => Rank::Other,
        };
        let created = version.changed;
        let source = ModelSource {
            file,
            path,
            created,
        };
        offers.push(Offer { rank, source });
    };
    let good = || {
        let models = shelf
            .good
            .iter()
            .flat_map(|good| good.models().iter().map(move |model| (good, model)));
        models.filter(|(_, model)| providers.resolves(model))
    };
    let mut kept = shelf.provider().is_some();
    match &shelf.latest {
        Err(faults) => {
            for (version, model) in good() {
                add(version, model);
                kept = true;
            }
            (faults.clone(), kept)
        }
        Ok(latest) => {
            let mut faults = Vec::new();
            for model in latest.models() {
                if providers.resolves(model) {
                    add(latest, model);
                    continue;
                }
                faults.extend(providers.missing(path, model));
                if let Some((version, model)) = good().find(|(_, good)| good.name == model.name) {
                    add(version, model);
                    kept = true;
                }
            }
            (faults, kept)
        }
    }
}

/// One model for each name.
fn choose<'library>(
    mut offers: Vec<Offer<'library>>,
    findings: &mut Findings,
) -> BTreeMap<&'library str, ModelSource<'library>> {
    // Stable: within a rank they stay in the order of paths.
    offers.sort_by_key(|offer| offer.rank);
    let mut models: BTreeMap<&str, ModelSource<'_>> = BTreeMap::new();
    for Offer { rank, source } in offers {
        let name = source.file.name.as_str();
        let Some(chosen) = models.get(name) else {
            models.insert(name, source);
            continue;
        };
        let mut finding = Finding {
            source: source.path.to_owned(),
            position: Some(source.file.position),
            message: format!(
                "model `{name}` is also in {}, which counts",
                chosen.path.display()
            ),
        };
        if rank == Rank::Legacy {
            finding.message.push_str(": remove this entry");
            findings.warnings.push(finding);
        } else {
            finding.message.push_str(": rename one of them");
            findings.faults.push(finding);
        }
    }
    models
}
