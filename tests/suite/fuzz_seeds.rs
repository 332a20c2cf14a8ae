//! The bodies of the fuzz targets, run over the seeds that are checked in.

use std::path::Path;

#[path = "../../fuzz/bodies.rs"]
mod bodies;

/// Runs a body over the seeds in a folder.
fn holds(body: fn(&[u8]), folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let seeds = std::fs::read_dir(&folder).expect("the seeds");
    let mut count = 0;
    for seed in seeds {
        let path = seed.expect("a seed").path();
        let bytes = std::fs::read(&path).expect("a seed that can be read");
        let run = std::panic::catch_unwind(|| body(&bytes));
        assert!(run.is_ok(), "{} fails", path.display());
        count += 1;
    }
    assert!(count > 5, "{} has hardly any seeds", folder.display());
}

#[test]
fn the_seeds_of_the_event_decoder_hold() {
    holds(bodies::sse, "fuzz/seeds/sse");
}

#[test]
fn the_seeds_of_the_request_decoders_hold() {
    holds(bodies::openai_request, "fuzz/seeds/openai_request");
    holds(bodies::anthropic_request, "fuzz/seeds/anthropic_request");
}

#[test]
fn the_seeds_of_the_stream_converters_hold() {
    for upstream in ["openai", "anthropic"] {
        let cases = format!("src/convert/answer_tests/cases/streams/{upstream}");
        holds(bodies::streams, &cases);
    }
}

#[test]
fn the_seeds_of_the_edits_hold() {
    holds(bodies::raw, "fuzz/seeds/raw");
}
