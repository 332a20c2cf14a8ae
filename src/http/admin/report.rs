//! What the admin endpoints answer, as types: the command line reads what the handlers write. No key's value is in it.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::routing::keyring::{KeyView, RestView, Span};
use crate::routing::outcome::RestKind;

/// The answer to `GET /admin/keys`.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeysReport {
    /// Providers that have keys, by name.
    pub providers: Vec<ProviderReport>,
}

/// The keys of one provider.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProviderReport {
    /// Its name.
    pub provider: String,
    /// Its keys, by label.
    pub keys: Vec<KeyReport>,
}

/// One key.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyReport {
    /// Its label: the variable it came from.
    pub key: String,
    /// What it does.
    pub state: State,
    /// Calls under way.
    pub in_flight: u64,
    /// Why it is not called, for all models or for some.
    pub rests: Vec<RestReport>,
    /// What its upstream said is left.
    pub headroom: Vec<HeadroomReport>,
}

/// What a key does: the first of these that is true of it for any model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It rests.
    Resting,
    /// Its rest is over, and one call finds out whether it works again.
    Probing,
    /// It has as many calls under way as it may have.
    Busy,
    /// It can be called.
    Ready,
}

/// One reason why a key is not called.
#[derive(Debug, Serialize, Deserialize)]
pub struct RestReport {
    /// `provider` (with all its keys), `key` (for all models) or `model`.
    pub scope: Scope,
    /// The upstream's name of the model, where it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The class of failure, such as `rate_limited` or `bad_key`.
    pub why: String,
    /// A last resort would call it in spite of this.
    pub after_accident: bool,
    /// How long yet; 0 while it is probed.
    pub seconds: f64,
    /// When that is, RFC 3339.
    pub until: String,
    /// A call finds out whether it works again.
    pub probing: bool,
}

/// For what a key rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The provider with all its keys.
    Provider,
    /// The key for all models.
    Key,
    /// The key for one model.
    Model,
}

/// What is left of an upstream's limit.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeadroomReport {
    /// The upstream's name of the model.
    pub model: String,
    /// Of the scarcest limit.
    pub percent_left: f64,
}

/// The answer to `POST /admin/keys/reset`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResetReport {
    /// Providers whose keys are ready again.
    pub reset: Vec<Lifted>,
}

/// What was reset of one provider.
#[derive(Debug, Serialize, Deserialize)]
pub struct Lifted {
    /// Its name.
    pub provider: String,
    /// How many of its keys were meant.
    pub keys: usize,
}

impl KeyReport {
    /// A key as seen at this time.
    pub fn new(view: KeyView, now: SystemTime) -> Self {
        let resting = view.rests.iter().any(|rest| !rest.left.is_zero());
        let state = if resting {
            State::Resting
        } else if !view.rests.is_empty() {
            State::Probing
        } else if view.busy {
            State::Busy
        } else {
            State::Ready
        };
        Self {
            key: view.label,
            state,
            in_flight: view.in_flight,
            rests: view
                .rests
                .into_iter()
                .map(|rest| RestReport::new(rest, now))
                .collect(),
            headroom: view
                .headroom
                .into_iter()
                .map(|(model, left)| HeadroomReport {
                    model,
                    percent_left: f64::from(left) / 10.0,
                })
                .collect(),
        }
    }
}

impl RestReport {
    fn new(rest: RestView, now: SystemTime) -> Self {
        let (scope, model) = match rest.span {
            Span::Provider => (Scope::Provider, None),
            Span::Key => (Scope::Key, None),
            Span::Model(model) => (Scope::Model, Some(model)),
        };
        Self {
            scope,
            model,
            why: rest.why.name().to_owned(),
            after_accident: rest.kind == RestKind::Transient,
            seconds: tenths(rest.left),
            until: Timestamp::try_from(now + rest.left)
                .unwrap_or(Timestamp::MAX)
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            probing: rest.probing,
        }
    }
}

/// Seconds with one digit after the point, rounded up.
fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).ceil() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::outcome::Class;

    fn rest(seconds: u64, probing: bool) -> RestView {
        RestView {
            span: Span::Model("m".to_owned()),
            kind: RestKind::Transient,
            why: Class::Timeout,
            left: Duration::from_secs(seconds),
            probing,
        }
    }

    fn report(busy: bool, rests: Vec<RestView>) -> KeyReport {
        let view = KeyView {
            label: "ACME_API_KEY_1".to_owned(),
            in_flight: 2,
            busy,
            rests,
            headroom: vec![("m".to_owned(), 125)],
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800);
        KeyReport::new(view, now)
    }

    #[test]
    fn a_key_s_state_is_what_keeps_it_from_being_called() {
        assert_eq!(report(false, Vec::new()).state, State::Ready);
        assert_eq!(report(true, Vec::new()).state, State::Busy);
        assert_eq!(report(true, vec![rest(0, true)]).state, State::Probing);
        let both = report(true, vec![rest(0, true), rest(3, false)]);
        assert_eq!(both.state, State::Resting);
    }

    #[test]
    fn a_report_reads_as_documented() {
        let report = serde_json::to_value(report(false, vec![rest(30, false)])).unwrap();
        let expected = serde_json::json!({
            "key": "ACME_API_KEY_1",
            "state": "resting",
            "in_flight": 2,
            "rests": [{
                "scope": "model",
                "model": "m",
                "why": "timeout",
                "after_accident": true,
                "seconds": 30.0,
                "until": "2026-11-22T12:00:30Z",
                "probing": false,
            }],
            "headroom": [{"model": "m", "percent_left": 12.5}],
        });
        assert_eq!(report, expected);
    }
}
