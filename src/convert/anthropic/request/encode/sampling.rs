//! Temperature and its kin, in the range and the company that this protocol allows.

use crate::conversation::{Conversation, Json, Origin};
use crate::convert::loss::Loss;

/// What is said about sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sampling<'a> {
    pub(super) temperature: Option<&'a str>,
    pub(super) top_p: Option<&'a str>,
    pub(super) top_k: Option<u64>,
}

/// Decides it. A client of this protocol has said what it wants. For others the temperature ends at 1, beside which
/// recent models take no `top_p`; a model that thinks takes neither a temperature nor `top_k`, and a `top_p` only
/// near 1.
pub(super) fn decide<'a>(
    conversation: &'a Conversation,
    thinks: bool,
    loss: &mut Loss,
) -> Sampling<'a> {
    let given = Sampling {
        temperature: conversation.temperature.as_ref().map(Json::as_str),
        top_p: conversation.top_p.as_ref().map(Json::as_str),
        top_k: conversation.top_k,
    };
    if conversation.origin == Origin::Anthropic {
        return given;
    }
    let mut said = given;
    if given
        .temperature
        .map(number)
        .is_some_and(|value| value > 1.0)
    {
        loss.changed("temperature");
        said.temperature = Some("1");
    }
    if thinks {
        if said
            .temperature
            .take()
            .map(number)
            .is_some_and(|value| value < 1.0)
        {
            loss.changed("temperature");
        }
        if given.top_p.map(number).is_some_and(|value| value < 0.95) {
            loss.dropped("top_p");
            said.top_p = None;
        }
        if said.top_k.take().is_some() {
            loss.dropped("top_k");
        }
    }
    if let (Some(temperature), Some(top_p)) = (said.temperature, said.top_p) {
        // Where one of them is the default, the other says it all.
        if number(top_p) >= 1.0 {
            said.top_p = None;
        } else if number(temperature) >= 1.0 {
            said.temperature = None;
        } else {
            loss.dropped("top_p");
            said.top_p = None;
        }
    }
    said
}

/// A number's value; the text is known to be a number.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(1.0)
}
