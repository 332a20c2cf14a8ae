//! Every answer in `cases/`, to both protocols. A case is a file named after what it shows or what once went wrong; the
//! snapshot beside it is what clients get. A new case needs only its file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::BytesMut;

use super::clients;
use super::properties::{context, from_anthropic, from_openai};
use crate::conversation::{Event, Reply};
use crate::convert::loss::Loss;
use crate::convert::{Encoded, anthropic, openai};

/// The cases of a folder, by name.
fn cases(folder: &str, least: usize) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/convert/answer_tests/cases")
        .join(folder);
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension != "snap" && extension != "new")
    });
    paths.sort();
    assert!(
        paths.len() >= least,
        "{} cases in {}",
        paths.len(),
        folder.display()
    );
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

fn compare(path: &Path, outcome: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().unwrap());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let name = path.file_stem().unwrap().to_str().unwrap();
    settings.bind(|| insta::assert_snapshot!(name, outcome));
}

fn show_loss(loss: &Loss) -> String {
    if loss.is_empty() {
        "nothing lost\n".to_owned()
    } else {
        format!("lost: {loss}\n")
    }
}

fn show_answer(reply: &Reply) -> String {
    let mut shown = String::new();
    let mut show = |client: &str, encoded: Encoded| {
        let body: serde_json::Value = serde_json::from_slice(&encoded.body).unwrap();
        writeln!(
            shown,
            "=== to {client}\n{body:#}\n{}",
            show_loss(&encoded.loss)
        )
        .unwrap();
    };
    show("openai", openai::reply::encode(reply, &context()));
    show("anthropic", anthropic::reply::encode(reply, &context()));
    shown
}

fn show_stream(events: &[Event]) -> String {
    let mut to_openai = openai::stream::Encoder::new(context(), true);
    let mut to_anthropic = anthropic::stream::Encoder::new(context(), true);
    let (mut openai, mut anthropic) = (BytesMut::new(), BytesMut::new());
    for event in events {
        to_openai.encode(event, &mut openai);
        to_anthropic.encode(event, &mut anthropic);
    }
    clients::openai(&openai, true).unwrap();
    clients::anthropic(&anthropic).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!(
        "=== to openai\n{}{}\n=== to anthropic\n{}{}",
        text(&openai),
        show_loss(to_openai.loss()),
        text(&anthropic),
        show_loss(to_anthropic.loss()),
    )
}

#[test]
fn answers_of_openai_upstreams() {
    for (path, text) in cases("answers/openai", 25) {
        let reply = openai::reply::decode(text.as_bytes()).unwrap();
        compare(&path, &show_answer(&reply));
    }
}

#[test]
fn answers_of_anthropic_upstreams() {
    for (path, text) in cases("answers/anthropic", 15) {
        let reply = anthropic::reply::decode(text.as_bytes()).unwrap();
        compare(&path, &show_answer(&reply));
    }
}

#[test]
fn streams_of_openai_upstreams() {
    for (path, text) in cases("streams/openai", 30) {
        compare(&path, &show_stream(&from_openai(&text, &[])));
    }
}

#[test]
fn streams_of_anthropic_upstreams() {
    for (path, text) in cases("streams/anthropic", 20) {
        compare(&path, &show_stream(&from_anthropic(&text, &[])));
    }
}
