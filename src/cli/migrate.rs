//! `model-proxy config migrate`: one model file for each entry of a legacy flat `models.json`, which is kept aside.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::outcome::{Failure, USAGE};
use super::start;
use crate::config::{self, LegacyModel};

/// The old file is kept under this name, which nothing reads.
const KEPT: &str = "models.json.migrated";

pub(super) fn run(directory: Option<PathBuf>, out: &mut dyn Write) -> Result<(), Failure> {
    let directory = match directory {
        Some(directory) => directory,
        None => start::read()?.settings.config_dir.ok_or_else(|| {
            Failure::usage("there is no configuration directory: name one with --config-dir")
        })?,
    };
    let old = directory.join("models.json");
    let text = fs_err::read_to_string(&old).map_err(Failure::failed)?;
    let entries = read(&old, &text, out)?;
    if entries.is_empty() {
        return Ok(writeln!(
            out,
            "{} is no flat mapping, nothing to do",
            old.display()
        )?);
    }
    let models = directory.join("models");
    let mut written = 0;
    for entry in &entries {
        if write(&models, entry, out)? {
            written += 1;
        }
    }
    let kept = directory.join(KEPT);
    fs_err::rename(&old, &kept).map_err(Failure::failed)?;
    Ok(writeln!(
        out,
        "{written} of {} models written to {}; the old file is kept as {}",
        entries.len(),
        models.display(),
        kept.display()
    )?)
}

/// All entries, or every fault: half a migration helps nobody.
fn read(path: &Path, text: &str, out: &mut dyn Write) -> Result<Vec<LegacyModel>, Failure> {
    let (entries, findings) = match config::legacy_models(path, text) {
        Ok(entries) => (entries, Vec::new()),
        Err(findings) => (Vec::new(), findings),
    };
    let mut faults: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let nameless = entries.iter().filter(|entry| !is_file_name(&entry.name));
    faults.extend(nameless.map(|entry| {
        format!(
            "{}: the model name `{}` cannot be a file name; rename it and try again",
            path.display(),
            entry.name
        )
    }));
    for fault in &faults {
        writeln!(out, "fault:    {fault}")?;
    }
    if faults.is_empty() {
        Ok(entries)
    } else {
        Err(Failure::said(USAGE))
    }
}

/// A name may hold slashes, which become folders; it must not leave the folder or hide in it.
fn is_file_name(name: &str) -> bool {
    name.split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']))
}

/// False: there is a file of that name already, and it stays.
fn write(models: &Path, entry: &LegacyModel, out: &mut dyn Write) -> Result<bool, Failure> {
    let path = models.join(format!("{}.json", entry.name));
    if path.exists() {
        writeln!(out, "{} exists already and stays as it is", path.display())?;
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(Failure::failed)?;
    }
    let model = json!({
        "logical_name": entry.name,
        "model_routings": [{"provider": entry.provider, "model": entry.provider_model}],
    });
    let text = serde_json::to_string_pretty(&model).map_err(Failure::failed)?;
    fs_err::write(&path, text + "\n").map_err(Failure::failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAT: &str = r#"{
        "fast": {"provider": "groq", "provider_model": "llama"},
        "cerebras/glm": {"provider": "cerebras", "provider_model": "zai-glm"}
    }"#;

    fn migrate(text: &str) -> (tempfile::TempDir, Result<(), Failure>, String) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("models.json"), text).unwrap();
        let mut out = Vec::new();
        let result = run(Some(directory.path().to_owned()), &mut out);
        (directory, result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_entry_becomes_a_file_and_the_old_one_is_kept_aside() {
        let (directory, result, _) = migrate(FLAT);
        result.unwrap();
        let text = std::fs::read_to_string(directory.path().join("models/cerebras/glm.json"));
        let model: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
        assert_eq!(model["logical_name"], "cerebras/glm");
        assert_eq!(model["model_routings"][0]["model"], "zai-glm");
        assert!(directory.path().join("models/fast.json").exists());
        assert!(directory.path().join(KEPT).exists());
        assert!(!directory.path().join("models.json").exists());
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused_and_nothing_is_written() {
        let (directory, result, out) =
            migrate(r#"{"../pwn": {"provider": "groq", "provider_model": "llama"}}"#);
        assert_eq!(result.unwrap_err().code, USAGE);
        assert!(out.contains("`../pwn`"), "{out}");
        assert!(directory.path().join("models.json").exists());
        assert!(!directory.path().join("models").exists());
    }

    #[test]
    fn a_discovery_cache_is_left_alone() {
        let (directory, result, out) =
            migrate(r#"{"discovered_models": {"groq": ["a"]}, "last_updated": "2026-01-09"}"#);
        result.unwrap();
        assert!(out.contains("nothing to do"), "{out}");
        assert!(directory.path().join("models.json").exists());
    }
}
