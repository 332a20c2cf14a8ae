//! Every configuration file in its latest and in its last good version. What is good is published file by file: a faulty
//! file keeps its own last good version and holds nobody else up.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::built_in;
use super::catalog::{Catalog, Finding};
use super::environment::Environment;
use super::files::{File, FileKind, Files, Stamp, Stamps, stamps};
use super::model::{ModelFile, legacy};
use super::provider::ProviderFile;
use super::resolve::{self, Kept, Sources};
use super::settings::Settings;

mod selection;

/// Said behind every fault of a file that still serves.
const KEPT: &str = "; its last good version stays in use";

/// What a directory's files say, and said when they were last right.
#[derive(Debug)]
pub struct Library {
    built_in: BTreeMap<String, Arc<ProviderFile>>,
    shelves: BTreeMap<PathBuf, Shelf>,
    unreadable: Vec<Finding>,
    seen: Option<Arc<Stamps>>,
    kept: Kept,
}

/// Which files an update found different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that are new.
    pub added: Vec<PathBuf>,
    /// Files with another text.
    pub changed: Vec<PathBuf>,
    /// Files that are gone.
    pub removed: Vec<PathBuf>,
}

impl Changes {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// One file.
#[derive(Debug)]
struct Shelf {
    kind: FileKind,
    /// Tells whether a text is still the same; stamps cannot, within one tick of the file system's clock.
    fingerprint: u64,
    /// The stamp, once it is so old that it can: a file that still has it is not read again.
    settled: Option<Stamp>,
    latest: Result<Version, Vec<Finding>>,
    good: Option<Version>,
}

/// A text that can be used as far as it can be judged by itself.
#[derive(Debug, Clone)]
struct Version {
    content: Content,
    warnings: Vec<Finding>,
    /// Seconds since 1970.
    changed: u64,
}

#[derive(Debug, Clone)]
enum Content {
    Provider(Arc<ProviderFile>),
    Models(Arc<[ModelFile]>),
}

impl Default for Library {
    fn default() -> Self {
        Self::new()
    }
}

impl Library {
    /// The compiled-in providers alone.
    pub fn new() -> Self {
        let built_in = built_in::PROVIDERS.iter().filter_map(|(name, text)| {
            let (file, _) = ProviderFile::parse(name, Path::new(name), text);
            Some(((*name).to_owned(), Arc::new(file?)))
        });
        Self {
            built_in: built_in.collect(),
            shelves: BTreeMap::new(),
            unreadable: Vec::new(),
            seen: None,
            kept: Kept::default(),
        }
    }

    /// A library of the settings' directory as it now is, with its first catalog.
    pub fn load(settings: &Settings, environment: &Environment) -> (Self, Catalog) {
        let mut library = Self::new();
        let catalog = library.reload(settings, environment);
        (library, catalog)
    }

    /// Reads the settings' directory again, as far as it has changed.
    pub fn reload(&mut self, settings: &Settings, environment: &Environment) -> Catalog {
        self.reread(settings, SystemTime::now());
        self.catalog(settings, environment)
    }

    fn reread(&mut self, settings: &Settings, now: SystemTime) {
        if let Some(directory) = &settings.config_dir {
            let stamps = stamps(directory);
            // Both sides are in the order of paths, which are dear to compare.
            let mut shelves = self.shelves.iter().peekable();
            let files = Files::read_again(&stamps, now, |path| {
                while shelves
                    .next_if(|(shelf, _)| shelf.as_path() < path)
                    .is_some()
                {}
                let (_, shelf) = shelves.next_if(|(shelf, _)| *shelf == path)?;
                shelf.settled
            });
            self.update(files);
            self.seen = Some(Arc::new(stamps));
        }
    }

    /// What the directory looked like before the last [`Self::reload`] read it; `None` without a directory. Whatever looks
    /// otherwise now has changed since.
    pub fn seen(&self) -> Option<Arc<Stamps>> {
        self.seen.clone()
    }

    /// Takes a directory as it now is: files that are not in it any more are forgotten, unless nobody could look.
    pub fn update(&mut self, files: Files) -> Changes {
        let mut changes = Changes::default();
        self.unreadable = files.findings().collect();
        let mut read = HashSet::new();
        let mut new = Vec::new();
        for file in files.files.into_iter().filter(|file| !is_copy(file)) {
            let fingerprint = fingerprint(&file);
            match self.shelves.get_mut(&file.path) {
                Some(shelf) if shelf.fingerprint == fingerprint => shelf.settled = file.settled,
                Some(shelf) => {
                    changes.changed.push(file.path.clone());
                    *shelf = Shelf::new(&file, fingerprint, shelf.good.take());
                }
                None => {
                    changes.added.push(file.path.clone());
                    let shelf = Shelf::new(&file, fingerprint, None);
                    new.push((file.path.clone(), shelf));
                }
            }
            read.insert(file.path);
        }
        if !new.is_empty() {
            self.shelves.append(&mut new.into_iter().collect());
        }
        if read.len() + files.unchanged.len() < self.shelves.len() {
            read.extend(files.unchanged);
            self.shelves.retain(|path, _| {
                let is_unknown = |(directory, _): &(PathBuf, String)| path.starts_with(directory);
                let is_there = read.contains(path) || files.unreadable.iter().any(is_unknown);
                if !is_there {
                    changes.removed.push(path.clone());
                }
                is_there
            });
        }
        changes
    }

    /// Everything resolved against settings and environment. What resolves becomes its file's last good version.
    pub fn catalog(&mut self, settings: &Settings, environment: &Environment) -> Catalog {
        for shelf in self.shelves.values_mut() {
            shelf.accept_provider();
        }
        let providers = selection::providers(&self.built_in, &self.shelves);
        let accepted = selection::acceptable(&self.shelves, &providers);
        for (shelf, accepted) in self.shelves.values_mut().zip(accepted) {
            if accepted && let Ok(version) = &shelf.latest {
                shelf.good = Some(version.clone());
            }
        }
        let mut findings = selection::Findings {
            faults: [self.unreadable.as_slice(), environment.findings()].concat(),
            warnings: Vec::new(),
        };
        let providers = selection::providers(&self.built_in, &self.shelves);
        let models = selection::models(&self.shelves, &providers, &mut findings);
        let sources = Sources {
            providers: providers.usable,
            models,
        };
        let findings = (findings.faults, findings.warnings);
        resolve::catalog(&sources, settings, environment, findings, &mut self.kept)
    }
}

impl Shelf {
    fn new(file: &File, fingerprint: u64, good: Option<Version>) -> Self {
        Self {
            kind: file.kind.clone(),
            fingerprint,
            settled: file.settled,
            latest: parse(file),
            good,
        }
    }

    /// A provider file depends on no other: it is good if it is right by itself.
    fn accept_provider(&mut self) {
        if let Ok(version) = &self.latest
            && matches!(version.content, Content::Provider(_))
        {
            self.good = Some(version.clone());
        }
    }

    /// The provider that this file offers, if it is one and was ever right.
    fn provider(&self) -> Option<&Arc<ProviderFile>> {
        match &self.good.as_ref()?.content {
            Content::Provider(file) => Some(file),
            Content::Models(_) => None,
        }
    }
}

impl Version {
    fn models(&self) -> &[ModelFile] {
        match &self.content {
            Content::Provider(_) => &[],
            Content::Models(models) => models,
        }
    }
}

fn parse(file: &File) -> Result<Version, Vec<Finding>> {
    let text = file.text.as_ref().map_err(|reason| {
        vec![Finding {
            source: file.path.clone(),
            position: None,
            message: reason.clone(),
        }]
    })?;
    let (content, report) = match &file.kind {
        FileKind::Provider(name) => {
            let (provider, report) = ProviderFile::parse(name, &file.path, text);
            (
                provider.map(|file| Content::Provider(Arc::new(file))),
                report,
            )
        }
        FileKind::Model(stem) => {
            let (model, report) = ModelFile::parse(stem, &file.path, text);
            (model.map(|file| Content::Models(Arc::new([file]))), report)
        }
        FileKind::LegacyModels => {
            let (entries, report) = legacy::parse(&file.path, text);
            let models = entries.map(|entries| entries.into_iter().map(ModelFile::from).collect());
            (models.map(Content::Models), report)
        }
    };
    let Some(content) = content else {
        return Err(report.faults);
    };
    Ok(Version {
        content,
        warnings: report.warnings,
        changed: file.stamp.map_or(0, |stamp| stamp.seconds()),
    })
}

/// A provider file that says what is compiled in anyway: the repository's own `config/` holds all of them, and a
/// provider that nobody has touched is not worth mentioning.
fn is_copy(file: &File) -> bool {
    let FileKind::Provider(name) = &file.kind else {
        return false;
    };
    built_in::PROVIDERS
        .iter()
        .any(|(built_in, text)| built_in == name && file.text.as_deref() == Ok(*text))
}

fn fingerprint(file: &File) -> u64 {
    let mut hasher = DefaultHasher::new();
    file.text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
