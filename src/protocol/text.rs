//! What the log keeps of an answer: its text, and its tool calls as compact JSON. Reasoning is left out.

use indexmap::IndexMap;

use super::json;

/// An answer's text and tool calls, collected piece by piece.
#[derive(Debug, Default)]
pub(super) struct Rendering {
    text: String,
    /// Calls by what their pieces have in common, in the order in which they began.
    calls: IndexMap<u64, Call>,
}

#[derive(Debug, Default)]
struct Call {
    name: String,
    arguments: String,
}

impl Rendering {
    /// Appends text, given as a JSON string or as an array of parts that have a `text`.
    pub(super) fn push(&mut self, value: &str) {
        if let Some(text) = json::lossy_string(value) {
            self.text.push_str(&text);
            return;
        }
        if !json::is_array(value) {
            return;
        }
        let _ = json::elements(value, |part| {
            let _ = json::members(part, |name, value| {
                if name == "text" {
                    self.text
                        .push_str(&json::lossy_string(value).unwrap_or_default());
                }
            });
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.calls.is_empty()
    }

    /// Names the tool of a call, given as a JSON string; some upstreams do so again with each piece.
    pub(super) fn name(&mut self, key: u64, value: &str) {
        let call = self.call(key);
        if call.name.is_empty() {
            call.name = json::lossy_string(value).unwrap_or_default().into_owned();
        }
    }

    /// Appends to the arguments of a call, which come as JSON strings with pieces of JSON in them.
    pub(super) fn arguments(&mut self, key: u64, value: &str) {
        let piece = json::lossy_string(value).unwrap_or_default();
        self.call(key).arguments.push_str(&piece);
    }

    /// Gives a call its arguments as an object; an empty one says nothing, its pieces may follow.
    pub(super) fn input(&mut self, key: u64, value: &str) {
        if !json::is_empty(value) {
            self.call(key).arguments.push_str(value);
        }
    }

    fn call(&mut self, key: u64) -> &mut Call {
        self.calls.entry(key).or_default()
    }

    /// The text, and on a line of its own `[{"name":…,"arguments":…},…]`.
    pub(super) fn finish(self) -> String {
        let mut text = self.text;
        if self.calls.is_empty() {
            return text;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let calls: Vec<String> = self.calls.values().map(Call::render).collect();
        text.push('[');
        text.push_str(&calls.join(","));
        text.push(']');
        text
    }
}

impl Call {
    fn render(&self) -> String {
        let name = json::quote(&self.name);
        let arguments = match self.arguments.trim() {
            "" => "{}".to_owned(),
            whole if json::is_object(whole) => whole.to_owned(),
            // Cut short, or never JSON.
            piece => json::quote(piece),
        };
        format!(r#"{{"name":{name},"arguments":{arguments}}}"#)
    }
}

#[cfg(test)]
mod tests;
