//! From the body of a chat completion request to the hub: the members of the request itself.

use crate::conversation::Origin;
use crate::conversation::{Conversation, Extra, Json};
use crate::convert::read::{self, Object};
use crate::error::GatewayError;
use crate::protocol::json;
use crate::protocol::raw::RawObject;

mod messages;
mod options;
mod parts;
mod tools;

/// Members whose default is known. With that value they say nothing, so nobody reports them as lost.
const DEFAULTS: [(&str, &str); 10] = [
    ("frequency_penalty", "0"),
    ("logit_bias", "{}"),
    ("logprobs", "false"),
    ("metadata", "{}"),
    ("modalities", "[\"text\"]"),
    ("n", "1"),
    ("presence_penalty", "0"),
    ("service_tier", "\"auto\""),
    ("store", "false"),
    ("top_logprobs", "0"),
];

/// Reads a request. Legacy `functions`, `function_call` and messages of role `function` become tools, tool calls and
/// tool results; empty texts vanish, and with them messages that hold nothing else.
///
/// # Errors
/// A member that has to be understood is missing or of a wrong type; the error names its path. Members that need not
/// be understood are kept, whatever they are.
pub fn decode(body: &RawObject) -> Result<Conversation, GatewayError> {
    let mut request = Object::body(body);
    let mut extras = Vec::new();
    let model = request.required("model")?;
    let messages = request.array("messages")?;
    let turns = messages::decode(&messages.ok_or_else(|| read::missing("messages"))?)?;
    let (tools, tool_choice) = tools::decode(&mut request, &mut extras)?;
    let max_tokens = limit(&mut request, &mut extras)?;
    let top_k = top_k(&mut request);
    let include_usage = include_usage(&mut request, &mut extras)?;
    let mut conversation = Conversation {
        origin: Origin::OpenAi,
        model,
        turns,
        tools,
        tool_choice,
        parallel_tool_calls: request.flag("parallel_tool_calls")?,
        max_tokens,
        temperature: request.number("temperature")?,
        top_p: request.number("top_p")?,
        top_k,
        stop: stop(&mut request)?,
        stream: request.flag("stream")?.unwrap_or(false),
        include_usage,
        user: request.text("user")?,
        reasoning: options::reasoning(&mut request, &mut extras)?,
        output: options::output(&mut request, &mut extras)?,
        extras: Vec::new(),
    };
    request.rest("", &mut extras);
    extras.retain(|extra| !is_default(extra));
    conversation.extras = extras;
    Ok(conversation)
}

/// The limit of the answer. Where both spellings are there and differ, the older one is kept as an extra.
fn limit(request: &mut Object<'_>, extras: &mut Vec<Extra>) -> Result<Option<u64>, GatewayError> {
    let [newer, older] = super::LIMITS;
    let (newer, older_limit) = (request.integer(newer)?, request.integer(older)?);
    if let (Some(limit), Some(other)) = (newer, older_limit)
        && limit != other
    {
        extras.push(Extra {
            name: older.to_owned(),
            value: Json::new(other.to_string()),
        });
    }
    Ok(newer.or(older_limit))
}

/// `top_k` of compatible servers; what is no count, such as vLLM's -1 for all tokens, stays for the extras.
fn top_k(request: &mut Object<'_>) -> Option<u64> {
    let count = request.peek("top_k")?.parse().ok()?;
    request.take("top_k");
    Some(count)
}

/// `stop`, a text or a list of them.
fn stop(request: &mut Object<'_>) -> Result<Vec<String>, GatewayError> {
    let texts = match request.peek("stop") {
        Some(value) if value.starts_with('[') => request.array("stop")?.unwrap_or_default(),
        _ => return Ok(request.text("stop")?.into_iter().collect()),
    };
    let mut stop = Vec::with_capacity(texts.len());
    for (position, text) in texts.into_iter().enumerate() {
        let text = read::string(text)
            .ok_or_else(|| read::wrong(&format!("stop[{position}]"), "a string", text))?;
        if !text.is_empty() {
            stop.push(text);
        }
    }
    Ok(stop)
}

/// Whether `stream_options` asks for usage.
fn include_usage(request: &mut Object<'_>, extras: &mut Vec<Extra>) -> Result<bool, GatewayError> {
    let Some(mut options) = request.object("stream_options")? else {
        return Ok(false);
    };
    let include_usage = options.flag("include_usage")?.unwrap_or(false);
    options.rest("stream_options", extras);
    Ok(include_usage)
}

fn is_default(extra: &Extra) -> bool {
    let value = extra.value.as_str();
    DEFAULTS.iter().any(|(name, default)| {
        extra.name == *name
            && (value.split_ascii_whitespace().collect::<String>() == *default
                || (json::is_empty(value) && json::is_empty(default))
                || matches!((value.parse::<f64>(), default.parse::<f64>()), (Ok(a), Ok(b)) if a == b))
    })
}
