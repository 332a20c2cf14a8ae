//! A JSON text as nodes that know their member path and position, read by hand rather than through derived types:
//! those stop at the first fault and do not say which member it is; a person who repairs a file wants all of them.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::locate::{Position, position_of, position_of_bytes};
use super::report::Report;
use super::seconds::{Zero, duration};

mod members;

pub(crate) use members::Members;

/// A value and where it stands, for what can only be judged later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// Its line and column.
    pub(crate) position: Position,
}

/// One value of a JSON text. Its inside is looked at only when asked for.
#[derive(Debug, Clone)]
pub(crate) struct Node<'text> {
    text: &'text str,
    raw: &'text RawValue,
    path: String,
}

impl<'text> Node<'text> {
    /// The whole text; a syntax error anywhere in it is reported here.
    pub(crate) fn parse(text: &'text str, report: &mut Report) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(raw) => Some(Self {
                text,
                raw,
                path: String::new(),
            }),
            Err(error) => {
                let position = position_of_bytes(text, error.line(), error.column());
                // Building values finds better words (a trailing comma) than skipping them does.
                let better = serde_json::from_str::<serde_json::Value>(text).err();
                let reason = reason(better.as_ref().unwrap_or(&error));
                report.fault(position, format!("not valid JSON: {reason}"));
                None
            }
        }
    }

    /// Where the value begins.
    pub(crate) fn position(&self) -> Position {
        position_of(self.text, self.raw.get())
    }

    /// Whether it is `null`, which means absent everywhere.
    pub(crate) fn is_null(&self) -> bool {
        self.raw.get() == "null"
    }

    /// Whether it is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.raw.get().starts_with('{')
    }

    /// Whether it is a string.
    pub(crate) fn is_string(&self) -> bool {
        self.raw.get().starts_with('"')
    }

    /// The bytes as they stand in the file.
    pub(crate) fn raw(&self) -> Box<RawValue> {
        self.raw.to_owned()
    }

    /// Reports that this value is not what it should be.
    pub(crate) fn fault(&self, message: &str, report: &mut Report) {
        report.fault(self.position(), self.about(message));
    }

    /// Reports that this value is odd.
    pub(crate) fn warning(&self, message: &str, report: &mut Report) {
        report.warning(self.position(), self.about(message));
    }

    fn about(&self, message: &str) -> String {
        if self.path.is_empty() {
            format!("the file {message}")
        } else {
            format!("{} {message}", self.path)
        }
    }

    fn expected(&self, what: &str, report: &mut Report) {
        let found = match self.raw.get().bytes().next() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        };
        self.fault(&format!("must be {what}, not {found}"), report);
    }

    /// Its members, if it is an object.
    pub(crate) fn members(&self, report: &mut Report) -> Option<Members<'text>> {
        if !self.is_object() {
            self.expected("an object", report);
            return None;
        }
        let entries = self.inside::<Entries<'text>>(report)?;
        Some(Members::new(self, entries.0, report))
    }

    /// Its elements, if it is a list.
    pub(crate) fn elements(&self, report: &mut Report) -> Option<Vec<Node<'text>>> {
        if !self.raw.get().starts_with('[') {
            self.expected("a list", report);
            return None;
        }
        let elements = self.inside::<Vec<&'text RawValue>>(report)?;
        let nodes = elements.into_iter().enumerate().map(|(index, raw)| Node {
            text: self.text,
            raw,
            path: format!("{}[{index}]", self.path),
        });
        Some(nodes.collect())
    }

    /// A string.
    pub(crate) fn string(&self, report: &mut Report) -> Option<String> {
        if !self.is_string() {
            self.expected("a string", report);
            return None;
        }
        self.inside(report)
    }

    /// A string with at least one character that is no space, and no control characters; trimmed.
    pub(crate) fn name(&self, report: &mut Report) -> Option<String> {
        let text = self.string(report)?;
        let name = text.trim();
        if name.is_empty() {
            self.fault("must not be empty", report);
            return None;
        }
        if name.chars().any(char::is_control) {
            self.fault("must not hold control characters", report);
            return None;
        }
        Some(name.to_owned())
    }

    /// A string, trimmed; an empty one is absent.
    pub(crate) fn text(&self, report: &mut Report) -> Option<String> {
        let text = self.string(report)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A value with its position.
    pub(crate) fn located<T>(&self, value: T) -> Located<T> {
        let position = self.position();
        Located { value, position }
    }

    /// A list of strings; a single string is a list of one.
    pub(crate) fn strings(&self, report: &mut Report) -> Option<Vec<String>> {
        if self.is_string() {
            return Some(vec![self.string(report)?]);
        }
        let elements = self.elements(report)?;
        Some(
            elements
                .iter()
                .filter_map(|element| element.string(report))
                .collect(),
        )
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, report: &mut Report) -> Option<bool> {
        match self.raw.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.expected("true or false", report);
                None
            }
        }
    }

    /// A whole number of 0 or more, at most `most`; `60.0` is one too.
    pub(crate) fn whole(&self, most: u64, report: &mut Report) -> Option<u64> {
        let raw = self.raw.get();
        let number = match raw.parse::<u64>() {
            Ok(number) => Some(number),
            Err(_) => raw
                .parse::<f64>()
                .ok()
                .filter(|number| number.fract() == 0.0 && (0.0..=1e15).contains(number))
                .map(|number| number as u64),
        };
        if number.is_none_or(|number| number > most) {
            self.fault(&format!("must be a whole number from 0 to {most}"), report);
            return None;
        }
        number
    }

    /// A number of 0 or more, at most `most`.
    pub(crate) fn number(&self, most: f64, report: &mut Report) -> Option<f64> {
        let number = self.raw.get().parse::<f64>().ok();
        let number = number.filter(|number| (0.0..=most).contains(number));
        if number.is_none() {
            self.fault(&format!("must be a number from 0 to {most}"), report);
        }
        number
    }

    /// Seconds as a number.
    pub(crate) fn seconds(&self, zero: Zero, report: &mut Report) -> Option<Duration> {
        let Ok(seconds) = self.raw.get().parse::<f64>() else {
            self.expected("a number of seconds", report);
            return None;
        };
        self.duration(seconds, zero, report)
    }

    /// Seconds as a number, or as a string that holds one: the original took both for cooldowns.
    pub(crate) fn cooldown(&self, report: &mut Report) -> Option<Duration> {
        if !self.is_string() {
            return self.seconds(Zero::Allowed, report);
        }
        let text = self.string(report)?;
        let Ok(seconds) = text.trim().parse::<f64>() else {
            self.fault("must be a number of seconds", report);
            return None;
        };
        self.duration(seconds, Zero::Allowed, report)
    }

    fn duration(&self, seconds: f64, zero: Zero, report: &mut Report) -> Option<Duration> {
        duration(seconds, zero)
            .map_err(|wrong| self.fault(wrong, report))
            .ok()
    }

    /// Parses the inside; what the syntax check of the whole lets pass (a lone surrogate) is reported here.
    fn inside<T: Deserialize<'text>>(&self, report: &mut Report) -> Option<T> {
        serde_json::from_str(self.raw.get())
            .map_err(|error| self.fault(&format!("is not valid: {}", reason(&error)), report))
            .ok()
    }
}

/// The words of a JSON error without its position, which we say in our own way.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message.get(..end).unwrap_or(&message).to_owned()
}

/// The members of an object in file order, names and values both as they stand.
struct Entries<'text>(Vec<(&'text RawValue, &'text RawValue)>);

impl<'text> Deserialize<'text> for Entries<'text> {
    fn deserialize<D: serde::Deserializer<'text>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'text> Visitor<'text> for Collect {
            type Value = Entries<'text>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'text>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests;
