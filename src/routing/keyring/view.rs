//! The ring as people and health checks see it: numbers and labels.

use std::time::{Duration, Instant};

use super::rest::Due;
use super::{Keyring, Standing};

/// A provider's keys in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingStatus {
    /// Keys of the present configuration.
    pub keys: usize,
    /// Those that can be had for at least one model.
    pub ready: usize,
    /// Those that rest for all models.
    pub cooling: usize,
    /// Calls under way, on keys of older configurations too.
    pub in_flight: u64,
}

/// One key, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyView {
    /// Its label.
    pub label: String,
    /// Calls under way.
    pub in_flight: u64,
    /// How long it rests for all models.
    pub resting: Option<Duration>,
    /// How long it rests for single models, by the upstream's name and in its order.
    pub resting_for: Vec<(String, Duration)>,
}

impl Keyring {
    /// The ring in numbers.
    pub fn status(&self, now: Instant) -> RingStatus {
        let members = || {
            self.keys
                .values()
                .filter(|state| state.standing == Standing::Member)
        };
        let keys = members().count();
        let ready = if self.rest.due(now).is_some() {
            0
        } else {
            members()
                .filter(|state| state.rest.due(now).is_none())
                .count()
        };
        RingStatus {
            keys,
            ready,
            cooling: keys.saturating_sub(ready),
            in_flight: self.in_flight,
        }
    }

    /// The keys of the present configuration, by label.
    pub fn list(&self, now: Instant) -> Vec<KeyView> {
        let left = |due: Due| due.at.saturating_duration_since(now);
        let mut views: Vec<KeyView> = self
            .keys
            .values()
            .filter(|state| state.standing == Standing::Member)
            .map(|state| {
                let due = Due::both(self.rest.due(now), state.rest.due(now));
                let mut resting_for: Vec<_> = state
                    .models
                    .iter()
                    .filter_map(|(model, rest)| Some((model.clone(), left(rest.due(now)?))))
                    .collect();
                resting_for.sort();
                KeyView {
                    label: state.label.clone(),
                    in_flight: state.in_flight,
                    resting: due.map(left),
                    resting_for,
                }
            })
            .collect();
        views.sort_by(|one, other| one.label.cmp(&other.label));
        views
    }
}
