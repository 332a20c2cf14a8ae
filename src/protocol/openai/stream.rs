//! The stream of chunks, read as it passes.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::usage::{self, inner_usage};
use crate::protocol::UsageReport;
use crate::protocol::failure::{self, UpstreamError};
use crate::protocol::json::{self, Scanner};
use crate::protocol::stream::{Reading, Verdict};

/// Members of a delta that are content as soon as they are not empty: text, refusal, reasoning in its several
/// spellings, tool calls, audio and images.
const CONTENT: [&str; 10] = [
    "content",
    "refusal",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking",
    "tool_calls",
    "function_call",
    "audio",
    "images",
];

/// What has been seen of one stream.
#[derive(Debug)]
pub(in crate::protocol) struct Reader {
    /// How many choices were asked for.
    choices: u32,
    /// A bit for each choice that has begun.
    begun: u128,
    /// A bit for each choice that has said why it ended.
    ended: u128,
    /// The terminal marker has been seen.
    marked: bool,
    /// The last usage object; empty before the first.
    usage: String,
}

impl Reader {
    pub(in crate::protocol) fn new(choices: u32) -> Self {
        Self {
            choices: choices.clamp(1, u128::BITS),
            begun: 0,
            ended: 0,
            marked: false,
            usage: String::new(),
        }
    }

    /// All choices asked for have ended; once the marker is there, those that ever began (an upstream may not know
    /// `n`).
    pub(in crate::protocol) fn complete(&self) -> bool {
        let all = self.ended.count_ones() >= self.choices;
        all || (self.marked && self.ended != 0 && self.begun & !self.ended == 0)
    }

    pub(in crate::protocol) fn usage(&self) -> Option<UsageReport> {
        (!self.usage.is_empty()).then(|| usage::report(&self.usage))
    }

    /// Reads one event; `None` if it is no chunk. Before the commit, and where several choices run, every event is
    /// decoded.
    pub(in crate::protocol) fn read(
        &mut self,
        name: Option<&str>,
        data: &str,
        committed: bool,
    ) -> Option<Reading> {
        if data.trim() == "[DONE]" {
            self.marked = true;
            return Some(Reading::new(Verdict::End, !committed && self.complete()));
        }
        let is_error = name == Some("error");
        if committed && self.choices == 1 && !is_error && !is_worth_decoding(data.as_bytes()) {
            return json::is_object(data).then(Reading::pass);
        }
        let Some(chunk) = Chunk::read(data) else {
            return is_error.then(|| Reading::error(failure::read_any(data)));
        };
        if is_error || chunk.failed {
            return Some(Reading::error(failure::read_any(data)));
        }
        Some(self.read_chunk(&chunk, committed))
    }

    fn read_chunk(&mut self, chunk: &Chunk<'_>, committed: bool) -> Reading {
        let (mut content, mut error, mut used) = (false, None, chunk.usage);
        let choices = json::elements(chunk.choices, |value| {
            let choice = Choice::read(value);
            let bit = 1 << choice.index.min(u64::from(u128::BITS - 1));
            self.begun |= bit;
            if choice.finish.is_some() {
                self.ended |= bit;
            }
            if error.is_none() && choice.failed() {
                error = Some(ended_in_error(value));
            }
            content |= !committed && choice.delta.is_some_and(has_content);
            used = used.or(choice.usage);
        });
        if let Some(error) = error {
            return Reading::error(error);
        }
        if let Some(used) = used {
            self.usage.clear();
            self.usage.push_str(used);
        }
        let usage_only =
            choices.is_ok() && json::is_empty(chunk.choices) && chunk.usage_is_official;
        let verdict = if usage_only {
            Verdict::UsageOnly
        } else {
            Verdict::Pass
        };
        Reading::new(verdict, content)
    }
}

/// Whether an event may carry usage, an end or an error. Most chunks name them with `null`, or with an empty string;
/// where it is not plain the answer is yes.
fn is_worth_decoding(data: &[u8]) -> bool {
    static NAMES: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| [r#""finish_reason""#, r#""usage""#, r#""error""#].map(Finder::new));

    NAMES.iter().any(|name| {
        let length = name.needle().len();
        name.find_iter(data).any(|start| {
            let after = data.get(start + length..).unwrap_or_default();
            let value = after.trim_ascii_start().strip_prefix(b":");
            !value.is_some_and(|value| {
                let value = value.trim_ascii_start();
                value.starts_with(b"null") || value.starts_with(b"\"\"")
            })
        })
    })
}

/// The members of a chunk that we read.
#[derive(Default)]
struct Chunk<'a> {
    choices: &'a str,
    usage: Option<&'a str>,
    /// The usage stands where the protocol puts it.
    usage_is_official: bool,
    /// It is an error, or has one.
    failed: bool,
}

impl<'a> Chunk<'a> {
    fn read(data: &'a str) -> Option<Self> {
        let mut chunk = Self::default();
        json::members(data, |name, value| match &*name {
            "choices" => chunk.choices = value,
            "usage" if value.starts_with('{') => {
                chunk.usage = Some(value);
                chunk.usage_is_official = true;
            }
            "error" => chunk.failed |= !json::is_empty(value),
            "object" => chunk.failed |= value == "\"error\"",
            // Groq tells it here.
            "x_groq" => chunk.usage = chunk.usage.or(inner_usage(value)),
            _ => {}
        })
        .ok()?;
        Some(chunk)
    }
}

/// The members of a choice, of a chunk or of a whole answer, that we read.
#[derive(Default)]
pub(super) struct Choice<'a> {
    pub(super) index: u64,
    /// What the choice adds; some upstreams stream a whole `message`.
    pub(super) delta: Option<&'a str>,
    /// Why it ended, as a JSON text.
    pub(super) finish: Option<&'a str>,
    has_error: bool,
    /// Moonshot tells it here.
    usage: Option<&'a str>,
}

impl<'a> Choice<'a> {
    pub(super) fn read(value: &'a str) -> Self {
        Self::scan(&mut Scanner::new(value)).unwrap_or_default()
    }

    /// Reads the choice that comes next; `None`: it is not JSON. What is no object tells nothing.
    pub(super) fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut choice = Self::default();
        if !scanner.is_at_object() {
            scanner.value()?;
            return Some(choice);
        }
        scanner.object(|scanner, name| {
            let value = scanner.value()?;
            match name {
                "index" => choice.index = json::count(value).unwrap_or(0),
                "delta" | "message" if value.starts_with('{') => choice.delta = Some(value),
                "finish_reason" => {
                    choice.finish = Some(value).filter(|value| !json::is_empty(value))
                }
                "error" => choice.has_error = !json::is_empty(value),
                "usage" if value.starts_with('{') => choice.usage = Some(value),
                _ => {}
            }
            Some(())
        })?;
        Some(choice)
    }

    /// It ended in an error (OpenRouter says so).
    pub(super) fn failed(&self) -> bool {
        self.has_error || self.finish == Some("\"error\"")
    }
}

/// The error of a choice that failed.
pub(super) fn ended_in_error(choice: &str) -> UpstreamError {
    failure::read(choice).unwrap_or_else(|| UpstreamError {
        message: "the answer ended with finish_reason error".to_owned(),
        ..UpstreamError::default()
    })
}

fn has_content(delta: &str) -> bool {
    let mut content = false;
    let _ = json::members(delta, |name, value| {
        content |= CONTENT.contains(&&*name) && !json::is_empty(value);
    });
    content
}

#[cfg(test)]
mod tests;
