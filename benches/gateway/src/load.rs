//! The load generator: closed and open loops over connections that stay open. Every answer is checked to be whole.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::de::IgnoredAny;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Instant, sleep_until, timeout};

use crate::payload::{MARK, Protocol, Script};
use crate::wire::{Framing, Wire};

/// No answer takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked, of whom, and what has to come back.
#[derive(Clone)]
pub struct Job {
    pub address: SocketAddr,
    pub request: Rc<Vec<u8>>,
    pub protocol: Protocol,
    pub script: Script,
}

/// What a load saw. Times in microseconds.
#[derive(Default)]
pub struct Tally {
    pub done: u64,
    /// 503 with `retry-after`.
    pub shed: u64,
    pub seconds: f64,
    pub total: Vec<f64>,
    pub first: Vec<f64>,
}

impl Tally {
    fn add(&mut self, began: Instant, answer: &Answer) {
        match answer {
            Answer::Shed => self.shed += 1,
            Answer::Whole { first } => {
                self.done += 1;
                self.total.push(micros(began.elapsed()));
                self.first.push(micros(first.duration_since(began)));
            }
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// How a request was answered.
enum Answer {
    Whole { first: Instant },
    Shed,
}

pub async fn connect(address: SocketAddr) -> Result<Wire> {
    Ok(Wire::new(TcpStream::connect(address).await?)?)
}

/// So many connections, each with one request at a time.
pub async fn closed(job: &Job, connections: usize, duration: Duration) -> Result<Tally> {
    let mut wires = Vec::new();
    for _ in 0..connections {
        wires.push(connect(job.address).await?);
    }
    let tally = Rc::new(RefCell::new(Tally::default()));
    let begin = Instant::now();
    let mut running = JoinSet::new();
    for mut wire in wires {
        let (job, tally) = (job.clone(), Rc::clone(&tally));
        running.spawn_local(async move {
            let mut room = Room::default();
            while begin.elapsed() < duration {
                let began = Instant::now();
                let answer = ask(&mut wire, &job, &mut room).await?;
                tally.borrow_mut().add(began, &answer);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    let mut tally = tally.take();
    tally.seconds = begin.elapsed().as_secs_f64();
    Ok(tally)
}

/// Requests at a fixed rate, whatever becomes of them; times count from when each was due.
pub async fn open(job: &Job, rate: f64, duration: Duration) -> Result<Tally> {
    let idle: Rc<RefCell<Vec<Wire>>> = Rc::default();
    let tally = Rc::new(RefCell::new(Tally::default()));
    let begin = Instant::now();
    let mut running = JoinSet::new();
    let mut number = 0_u32;
    loop {
        let due = begin + Duration::from_secs_f64(f64::from(number) / rate);
        if due.duration_since(begin) >= duration {
            break;
        }
        number += 1;
        sleep_until(due).await;
        let (job, idle, tally) = (job.clone(), Rc::clone(&idle), Rc::clone(&tally));
        running.spawn_local(async move {
            let free = idle.borrow_mut().pop();
            let mut wire = match free {
                Some(wire) => wire,
                None => connect(job.address).await?,
            };
            let answer = ask(&mut wire, &job, &mut Room::default()).await?;
            tally.borrow_mut().add(due, &answer);
            // who is refused before its body is read has to connect anew
            if let Answer::Whole { .. } = answer {
                idle.borrow_mut().push(wire);
            }
            anyhow::Ok(())
        });
        while let Some(ended) = running.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    let mut tally = tally.take();
    tally.seconds = begin.elapsed().as_secs_f64();
    Ok(tally)
}

/// A stream whose first piece has come.
pub struct Begun {
    wire: Wire,
    room: Room,
}

/// Opens so many streams, some at a time, and reads each up to its first piece.
pub async fn begin(job: &Job, streams: usize) -> Result<Vec<Begun>> {
    const AT_ONCE: usize = 32;
    let mut begun = Vec::new();
    let mut running = JoinSet::new();
    for _ in 0..streams {
        let job = job.clone();
        running.spawn_local(async move {
            let mut wire = connect(job.address).await?;
            let mut room = Room::default();
            wire.write(&job.request).await?;
            let head = wire.head().await?;
            ensure!(head.status == 200, "status {}", head.status);
            while room.marks == 0 {
                ensure!(
                    wire.chunks(&mut room.body).await?,
                    "the stream ended before its first piece"
                );
                room.scan();
            }
            anyhow::Ok(Begun { wire, room })
        });
        if running.len() >= AT_ONCE
            && let Some(ended) = running.join_next().await
        {
            begun.push(ended??);
        }
    }
    while let Some(ended) = running.join_next().await {
        begun.push(ended??);
    }
    Ok(begun)
}

/// Reads the streams to their ends.
pub async fn finish(job: &Job, begun: Vec<Begun>) -> Result<()> {
    let mut running = JoinSet::new();
    for Begun { mut wire, mut room } in begun {
        let job = job.clone();
        running.spawn_local(async move {
            timeout(PATIENCE, async {
                while wire.chunks(&mut room.body).await? {
                    room.scan();
                }
                room.scan();
                room.check_stream(&job)
            })
            .await?
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

/// Runs something while a load goes on, and gives what both saw.
pub async fn beside<T: 'static>(
    load: impl Future<Output = Result<Tally>>,
    other: impl Future<Output = Result<T>> + 'static,
) -> Result<(Tally, T)> {
    let other = spawn_local(other);
    let tally = load.await?;
    Ok((tally, other.await??))
}

/// Where answers are read into, and what was found in them.
#[derive(Default)]
struct Room {
    body: Vec<u8>,
    scanned: usize,
    marks: usize,
}

impl Room {
    fn clear(&mut self) {
        self.body.clear();
        self.scanned = 0;
        self.marks = 0;
    }

    /// Counts the marks in what is new, and forgets what a stream no longer needs.
    fn scan(&mut self) {
        const KEPT: usize = 256;
        const ENOUGH: usize = 256 * 1024;
        let mut at = self.scanned;
        while let Some(found) = memchr::memmem::find(&self.body[at..], MARK) {
            self.marks += 1;
            at += found + MARK.len();
        }
        self.scanned = at.max((self.body.len() + 1).saturating_sub(MARK.len()));
        if self.body.len() > ENOUGH {
            let forgotten = (self.body.len() - KEPT).min(self.scanned);
            self.body.drain(..forgotten);
            self.scanned -= forgotten;
        }
    }

    fn check_stream(&self, job: &Job) -> Result<()> {
        ensure!(
            self.marks == job.script.marks(),
            "a stream has {} pieces, not {}",
            self.marks,
            job.script.marks()
        );
        let tail = self.body.len().saturating_sub(128);
        ensure!(
            memchr::memmem::find(&self.body[tail..], job.protocol.terminal()).is_some(),
            "a stream ends without its last event: {}",
            String::from_utf8_lossy(&self.body[tail..])
        );
        Ok(())
    }
}

async fn ask(wire: &mut Wire, job: &Job, room: &mut Room) -> Result<Answer> {
    timeout(PATIENCE, exchange(wire, job, room))
        .await
        .context("no answer within a minute")?
}

async fn exchange(wire: &mut Wire, job: &Job, room: &mut Room) -> Result<Answer> {
    wire.write(&job.request).await?;
    let head = wire.head().await?;
    room.clear();
    match head.framing {
        Framing::Length(length) => {
            wire.take(length, &mut room.body).await?;
            if head.status == 503 && head.has_retry_after {
                return Ok(Answer::Shed);
            }
            if head.status != 200 {
                bail!(
                    "status {}: {}",
                    head.status,
                    String::from_utf8_lossy(&room.body)
                );
            }
            let first = Instant::now();
            room.scan();
            ensure!(room.marks == 1, "an answer without its text");
            serde_json::from_slice::<IgnoredAny>(&room.body)
                .context("an answer that is no JSON")?;
            Ok(Answer::Whole { first })
        }
        Framing::Chunks => {
            let mut first = None;
            let mut more = true;
            while more {
                more = wire.chunks(&mut room.body).await?;
                room.scan();
                if room.marks > 0 && first.is_none() {
                    first = Some(Instant::now());
                }
            }
            ensure!(head.status == 200, "status {}", head.status);
            if job.script.streams() {
                room.check_stream(job)?;
            } else {
                ensure!(room.marks == 1, "an answer without its text");
            }
            Ok(Answer::Whole {
                first: first.context("a stream without text")?,
            })
        }
    }
}
