//! Server-sent events as a client reads them. Not the gateway's decoder, so that the two cannot share a mistake.

use serde_json::Value;

/// One event, or one comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What `event:` said.
    pub(crate) name: Option<String>,
    /// All `data:` lines, joined by line feeds.
    pub(crate) data: String,
    /// What a comment line said, without its colon; such an event has no data.
    pub(crate) comment: Option<String>,
}

impl Event {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.data);
        parsed.unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The text of an OpenAI or Anthropic delta, if it carries one.
    pub(crate) fn text(&self) -> Option<String> {
        let value: Value = serde_json::from_str(&self.data).ok()?;
        let text = value.pointer("/choices/0/delta/content");
        let text = text.or_else(|| value.pointer("/delta/text"))?.as_str()?;
        Some(text.to_owned())
    }
}

/// The text of all events together.
pub(crate) fn text_of(events: &[Event]) -> String {
    events.iter().filter_map(Event::text).collect()
}

/// Takes pieces as they arrive and gives events as they are complete.
#[derive(Default)]
pub(crate) struct Events {
    pending: Vec<u8>,
    open: Event,
    has_data: bool,
    ready: std::collections::VecDeque<Event>,
}

impl Events {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.pending[start..]) {
            let line = &self.pending[start..start + length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = String::from_utf8_lossy(line).into_owned();
            start += length + 1;
            self.line(&line);
        }
        self.pending.drain(..start);
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            if self.has_data || self.open.name.is_some() {
                self.ready.push_back(std::mem::take(&mut self.open));
            }
            self.has_data = false;
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.ready.push_back(Event {
                comment: Some(value.to_owned()),
                ..Event::default()
            }),
            "event" => self.open.name = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.open.data.push('\n');
                }
                self.open.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }
}
