//! What a stream of 64 events costs on its way to a client of the same protocol: what the gateway's relay does with each
//! event between the upstream's socket and the client's.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::ItemsCount;
use model_proxy::gateway::transcript::Transcript;
use model_proxy::protocol::sse::{Decoder, LINE_LIMIT};
use model_proxy::protocol::{Protocol, StreamReader, Verdict};
use model_proxy::secret::Scrubber;

use crate::samples::{EVENTS, secret, stream_content, stream_start};

#[divan::bench]
fn openai(bencher: Bencher<'_, '_>) {
    relay(bencher, Protocol::OpenAi, &scrubber(10));
}

#[divan::bench]
fn anthropic(bencher: Bencher<'_, '_>) {
    relay(bencher, Protocol::Anthropic, &scrubber(10));
}

/// Keys of providers and clients together: none of them may pass.
#[divan::bench(args = [0, 10, 1_000, 100_000])]
fn among_so_many_secrets(bencher: Bencher<'_, '_>, secrets: usize) {
    relay(bencher, Protocol::OpenAi, &scrubber(secrets));
}

fn scrubber(secrets: usize) -> Scrubber {
    Scrubber::new((0..secrets).map(|number| (secret(number), format!("KEY_{number}"))))
}

/// A running stream.
struct Relay {
    decoder: Decoder,
    reader: StreamReader,
    transcript: Transcript,
    out: BytesMut,
}

impl Relay {
    /// One whose first content has gone out.
    fn running(protocol: Protocol, scrubber: &Scrubber) -> Self {
        let mut relay = Self {
            decoder: Decoder::new(LINE_LIMIT),
            reader: StreamReader::new(protocol, 1),
            transcript: Transcript::new(true),
            out: BytesMut::new(),
        };
        for chunk in stream_start(protocol) {
            relay.pass(chunk, scrubber);
        }
        let content = stream_content(protocol).swap_remove(0);
        relay.pass(content, scrubber);
        assert!(relay.reader.committed());
        relay
    }

    fn pass(&mut self, chunk: Bytes, scrubber: &Scrubber) -> Bytes {
        self.decoder.push(chunk);
        while let Some(event) = self.decoder.next().expect("a short event") {
            let reading = self.reader.read(&event);
            assert_eq!(reading.verdict, Verdict::Pass);
            assert!(!scrubber.finds(&event.raw));
            self.out.extend_from_slice(&event.raw);
            self.transcript.push(&event.raw);
        }
        self.out.split().freeze()
    }
}

fn relay(bencher: Bencher<'_, '_>, protocol: Protocol, scrubber: &Scrubber) {
    bencher
        .counter(ItemsCount::new(EVENTS))
        .with_inputs(|| (Relay::running(protocol, scrubber), stream_content(protocol)))
        .bench_local_values(|(mut relay, chunks)| {
            for chunk in chunks {
                divan::black_box(relay.pass(chunk, scrubber));
            }
        });
}
