//! The scripted upstream: answers at once, or in pieces, each flushed by itself. One thread.

use std::io::Result;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::payload::{FLOOD_PIECES, Protocol, Script};
use crate::wire::Wire;

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
    x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n";
const PIECE: usize = 180;
const FLOOD_PIECE: usize = 4096;

/// A running upstream.
pub struct Upstream {
    pub address: SocketAddr,
    /// Bytes of floods that left it.
    pub flooded: Arc<AtomicU64>,
    release: watch::Sender<u64>,
}

impl Upstream {
    /// Starts it on a thread of its own, on a free port.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (release, released) = watch::channel(0);
        let flooded = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&flooded);
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, serve(listener, released, counter))
            })?;
        Ok(Self {
            address,
            flooded,
            release,
        })
    }

    /// Lets all held streams end.
    pub fn release(&self) {
        self.release.send_modify(|round| *round += 1);
    }
}

async fn serve(
    listener: std::net::TcpListener,
    released: watch::Receiver<u64>,
    flooded: Arc<AtomicU64>,
) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let answers = Rc::new([
        Answers::new(Protocol::OpenAi),
        Answers::new(Protocol::Anthropic),
    ]);
    loop {
        let (stream, _) = listener.accept().await?;
        let answers = Rc::clone(&answers);
        let (released, flooded) = (released.clone(), Arc::clone(&flooded));
        tokio::task::spawn_local(async move {
            // a connection that the other side gives up is its own affair; what it misses is counted there
            let _ = converse(Wire::new(stream)?, &answers, released, &flooded).await;
            Result::Ok(())
        });
    }
}

/// The answers of one protocol, made once.
struct Answers {
    protocol: Protocol,
    plain: Vec<u8>,
    opening: Vec<u8>,
    piece: Vec<u8>,
    flood: Vec<u8>,
    closing: Vec<u8>,
}

impl Answers {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            plain: protocol.plain(),
            opening: chunk(&protocol.opening()),
            piece: chunk(&protocol.piece(PIECE)),
            flood: chunk(&protocol.piece(FLOOD_PIECE)),
            closing: [chunk(&protocol.closing()), b"0\r\n\r\n".to_vec()].concat(),
        }
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed
}

async fn converse(
    mut wire: Wire,
    answers: &[Answers; 2],
    mut released: watch::Receiver<u64>,
    flooded: &AtomicU64,
) -> Result<()> {
    let mut body = Vec::new();
    while let Some(path) = wire.request(&mut body).await? {
        let [openai, anthropic] = answers;
        let answers = match Protocol::of_path(&path) {
            Protocol::OpenAi => openai,
            Protocol::Anthropic => anthropic,
        };
        debug_assert_eq!(answers.protocol, Protocol::of_path(&path));
        let Some(script) = script(&body) else {
            wire.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await?;
            continue;
        };
        body = Vec::new();
        match script {
            Script::Plain => wire.write(&answers.plain).await?,
            Script::Stream { chunks, pause } => {
                open(&mut wire, answers).await?;
                let begin = Instant::now();
                for number in 1..=chunks {
                    wire.write(&answers.piece).await?;
                    if pause > 0 {
                        sleep_until(begin + Duration::from_millis(pause * number as u64)).await;
                    }
                }
                wire.write(&answers.closing).await?;
            }
            Script::Held => {
                released.borrow_and_update();
                open(&mut wire, answers).await?;
                wire.write(&answers.piece).await?;
                released.changed().await.map_err(std::io::Error::other)?;
                wire.write(&answers.piece).await?;
                wire.write(&answers.closing).await?;
            }
            Script::Flood { mebibytes } => {
                open(&mut wire, answers).await?;
                for _ in 0..mebibytes * FLOOD_PIECES {
                    wire.write(&answers.flood).await?;
                    flooded.fetch_add(answers.flood.len() as u64, Ordering::Relaxed);
                }
                wire.write(&answers.closing).await?;
            }
        }
    }
    Ok(())
}

async fn open(wire: &mut Wire, answers: &Answers) -> Result<()> {
    wire.write(STREAM_HEAD).await?;
    wire.write(&answers.opening).await
}

/// The script that the model's name tells.
fn script(body: &[u8]) -> Option<Script> {
    const MEMBER: &[u8] = b"\"model\":";
    const LONGEST: usize = 64;
    let begin = memchr::memmem::find(body, MEMBER)? + MEMBER.len();
    let end = body.len().min(begin + LONGEST);
    let name = str::from_utf8(&body[begin..end]).ok()?;
    Script::parse(name.split('"').nth(1)?)
}
