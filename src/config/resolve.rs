//! From chosen files to the catalog: everything that may be said at several levels, or only with the environment known, is
//! decided here, once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog::{Catalog, Finding, Model, Origin, Provider};
use super::client::{self, ADMIN_API_KEY, CLIENT_API_KEY, Clients};
use super::environment::Environment;
use super::keys::KeyChain;
use super::model::ModelFile;
use super::nearest::hint;
use super::provider::ProviderFile;
use super::settings::Settings;
use crate::secret::{Scrubber, Secret};

mod providers;
mod routes;
mod secrets;

use providers::Reach;
use secrets::Secrets;

/// Among more models nobody looks for a misspelled name, and looking would take seconds.
const MOST_NAMES_TO_COMPARE: usize = 500;

/// A provider that counts.
pub(super) struct ProviderSource<'library> {
    /// Where it came from.
    pub(super) origin: Origin,
    /// What it says.
    pub(super) file: &'library Arc<ProviderFile>,
}

/// A model that counts.
pub(super) struct ModelSource<'library> {
    /// What it says.
    pub(super) file: &'library ModelFile,
    /// Where it lies.
    pub(super) path: &'library Path,
    /// Seconds since 1970 of its last change.
    pub(super) created: u64,
}

/// All files that count, by name.
pub(super) struct Sources<'library> {
    pub(super) providers: BTreeMap<&'library str, ProviderSource<'library>>,
    pub(super) models: BTreeMap<&'library str, ModelSource<'library>>,
}

/// What is dear to make and seldom changes, as it was made last. With 100,000 clients it is most of the work.
#[derive(Debug, Default)]
pub(super) struct Kept {
    clients: Option<Arc<Clients>>,
    scrubber: Option<(Secrets, Arc<Scrubber>)>,
}

/// What resolving needs beside the files, and what it finds on its way.
struct Context<'all> {
    settings: &'all Settings,
    environment: &'all Environment,
    /// Variables that `${VAR}` used, with their values.
    used: BTreeMap<String, String>,
    warnings: Vec<Finding>,
    /// Models with routes that cannot be called, by where to repair that and why.
    skipped: BTreeMap<(String, String), Vec<String>>,
}

/// A provider with what its routes need to know of it.
struct Resolved<'library> {
    file: &'library ProviderFile,
    provider: Arc<Provider>,
    reach: Reach,
}

/// The catalog of these files. `findings` are the faults and warnings that have been found before.
pub(super) fn catalog(
    sources: &Sources<'_>,
    settings: &Settings,
    environment: &Environment,
    findings: (Vec<Finding>, Vec<Finding>),
    kept: &mut Kept,
) -> Catalog {
    let (mut faults, warnings) = findings;
    let mut context = Context {
        settings,
        environment,
        used: BTreeMap::new(),
        warnings,
        skipped: BTreeMap::new(),
    };
    let mut chains = chains(sources, environment);
    let resolved: BTreeMap<&str, Resolved<'_>> = sources
        .providers
        .iter()
        .filter_map(|(name, source)| {
            let chain = chains.get_mut(name)?;
            Some((*name, providers::resolve(name, source, chain, &mut context)))
        })
        .collect();
    let models = sources.models.iter().map(|(name, source)| {
        let model = model(name, source, &resolved, &mut chains, &mut context);
        ((*name).to_owned(), Arc::new(model))
    });
    let models = models.collect();
    for chain in chains.values() {
        context.warnings.extend_from_slice(chain.warnings());
    }
    let clients = Clients::read(settings, environment, kept.clients.take());
    let administrator = client::administrator(environment);
    warn_of_shared_key(&clients, administrator.as_ref(), &mut context.warnings);
    warn_of_fallbacks(sources, &mut context.warnings);
    warn_of_unusable(clients.listed.is_empty(), &mut context);
    sort(&mut faults);
    sort(&mut context.warnings);
    let scrubber = Secrets {
        keys: secrets::keys(&resolved),
        clients: Arc::clone(&clients),
        others: secrets::others(administrator.as_ref(), &context.used),
    }
    .scrubber(&mut kept.scrubber);
    kept.clients = Some(Arc::clone(&clients));
    Catalog {
        scrubber,
        administrator: administrator.map(|key| key.digest()),
        providers: resolved
            .into_iter()
            .map(|(name, resolved)| (name.to_owned(), resolved.provider))
            .collect(),
        models,
        clients: Arc::clone(&clients.by_digest),
        faults,
        warnings: context.warnings,
    }
}

/// The keys of every provider: those of its own patterns first, then those that only routes name, so that the rings are
/// complete before the first provider is built.
fn chains<'all>(
    sources: &Sources<'all>,
    environment: &'all Environment,
) -> BTreeMap<&'all str, KeyChain<'all>> {
    let mut chains: BTreeMap<_, _> = sources
        .providers
        .iter()
        .map(|(name, source)| {
            let mut chain = KeyChain::new(name, environment);
            chain.keys(&source.file.key_patterns);
            (*name, chain)
        })
        .collect();
    for route in sources.models.values().flat_map(|model| &model.file.routes) {
        if let Some(names) = &route.api_key_env
            && let Some(chain) = chains.get_mut(route.provider.value.as_str())
        {
            chain.keys(&names.value);
        }
    }
    chains
}

fn model(
    name: &str,
    source: &ModelSource<'_>,
    resolved: &BTreeMap<&str, Resolved<'_>>,
    chains: &mut BTreeMap<&str, KeyChain<'_>>,
    context: &mut Context<'_>,
) -> Model {
    let file = source.file;
    let mut routes = Vec::with_capacity(file.routes.len());
    for (index, route) in file.routes.iter().enumerate() {
        let provider = route.provider.value.as_str();
        // Both are there: a model whose provider is not has not been chosen.
        if let (Some(resolved), Some(chain)) = (resolved.get(provider), chains.get_mut(provider)) {
            let route = routes::resolve(index, source, route, resolved, chain, context);
            routes.push(Arc::new(route));
        }
    }
    let keepalive = file.keepalive.unwrap_or(context.settings.keepalive);
    Model {
        name: name.to_owned(),
        source: source.path.to_owned(),
        routes,
        strategy: file.strategy,
        session_affinity: file.session_affinity,
        fallbacks: file
            .fallbacks
            .iter()
            .map(|name| name.value.clone())
            .collect(),
        strict: file.strict,
        stream_recovery: file.stream_recovery,
        keepalive: Some(keepalive).filter(|keepalive| !keepalive.is_zero()),
        created: source.created,
    }
}

/// A client that has the administrator's key is one.
fn warn_of_shared_key(
    clients: &Clients,
    administrator: Option<&Secret>,
    warnings: &mut Vec<Finding>,
) {
    let digest = administrator.map(Secret::digest);
    if let Some(client) = digest.and_then(|digest| clients.by_digest.get(&digest)) {
        warnings.push(Finding {
            source: PathBuf::from(ADMIN_API_KEY),
            position: None,
            message: format!(
                "is also the key of {}, who can therefore administrate: choose another",
                client.name
            ),
        });
    }
}

fn warn_of_fallbacks(sources: &Sources<'_>, warnings: &mut Vec<Finding>) {
    let names = &sources.models;
    for source in names.values() {
        for fallback in &source.file.fallbacks {
            if names.contains_key(fallback.value.as_str()) {
                continue;
            }
            let compare = names.len() <= MOST_NAMES_TO_COMPARE;
            let compared = names.keys().copied().filter(|_| compare);
            let hint = hint(&fallback.value, compared);
            warnings.push(Finding {
                source: source.path.to_owned(),
                position: Some(fallback.position),
                message: format!(
                    "there is no model `{}` to fall back to; it is skipped{hint}",
                    fallback.value
                ),
            });
        }
    }
}

/// Warns of what makes requests fail although no file is wrong. Providers that no route uses are not mentioned.
fn warn_of_unusable(without_client: bool, context: &mut Context<'_>) {
    if without_client {
        context.warnings.push(Finding {
            source: PathBuf::from(CLIENT_API_KEY),
            position: None,
            message:
                "is not set, so every request is refused with 401: set it to a key of your choice"
                    .to_owned(),
        });
    }
    for ((source, reason), models) in std::mem::take(&mut context.skipped) {
        context.warnings.push(Finding {
            source: PathBuf::from(source),
            position: None,
            message: format!("{reason}, so routes of {} are skipped", list(&models)),
        });
    }
}

fn list(models: &[String]) -> String {
    match models {
        [one] => format!("model `{one}`"),
        [first, second] => format!("models `{first}` and `{second}`"),
        [first, rest @ ..] => format!("model `{first}` and {} others", rest.len()),
        [] => String::new(),
    }
}

fn sort(findings: &mut Vec<Finding>) {
    findings.sort();
    findings.dedup();
}
