//! Cutting a stream of 64 events into events, by how its bytes arrive.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::ItemsCount;
use model_proxy::protocol::Protocol;
use model_proxy::protocol::sse::{Decoder, LINE_LIMIT};

use crate::samples::{EVENTS, stream_content};

#[divan::bench]
fn fed_whole(bencher: Bencher<'_, '_>) {
    decode(bencher, vec![whole()]);
}

#[divan::bench]
fn fed_by_the_kibibyte(bencher: Bencher<'_, '_>) {
    let mut rest = whole();
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        chunks.push(rest.split_to(rest.len().min(1024)));
    }
    decode(bencher, chunks);
}

#[divan::bench]
fn fed_event_by_event(bencher: Bencher<'_, '_>) {
    decode(bencher, stream_content(Protocol::OpenAi));
}

fn whole() -> Bytes {
    let mut all = BytesMut::new();
    for event in stream_content(Protocol::OpenAi) {
        all.extend_from_slice(&event);
    }
    all.freeze()
}

fn decode(bencher: Bencher<'_, '_>, chunks: Vec<Bytes>) {
    bencher
        .counter(ItemsCount::new(EVENTS))
        .with_inputs(|| (Decoder::new(LINE_LIMIT), chunks.clone()))
        .bench_local_values(|(mut decoder, chunks)| {
            let mut events = 0;
            for chunk in chunks {
                decoder.push(chunk);
                while let Some(event) = decoder.next().expect("a short event") {
                    divan::black_box(&event);
                    events += 1;
                }
            }
            assert_eq!(events, EVENTS);
        });
}
