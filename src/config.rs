//! Configuration: files and environment as typed, and the [`Catalog`](catalog::Catalog) as meant.
//! Low to high: `document` (JSON with positions) → `provider`, `model` (files as typed) → `library` (last good versions)
//! → `resolve` (the catalog). Only `files` and `environment` touch the disk.

pub mod built_in;
pub mod catalog;
pub mod environment;
pub mod files;
pub mod library;
pub mod settings;

mod address;
mod client;
mod deadlines;
mod document;
mod expand;
mod keys;
mod locate;
mod model;
mod nearest;
mod provider;
mod reasoning;
mod report;
mod resolve;
mod seconds;

use std::path::Path;

use catalog::{Catalog, Finding};
use environment::Environment;
use library::Library;
pub use model::legacy::LegacyModel;
use settings::Settings;

/// Reads everything once: the compiled-in providers, the files of the configuration directory, keys and clients.
pub fn load(settings: &Settings, environment: &Environment) -> Catalog {
    Library::load(settings, environment).1
}

/// The entries of a legacy `models.json`, for those who split it; none if the file is a cache of discovered models.
pub fn legacy_models(source: &Path, text: &str) -> Result<Vec<LegacyModel>, Vec<Finding>> {
    let (entries, report) = model::legacy::parse(source, text);
    entries.ok_or(report.faults)
}
