//! The members of one JSON object, taken by name; those that nobody took are the unknown ones.

use std::time::Duration;

use serde_json::value::RawValue;

use super::Node;
use crate::config::locate::{Position, position_of};
use crate::config::nearest::hint;
use crate::config::report::Report;
use crate::config::seconds::Zero;

/// The members of an object. `null` is absent everywhere.
#[derive(Debug)]
pub(crate) struct Members<'text> {
    text: &'text str,
    position: Position,
    path: String,
    members: Vec<Member<'text>>,
    asked: Vec<&'static str>,
}

#[derive(Debug)]
struct Member<'text> {
    name: String,
    raw_name: &'text str,
    value: Node<'text>,
    taken: bool,
}

impl<'text> Members<'text> {
    /// Names the entries of an object; a name that stands there twice is a fault.
    pub(super) fn new(
        parent: &Node<'text>,
        entries: Vec<(&'text RawValue, &'text RawValue)>,
        report: &mut Report,
    ) -> Self {
        let mut members: Vec<Member<'text>> = Vec::with_capacity(entries.len());
        for (raw_name, raw) in entries {
            let raw_name = raw_name.get();
            let fault = |message: String, report: &mut Report| {
                report.fault(position_of(parent.text, raw_name), message);
            };
            let Ok(name) = serde_json::from_str::<String>(raw_name) else {
                fault("this name is not valid text".to_owned(), report);
                continue;
            };
            if members.iter().any(|member| member.name == name) {
                fault(format!("`{name}` stands here twice; keep one"), report);
                continue;
            }
            let path = join(&parent.path, &name);
            let value = Node {
                text: parent.text,
                raw,
                path,
            };
            members.push(Member {
                name,
                raw_name,
                value,
                taken: false,
            });
        }
        Self {
            text: parent.text,
            position: parent.position(),
            path: parent.path.clone(),
            members,
            asked: Vec::new(),
        }
    }

    /// A member's value.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Node<'text>> {
        self.asked.push(name);
        let member = self.members.iter_mut().find(|member| member.name == name)?;
        member.taken = true;
        Some(member.value.clone()).filter(|value| !value.is_null())
    }

    /// A member's value; its absence is a fault.
    pub(crate) fn require(
        &mut self,
        name: &'static str,
        report: &mut Report,
    ) -> Option<Node<'text>> {
        let node = self.take(name);
        if node.is_none() {
            report.fault(
                self.position,
                format!("{} is missing", join(&self.path, name)),
            );
        }
        node
    }

    /// An object in a member.
    pub(crate) fn object(
        &mut self,
        name: &'static str,
        report: &mut Report,
    ) -> Option<Members<'text>> {
        self.take(name)?.members(report)
    }

    /// A name (see [`Node::name`]) in a member.
    pub(crate) fn name(&mut self, name: &'static str, report: &mut Report) -> Option<String> {
        self.take(name)?.name(report)
    }

    /// A text in a member, trimmed; an empty one is absent.
    pub(crate) fn text(&mut self, name: &'static str, report: &mut Report) -> Option<String> {
        self.take(name)?.text(report)
    }

    /// A list of strings in a member.
    pub(crate) fn strings(
        &mut self,
        name: &'static str,
        report: &mut Report,
    ) -> Option<Vec<String>> {
        self.take(name)?.strings(report)
    }

    /// A boolean in a member.
    pub(crate) fn boolean(&mut self, name: &'static str, report: &mut Report) -> Option<bool> {
        self.take(name)?.boolean(report)
    }

    /// A whole number in a member.
    pub(crate) fn whole(
        &mut self,
        name: &'static str,
        most: u64,
        report: &mut Report,
    ) -> Option<u64> {
        self.take(name)?.whole(most, report)
    }

    /// Seconds in a member.
    pub(crate) fn seconds(
        &mut self,
        name: &'static str,
        zero: Zero,
        report: &mut Report,
    ) -> Option<Duration> {
        self.take(name)?.seconds(zero, report)
    }

    /// A cooldown in a member.
    pub(crate) fn cooldown(&mut self, name: &'static str, report: &mut Report) -> Option<Duration> {
        self.take(name)?.cooldown(report)
    }

    /// Whether a member of this name is there, `null` included; does not count as taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// All members that are not `null`, for objects whose names are data.
    pub(crate) fn all(self) -> impl Iterator<Item = (String, Node<'text>)> {
        self.members
            .into_iter()
            .filter(|member| !member.value.is_null())
            .map(|member| (member.name, member.value))
    }

    /// Warns of every member that nobody asked for.
    pub(crate) fn warn_of_unknown(&self, report: &mut Report) {
        for member in self.members.iter().filter(|member| !member.taken) {
            let hint = hint(&member.name, self.asked.iter().copied());
            let position = position_of(self.text, member.raw_name);
            let path = join(&self.path, &member.name);
            report.warning(position, format!("{path} is not known and ignored{hint}"));
        }
    }

    /// Warns of members that are there under one of these names, which belong into another object.
    pub(crate) fn warn_of_misplaced(&self, names: &[&str], place: &str, report: &mut Report) {
        for member in &self.members {
            if names.contains(&member.name.as_str()) {
                let position = position_of(self.text, member.raw_name);
                let path = join(&self.path, &member.name);
                report.warning(
                    position,
                    format!("{path} is ignored here: it belongs into {place}"),
                );
            }
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
