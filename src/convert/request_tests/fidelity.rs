//! The table of `docs/fidelity.md` knows every member that a decoder reads.

use std::fs;
use std::path::{Path, PathBuf};

/// How decoders take members, and how they tell them apart.
const READS: [&str; 13] = [
    "array(",
    "flag(",
    "integer(",
    "number(",
    "object(",
    "object_text(",
    "peek(",
    "required(",
    "string(",
    "take(",
    "take_if(",
    "text(",
    "limit(",
];

/// What decoders read that is no member of its own in the table: tags, and parts of what stands there.
const PARTS: [&str; 5] = ["function", "index", "json_schema", "schema", "type"];

fn files(path: &Path, into: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            files(&entry.unwrap().path(), into);
        }
    } else {
        into.push(path.to_owned());
    }
}

/// The names that stand in a decoder's code, before its tests.
fn names(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]").next().unwrap();
    let mut names = Vec::new();
    for line in code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        let is_arm = line.contains("\" =>") || line.contains("\" if ");
        // Every second piece stands between quotes.
        let pieces: Vec<_> = line.split('"').collect();
        for pair in pieces.chunks_exact(2) {
            let (before, name) = (pair[0].trim_end(), pair[1]);
            let reads = READS.iter().any(|read| before.ends_with(read));
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            let is_name = !name.is_empty() && name.chars().all(plain);
            if is_name && (reads || (is_arm && name.contains('_'))) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// Those of a direction of the table that its text does not hold.
fn unknown(decoders: &[&str], sections: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/fidelity.md")).unwrap();
    let told: String = table
        .split("\n## ")
        .filter(|section| sections.iter().any(|name| section.starts_with(name)))
        .collect();
    assert!(told.len() > 500, "{sections:?}");
    let words: Vec<_> = told
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let mut found = Vec::new();
    for decoder in decoders {
        files(&root.join("src/convert").join(decoder), &mut found);
    }
    assert!(found.len() >= decoders.len());
    let names = found
        .iter()
        .flat_map(|path| names(&fs::read_to_string(path).unwrap()));
    let mut names: Vec<_> = names
        .filter(|name| !words.contains(&name.as_str()) && !PARTS.contains(&name.as_str()))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn the_table_knows_what_is_read_of_openais_requests() {
    let decoders = ["openai/request/decode.rs", "openai/request/decode"];
    assert_eq!(
        unknown(&decoders, &["Requests of OpenAI"]),
        Vec::<String>::new()
    );
}

#[test]
fn the_table_knows_what_is_read_of_anthropics_requests() {
    let decoders = ["anthropic/request/decode.rs", "anthropic/request/decode"];
    assert_eq!(
        unknown(&decoders, &["Requests of Anthropic"]),
        Vec::<String>::new()
    );
}

#[test]
fn the_table_knows_what_is_read_of_openais_answers() {
    let decoders = [
        "openai/reply/decode.rs",
        "openai/reply/message.rs",
        "openai/stream/chunk.rs",
    ];
    assert_eq!(
        unknown(&decoders, &["Answers of OpenAI"]),
        Vec::<String>::new()
    );
}

#[test]
fn the_table_knows_what_is_read_of_anthropics_answers() {
    let decoders = ["anthropic/reply/decode.rs", "anthropic/stream/decode.rs"];
    assert_eq!(
        unknown(&decoders, &["Answers of Anthropic"]),
        Vec::<String>::new()
    );
}
