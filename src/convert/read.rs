//! Reading a request's JSON member by member, with the path of each for refusals. It knows no protocol.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::conversation::{Extra, Json};
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::json;
use crate::protocol::raw::RawObject;

/// An object whose members are taken one after the other; what nobody took is left for `extras`.
#[derive(Debug, Default)]
pub(in crate::convert) struct Object<'a> {
    /// In order. Of several with one name the last counts, as most parsers take it; `null` is the same as nothing.
    members: Vec<(Cow<'a, str>, &'a str)>,
    /// Where it stands; empty for the body itself.
    path: String,
}

impl<'a> Object<'a> {
    /// The body.
    pub(in crate::convert) fn body(body: &'a RawObject) -> Self {
        let members = body.members();
        Self {
            members: members
                .map(|(name, value)| (Cow::Borrowed(name), value))
                .collect(),
            path: String::new(),
        }
    }

    /// A value that must be an object.
    pub(in crate::convert) fn read(text: &'a str, path: String) -> Result<Self, GatewayError> {
        let mut members = Vec::new();
        match json::members(text, |name, value| members.push((name, value))) {
            Ok(()) => Ok(Self { members, path }),
            Err(_) => Err(wrong(&path, "an object", text)),
        }
    }

    /// Where it stands.
    pub(in crate::convert) fn path(&self) -> &str {
        &self.path
    }

    /// Where a member of it stands.
    pub(in crate::convert) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The text of a member, which stays.
    pub(in crate::convert) fn peek(&self, name: &str) -> Option<&'a str> {
        let mut members = self.members.iter().rev();
        let (_, value) = members.find(|(known, _)| known == name)?;
        Some(*value).filter(|value| *value != "null")
    }

    /// Takes the text of a member.
    pub(in crate::convert) fn take(&mut self, name: &str) -> Option<&'a str> {
        let value = self.peek(name);
        self.members.retain(|(known, _)| known != name);
        value
    }

    /// Takes the text of a member if it begins like this (`"`, `{`, `[`); one of another type stays.
    pub(in crate::convert) fn take_if(&mut self, name: &str, begin: char) -> Option<&'a str> {
        self.peek(name).filter(|value| value.starts_with(begin))?;
        self.take(name)
    }

    /// Takes a string.
    pub(in crate::convert) fn string(
        &mut self,
        name: &str,
    ) -> Result<Option<String>, GatewayError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match string(value) {
            Some(text) => Ok(Some(text)),
            None => Err(wrong(&self.path_of(name), "a string", value)),
        }
    }

    /// Takes a string that is not empty; an empty one is the same as none.
    pub(in crate::convert) fn text(&mut self, name: &str) -> Result<Option<String>, GatewayError> {
        Ok(self.string(name)?.filter(|text| !text.is_empty()))
    }

    /// Takes a string that must be there and not be empty.
    pub(in crate::convert) fn required(&mut self, name: &str) -> Result<String, GatewayError> {
        let value = self.string(name)?;
        value
            .filter(|text| !text.is_empty())
            .ok_or_else(|| missing(&self.path_of(name)))
    }

    /// Takes a boolean.
    pub(in crate::convert) fn flag(&mut self, name: &str) -> Result<Option<bool>, GatewayError> {
        match self.take(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(value) => Err(wrong(&self.path_of(name), "a boolean", value)),
        }
    }

    /// Takes a whole number, however it is spelled; one below zero, which some take for "no limit", is the same as
    /// none.
    pub(in crate::convert) fn integer(&mut self, name: &str) -> Result<Option<u64>, GatewayError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        json::integer(value).ok_or_else(|| wrong(&self.path_of(name), "an integer", value))
    }

    /// Takes a number and keeps its spelling.
    pub(in crate::convert) fn number(&mut self, name: &str) -> Result<Option<Json>, GatewayError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) if is_number(value) => Ok(Some(Json::new(value))),
            Some(value) => Err(wrong(&self.path_of(name), "a number", value)),
        }
    }

    /// Takes an object.
    pub(in crate::convert) fn object(&mut self, name: &str) -> Result<Option<Self>, GatewayError> {
        let path = self.path_of(name);
        self.take(name)
            .map(|value| Self::read(value, path))
            .transpose()
    }

    /// Takes an object as the text it is.
    pub(in crate::convert) fn object_text(
        &mut self,
        name: &str,
    ) -> Result<Option<Json>, GatewayError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) if value.starts_with('{') => Ok(Some(Json::new(value))),
            Some(value) => Err(wrong(&self.path_of(name), "an object", value)),
        }
    }

    /// Takes an array: the texts of its elements.
    pub(in crate::convert) fn array(
        &mut self,
        name: &str,
    ) -> Result<Option<Vec<&'a str>>, GatewayError> {
        let path = self.path_of(name);
        self.take(name)
            .map(|value| elements(value, &path))
            .transpose()
    }

    /// Whether all that there was has been taken.
    pub(in crate::convert) fn is_empty(&self) -> bool {
        self.members.iter().all(|(_, value)| *value == "null")
    }

    /// Moves what nobody took to the extras, each by its path below `holder`, which may be empty.
    pub(in crate::convert) fn rest(self, holder: &str, extras: &mut Vec<Extra>) {
        let mut known = HashSet::with_capacity(self.members.len());
        let start = extras.len();
        for (name, value) in self.members.into_iter().rev() {
            if value != "null" && !known.contains(&name) {
                extras.push(Extra {
                    name: join(holder, &step(&name)),
                    value: Json::new(value),
                });
            }
            known.insert(name);
        }
        if let Some(rest) = extras.get_mut(start..) {
            rest.reverse();
        }
    }
}

/// A member's name as one step of a path: quoted where it could be taken for several.
pub(in crate::convert) fn step(name: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(plain) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("[{}]", json::quote(name)))
    }
}

/// The name that a step stands for.
pub(in crate::convert) fn name(step: &str) -> Cow<'_, str> {
    let quoted = step
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    quoted.and_then(json::string).unwrap_or(Cow::Borrowed(step))
}

/// The path of a step from its holder.
pub(in crate::convert) fn join(holder: &str, step: &str) -> String {
    if holder.is_empty() || step.starts_with('[') {
        format!("{holder}{step}")
    } else {
        format!("{holder}.{step}")
    }
}

/// The texts of the elements of a value that must be an array.
pub(in crate::convert) fn elements<'a>(
    text: &'a str,
    path: &str,
) -> Result<Vec<&'a str>, GatewayError> {
    let mut found = Vec::new();
    json::elements(text, |element| found.push(element))
        .map_err(|_| wrong(path, "an array", text))?;
    Ok(found)
}

/// The decoded string. Half a surrogate pair in it, which no other protocol could be sent, is replaced.
pub(in crate::convert) fn string(value: &str) -> Option<String> {
    json::lossy_string(value).map(Cow::into_owned)
}

fn is_number(value: &str) -> bool {
    value.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The refusal of a member that is not there.
pub(in crate::convert) fn missing(path: &str) -> GatewayError {
    refusal(path, format!("The required parameter '{path}' is missing."))
}

/// The refusal of a member of a wrong type; `expected` with its article.
pub(in crate::convert) fn wrong(path: &str, expected: &str, value: &str) -> GatewayError {
    let found = match value.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    refusal(
        path,
        format!("Invalid type for '{path}': it must be {expected}, not {found}."),
    )
}

/// The refusal of a value that we do not know; `expected` lists what would do.
pub(in crate::convert) fn unknown(path: &str, value: &str, expected: &str) -> GatewayError {
    let shown: String = value.chars().take(64).collect();
    refusal(
        path,
        format!(
            "Invalid value for '{path}': '{shown}' is not supported. Supported values are {expected}."
        ),
    )
}

/// A refusal in these words.
pub(in crate::convert) fn refusal(path: &str, message: String) -> GatewayError {
    GatewayError::new(ErrorKind::InvalidRequest, message).with_param(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object<'_> {
        Object::read(text, "a[0]".to_owned()).unwrap()
    }

    #[test]
    fn a_wrong_type_is_refused_with_the_path_of_the_member() {
        let error = object(r#"{"b":[]}"#).string("b").unwrap_err();
        assert_eq!(error.param.as_deref(), Some("a[0].b"));
        assert_eq!(
            error.message,
            "Invalid type for 'a[0].b': it must be a string, not an array."
        );
        assert!(object(r#"{"b":1}"#).flag("b").is_err());
        assert!(object(r#"{"b":1.5}"#).integer("b").is_err());
        assert!(object(r#"{"b":"1"}"#).number("b").is_err());
        assert!(object(r#"{"b":1}"#).object("b").is_err());
        assert!(object(r#"{"b":1}"#).object_text("b").is_err());
        assert!(object(r#"{"b":1}"#).array("b").is_err());
        assert!(object(r#"{"b":""}"#).required("b").is_err());
        assert!(Object::read("[]", String::new()).is_err());
    }

    #[test]
    fn null_is_the_same_as_nothing() {
        let mut read = object(r#"{"b":null,"c":null}"#);
        assert_eq!(read.string("b").unwrap(), None);
        let mut extras = Vec::new();
        read.rest("", &mut extras);
        assert_eq!(extras, []);
    }

    #[test]
    fn of_two_members_the_last_counts() {
        let mut read = object(r#"{"b":1,"\u0062":2}"#);
        assert_eq!(read.integer("b").unwrap(), Some(2));
        assert_eq!(read.take("b"), None);
        assert_eq!(object(r#"{"b":1,"b":null}"#).take("b"), None);
        let mut extras = Vec::new();
        object(r#"{"b":1,"c":2,"b":3,"c":null}"#).rest("", &mut extras);
        let values: Vec<_> = extras.iter().map(|extra| extra.value.as_str()).collect();
        assert_eq!(values, ["3"]);
    }

    #[test]
    fn numbers_are_read_however_they_are_spelled() {
        let mut read = object(r#"{"a":7,"b":1e3,"c":-1,"d":0.50,"e":18446744073709551615}"#);
        assert_eq!(read.integer("a").unwrap(), Some(7));
        assert_eq!(read.integer("b").unwrap(), Some(1000));
        assert_eq!(read.integer("c").unwrap(), None);
        assert_eq!(read.number("d").unwrap(), Some(Json::new("0.50")));
        assert_eq!(read.integer("e").unwrap(), Some(u64::MAX));
    }

    #[test]
    fn half_a_surrogate_pair_does_not_refuse_the_text() {
        let text = object(r#"{"a":"x\ud83d"}"#).string("a").unwrap().unwrap();
        assert!(text.starts_with("x\u{fffd}"), "{text}");
    }

    #[test]
    fn what_nobody_took_is_kept_in_order_and_by_path() {
        let mut read = object(r#"{"z":[ 1 ],"b":2,"a":null,"y.y":1.0}"#);
        read.take("b");
        let mut extras = Vec::new();
        read.rest("p", &mut extras);
        let shown: Vec<_> = extras
            .iter()
            .map(|extra| (extra.name.as_str(), extra.value.as_str()))
            .collect();
        assert_eq!(shown, [("p.z", "[ 1 ]"), ("p[\"y.y\"]", "1.0")]);
    }

    #[test]
    fn a_name_is_one_step_whatever_it_holds() {
        for text in ["a", "a_b-1", "", "a.b", "[0]", "[\"x\"]", "é", "\n"] {
            assert_eq!(name(&step(text)), text);
            assert_eq!(step(text).contains(['.', '\n']), text == "a.b");
        }
    }
}
