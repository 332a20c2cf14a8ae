//! Reads JSON objects member by member, says in words what is wrong with one, and keeps what nobody asked for.

use std::borrow::Cow;

use crate::conversation::{CacheMark, Extra, Json, Path};
use crate::convert::anthropic::request::nested;
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::json;

/// An object of the request, and where it stands.
#[derive(Debug)]
pub(super) struct Object<'a> {
    path: Path,
    members: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Object<'a> {
    /// Takes the value at `path` as an object.
    pub(super) fn read(path: Path, value: &'a str) -> Result<Self, GatewayError> {
        let mut members = Vec::new();
        let read = json::members(value, |name, value| members.push((name, value)));
        match read {
            Ok(()) => Ok(Self { path, members }),
            Err(_) => Err(wrong(&path, "an object", value)),
        }
    }

    /// Takes the members of the request itself.
    pub(super) fn of(members: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let members = members.map(|(name, value)| (Cow::Borrowed(name), value));
        Self {
            path: Path::new(),
            members: members.collect(),
        }
    }

    /// Where a member stands.
    pub(super) fn path(&self, name: &str) -> Path {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Takes a member out; of several with this name the last one. `null` is as good as missing.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a str> {
        let mut found = None;
        self.members.retain(|(candidate, value)| {
            let wanted = candidate == name;
            if wanted {
                found = Some(*value);
            }
            !wanted
        });
        found.filter(|value| *value != "null")
    }

    /// The member's value, which stays.
    pub(super) fn peek(&self, name: &str) -> Option<&'a str> {
        let mut members = self.members.iter().rev();
        let (_, value) = members.find(|(candidate, _)| candidate == name)?;
        Some(*value).filter(|value| *value != "null")
    }

    /// A string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, GatewayError> {
        let value = self.take(name);
        value
            .map(|value| string(value).ok_or_else(|| wrong(&self.path(name), "a string", value)))
            .transpose()
    }

    /// A string that must be there.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String, GatewayError> {
        let text = self.text(name)?;
        text.ok_or_else(|| missing(&self.path(name)))
    }

    /// A value that must be there.
    pub(super) fn required(&mut self, name: &str) -> Result<&'a str, GatewayError> {
        let value = self.take(name);
        value.ok_or_else(|| missing(&self.path(name)))
    }

    /// A whole number, however it is spelled; below zero is as good as missing.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<u64>, GatewayError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        if let Ok(number) = value.parse() {
            return Ok(Some(number));
        }
        match value.parse::<f64>() {
            Ok(number) if number.fract() == 0.0 => Ok((number >= 0.0).then_some(number as u64)),
            _ => Err(wrong(&self.path(name), "an integer", value)),
        }
    }

    /// A number, in its own spelling.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<Json>, GatewayError> {
        match self.take(name) {
            Some(value) if kind(value) != "a number" => {
                Err(wrong(&self.path(name), "a number", value))
            }
            value => Ok(value.map(Json::new)),
        }
    }

    /// A boolean.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, GatewayError> {
        match self.take(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(value) => Err(wrong(&self.path(name), "a boolean", value)),
        }
    }

    /// An object that is read in its turn.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Object<'a>>, GatewayError> {
        let value = self.take(name);
        value
            .map(|value| Object::read(self.path(name), value))
            .transpose()
    }

    /// An array's elements; none if it is missing.
    pub(super) fn array(&mut self, name: &str) -> Result<Vec<&'a str>, GatewayError> {
        let value = self.take(name);
        value.map_or_else(|| Ok(Vec::new()), |value| elements(&self.path(name), value))
    }

    /// A mark that the prompt is cached up to here.
    pub(super) fn cache_mark(&mut self) -> Option<CacheMark> {
        let value = self.take("cache_control");
        value.map(|value| CacheMark(Json::new(value)))
    }

    /// What nobody took, by names as in the object.
    pub(super) fn rest(self) -> Vec<Extra> {
        let members = self.members.into_iter();
        let given = members.filter(|(_, value)| *value != "null");
        let extras = given.map(|(name, value)| Extra {
            name: name.into_owned(),
            value: Json::new(value),
        });
        extras.collect()
    }

    /// What nobody took, by names as steps of a path.
    pub(super) fn rest_as_steps(self) -> Vec<Extra> {
        let mut rest = self.rest();
        for extra in &mut rest {
            extra.name = nested::step(&extra.name);
        }
        rest
    }

    /// Whether nothing is left that nobody took.
    pub(super) fn is_spent(&self) -> bool {
        self.members.iter().all(|(_, value)| *value == "null")
    }
}

/// The elements of the array at `path`.
pub(super) fn elements<'a>(path: &str, value: &'a str) -> Result<Vec<&'a str>, GatewayError> {
    let mut elements = Vec::new();
    match json::elements(value, |element| elements.push(element)) {
        Ok(()) => Ok(elements),
        Err(_) => Err(wrong(path, "an array", value)),
    }
}

/// A string; half a character, as cut texts have, becomes a replacement character.
pub(super) fn string(value: &str) -> Option<String> {
    match json::string(value) {
        Some(text) => Some(text.into_owned()),
        None => json::lossy_string(value),
    }
}

/// The refusal of a member that is not there.
pub(super) fn missing(path: &str) -> GatewayError {
    refusal(path, "this field is required")
}

/// The refusal of a member of another type.
pub(super) fn wrong(path: &str, expected: &str, value: &str) -> GatewayError {
    refusal(path, &format!("must be {expected}, not {}", kind(value)))
}

/// The refusal of a request because of one member, which is named as this protocol's errors name it:
/// `messages.0.content`.
pub(super) fn refusal(path: &str, problem: &str) -> GatewayError {
    let param = path.replace('[', ".").replace(']', "");
    let message = format!("{param}: {problem}");
    GatewayError::new(ErrorKind::InvalidRequest, message).with_param(param)
}

/// The type of a JSON value, with its article.
fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
