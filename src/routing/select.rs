//! Which of a model's routes a request tries first, by the model's strategy. It is given what is known of each route, a
//! turn and random numbers; where these come from, and what rests, it does not know.

mod pace;
mod track;

use std::time::Duration;

use crate::config::catalog::Strategy;

pub use pace::{FAILED, FORGETTING, Pace};
pub use track::{CallId, Track};

/// Of so many requests one begins with a route that is not known to be the fastest, so that one that has become fast is
/// found.
pub const EXPLORATION: f64 = 0.05;

/// What is known of a route when a request is about to choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its weight, from 0.
    pub weight: f64,
    /// Requests under way on it.
    pub in_flight: usize,
    /// How long it takes to say something; `None`: nobody has heard it yet.
    pub pace: Option<Duration>,
}

/// The order in which a request tries these routes: their positions, each once. `turn` grows by one with each request;
/// `random` gives numbers from 0 up to and without 1.
pub fn order(
    strategy: Strategy,
    candidates: &[Candidate],
    turn: u64,
    random: &mut dyn FnMut() -> f64,
) -> Vec<usize> {
    let ranked: Vec<(usize, &Candidate)> = candidates.iter().enumerate().collect();
    let ranked = match strategy {
        Strategy::Ordered => ranked,
        Strategy::RoundRobin => rotated(ranked, turn),
        Strategy::Weighted => weighted(ranked, random),
        Strategy::LeastBusy => least_busy(ranked, turn),
        Strategy::Fastest => fastest(ranked, random),
    };
    ranked.into_iter().map(|(position, _)| position).collect()
}

type Ranked<'c> = Vec<(usize, &'c Candidate)>;

fn rotated(mut ranked: Ranked<'_>, turn: u64) -> Ranked<'_> {
    if let Some(start) = turn.checked_rem(ranked.len() as u64) {
        ranked.rotate_left(start as usize);
    }
    ranked
}

/// Draws without putting back. A draw of -ln(u)/weight is one of an exponential distribution with the rate `weight`, and
/// the least of several such draws is each one's with the probability of its share of all weights.
fn weighted<'c>(mut ranked: Ranked<'c>, random: &mut dyn FnMut() -> f64) -> Ranked<'c> {
    let draws: Vec<f64> = ranked
        .iter()
        .map(|(_, candidate)| {
            let uniform = 1.0 - random();
            if candidate.weight > 0.0 {
                -uniform.ln() / candidate.weight
            } else {
                f64::INFINITY
            }
        })
        .collect();
    let draw = |position: usize| draws.get(position).copied().unwrap_or(f64::INFINITY);
    ranked.sort_by(|(one, _), (other, _)| draw(*one).total_cmp(&draw(*other)));
    ranked
}

/// Of equally busy ones the next in turn, so that idle routes share what comes in at once.
fn least_busy(ranked: Ranked<'_>, turn: u64) -> Ranked<'_> {
    let mut ranked = rotated(ranked, turn);
    ranked.sort_by_key(|(_, candidate)| candidate.in_flight);
    ranked
}

/// A route that nobody has heard yet goes first while it is idle, and last while the request that will tell is under way.
fn fastest<'c>(mut ranked: Ranked<'c>, random: &mut dyn FnMut() -> f64) -> Ranked<'c> {
    ranked.sort_by_key(
        |(_, candidate)| match (candidate.pace, candidate.in_flight) {
            (None, 0) => (0, Duration::ZERO, 0),
            (Some(pace), _) => (1, pace, 0),
            (None, busy) => (2, Duration::ZERO, busy),
        },
    );
    let others = ranked.len().saturating_sub(1);
    if others > 0 && random() < EXPLORATION {
        let other = 1 + ((random() * others as f64) as usize).min(others - 1);
        if let Some(upto) = ranked.get_mut(..=other) {
            upto.rotate_right(1);
        }
    }
    ranked
}

#[cfg(test)]
mod tests;
