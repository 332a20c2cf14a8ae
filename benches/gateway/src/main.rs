//! Measures gateways beside nginx: the same load on each in turn, round after round. See docs/performance.md.

mod load;
mod machine;
mod payload;
mod report;
mod scenario;
mod subject;
mod upstream;
mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use report::{Report, YARDSTICK};
use scenario::{ADMITTED, SCENARIOS, Scenario};
use subject::{Shape, Subject};
use upstream::Upstream;

#[derive(Parser)]
struct Arguments {
    /// A gateway, as LABEL=PATH of its binary; several are measured in turn, such as one before a change and one after it
    #[arg(
        long = "gateway",
        value_name = "LABEL=PATH",
        default_value = "gateway=../../target/release/model-proxy"
    )]
    gateways: Vec<String>,
    /// nginx; without it the gateways are measured alone
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// How often everything is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each load lasts
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only the scenarios whose names hold one of these texts
    #[arg(long, value_delimiter = ';')]
    only: Vec<String>,
    /// Where every figure of every round goes, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A subject that can be started.
struct Entrant {
    label: String,
    binary: PathBuf,
    /// None for nginx.
    shape: Option<Shape>,
    /// Scenarios whose names begin so; all if none.
    only: &'static [&'static str],
    /// Runs through all rounds.
    running: Option<Subject>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // thousands of connections
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let upstream = Upstream::start()?;
    let direct = Subject::direct(upstream.address);
    let chosen: Vec<(&'static str, Scenario)> = SCENARIOS
        .into_iter()
        .filter(|(name, _)| {
            arguments.only.is_empty() || arguments.only.iter().any(|part| name.contains(part))
        })
        .collect();
    let mut entrants = entrants(arguments)?;
    let mut report = Report {
        date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M").to_string(),
        machine: machine::description(),
        versions: entrants
            .iter()
            .filter(|entrant| entrant.only.is_empty())
            .map(version)
            .collect(),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        lines: Vec::new(),
    };
    let duration = Duration::from_secs_f64(arguments.seconds);
    let mut failures = 0;
    for round in 0..arguments.rounds {
        for (name, scenario) in &chosen {
            let direct_p50 = match *name {
                "plain, 1 connection" => {
                    let figures = scenario.run(&direct, &upstream, duration).await?;
                    figures
                        .into_iter()
                        .find(|(figure, _)| *figure == "p50 µs")
                        .map(|(_, value)| value)
                }
                _ => None,
            };
            // nobody is always first
            let mut order: Vec<usize> = (0..entrants.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let Some(entrant) = entrants.get_mut(index) else {
                    continue;
                };
                if !entrant.takes(name, *scenario) {
                    continue;
                }
                let figures = match entrant.run(*scenario, &upstream, duration).await {
                    Ok(figures) => figures,
                    Err(error) => {
                        eprintln!("FAILED {name}: {}: {error:#}", entrant.label);
                        failures += 1;
                        continue;
                    }
                };
                for (figure, value) in figures {
                    report.note(name, &entrant.label, figure, value);
                    if let (Some(direct), "p50 µs") = (direct_p50, figure) {
                        report.note(name, &entrant.label, "added p50 µs", value - direct);
                    }
                }
            }
            eprintln!("round {}: {name}", round + 1);
        }
    }
    report.compare();
    println!("{}", report.table());
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)?;
    }
    ensure!(failures == 0, "{failures} measurements failed");
    Ok(())
}

fn entrants(arguments: &Arguments) -> Result<Vec<Entrant>> {
    let mut entrants = Vec::new();
    let entrant = |label: &str, binary: &Path, shape, only| Entrant {
        label: label.to_owned(),
        binary: binary.to_owned(),
        shape,
        only,
        running: None,
    };
    if Command::new(&arguments.nginx).arg("-v").output().is_ok() {
        entrants.push(entrant(YARDSTICK, &arguments.nginx, None, &[]));
    } else {
        eprintln!(
            "{} is missing (Debian: apt-get install nginx-light): no ratios to it",
            arguments.nginx.display()
        );
    }
    let mut last = None;
    for gateway in &arguments.gateways {
        let (label, binary) = gateway
            .split_once('=')
            .context("--gateway wants LABEL=PATH")?;
        let binary = std::path::absolute(binary)?;
        if !binary.exists() {
            bail!("{} does not exist: cargo build --release", binary.display());
        }
        entrants.push(entrant(label, &binary, Some(Shape::default()), &[]));
        last = Some((label, binary));
    }
    let Some((label, binary)) = last else {
        return Ok(entrants);
    };
    let more = |change: fn(&mut Shape)| {
        let mut shape = Shape::default();
        change(&mut shape);
        Some(shape)
    };
    let growth: &'static [&'static str] = &["growth"];
    for (what, shape, only) in [
        (
            "metadata only",
            more(|shape| shape.settings.push(("LOG_CONTENT", "metadata".to_owned()))),
            &["plain, 16", "prompts"] as &'static [&'static str],
        ),
        (
            "10,000 models",
            more(|shape| shape.more_models = 10_000),
            &["growth", "reload"],
        ),
        ("1,000 keys", more(|shape| shape.more_keys = 999), growth),
        (
            "100,000 clients",
            more(|shape| shape.more_clients = 99_999),
            growth,
        ),
        (
            "100 admitted",
            more(|shape| shape.settings.push(("MAX_IN_FLIGHT", ADMITTED.to_string()))),
            &["overload"],
        ),
    ] {
        entrants.push(entrant(&format!("{label}, {what}"), &binary, shape, only));
    }
    Ok(entrants)
}

fn version(entrant: &Entrant) -> String {
    let flag = if entrant.shape.is_some() {
        "--version"
    } else {
        "-v"
    };
    let output = Command::new(&entrant.binary).arg(flag).output();
    let words = output
        .map(|output| [output.stdout, output.stderr].concat())
        .unwrap_or_default();
    format!(
        "{}: {}",
        entrant.label,
        String::from_utf8_lossy(&words).trim()
    )
}

impl Entrant {
    fn takes(&self, name: &str, scenario: Scenario) -> bool {
        match scenario {
            // for those that are set up for it
            Scenario::Reload | Scenario::Overload => {
                self.only.iter().any(|prefix| name.starts_with(prefix))
            }
            _ => self.only.is_empty() || self.only.iter().any(|prefix| name.starts_with(prefix)),
        }
    }

    fn start(&self, upstream: &Upstream) -> Result<(Subject, Duration)> {
        let mut subject = match &self.shape {
            None => Subject::nginx(&self.binary, upstream.address)?,
            Some(shape) => Subject::gateway(&self.binary, upstream.address, shape)?,
        };
        let first_answer = subject.ready()?;
        Ok((subject, first_answer))
    }

    async fn run(
        &mut self,
        scenario: Scenario,
        upstream: &Upstream,
        duration: Duration,
    ) -> Result<Vec<scenario::Figure>> {
        if scenario.wants_fresh() {
            let (subject, first_answer) = self.start(upstream)?;
            let mut figures = match scenario {
                Scenario::ColdStart => vec![("first answer ms", first_answer.as_secs_f64() * 1e3)],
                _ => Vec::new(),
            };
            figures.extend(scenario.run(&subject, upstream, duration).await?);
            return Ok(figures);
        }
        if self.running.is_none() {
            let (subject, first_answer) = self.start(upstream)?;
            eprintln!("{}: first answer after {first_answer:?}", self.label);
            self.running = Some(subject);
        }
        let subject = self.running.as_ref().context("is not running")?;
        let ran = scenario.run(subject, upstream, duration).await;
        ran.with_context(|| {
            subject
                .log()
                .lines()
                .rev()
                .take(5)
                .collect::<Vec<_>>()
                .join("\n")
        })
    }
}
