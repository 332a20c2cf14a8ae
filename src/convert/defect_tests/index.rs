//! The index names tests that exist.

use std::fs;
use std::path::Path;

/// The text of every source file below a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_defect_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&root.join("src"), &mut all);
    sources(&root.join("tests/suite"), &mut all);
    let index = include_str!("../defect_tests.rs");
    let lines = index.lines().filter_map(|line| line.strip_prefix("//! "));
    let items: Vec<_> = lines.filter(|line| line.starts_with(['-', ' '])).collect();
    let names: Vec<_> = items
        .iter()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect();
    assert!(names.len() > 60, "{}", names.len());
    for name in names {
        assert!(all.contains(&format!("fn {name}()")), "{name}");
    }
}
