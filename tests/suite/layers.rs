//! The layer rule: every path in `src` is checked against the table in the documentation of `src/lib.rs`, and the pure
//! modules against the frameworks that they must not know. rustc allows cycles inside a crate; this test does not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use syn::buffer::{Cursor, TokenBuffer};
use syn::ext::IdentExt as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ItemExternCrate, ItemMod, ItemUse, Macro, Meta, UseTree};

/// What is worth fuzzing and survives a change of framework.
const PURE: [&str; 6] = [
    "protocol",
    "conversation",
    "convert",
    "routing",
    "config",
    "tokens",
];
const FRAMEWORKS: [&str; 4] = ["actix", "awc", "diesel", "tokio"];

/// The name under which the binary sees the library.
const LIBRARY: &str = "model_proxy";

/// Where each top module stands: row from below, place in the row from the left.
struct Table {
    places: HashMap<String, (u32, usize)>,
}

impl Table {
    /// Reads the block between the fences of the crate's documentation: a number, then the row's modules.
    /// What is in parentheses are remarks.
    fn read(library: &str) -> Self {
        let mut places = HashMap::new();
        let mut inside = false;
        for line in library.lines().filter_map(|line| line.strip_prefix("//!")) {
            if line.trim_start().starts_with("```") {
                inside = !inside;
                continue;
            }
            let mut words = line
                .split('(')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let row = words.next().and_then(|word| word.parse().ok());
            if let (true, Some(row)) = (inside, row) {
                for (place, module) in words.enumerate() {
                    places.insert(module.to_owned(), (row, place));
                }
            }
        }
        Self { places }
    }

    /// Whether `from` may name `to`; `None`: `to` has no place in the table.
    fn allows(&self, from: &str, to: &str) -> Option<bool> {
        let (from_row, from_place) = self.places.get(from)?;
        let (row, place) = self.places.get(to)?;
        Some(from == to || row < from_row || (row == from_row && place < from_place))
    }
}

/// A path as written, resolved as far as the rule needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    /// From the crate's root; empty: the root as a whole.
    Inside(Vec<String>),
    /// A name that begins with neither `crate`, `self` nor `super`: another crate, or something imported.
    Outside(String),
}

/// Collects what a file names.
struct Names {
    module: Vec<String>,
    found: Vec<Named>,
}

impl Names {
    fn of(module: &[&str], source: &str) -> syn::Result<Vec<Named>> {
        let mut names = Self {
            module: module.iter().map(|name| (*name).to_owned()).collect(),
            found: Vec::new(),
        };
        names.visit_file(&syn::parse_file(source)?);
        Ok(names.found)
    }

    fn add(&mut self, segments: &[String]) {
        let mut path = match segments.first().map(String::as_str) {
            None => return,
            Some("crate" | LIBRARY) => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            Some(name) => {
                self.found.push(Named::Outside(name.to_owned()));
                return;
            }
        };
        for name in segments {
            match name.as_str() {
                "crate" | LIBRARY | "self" => {}
                "super" => {
                    path.pop();
                }
                name => path.push(name.to_owned()),
            }
        }
        self.found.push(Named::Inside(path));
    }

    fn add_use(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |ident: &Ident| {
            let mut path = prefix.to_vec();
            // `{self}` is the prefix itself.
            if ident != "self" || prefix.is_empty() {
                path.push(ident.unraw().to_string());
            }
            path
        };
        match tree {
            UseTree::Path(path) => self.add_use(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            UseTree::Glob(_) => self.add(prefix),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(prefix, tree);
                }
            }
        }
    }

    /// Finds paths of two and more segments in tokens that are not parsed: arguments of macros and attributes.
    fn add_tokens(&mut self, mut cursor: Cursor<'_>) {
        while !cursor.eof() {
            if let Some((ident, mut after)) = cursor.ident() {
                let mut path = vec![ident.unraw().to_string()];
                while let Some((ident, rest)) = path_separator(after).and_then(Cursor::ident) {
                    path.push(ident.unraw().to_string());
                    after = rest;
                }
                if path.len() > 1 {
                    self.add(&path);
                }
                cursor = after;
            } else if let Some((inside, _, _, after)) = cursor.any_group() {
                self.add_tokens(inside);
                cursor = after;
            } else if let Some((_, after)) = cursor.token_tree() {
                cursor = after;
            } else {
                return;
            }
        }
    }
}

/// What follows a `::`.
fn path_separator(cursor: Cursor<'_>) -> Option<Cursor<'_>> {
    colon(colon(cursor)?)
}

fn colon(cursor: Cursor<'_>) -> Option<Cursor<'_>> {
    let (punct, after) = cursor.punct()?;
    (punct.as_char() == ':').then_some(after)
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.unraw().to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_use(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        self.found.push(Named::Outside(item.ident.to_string()));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.unraw().to_string())
            .collect();
        // One segment is a local name, or `crate` in `pub(crate)`.
        if segments.len() > 1 {
            self.add(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_macro(self, item);
        self.add_tokens(TokenBuffer::new2(item.tokens.clone()).begin());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        visit::visit_attribute(self, attribute);
        if let Meta::List(list) = &attribute.meta {
            self.add_tokens(TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }
}

/// What is wrong with a file of this module.
fn violations(table: &Table, module: &[&str], source: &str) -> Vec<String> {
    let Some(from) = module.first() else {
        return Vec::new();
    };
    let names = Names::of(module, source).expect("the file is Rust");
    let mut wrong: Vec<String> = names
        .iter()
        .filter_map(|named| fault(table, from, named))
        .collect();
    wrong.dedup();
    wrong
}

fn fault(table: &Table, from: &str, named: &Named) -> Option<String> {
    match named {
        Named::Inside(path) => match path.first() {
            None => Some("names the whole root, which hides what it uses".to_owned()),
            Some(to) => match table.allows(from, to) {
                Some(true) => None,
                Some(false) => Some(format!("`{from}` must not name `{}`", path.join("::"))),
                None => Some(format!("`{from}` or `{to}` has no place in the table")),
            },
        },
        Named::Outside(name) => {
            let framework = FRAMEWORKS.iter().any(|framework| {
                name.strip_prefix(framework)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            });
            (framework && PURE.contains(&from)).then(|| format!("`{from}` must not name `{name}`"))
        }
    }
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the source can be read")
}

/// Every Rust file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// `src/a/b.rs` is `["a", "b"]`; the library's root is `[]`.
fn module_of(root: &Path, file: &Path) -> Vec<String> {
    let path = file
        .strip_prefix(root)
        .expect("below the root")
        .with_extension("");
    path.iter()
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name != "lib")
        .collect()
}

#[test]
fn every_path_keeps_to_the_layers() {
    let root = source_root();
    let table = Table::read(&read(&root.join("lib.rs")));
    let mut wrong = Vec::new();
    for file in files(&root) {
        let module = module_of(&root, &file);
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        for violation in violations(&table, &module, &read(&file)) {
            wrong.push(format!("{}: {violation}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_place_in_the_table() {
    let library = read(&source_root().join("lib.rs"));
    let table = Table::read(&library);
    let parsed = syn::parse_file(&library).expect("lib.rs is Rust");
    let modules = parsed.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) => Some(module.ident.unraw().to_string()),
        _ => None,
    });
    let missing: Vec<_> = modules
        .filter(|module| !table.places.contains_key(module))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    for pure in PURE {
        assert!(table.places.contains_key(pure), "{pure}");
    }
}

const SAMPLE_TABLE: &str = "\
//! ```text
//! 3  app  cli  main
//! 2  http (handlers, streams)
//! 1  routing  config
//! 0  error
//! ```
";

fn check(module: &[&str], source: &str) -> Vec<String> {
    violations(&Table::read(SAMPLE_TABLE), module, source)
}

#[test]
fn the_table_is_read_by_row_and_place_without_remarks() {
    let table = Table::read(SAMPLE_TABLE);
    assert_eq!(table.places.len(), 7);
    assert_eq!(table.allows("http", "error"), Some(true));
    assert_eq!(table.allows("error", "http"), Some(false));
    assert_eq!(table.allows("cli", "app"), Some(true));
    assert_eq!(table.allows("app", "cli"), Some(false));
    assert_eq!(table.allows("app", "app"), Some(true));
    assert_eq!(table.allows("app", "handlers"), None);
}

#[test]
fn what_the_table_allows_passes() {
    for source in [
        "use crate::error::GatewayError;",
        "use crate::{error, routing::plan};",
        "use std::collections::HashMap; use actix_web::web;",
        "pub(crate) fn f(x: crate::http::Y) -> super::Z { crate::error::new(x) }",
        "pub(in crate::http) struct S;",
        "mod tests { use super::*; use super::super::*; }",
        "fn f() { let tokio = 1; log(\"crate::app::run\"); /* crate::app */ }",
        "fn f() { info!(\"crate::app {}\", crate::error::NAME) }",
    ] {
        assert_eq!(
            check(&["http", "handlers"], source),
            Vec::<String>::new(),
            "{source}"
        );
    }
}

#[test]
fn every_way_to_name_a_higher_layer_is_found() {
    for source in [
        "use crate::app::Application;",
        "use crate::app;",
        "use crate::{error, app};",
        "use crate::{error::{A, B}, app::{self}};",
        "pub use super::super::app::X;",
        "use super::super::{app::X};",
        "use crate::app::*;",
        "use crate::app as harmless;",
        "use crate::r#app;",
        "fn f(x: &Vec<crate::app::X>) {}",
        "fn f() -> impl Fn(crate::app::X) { g }",
        "fn f() { crate::app::run() }",
        "fn f() { match x { crate::app::X => {} } }",
        "impl crate::app::Trait for X {}",
        "fn f() { <X as crate::app::Trait>::g() }",
        "#[crate::app::attribute] fn f() {}",
        "#[derive(Debug, crate::app::Derive)] struct S;",
        "fn f() { println!(\"{}\", g(crate::app::X)) }",
        "macro_rules! m { () => { $crate::app::run() } }",
        "fn f() { crate::app::m!() }",
        "fn f() { model_proxy::app::run() }",
        "mod inner { use super::super::super::app::X; }",
        "mod inner { fn f() { self::super::super::super::app::run() } }",
        "fn f() { use crate::app::X; }",
    ] {
        let found = check(&["http", "handlers"], source);
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        assert!(found[0].contains("`http` must not name `app"), "{found:?}");
    }
}

#[test]
fn naming_the_whole_root_is_found() {
    for source in [
        "use crate::*;",
        "use crate as root;",
        "use crate::{self as root};",
        "use super::*;",
        "pub use super::{error, *};",
    ] {
        let found = check(&["http"], source);
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        assert!(found[0].contains("whole root"), "{found:?}");
    }
}

#[test]
fn a_module_without_a_place_is_found_wherever_it_stands() {
    assert_eq!(check(&["http"], "use crate::helpers::x;").len(), 1);
    assert_eq!(check(&["helpers"], "use crate::error::X;").len(), 1);
}

#[test]
fn pure_modules_name_no_framework_and_others_may() {
    for source in [
        "use tokio::sync::mpsc;",
        "use ::tokio::sync::mpsc;",
        "use {std::fmt, actix_web::web};",
        "use awc;",
        "extern crate diesel;",
        "fn f(x: diesel_migrations::X) {}",
        "#[tokio::test] async fn f() {}",
        "#[derive(actix::Message)] struct S;",
        "fn f() { select!(tokio::time::sleep(d)) }",
    ] {
        assert_eq!(check(&["routing", "plan"], source).len(), 1, "{source}");
        assert_eq!(check(&["http"], source), Vec::<String>::new(), "{source}");
    }
    assert_eq!(
        check(&["routing"], "use tokiolike::x; use awcish::y;"),
        Vec::<String>::new()
    );
}

#[test]
fn the_binary_stands_above_the_library_and_the_library_s_root_is_free() {
    assert_eq!(
        check(&["main"], "fn main() { model_proxy::cli::run() }"),
        Vec::<String>::new()
    );
    assert_eq!(
        check(&[], "pub mod app; use crate::app::X;"),
        Vec::<String>::new()
    );
}

#[test]
fn files_are_modules() {
    let root = Path::new("/r/src");
    let module = |file: &str| module_of(root, &root.join(file)).join("::");
    assert_eq!(module("lib.rs"), "");
    assert_eq!(module("main.rs"), "main");
    assert_eq!(
        module("routing/keyring/tests.rs"),
        "routing::keyring::tests"
    );
}
