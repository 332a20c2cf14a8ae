//! Every request in `cases/`, to both protocols. A case is a file named after what it shows or what once went wrong; the
//! snapshot beside it is what a route of each protocol is sent, what is lost, and what its provider would refuse. A new
//! case needs only its file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::rules;
use crate::config::catalog::ReasoningStyle;
use crate::conversation::Origin;
use crate::convert::pair::{decode_request, encode_request};
use crate::convert::{Encoded, Target};
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;

/// Conversations that their own provider refuses, too: nobody repairs them unasked.
const REFUSED_ANYWHERE: [&str; 1] = ["tool_result_that_is_missing"];

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/convert/request_tests/cases")
        .join(folder);
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    paths.sort();
    assert!(
        paths.len() >= 60,
        "{} cases in {}",
        paths.len(),
        folder.display()
    );
    paths
}

/// JSON text on lines of its own, with every name and number as it is.
fn indented(text: &str) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let plain = !quoted;
        match character {
            '{' | '[' if plain && matches!(characters.peek(), Some('}' | ']')) => {
                out.push(character)
            }
            '{' | '[' if plain => {
                depth += 1;
                write!(out, "{character}\n{:1$}", "", 2 * depth).unwrap();
            }
            '}' | ']' if plain && out.ends_with(['{', '[']) => out.push(character),
            '}' | ']' if plain => {
                depth -= 1;
                write!(out, "\n{:1$}{character}", "", 2 * depth).unwrap();
            }
            ',' if plain => write!(out, ",\n{:1$}", "", 2 * depth).unwrap(),
            ':' if plain => out.push_str(": "),
            ' ' | '\n' if plain => {}
            _ => out.push(character),
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
    out
}

fn show(to: Protocol, encoded: &Encoded, is_other: bool, name: &str) -> String {
    let text = std::str::from_utf8(&encoded.body).unwrap();
    let mut shown = format!("=== to {}\n{}\n", to.name(), indented(text));
    match encoded.loss.to_string().replace(',', "\n  ") {
        nothing if nothing.is_empty() => shown.push_str("nothing lost\n"),
        losses => writeln!(shown, "lost:\n  {losses}").unwrap(),
    }
    let body = serde_json::from_str(text).unwrap();
    let faults = match to {
        Protocol::OpenAi => rules::openai(&body),
        Protocol::Anthropic => rules::anthropic(&body),
    };
    // What a client says in its own protocol is for its provider to judge.
    if is_other && !faults.is_empty() {
        writeln!(shown, "refused for:\n  {}", faults.join("\n  ")).unwrap();
        assert!(REFUSED_ANYWHERE.contains(&name), "{name}: {shown}");
    }
    shown
}

fn compare(path: &Path, from: Protocol) {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let body = RawObject::parse(Bytes::from(std::fs::read(path).unwrap())).unwrap();
    let conversation = decode_request(from, &body).unwrap();
    let expected = match from {
        Protocol::OpenAi => Origin::OpenAi,
        Protocol::Anthropic => Origin::Anthropic,
    };
    assert_eq!(conversation.origin, expected);
    let target = Target {
        model: "up",
        stream: conversation.stream,
        ask_usage: conversation.stream,
        defaults: &[],
        default_max_tokens: 8192,
        wants_max_completion_tokens: false,
        reasoning: ReasoningStyle::Usual,
    };
    let shown = [Protocol::OpenAi, Protocol::Anthropic].map(|to| {
        let encoded = encode_request(to, &conversation, &target);
        show(to, &encoded, from != to, name)
    });
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().unwrap());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown.join("\n")));
}

#[test]
fn requests_of_openai_clients() {
    for path in cases("openai") {
        compare(&path, Protocol::OpenAi);
    }
}

#[test]
fn requests_of_anthropic_clients() {
    for path in cases("anthropic") {
        compare(&path, Protocol::Anthropic);
    }
}
