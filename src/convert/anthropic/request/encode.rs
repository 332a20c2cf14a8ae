//! [`Conversation`] → a messages request. What another protocol's client said is brought into the form that this one
//! takes; what has none is named in the loss.

mod blocks;
mod calls;
mod media;
mod place;
mod sampling;
mod thinking;
mod tools;
mod turns;

use bytes::Bytes;

use crate::conversation::{Conversation, Origin, OutputFormat, Tool, ToolChoice};
use crate::convert::anthropic::request::nested::{self, Nested};
use crate::convert::loss::Loss;
use crate::convert::memo::Memo;
use crate::convert::read;
use crate::convert::write::{self, Object};
use crate::convert::{Encoded, Target};
use crate::protocol::json;

use self::blocks::Blocks;
use self::sampling::Sampling;
use self::thinking::{Mode, Thinking};

/// Members that a default never adds: they are the client's, or the gateway's to set.
const NEVER_DEFAULTED: [&str; 3] = ["model", "messages", "stream"];

/// Encodes a messages request. Its limit of tokens, which this protocol requires, is the conversation's, else that of
/// the target's defaults, else [`Target::default_max_tokens`].
pub fn encode(conversation: &Conversation, target: &Target<'_>) -> Encoded {
    let mut loss = Loss::default();
    let mut out = Vec::with_capacity(4096);
    let own = conversation.origin == Origin::Anthropic;
    let nested = if own {
        Nested::of(conversation)
    } else {
        // Another protocol's members stand at paths that may be the same.
        Nested::default()
    };
    let mut body = Body {
        object: Object::begin(&mut out),
        out,
        conversation,
        own,
        nested: &nested,
        said: Vec::new(),
    };
    body.write(target, &mut loss);
    let Body {
        object, mut out, ..
    } = body;
    object.end(&mut out);
    Encoded {
        body: Bytes::from(out),
        loss,
        memo: if own {
            Memo::default()
        } else {
            Memo::of(conversation, tools::LONGEST_NAME)
        },
    }
}

/// Opens an object of this type.
fn typed(out: &mut Vec<u8>, kind: &str) -> Object {
    let mut object = Object::begin(out);
    object.string(out, "type", kind);
    object
}

/// A body being written.
struct Body<'a> {
    out: Vec<u8>,
    object: Object,
    conversation: &'a Conversation,
    own: bool,
    nested: &'a Nested<'a>,
    /// Members about which the client has spoken, whether they were written or not: no default takes their place.
    said: Vec<&'a str>,
}

impl<'a> Body<'a> {
    fn write(&mut self, target: &Target<'a>, loss: &mut Loss) {
        let conversation = self.conversation;
        let max_tokens = max_tokens(conversation, target);
        let arranged = turns::arrange(conversation, loss);
        let offered = tools::offered(conversation, loss);
        let choice = tools::choice(conversation, &offered, loss);
        let thinking = thinking::decide(
            conversation,
            &arranged,
            choice,
            (max_tokens, target.reasoning),
            loss,
        );
        let sampling = sampling::decide(conversation, thinking.is_on(), loss);

        write::string(self.member("model"), target.model);
        self.raw("max_tokens", &max_tokens.to_string());
        if target.stream {
            self.raw("stream", "true");
        }
        self.sampling(&sampling, &thinking);
        self.thinking(&thinking);
        self.output_config(thinking.effort, loss);
        self.tools(&offered, choice, loss);
        if !arranged.system.is_empty() {
            self.said.push("system");
        }
        let mut blocks = Blocks {
            nested: self.nested,
            own: self.own,
            loss,
        };
        blocks.conversation(&mut self.out, &mut self.object, &arranged);
        self.stop(loss);
        self.metadata();
        self.extras(loss);
        self.defaults(target);
    }

    /// Begins a member; the value has to be written next.
    fn member(&mut self, name: &'a str) -> &mut Vec<u8> {
        self.said.push(name);
        self.object.name(&mut self.out, name);
        &mut self.out
    }

    fn raw(&mut self, name: &'a str, value: &str) {
        write::raw(self.member(name), value);
    }

    fn sampling(&mut self, sampling: &Sampling<'_>, thinking: &Thinking<'_>) {
        if let Some(temperature) = sampling.temperature {
            self.raw("temperature", temperature);
        }
        if let Some(top_p) = sampling.top_p {
            self.raw("top_p", top_p);
        }
        if let Some(top_k) = sampling.top_k {
            self.raw("top_k", &top_k.to_string());
        }
        let given = self.conversation;
        // Models that think take none of them, and of two only one may be said.
        if thinking.is_on() || given.temperature.is_some() || given.top_p.is_some() {
            self.said.extend(["temperature", "top_p"]);
        }
        if thinking.is_on() || given.top_k.is_some() {
            self.said.push("top_k");
        }
    }

    fn thinking(&mut self, thinking: &Thinking<'_>) {
        if self.conversation.reasoning.is_some() {
            self.said.push("thinking");
        }
        let Some(mode) = thinking.mode else {
            return;
        };
        let rest = self.nested.at("thinking");
        let out = self.member("thinking");
        let mut object = typed(
            out,
            match mode {
                Mode::Disabled => "disabled",
                Mode::Adaptive => "adaptive",
                Mode::Budget(_) => "enabled",
            },
        );
        if let Mode::Budget(budget) = mode {
            object.raw(out, "budget_tokens", &budget.to_string());
        }
        for (name, value) in rest {
            object.raw(out, name, value);
        }
        object.end(out);
    }

    fn output_config(&mut self, effort: Option<&str>, loss: &mut Loss) {
        let origin = self.conversation.origin;
        let path = || place::member(origin, "output_config.format");
        let schema = match &self.conversation.output {
            None => None,
            Some(OutputFormat::JsonObject) => {
                loss.dropped(path());
                None
            }
            Some(OutputFormat::JsonSchema {
                description,
                schema,
                ..
            }) => {
                // A name is required elsewhere and means nothing; a description speaks to the model.
                if description.is_some() {
                    loss.dropped(format!("{}.json_schema.description", path()));
                }
                Some(schema)
            }
        };
        let rest = self.nested.at("output_config");
        if effort.is_none() && schema.is_none() && rest.is_empty() {
            return;
        }
        let out = self.member("output_config");
        let mut config = Object::begin(out);
        if let Some(effort) = effort {
            config.string(out, "effort", effort);
        }
        if let Some(schema) = schema {
            config.name(out, "format");
            let mut format = typed(out, "json_schema");
            format.raw(out, "schema", schema.as_str());
            format.end(out);
        }
        for (name, value) in rest {
            config.raw(out, name, value);
        }
        config.end(out);
    }

    fn tools(&mut self, offered: &[&Tool], choice: Option<&ToolChoice>, loss: &mut Loss) {
        let own = self.own;
        if !offered.is_empty() {
            write::array(self.member("tools"), offered, |out, tool| {
                tools::write(out, tool, own, loss);
            });
        }
        let one_at_a_time =
            self.conversation.parallel_tool_calls == Some(false) && (own || !offered.is_empty());
        let auto = one_at_a_time.then_some(&ToolChoice::Auto);
        if let Some(choice) = choice.or(auto) {
            let nested = self.nested;
            tools::write_choice(
                self.member("tool_choice"),
                choice,
                one_at_a_time,
                nested,
                own,
            );
        }
    }

    /// Writes the texts that end the answer. The provider refuses those of white space alone.
    fn stop(&mut self, loss: &mut Loss) {
        let texts = &self.conversation.stop;
        if texts.is_empty() {
            return;
        }
        self.said.push("stop_sequences");
        let path = place::member(self.conversation.origin, "stop_sequences");
        let mut taken = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            if self.own || !text.trim().is_empty() {
                taken.push(text);
            } else if texts.len() == 1 {
                loss.dropped(path.as_str());
            } else {
                loss.dropped(format!("{path}[{index}]"));
            }
        }
        if !taken.is_empty() {
            write::array(self.member("stop_sequences"), taken, |out, text| {
                write::string(out, text);
            });
        }
    }

    fn metadata(&mut self) {
        let rest = self.nested.at("metadata");
        let user = self.conversation.user.as_deref();
        if user.is_none() && rest.is_empty() {
            return;
        }
        let out = self.member("metadata");
        let mut metadata = Object::begin(out);
        if let Some(user) = user {
            metadata.string(out, "user_id", user);
        }
        for (name, value) in rest {
            metadata.raw(out, name, value);
        }
        metadata.end(out);
    }

    fn extras(&mut self, loss: &mut Loss) {
        for extra in &self.conversation.extras {
            if !self.own {
                if !json::is_empty(extra.value.as_str()) {
                    loss.dropped(extra.name.as_str());
                }
            } else if !nested::is_nested(extra) {
                self.said.push(&extra.name);
                let name = read::name(&extra.name);
                self.object.raw(&mut self.out, &name, extra.value.as_str());
            }
        }
    }

    fn defaults(&mut self, target: &Target<'a>) {
        for (name, value) in target.defaults {
            let name = name.as_str();
            let is_free = !NEVER_DEFAULTED.contains(&name) && !self.said.contains(&name);
            if is_free && value.get() != "null" {
                self.raw(name, value.get());
            }
        }
    }
}

fn max_tokens(conversation: &Conversation, target: &Target<'_>) -> u64 {
    let default = || {
        let mut defaults = target.defaults.iter();
        let (_, value) = defaults.find(|(name, _)| name == "max_tokens")?;
        json::count(value.get())
    };
    let limit = conversation.max_tokens.or_else(default);
    limit.unwrap_or(target.default_max_tokens)
}
