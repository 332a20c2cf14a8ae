//! How much the model shall think, in this protocol's words, and whether it may at all.

use super::place;
use super::turns::{Arranged, Message};
use crate::config::catalog::ReasoningStyle;
use crate::conversation::{Block, Conversation, Origin, Reasoning, Role, ToolChoice};
use crate::convert::loss::Loss;

/// Thinking on a fixed budget needs at least so many tokens.
const LEAST_BUDGET: u64 = 1024;

/// Budgets up to here are a low and a medium effort, in tokens; more is a high one.
const LOW_BUDGET: u64 = 6144;
const MEDIUM_BUDGET: u64 = 12288;

/// What is said about thinking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Thinking<'a> {
    /// What `thinking` says.
    pub(super) mode: Option<Mode>,
    /// What `output_config.effort` says.
    pub(super) effort: Option<&'a str>,
}

/// What `thinking` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disabled,
    Adaptive,
    Budget(u64),
}

impl Thinking<'_> {
    /// Whether the model may think.
    pub(super) fn is_on(&self) -> bool {
        matches!(self.mode, Some(Mode::Adaptive | Mode::Budget(_)))
    }
}

/// Decides what is said about thinking.
pub(super) fn decide<'a>(
    conversation: &'a Conversation,
    arranged: &Arranged<'_>,
    choice: Option<&ToolChoice>,
    (max_tokens, style): (u64, ReasoningStyle),
    loss: &mut Loss,
) -> Thinking<'a> {
    let Some(reasoning) = &conversation.reasoning else {
        return Thinking::default();
    };
    let own = conversation.origin == Origin::Anthropic;
    let wanted = wanted(reasoning, own);
    if own {
        return wanted;
    }
    let styled = match style {
        ReasoningStyle::Usual => wanted,
        ReasoningStyle::Adaptive => adaptive(reasoning),
        // What does not think at all need not be told so.
        ReasoningStyle::None if wanted.mode == Some(Mode::Disabled) => return Thinking::default(),
        ReasoningStyle::None => Thinking::default(),
    };
    let said = allowed(styled, &arranged.messages, choice, max_tokens);
    let path = match reasoning {
        Reasoning::Effort(_) => place::member(conversation.origin, "thinking"),
        _ => "thinking".to_owned(),
    };
    if said.mode.is_none() {
        loss.dropped(path);
    } else if said != styled || is_other(reasoning, said.effort) {
        loss.changed(path);
    }
    said
}

/// The same for a model that takes only adaptive thinking: the nearest effort.
fn adaptive(reasoning: &Reasoning) -> Thinking<'_> {
    let effort = match reasoning {
        Reasoning::Off => return only(Mode::Disabled),
        Reasoning::Effort(effort) if effort == "none" => return only(Mode::Disabled),
        Reasoning::Effort(effort) => match effort.as_str() {
            "minimal" => Some("low"),
            "low" | "medium" | "high" | "max" => Some(effort.as_str()),
            "xhigh" => Some("max"),
            _ => return Thinking::default(),
        },
        Reasoning::Adaptive { effort } => effort.as_deref(),
        Reasoning::Budget(budget) if *budget <= LOW_BUDGET => Some("low"),
        Reasoning::Budget(budget) if *budget <= MEDIUM_BUDGET => Some("medium"),
        Reasoning::Budget(_) => Some("high"),
    };
    Thinking {
        mode: Some(Mode::Adaptive),
        effort,
    }
}

/// Whether the effort that is said is not the one that was asked for.
fn is_other(reasoning: &Reasoning, said: Option<&str>) -> bool {
    match (reasoning, said) {
        (Reasoning::Effort(asked), Some(said)) => asked != said,
        (Reasoning::Budget(_), Some(_)) => true,
        _ => false,
    }
}

/// What the client asks for. An effort alone guides the answers of this protocol's clients; of others it is one of
/// thinking.
fn wanted(reasoning: &Reasoning, own: bool) -> Thinking<'_> {
    match reasoning {
        Reasoning::Off => only(Mode::Disabled),
        Reasoning::Budget(budget) => only(Mode::Budget(*budget)),
        Reasoning::Adaptive { effort } => Thinking {
            mode: Some(Mode::Adaptive),
            effort: effort.as_deref(),
        },
        Reasoning::Effort(effort) if own => Thinking {
            mode: None,
            effort: Some(effort),
        },
        Reasoning::Effort(effort) if effort == "none" => only(Mode::Disabled),
        Reasoning::Effort(effort) => {
            budget(effort).map_or_else(Thinking::default, |budget| only(Mode::Budget(budget)))
        }
    }
}

/// What of it the provider takes in this place.
fn allowed<'a>(
    wanted: Thinking<'a>,
    messages: &[Message<'_>],
    choice: Option<&ToolChoice>,
    max_tokens: u64,
) -> Thinking<'a> {
    let Some(mode) = wanted.mode.filter(|mode| *mode != Mode::Disabled) else {
        return wanted;
    };
    let is_forced = matches!(choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    if is_forced || !can_begin(messages, mode) {
        return Thinking::default();
    }
    match mode {
        Mode::Budget(_) if max_tokens <= LEAST_BUDGET => Thinking::default(),
        Mode::Budget(budget) => {
            // A quarter of the answer is kept free, so that there is one after the thinking.
            let most = (max_tokens - max_tokens / 4).max(LEAST_BUDGET);
            only(Mode::Budget(budget.max(LEAST_BUDGET).min(most)))
        }
        Mode::Adaptive | Mode::Disabled => wanted,
    }
}

fn only<'a>(mode: Mode) -> Thinking<'a> {
    Thinking {
        mode: Some(mode),
        effort: None,
    }
}

/// The tokens that stand for an effort.
fn budget(effort: &str) -> Option<u64> {
    match effort {
        "minimal" => Some(1024),
        "low" => Some(4096),
        "medium" => Some(8192),
        "high" => Some(16384),
        "xhigh" | "max" => Some(32768),
        _ => None,
    }
}

/// Whether the model may begin to think here: not in the middle of an answer; and on a budget in the middle of calling
/// tools only if what it thought before is there to go on with.
fn can_begin(messages: &[Message<'_>], mode: Mode) -> bool {
    let mut recent = messages
        .iter()
        .rev()
        .filter(|said| said.role != Role::System);
    let Some(last) = recent.next() else {
        return true;
    };
    let answers_tools = last
        .parts
        .iter()
        .any(|part| matches!(*part.block, Block::ToolResult(_)));
    match (last.role, recent.next()) {
        (Role::Assistant, _) => false,
        (_, Some(before)) if answers_tools && mode != Mode::Adaptive => {
            before.parts.first().is_none_or(|part| {
                matches!(
                    *part.block,
                    Block::Thinking { .. } | Block::RedactedThinking(_)
                )
            })
        }
        _ => true,
    }
}
