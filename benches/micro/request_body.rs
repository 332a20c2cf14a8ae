//! Request bodies: read and checked, sent on under another model's name, and put into the other protocol.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use model_proxy::config::catalog::ReasoningStyle;
use model_proxy::convert::{Target, pair};
use model_proxy::protocol::raw::RawObject;
use model_proxy::protocol::{Protocol, Rewrite};

use crate::samples;

/// A question, and a long conversation, in bytes.
const SIZES: [usize; 2] = [1_000, 300_000];
const LONG: usize = 300_000;

/// What the intake does with every body.
#[divan::bench(args = SIZES)]
fn read_and_check(bencher: Bencher<'_, '_>, size: usize) {
    let body = samples::body(Protocol::OpenAi, size);
    bencher
        .counter(BytesCount::new(body.len()))
        .with_inputs(|| body.clone())
        .bench_local_values(|body| {
            let raw = RawObject::parse(body).expect("an object");
            let head = Protocol::OpenAi.read_request(&raw).expect("a request");
            (raw, head)
        });
}

/// What a route of the same protocol needs.
#[divan::bench(args = SIZES)]
fn replace_the_model_openai(bencher: Bencher<'_, '_>, size: usize) {
    replace_the_model(bencher, Protocol::OpenAi, size);
}

#[divan::bench(args = SIZES)]
fn replace_the_model_anthropic(bencher: Bencher<'_, '_>, size: usize) {
    replace_the_model(bencher, Protocol::Anthropic, size);
}

fn replace_the_model(bencher: Bencher<'_, '_>, protocol: Protocol, size: usize) {
    let raw = parsed(protocol, size);
    let head = protocol.read_request(&raw).expect("a request");
    let rewrite = Rewrite {
        model: "acme-large",
        stream: None,
        ask_usage: true,
        defaults: &[],
    };
    bencher
        .counter(BytesCount::new(raw.source().len()))
        .bench_local(|| {
            assert!(protocol.without_unsigned_thinking(&raw).is_none());
            protocol.rewrite(&raw, &head, &rewrite)
        });
}

#[divan::bench]
fn openai_to_anthropic(bencher: Bencher<'_, '_>) {
    convert(bencher, Protocol::OpenAi, Protocol::Anthropic);
}

#[divan::bench]
fn anthropic_to_openai(bencher: Bencher<'_, '_>) {
    convert(bencher, Protocol::Anthropic, Protocol::OpenAi);
}

fn convert(bencher: Bencher<'_, '_>, from: Protocol, to: Protocol) {
    let raw = parsed(from, LONG);
    let target = Target {
        model: "acme-large",
        stream: true,
        ask_usage: true,
        defaults: &[],
        default_max_tokens: 8192,
        wants_max_completion_tokens: false,
        reasoning: ReasoningStyle::Usual,
    };
    bencher
        .counter(BytesCount::new(raw.source().len()))
        .bench_local(|| -> Bytes {
            let conversation = pair::decode_request(from, &raw).expect("a request");
            pair::encode_request(to, &conversation, &target).body
        });
}

fn parsed(protocol: Protocol, size: usize) -> RawObject {
    RawObject::parse(samples::body(protocol, size)).expect("an object")
}
