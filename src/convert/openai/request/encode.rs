//! From the hub to the body of a chat completion request: the members of the request itself.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use self::report::Report;
use super::LIMITS;
use crate::conversation::Origin;
use crate::conversation::{Conversation, Extra};
use crate::convert::ids;
use crate::convert::memo::{self, Memo};
use crate::convert::read;
use crate::convert::write::{self, Object};
use crate::convert::{Encoded, Target};
use crate::protocol::json;

mod extras;
mod messages;
mod options;
mod parts;
mod report;
mod tools;

/// Members that a default never adds: they are the conversation's, or the gateway's to set.
const NEVER_DEFAULTED: [&str; 4] = ["model", "messages", "stream", "stream_options"];

/// Spellings of one and the same thing: a default for one would contradict another that is there.
const SAME: [&[&str]; 2] = [&LIMITS, &["reasoning_effort", "reasoning", "thinking"]];

/// Most texts that end the answer.
const MOST_STOPS: usize = 4;

/// Longest id of a call, in characters.
const LONGEST_CALL: usize = 40;

/// Longest name of a tool, in characters.
const LONGEST_TOOL: usize = 64;

/// Longest `user` that OpenAI takes, in characters.
const LONGEST_USER: usize = 64;

/// Writes a request for one target.
///
/// The limit of the answer is called `max_tokens`, which nearly every server knows, unless the target wants
/// `max_completion_tokens`, or its defaults have one. A `user` that is longer than
/// OpenAI takes is sent as its SHA-256, which identifies the user as well.
pub fn encode(conversation: &Conversation, target: &Target<'_>) -> Encoded {
    let mut out = Vec::with_capacity(4096);
    let mut request = Request {
        conversation,
        target,
        own: conversation.origin == Origin::OpenAi,
        body: Object::begin(&mut out),
        out,
        written: HashSet::new(),
        report: Report::new(conversation.origin),
    };
    let memo = if request.own {
        Memo::default()
    } else {
        Memo::of(conversation, LONGEST_TOOL)
    };
    request.string("model", target.model);
    request.name("messages");
    messages::encode(conversation, &mut request.out, &mut request.report);
    tools::encode(&mut request);
    request.sampling();
    options::reasoning(&mut request);
    options::output(&mut request);
    request.stream();
    request.extras();
    request.defaults();
    let Request {
        body,
        mut out,
        report,
        ..
    } = request;
    body.end(&mut out);
    Encoded {
        body: Bytes::from(out),
        loss: report.finish(),
        memo,
    }
}

/// It is empty, or what Anthropic does anyway.
fn says_nothing(extra: &Extra) -> bool {
    let value = extra.value.as_str();
    json::is_empty(value) || (extra.name == "service_tier" && value == "\"auto\"")
}

/// A tool's name as OpenAI takes it. A client of this protocol has it as it wants it.
fn tool_name(name: &str, own: bool) -> Cow<'_, str> {
    if own {
        Cow::Borrowed(name)
    } else {
        memo::fit(name, LONGEST_TOOL)
    }
}

/// The id of a call, and of its result, as OpenAI takes it, and as the upstream told it where it was rewritten for the
/// client.
fn call_id(id: &str, own: bool) -> Cow<'_, str> {
    if own {
        return Cow::Borrowed(id);
    }
    let id = ids::as_told(id);
    if id.chars().count() <= LONGEST_CALL {
        id
    } else {
        Cow::Owned(memo::fit(&id, LONGEST_CALL).into_owned())
    }
}

/// A body that is being written.
struct Request<'a> {
    conversation: &'a Conversation,
    target: &'a Target<'a>,
    /// Whether the conversation came in this protocol, so that its extras belong here.
    own: bool,
    out: Vec<u8>,
    body: Object,
    /// The names of the members so far.
    written: HashSet<&'a str>,
    report: Report,
}

impl<'a> Request<'a> {
    /// Writes a name; the caller writes the value.
    fn name(&mut self, name: &'a str) {
        self.written.insert(name);
        self.body.name(&mut self.out, name);
    }

    fn raw(&mut self, name: &'a str, value: &str) {
        self.name(name);
        write::raw(&mut self.out, value);
    }

    fn string(&mut self, name: &'a str, value: &str) {
        self.name(name);
        write::string(&mut self.out, value);
    }

    /// The extras, where they belong to this protocol.
    fn own_extras(&self) -> &'a [Extra] {
        if self.own {
            &self.conversation.extras
        } else {
            &[]
        }
    }

    fn is_written(&self, name: &str) -> bool {
        self.written.contains(name)
    }

    fn sampling(&mut self) {
        let conversation = self.conversation;
        if let Some(limit) = conversation.max_tokens {
            self.raw(self.limit_name(), &limit.to_string());
        }
        if let Some(temperature) = &conversation.temperature {
            self.raw("temperature", temperature.as_str());
        }
        if let Some(top_p) = &conversation.top_p {
            self.raw("top_p", top_p.as_str());
        }
        if let Some(top_k) = conversation.top_k {
            if self.own {
                self.raw("top_k", &top_k.to_string());
            } else {
                self.report.dropped("top_k");
            }
        }
        match conversation.stop.as_slice() {
            [] => {}
            [text] => self.string("stop", text),
            texts => {
                let most = if self.own { texts.len() } else { MOST_STOPS };
                self.name("stop");
                write::array(&mut self.out, texts.iter().take(most), |out, text| {
                    write::string(out, text);
                });
                for index in most..texts.len() {
                    self.report.dropped(format!("stop_sequences[{index}]"));
                }
            }
        }
        if let Some(user) = &conversation.user {
            self.user(user);
        }
    }

    /// What the limit of the answer is called.
    fn limit_name(&self) -> &'static str {
        let [newer, older] = LIMITS;
        let asked = self.target.defaults.iter().any(|(name, _)| name == newer);
        let both = self.own && (self.conversation.extras.iter()).any(|extra| extra.name == older);
        let wanted = asked || both || self.target.wants_max_completion_tokens;
        if wanted { newer } else { older }
    }

    fn user(&mut self, user: &str) {
        if self.own || user.chars().count() <= LONGEST_USER {
            return self.string("user", user);
        }
        let digest = Sha256::digest(user.as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.string("user", &digest);
        self.report.changed("metadata.user_id");
    }

    fn stream(&mut self) {
        if !self.target.stream {
            return;
        }
        self.raw("stream", "true");
        // What another protocol always tells nobody has asked for.
        let asked = self.own && self.conversation.include_usage;
        let include_usage = asked || self.target.ask_usage;
        let members = self.own_extras();
        if !include_usage && !extras::any(members, "stream_options") {
            return;
        }
        self.name("stream_options");
        let mut options = Object::begin(&mut self.out);
        if include_usage {
            options.raw(&mut self.out, "include_usage", "true");
        }
        let rest = extras::within(members, "stream_options");
        extras::write(rest, &mut options, &mut self.out);
        options.end(&mut self.out);
    }

    /// Members that the hub has no word for: written back to their own protocol, reported to another.
    fn extras(&mut self) {
        let conversation = self.conversation;
        for extra in &conversation.extras {
            if !self.own {
                if !says_nothing(extra) {
                    self.report.dropped(&extra.name);
                }
            } else if !extras::is_nested(&extra.name) && !self.is_written(&extra.name) {
                // Written down as a step, and read as a name by the provider.
                self.written.insert(&extra.name);
                let name = read::name(&extra.name);
                self.body.raw(&mut self.out, &name, extra.value.as_str());
            }
        }
        let members = self.own_extras();
        for holder in ["reasoning", "thinking"] {
            if !self.is_written(holder) && extras::any(members, holder) {
                self.name(holder);
                let mut object = Object::begin(&mut self.out);
                extras::write(extras::within(members, holder), &mut object, &mut self.out);
                object.end(&mut self.out);
            }
        }
    }

    fn defaults(&mut self) {
        let target = self.target;
        for (name, value) in target.defaults {
            let same = SAME.iter().find(|names| names.contains(&name.as_str()));
            let is_said = match same {
                Some(names) => names.iter().any(|name| self.is_written(name)),
                None => self.is_written(name),
            };
            if !is_said && value.get() != "null" && !NEVER_DEFAULTED.contains(&name.as_str()) {
                self.raw(name, value.get());
            }
        }
    }
}
