//! What is measured, and how: each scenario puts one subject under one load and gives figures by name.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use crate::load::{self, Job, Tally};
use crate::machine;
use crate::payload::{Protocol, Script};
use crate::subject::{Subject, more_model, more_model_text};
use crate::upstream::Upstream;

/// A load.
#[derive(Debug, Clone, Copy)]
pub enum Scenario {
    /// One request at a time on each connection.
    Closed {
        connections: usize,
        client: Protocol,
        route: Protocol,
        script: Script,
        prompt: usize,
    },
    /// Streams that stand still after their first piece.
    Idle { streams: usize },
    /// From the start of the process to its first answer.
    ColdStart,
    /// New models appear while requests come at a fixed rate.
    Reload,
    /// Twice as many streams as the gateway admits.
    Overload,
    /// Clients that stop reading their streams for a while.
    SlowReaders { streams: usize },
}

/// A figure with its name; the name holds the unit.
pub type Figure = (&'static str, f64);

const SMALL_PROMPT: usize = 700;
/// Rows go on to the database after the answers have gone out; their cost counts.
const LAST_ROWS: Duration = Duration::from_millis(400);
const BURST: Script = Script::Stream {
    chunks: 64,
    pause: 0,
};
const PACED: Script = Script::Stream {
    chunks: 100,
    pause: 10,
};

/// Streams at once that the gateway of [`Scenario::Overload`] admits.
pub const ADMITTED: usize = 100;

const fn plain(connections: usize) -> Scenario {
    use Protocol::OpenAi;
    Scenario::Closed {
        connections,
        client: OpenAi,
        route: OpenAi,
        script: Script::Plain,
        prompt: SMALL_PROMPT,
    }
}

const fn streamed(
    connections: usize,
    client: Protocol,
    route: Protocol,
    script: Script,
) -> Scenario {
    Scenario::Closed {
        connections,
        client,
        route,
        script,
        prompt: SMALL_PROMPT,
    }
}

/// All of them, by name.
pub const SCENARIOS: [(&str, Scenario); 17] = {
    use Protocol::{Anthropic, OpenAi};
    [
        ("plain, 1 connection", plain(1)),
        ("plain, 16 connections", plain(16)),
        ("plain, 64 connections", plain(64)),
        (
            "prompts of 300 KB, 8 connections",
            Scenario::Closed {
                connections: 8,
                client: OpenAi,
                route: OpenAi,
                script: Script::Plain,
                prompt: 300_000,
            },
        ),
        ("streams, OpenAI, 16", streamed(16, OpenAi, OpenAi, BURST)),
        (
            "streams, Anthropic, 16",
            streamed(16, Anthropic, Anthropic, BURST),
        ),
        (
            "streams, OpenAI client, Anthropic route, 16",
            streamed(16, OpenAi, Anthropic, BURST),
        ),
        (
            "streams, Anthropic client, OpenAI route, 16",
            streamed(16, Anthropic, OpenAi, BURST),
        ),
        (
            "streams, a piece each 10 ms, 32",
            streamed(32, OpenAi, OpenAi, PACED),
        ),
        (
            "streams, a piece each 10 ms, Anthropic client, OpenAI route, 32",
            streamed(32, Anthropic, OpenAi, PACED),
        ),
        ("idle streams, 1000", Scenario::Idle { streams: 1000 }),
        ("idle streams, 5000", Scenario::Idle { streams: 5000 }),
        ("cold start", Scenario::ColdStart),
        ("growth, 16 connections", plain(16)),
        ("reload among 10,000 models", Scenario::Reload),
        ("overload, 200 % of what is admitted", Scenario::Overload),
        (
            "50 clients that do not read",
            Scenario::SlowReaders { streams: 50 },
        ),
    ]
};

impl Scenario {
    /// Whether it wants a process that has done nothing yet.
    pub fn wants_fresh(self) -> bool {
        matches!(
            self,
            Self::Idle { .. } | Self::ColdStart | Self::SlowReaders { .. }
        )
    }

    pub async fn run(
        self,
        subject: &Subject,
        upstream: &Upstream,
        duration: Duration,
    ) -> Result<Vec<Figure>> {
        match self {
            Self::Closed {
                connections,
                client,
                route,
                script,
                prompt,
            } => {
                closed(
                    subject,
                    &subject.job(client, route, script, prompt),
                    connections,
                    duration,
                )
                .await
            }
            Self::Idle { streams } => idle(subject, upstream, streams, duration).await,
            Self::ColdStart => at_rest(subject).await,
            Self::Reload => reload(subject, duration).await,
            Self::Overload => overload(subject, duration).await,
            Self::SlowReaders { streams } => slow_readers(subject, upstream, streams).await,
        }
    }
}

async fn closed(
    subject: &Subject,
    job: &Job,
    connections: usize,
    duration: Duration,
) -> Result<Vec<Figure>> {
    load::closed(job, connections, duration / 6).await?;
    let before = subject.pid().map(machine::cpu).transpose()?;
    let tally = load::closed(job, connections, duration).await?;
    sleep(LAST_ROWS).await;
    let after = subject.pid().map(machine::cpu).transpose()?;
    ensure!(tally.shed == 0, "{} requests were shed", tally.shed);
    let mut figures = vec![("requests/s", tally.done as f64 / tally.seconds)];
    if let (Some(before), Some(after)) = (before, after) {
        let each = (after - before).as_secs_f64() * 1e6 / tally.done as f64;
        figures.push(("CPU µs/request", each));
        if job.script.streams() {
            figures.push(("CPU µs/chunk", each / job.script.marks() as f64));
        }
    }
    let Tally { total, first, .. } = tally;
    figures.extend(percentiles(total, ["p50 µs", "p99 µs"]));
    if job.script.streams() {
        figures.extend(percentiles(
            first,
            ["first piece p50 µs", "first piece p99 µs"],
        ));
    }
    Ok(figures)
}

fn percentiles(mut values: Vec<f64>, names: [&'static str; 2]) -> [Figure; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (values.len() as f64 * share) as usize;
        values
            .get(index.min(values.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    };
    let [median, high] = names;
    [(median, at(0.5)), (high, at(0.99))]
}

async fn idle(
    subject: &Subject,
    upstream: &Upstream,
    streams: usize,
    duration: Duration,
) -> Result<Vec<Figure>> {
    let pid = subject.pid().context("has no process")?;
    let job = subject.job(
        Protocol::OpenAi,
        Protocol::OpenAi,
        Script::Held,
        SMALL_PROMPT,
    );
    let before = machine::memory(pid)?;
    let begun = load::begin(&job, streams).await?;
    sleep(Duration::from_secs(1)).await;
    let memory = machine::memory(pid)? - before;
    let (began, before) = (Instant::now(), machine::run_time(pid)?);
    sleep(duration.max(Duration::from_secs(5))).await;
    let ran = machine::run_time(pid)?.saturating_sub(before);
    let cpu = ran.as_secs_f64() * 1e3 / began.elapsed().as_secs_f64();
    upstream.release();
    load::finish(&job, begun).await?;
    Ok(vec![
        ("KiB/stream", memory / streams as f64),
        ("CPU ms/s", cpu),
    ])
}

/// The time to the first answer is measured by whoever starts the process.
async fn at_rest(subject: &Subject) -> Result<Vec<Figure>> {
    sleep(Duration::from_secs(1)).await;
    let pid = subject.pid().context("has no process")?;
    Ok(vec![("memory at rest MiB", machine::memory(pid)? / 1024.0)])
}

async fn reload(subject: &Subject, duration: Duration) -> Result<Vec<Figure>> {
    const RATE: f64 = 500.0;
    let job = subject.job(
        Protocol::OpenAi,
        Protocol::OpenAi,
        Script::Plain,
        SMALL_PROMPT,
    );
    load::open(&job, RATE, duration / 6).await?;
    let quiet = load::open(&job, RATE, duration).await?;
    let folder = subject.models()?;
    // numbers that nobody had, in each round others
    let first = 1_000_000 + std::fs::read_dir(&folder)?.count();
    let changes = async move {
        let begin = Instant::now();
        let mut times = Vec::new();
        while begin.elapsed() < duration {
            let number = first + times.len();
            let changed = Instant::now();
            std::fs::write(
                folder.join(format!("{}.json", more_model(number))),
                more_model_text(number, "plain"),
            )?;
            while !serves(&job, &more_model(number)).await? {
                ensure!(
                    changed.elapsed() < Duration::from_secs(20),
                    "a new model is not served after 20 s"
                );
                sleep(Duration::from_millis(2)).await;
            }
            times.push(changed.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    };
    let job = subject.job(
        Protocol::OpenAi,
        Protocol::OpenAi,
        Script::Plain,
        SMALL_PROMPT,
    );
    let (busy, times) = load::beside(load::open(&job, RATE, duration), changes).await?;
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let mut figures = vec![("slowest reload ms", slowest)];
    figures.extend(percentiles(quiet.total, ["p50 µs", "p99 µs"]));
    figures.extend(percentiles(
        busy.total,
        ["during reloads p50 µs", "during reloads p99 µs"],
    ));
    Ok(figures)
}

/// Whether a model is known yet.
async fn serves(job: &Job, model: &str) -> Result<bool> {
    let mut wire = load::connect(job.address).await?;
    let request = format!(
        "GET /v1/models/{model} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        crate::subject::CLIENT_KEY
    );
    wire.write(request.as_bytes()).await?;
    Ok(wire.head().await?.status == 200)
}

async fn overload(subject: &Subject, duration: Duration) -> Result<Vec<Figure>> {
    let pid = subject.pid().context("has no process")?;
    let job = subject.job(Protocol::OpenAi, Protocol::OpenAi, PACED, SMALL_PROMPT);
    // each stream takes a second, so that this many a second fill the places
    let full = ADMITTED as f64;
    let duration = duration.max(Duration::from_secs(4));
    let calm = load::open(&job, full * 0.8, duration).await?;
    let before = machine::memory(pid)?;
    let crowded = load::open(&job, full * 2.0, duration).await?;
    let memory = machine::memory(pid)? - before;
    ensure!(calm.shed == 0, "{} requests were shed at 80 %", calm.shed);
    ensure!(crowded.shed > 0, "nothing was shed at 200 %");
    let asked = (crowded.shed + crowded.done) as f64;
    let mut figures = vec![
        ("shed %", crowded.shed as f64 * 100.0 / asked),
        ("memory grew by KiB", memory),
    ];
    figures.extend(percentiles(
        calm.first,
        ["first piece p50 µs at 80 %", "first piece p99 µs at 80 %"],
    ));
    figures.extend(percentiles(
        crowded.first,
        ["first piece p50 µs at 200 %", "first piece p99 µs at 200 %"],
    ));
    Ok(figures)
}

async fn slow_readers(
    subject: &Subject,
    upstream: &Upstream,
    streams: usize,
) -> Result<Vec<Figure>> {
    use std::sync::atomic::Ordering::Relaxed;
    let pid = subject.pid().context("has no process")?;
    let job = Rc::new(subject.job(
        Protocol::OpenAi,
        Protocol::OpenAi,
        Script::Flood { mebibytes: 16 },
        SMALL_PROMPT,
    ));
    let memory = machine::memory(pid)?;
    let begin = upstream.flooded.load(Relaxed);
    let begun = load::begin(&job, streams).await?;
    sleep(Duration::from_secs(2)).await;
    let early = upstream.flooded.load(Relaxed);
    sleep(Duration::from_secs(3)).await;
    let late = upstream.flooded.load(Relaxed);
    let memory = machine::memory(pid)? - memory;
    load::finish(&job, begun).await?;
    let each = |bytes: u64| bytes as f64 / 1024.0 / streams as f64;
    Ok(vec![
        ("sent after 2 s KiB/stream", each(early - begin)),
        ("sent in 3 s more KiB/stream", each(late - early)),
        ("KiB/stream", memory / streams as f64),
    ])
}
