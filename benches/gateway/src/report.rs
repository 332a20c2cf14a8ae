//! Figures of all rounds: medians, spreads and ratios, as a table for people and as JSON.

use serde::Serialize;

/// Subject that the others are compared with.
pub const YARDSTICK: &str = "nginx";

/// Everything that was measured.
#[derive(Serialize)]
pub struct Report {
    pub date: String,
    pub machine: String,
    pub versions: Vec<String>,
    pub rounds: usize,
    pub seconds: f64,
    pub lines: Vec<Line>,
}

/// One figure of one subject in one scenario, of every round.
#[derive(Serialize)]
pub struct Line {
    pub scenario: &'static str,
    pub subject: String,
    pub figure: &'static str,
    pub values: Vec<f64>,
    /// To what the ratio is.
    pub against: Option<String>,
    /// Of each round.
    pub ratios: Vec<f64>,
}

/// Where we want to be; see docs/performance.md.
const WANTED: [(&str, &str, Wanted); 14] = {
    use Wanted::{Ratio, RatioAtLeast, Value};
    [
        ("plain, 16 connections", "CPU µs/request", Ratio(2.2, 1.7)),
        (
            "plain, 16 connections",
            "requests/s",
            RatioAtLeast(0.55, 0.8),
        ),
        ("plain, 1 connection", "added p50 µs", Value(100.0, 60.0)),
        ("streams, OpenAI, 16", "CPU µs/chunk", Ratio(1.5, 1.0)),
        ("streams, Anthropic, 16", "CPU µs/chunk", Ratio(1.5, 1.0)),
        (
            "streams, a piece each 10 ms, 32",
            "CPU µs/chunk",
            Ratio(1.5, 1.0),
        ),
        (
            "streams, OpenAI client, Anthropic route, 16",
            "CPU µs/chunk",
            Ratio(3.0, 1.5),
        ),
        (
            "streams, Anthropic client, OpenAI route, 16",
            "CPU µs/chunk",
            Ratio(3.0, 1.5),
        ),
        (
            "prompts of 300 KB, 8 connections",
            "CPU µs/request",
            Ratio(2.5, 1.5),
        ),
        ("idle streams, 5000", "KiB/stream", Value(40.0, 20.0)),
        ("idle streams, 5000", "CPU ms/s", Value(10.0, 1.0)),
        ("cold start", "first answer ms", Value(80.0, 30.0)),
        ("cold start", "memory at rest MiB", Value(25.0, 15.0)),
        (
            "reload among 10,000 models",
            "slowest reload ms",
            Value(500.0, 500.0),
        ),
    ]
};

/// A floor, and the aim beyond it.
#[derive(Clone, Copy)]
enum Wanted {
    Ratio(f64, f64),
    RatioAtLeast(f64, f64),
    Value(f64, f64),
}

impl Wanted {
    fn words(self) -> String {
        match self {
            Self::Ratio(floor, aim) => format!("≤ {floor} (aim {aim})"),
            Self::RatioAtLeast(floor, aim) => format!("≥ {floor} (aim {aim})"),
            Self::Value(floor, aim) => format!("value ≤ {floor} (aim {aim})"),
        }
    }

    fn judge(self, value: f64, ratio: Option<f64>) -> &'static str {
        let (reached, floor, aim) = match (self, ratio) {
            (Self::Value(floor, aim), _) => (value, floor, aim),
            (Self::Ratio(floor, aim), Some(ratio)) => (ratio, floor, aim),
            // the same comparison with both sides turned
            (Self::RatioAtLeast(floor, aim), Some(ratio)) => (-ratio, -floor, -aim),
            (_, None) => return "",
        };
        if reached <= aim {
            "aim"
        } else if reached <= floor {
            "floor"
        } else {
            "MISSED"
        }
    }
}

impl Report {
    /// Notes a figure of a round; rounds come in order.
    pub fn note(
        &mut self,
        scenario: &'static str,
        subject: &str,
        figure: &'static str,
        value: f64,
    ) {
        let known = self.lines.iter_mut().find(|line| {
            line.scenario == scenario && line.subject == subject && line.figure == figure
        });
        match known {
            Some(line) => line.values.push(value),
            None => self.lines.push(Line {
                scenario,
                subject: subject.to_owned(),
                figure,
                values: vec![value],
                against: None,
                ratios: Vec::new(),
            }),
        }
    }

    /// Compares each subject with nginx, or where nginx is not there with the first subject of the scenario.
    pub fn compare(&mut self) {
        let bases: Vec<(&'static str, &'static str, String, Vec<f64>)> = self
            .lines
            .iter()
            .map(|line| {
                (
                    line.scenario,
                    line.figure,
                    line.subject.clone(),
                    line.values.clone(),
                )
            })
            .collect();
        for line in &mut self.lines {
            let mut same = bases.iter().filter(|(scenario, figure, ..)| {
                *scenario == line.scenario && *figure == line.figure
            });
            let first = same.clone().next();
            let base = same
                .find(|(_, _, subject, _)| subject == YARDSTICK)
                .or(first);
            let Some((_, _, subject, values)) = base else {
                continue;
            };
            if *subject == line.subject || values.len() != line.values.len() {
                continue;
            }
            line.against = Some(subject.clone());
            line.ratios = line
                .values
                .iter()
                .zip(values)
                .map(|(value, base)| value / base)
                .collect();
        }
    }

    /// The table in Markdown.
    pub fn table(&self) -> String {
        let mut table = format!("{}; {}\n", self.date, self.machine);
        for version in &self.versions {
            table.push_str(&format!("{version}\n"));
        }
        table.push_str(&format!(
            "{} rounds of {} s; median (lowest–highest)\n\n",
            self.rounds, self.seconds
        ));
        table.push_str("| scenario | figure | subject | value | ratio | wanted | |\n|---|---|---|---|---|---|---|\n");
        for line in &self.lines {
            let wanted = WANTED
                .iter()
                .find(|(scenario, figure, _)| {
                    *scenario == line.scenario
                        && *figure == line.figure
                        && line.subject != YARDSTICK
                })
                .map(|(_, _, wanted)| *wanted);
            let value = median(&line.values);
            let ratio = line.against.as_ref().map(|_| median(&line.ratios));
            let ratio_words = match &line.against {
                Some(base) if base != YARDSTICK => format!("{} to {base}", spread(&line.ratios)),
                Some(_) => spread(&line.ratios),
                None => String::new(),
            };
            table.push_str(&format!(
                "| {} | {} | {} | {} | {ratio_words} | {} | {} |\n",
                line.scenario,
                line.figure,
                line.subject,
                spread(&line.values),
                wanted.map(Wanted::words).unwrap_or_default(),
                wanted
                    .map(|wanted| wanted.judge(value, ratio))
                    .unwrap_or_default(),
            ));
        }
        table
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (
        sorted.get(sorted.len() / 2),
        sorted.get((sorted.len().max(1) - 1) / 2),
    ) {
        (Some(high), Some(low)) => f64::midpoint(*high, *low),
        _ => f64::NAN,
    }
}

fn spread(values: &[f64]) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.len() < 2 {
        return short(median(values));
    }
    format!(
        "{} ({}–{})",
        short(median(values)),
        short(lowest),
        short(highest)
    )
}

/// Three digits are more than these figures know.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
