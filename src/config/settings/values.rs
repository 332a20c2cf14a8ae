//! Single values out of the merged settings, each with its own check. All faults are kept, each with the place where the
//! value was written, which nobody could find otherwise: there are three.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use ::config::{Value, ValueKind};

use crate::config::catalog::Finding;
use crate::config::nearest::hint;
use crate::config::seconds::{Zero, duration};

/// Merged values by key, and what was wrong with those already read.
pub(super) struct Values<'places> {
    merged: HashMap<String, Value>,
    place: &'places dyn Fn(&str) -> Finding,
    /// Keys that were asked for.
    pub(super) read: BTreeSet<&'static str>,
    /// What is wrong.
    pub(super) faults: Vec<Finding>,
}

impl<'places> Values<'places> {
    /// `place` makes an empty finding that says where a key was set.
    pub(super) fn new(
        merged: HashMap<String, Value>,
        place: &'places dyn Fn(&str) -> Finding,
    ) -> Self {
        Self {
            merged,
            place,
            read: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    /// Notes a fault. The value itself is not shown: some are secrets.
    pub(super) fn fault(&mut self, key: &str, wrong: &str) {
        let mut finding = (self.place)(key);
        finding.message = format!("{key} {wrong}");
        self.faults.push(finding);
    }

    fn take(&mut self, key: &'static str) -> Option<ValueKind> {
        self.read.insert(key);
        let value = self.merged.remove(key).map(|value| value.kind);
        if value.is_none() {
            self.fault(key, "has no value");
        }
        value
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> String {
        let text = match self.take(key) {
            Some(ValueKind::String(text)) => text.trim().to_owned(),
            Some(_) => {
                self.fault(key, "must be text");
                return String::new();
            }
            None => return String::new(),
        };
        if text.is_empty() {
            self.fault(key, "must not be empty");
        }
        text
    }

    /// A list, or a text with commas; empty entries are left out.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<String> {
        let text = match self.take(key) {
            Some(ValueKind::String(text)) => text,
            Some(ValueKind::Array(values)) => {
                let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
                values.join(",")
            }
            Some(_) => {
                self.fault(key, "must be text, or a list of texts");
                return Vec::new();
            }
            None => return Vec::new(),
        };
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A yes or no, in any of the usual spellings.
    pub(super) fn boolean(&mut self, key: &'static str) -> bool {
        let Some(value) = self.take(key) else {
            return false;
        };
        match value.to_string().trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.fault(key, "must be true or false");
                false
            }
        }
    }

    /// A whole number between two bounds, both included.
    pub(super) fn whole<Number>(&mut self, key: &'static str, least: u64, most: u64) -> Number
    where
        Number: TryFrom<u64> + Default,
    {
        let Some(value) = self.take(key) else {
            return Number::default();
        };
        value
            .to_string()
            .trim()
            .parse::<u64>()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .and_then(|number| Number::try_from(number).ok())
            .unwrap_or_else(|| {
                self.fault(
                    key,
                    &format!("must be a whole number from {least} to {most}"),
                );
                Number::default()
            })
    }

    /// Seconds, fractions allowed.
    pub(super) fn seconds(&mut self, key: &'static str, zero: Zero) -> Duration {
        let Some(value) = self.take(key) else {
            return Duration::ZERO;
        };
        let Ok(seconds) = value.to_string().trim().parse::<f64>() else {
            self.fault(key, "must be a number of seconds");
            return Duration::ZERO;
        };
        duration(seconds, zero).unwrap_or_else(|wrong| {
            self.fault(key, wrong);
            Duration::ZERO
        })
    }

    /// One of a few words; the first where the value is none of them.
    pub(super) fn word<Meaning: Copy>(
        &mut self,
        key: &'static str,
        first: (&'static str, Meaning),
        second: (&'static str, Meaning),
    ) -> Meaning {
        let text = self.text(key).to_ascii_lowercase();
        if text == first.0 {
            return first.1;
        }
        if text == second.0 {
            return second.1;
        }
        let hint = hint(&text, [first.0, second.0]);
        self.fault(
            key,
            &format!("must be `{}` or `{}`{hint}", first.0, second.0),
        );
        first.1
    }
}
