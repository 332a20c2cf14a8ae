//! The ring as people and health checks see it: numbers and labels.

use std::time::{Duration, Instant};

use super::{KeyState, Keyring, Standing};
use crate::routing::outcome::{Class, RestKind};
use crate::secret::Digest;

/// A provider's keys in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingStatus {
    /// Keys of the present configuration.
    pub keys: usize,
    /// Those that can be had for at least one model, busy ones among them.
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
    /// It has as many calls under way as it may have.
    pub busy: bool,
    /// What keeps it from being called: the provider's rests, its own, then those for single models in their order.
    pub rests: Vec<RestView>,
    /// What its upstream said is left, in thousandths, by the upstream's name of the model and in its order.
    pub headroom: Vec<(String, u16)>,
}

/// One reason why a key is not called, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestView {
    /// For what it rests.
    pub span: Span,
    /// Whether it is a ban or follows an accident.
    pub kind: RestKind,
    /// What the failure was.
    pub why: Class,
    /// How long it rests yet; zero while a probe finds out.
    pub left: Duration,
    /// A call is under way that finds out whether it works again.
    pub probing: bool,
}

/// For what something rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// The provider rests, with all its keys.
    Provider,
    /// The key rests for all models.
    Key,
    /// The key rests for the model that the upstream calls so.
    Model(String),
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
        let mut views: Vec<KeyView> = self
            .keys
            .iter()
            .filter(|(_, state)| state.standing == Standing::Member)
            .map(|(digest, state)| self.view(now, digest, state))
            .collect();
        views.sort_by(|one, other| one.label.cmp(&other.label));
        views
    }

    fn view(&self, now: Instant, digest: &Digest, state: &KeyState) -> KeyView {
        let mut models: Vec<_> = state.models.iter().collect();
        models.sort_by_key(|(model, _)| model.as_str());
        let models = models
            .into_iter()
            .map(|(model, rest)| (Span::Model(model.clone()), rest));
        let rests = [(Span::Provider, &self.rest), (Span::Key, &state.rest)]
            .into_iter()
            .chain(models)
            .flat_map(|(span, rest)| {
                rest.reasons(now).map(move |reason| RestView {
                    span: span.clone(),
                    kind: reason.kind,
                    why: reason.why,
                    left: reason.until.saturating_duration_since(now),
                    probing: reason.probing,
                })
            })
            .collect();
        let mut headroom: Vec<_> = self
            .told
            .iter()
            .filter_map(|(model, told)| Some((model.clone(), told.left(now, digest)?)))
            .collect();
        headroom.sort();
        KeyView {
            label: state.label.clone(),
            in_flight: state.in_flight,
            busy: state.is_busy(self.most_in_flight),
            rests,
            headroom,
        }
    }
}
