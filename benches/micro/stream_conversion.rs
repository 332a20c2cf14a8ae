//! Turning 64 events of one protocol into events of the other.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::ItemsCount;
use model_proxy::convert::ReplyContext;
use model_proxy::convert::memo::Memo;
use model_proxy::convert::pair::StreamConverter;
use model_proxy::protocol::Protocol;
use model_proxy::protocol::sse::Event;

use crate::samples::{EVENTS, stream_content, stream_start};

#[divan::bench]
fn openai_to_anthropic(bencher: Bencher<'_, '_>) {
    convert(bencher, Protocol::OpenAi, Protocol::Anthropic);
}

#[divan::bench]
fn anthropic_to_openai(bencher: Bencher<'_, '_>) {
    convert(bencher, Protocol::Anthropic, Protocol::OpenAi);
}

fn convert(bencher: Bencher<'_, '_>, from: Protocol, to: Protocol) {
    let parse = |chunks: Vec<Bytes>| chunks.into_iter().map(Event::parse).collect::<Vec<_>>();
    let (start, content) = (parse(stream_start(from)), parse(stream_content(from)));
    bencher
        .counter(ItemsCount::new(EVENTS))
        .with_inputs(|| {
            let context = ReplyContext {
                now: 1_763_800_000,
                fallback_id: "req-9".to_owned(),
                memo: Memo::default(),
                keeps_id: false,
            };
            let mut converter = StreamConverter::new(from, to, context, false);
            let mut out = BytesMut::with_capacity(64 * 1024);
            for event in start.iter().chain(&content[..1]) {
                converter.convert(event, &mut out);
            }
            out.clear();
            (converter, out)
        })
        .bench_local_refs(|(converter, out)| {
            for event in &content {
                converter.convert(event, out);
            }
            assert!(out.len() > 64 * EVENTS);
        });
}
