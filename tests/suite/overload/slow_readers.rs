//! A client that does not read its stream stops the reading upstream: what lies between them is bounded by the sockets'
//! buffers, and nothing is lost when the client reads on.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{SOON, events, opening, path, streamed};
use crate::support::binary::{Process, model_proxy};
use crate::support::client::{Connection, post};
use crate::support::gateway::{CLIENT_KEY, model_json, provider_json};

const BLOCK: usize = 16 * 1024;
const BLOCKS: usize = 1536;
const MEBIBYTE: usize = 1024 * 1024;

/// What may lie in the buffers of two sockets and of the gateway; the stream has twice as much.
const UNDER_WAY: usize = 12 * MEBIBYTE;

/// An upstream that has 24 MiB to say and counts what was taken of it.
struct Flood {
    address: SocketAddr,
    written: Arc<AtomicUsize>,
}

impl Flood {
    /// `blocks` of text after a word, and then an end, unless `breaks`.
    fn start(protocol: Protocol, blocks: usize, breaks: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || {
                    // a client that leaves is none of its concerns
                    let _ = pour(
                        &socket.expect("a connection"),
                        protocol,
                        blocks,
                        breaks,
                        &count,
                    );
                });
            }
        });
        Self { address, written }
    }

    fn written(&self) -> usize {
        self.written.load(Ordering::Acquire)
    }

    /// Waits until nothing more is taken, and says how much was.
    #[track_caller]
    fn rests_at(&self) -> usize {
        let until = Instant::now() + SOON;
        let mut last = self.written();
        loop {
            std::thread::sleep(Duration::from_millis(400));
            let now = self.written();
            if now == last && now > 0 {
                return now;
            }
            last = now;
            assert!(Instant::now() < until, "still taken after {now} bytes");
        }
    }
}

fn pour(
    mut socket: &TcpStream,
    protocol: Protocol,
    blocks: usize,
    breaks: bool,
    count: &AtomicUsize,
) -> std::io::Result<()> {
    let buffers = socket2::SockRef::from(socket);
    buffers.set_send_buffer_size(64 * 1024)?;
    let mut request = [0; 64 * 1024];
    std::io::Read::read(&mut socket, &mut request)?;
    count.store(0, Ordering::Release);
    let block = "x".repeat(BLOCK);
    let all = events(protocol, &["one ", &block]);
    let (beginning, rest) = all.split_at(opening(protocol) + 1);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    socket.write_all(head.as_bytes())?;
    let repeated = std::iter::repeat_n(&rest[0], blocks);
    let ending = rest[1..].iter().filter(|_| !breaks);
    for event in beginning.iter().chain(repeated).chain(ending) {
        socket.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
        count.fetch_add(event.len(), Ordering::AcqRel);
    }
    if !breaks {
        socket.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

fn serve(providers: [(&str, &Flood, Protocol); 3]) -> Process {
    let mut serve = model_proxy(["serve"])
        .env("PORT", "0")
        .env("CLIENT_API_KEY", CLIENT_KEY)
        .env("LOG_LEVEL", "error");
    for (name, flood, protocol) in providers {
        let url = format!("http://{}", flood.address);
        let file = provider_json(name, &url, protocol).to_string();
        serve = serve
            .env(&format!("{}_API_KEY", name.to_uppercase()), "key")
            .file(&format!("config/providers/{name}.json"), &file);
    }
    let mut held = model_json("held", [("alpha", "up")]);
    held["stream_recovery"] = json!("hold");
    for file in [
        model_json("same", [("alpha", "up")]),
        model_json("converted", [("beta", "up")]),
        model_json("continued", [("gamma", "up"), ("alpha", "up")]),
        held,
    ] {
        let name = file["logical_name"].as_str().expect("a name");
        serve = serve.file(&format!("config/models/{name}.json"), &file.to_string());
    }
    serve.start()
}

fn resident(process: &Process) -> usize {
    let status = format!("/proc/{}/status", process.id());
    let status = std::fs::read_to_string(status).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    number.expect("a size") * 1024
}

#[test]
fn a_client_that_does_not_read_stops_the_reading_upstream_and_gets_all_of_it_later() {
    let openai = Flood::start(Protocol::OpenAi, BLOCKS, false);
    let anthropic = Flood::start(Protocol::Anthropic, BLOCKS, false);
    let breaking = Flood::start(Protocol::OpenAi, 0, true);
    let process = serve([
        ("alpha", &openai, Protocol::OpenAi),
        ("beta", &anthropic, Protocol::Anthropic),
        ("gamma", &breaking, Protocol::OpenAi),
    ]);
    let address = process.address();
    let block = "x".repeat(BLOCK);
    for (model, flood, growth) in [
        ("same", &openai, 4 * MEBIBYTE),
        ("converted", &anthropic, 4 * MEBIBYTE),
        ("continued", &openai, 4 * MEBIBYTE),
        // as much as is held back, as events and as bytes that are to go out
        ("held", &openai, 16 * MEBIBYTE),
    ] {
        let ask = || {
            let request = post(address, path(Protocol::OpenAi));
            let request = request.key(CLIENT_KEY).json(&streamed(model));
            Connection::open(address)
                .buffering_little()
                .send_streaming(&request)
        };
        // what is there once and for all is not the stream's
        let mut first = ask();
        while first.expect_event().text().is_none() {}
        first.hang_up();
        let before = resident(&process);
        let stream = ask();
        assert_eq!(stream.status, 200);
        let taken = flood.rests_at();
        let grown = resident(&process).saturating_sub(before);
        eprintln!("{model}: {taken} bytes taken of the upstream, {grown} more resident");
        assert!(taken < UNDER_WAY, "{model}: {taken} bytes were taken");
        assert!(grown < growth, "{model}: {grown} bytes more");
        let finished = stream.read_for(Duration::from_secs(120));
        assert!(finished.properly(), "{model}: {:?}", finished.ended);
        let whole = finished.text();
        assert_eq!(whole.matches(&block).count(), BLOCKS, "{model}");
        assert_eq!(
            finished.events.last().map(|event| event.data.as_str()),
            Some("[DONE]")
        );
    }
}
