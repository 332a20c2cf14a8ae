//! The demo model's answers as Anthropic messages. Pure, and apart from `protocol` for the same reason as `openai`.

use serde_json::{Value, json};

use super::prompt::{self, Answer, Prompt, Refusal, Stamp};

/// Reads a request, which must say how long the answer may be.
pub(super) fn read(body: &[u8]) -> Result<Prompt, Refusal> {
    let prompt = prompt::read(body)?;
    if prompt.limit.is_none() {
        return Err(Refusal {
            message: "max_tokens: a whole number above 0 is required".to_owned(),
            param: Some("max_tokens"),
        });
    }
    Ok(prompt)
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.cut { "max_tokens" } else { "end_turn" }
}

fn usage(prompt: &Prompt, output_tokens: usize) -> Value {
    json!({
        "input_tokens": prompt.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    })
}

fn envelope(
    prompt: &Prompt,
    stamp: &Stamp,
    content: &Value,
    stop_reason: Option<&str>,
    usage: &Value,
) -> Value {
    json!({
        "id": format!("msg_{}", stamp.id),
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": usage,
    })
}

/// The whole answer.
pub(super) fn message(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Value {
    let content = json!([{"type": "text", "text": answer.text()}]);
    let usage = usage(prompt, answer.words.len());
    envelope(prompt, stamp, &content, Some(stop_reason(answer)), &usage)
}

/// The events of the streamed answer, each with its name and blank line.
pub(super) fn events(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Vec<String> {
    let opening = envelope(prompt, stamp, &json!([]), None, &usage(prompt, 1));
    let mut events = vec![
        named("message_start", json!({"message": opening})),
        named(
            "content_block_start",
            json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        named("ping", json!({})),
    ];
    let words = answer.words.iter();
    events.extend(words.map(|word| {
        let delta = json!({"type": "text_delta", "text": word});
        named("content_block_delta", json!({"index": 0, "delta": delta}))
    }));
    let delta = json!({"stop_reason": stop_reason(answer), "stop_sequence": null});
    let usage = json!({"output_tokens": answer.words.len()});
    events.push(named("content_block_stop", json!({"index": 0})));
    events.push(named(
        "message_delta",
        json!({"delta": delta, "usage": usage}),
    ));
    events.push(named("message_stop", json!({})));
    events
}

fn named(name: &str, members: Value) -> String {
    let mut event = json!({"type": name});
    if let (Some(event), Value::Object(members)) = (event.as_object_mut(), members) {
        event.extend(members);
    }
    format!("event: {name}\ndata: {event}\n\n")
}

/// The answer to `count_tokens`.
pub(super) fn count(prompt: &Prompt) -> Value {
    json!({"input_tokens": prompt.input_tokens})
}

/// The body of a refusal.
pub(super) fn refusal(refusal: &Refusal) -> Value {
    error("invalid_request_error", &refusal.message)
}

/// The body for a wrong key.
pub(super) fn wrong_key() -> Value {
    error("authentication_error", "invalid x-api-key")
}

fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            id: "1".to_owned(),
            created: 1_700_000_000,
        }
    }

    fn prompt(limit: usize) -> Prompt {
        let body = format!(
            r#"{{"model":"m","max_tokens":{limit},"system":"be brief","messages":[{{"role":"user","content":"hi"}}]}}"#
        );
        read(body.as_bytes()).expect("a prompt")
    }

    #[test]
    fn a_whole_message_counts_its_words() {
        let prompt = prompt(1000);
        let answer = prompt::answer(&prompt);
        let body = message(&prompt, &answer, &stamp());
        assert_eq!(body["content"][0]["text"], answer.text());
        assert_eq!(body["usage"]["input_tokens"], 3);
        assert_eq!(body["usage"]["output_tokens"], answer.words.len());
        assert_eq!(body["stop_reason"], "end_turn");
        assert_eq!(count(&prompt)["input_tokens"], 3);
    }

    #[test]
    fn a_stream_is_named_by_its_types_and_says_the_same() {
        let prompt = prompt(4);
        let answer = prompt::answer(&prompt);
        let mut names = Vec::new();
        let mut text = String::new();
        for event in events(&prompt, &answer, &stamp()) {
            let (name, data) = event.split_once('\n').expect("two lines");
            let data = data.strip_prefix("data: ").expect("data");
            let data: Value = serde_json::from_str(data).expect("JSON");
            let name = name.strip_prefix("event: ").expect("a name").to_owned();
            assert_eq!(data["type"], name.as_str());
            text.push_str(data["delta"]["text"].as_str().unwrap_or_default());
            if name == "message_delta" {
                assert_eq!(data["delta"]["stop_reason"], "max_tokens");
                assert_eq!(data["usage"]["output_tokens"], 4);
            }
            names.push(name);
        }
        assert_eq!(text, answer.text());
        assert_eq!(names.first().map(String::as_str), Some("message_start"));
        assert_eq!(names.last().map(String::as_str), Some("message_stop"));
    }

    #[test]
    fn a_message_without_a_limit_is_refused() {
        let refused = read(br#"{"model":"m","messages":[{}]}"#).expect_err("no limit");
        assert_eq!(refused.param, Some("max_tokens"));
    }

    #[test]
    fn errors_have_the_real_shape() {
        assert_eq!(wrong_key()["error"]["type"], "authentication_error");
        let refused = Refusal {
            message: "no".to_owned(),
            param: None,
        };
        assert_eq!(refusal(&refused)["type"], "error");
    }
}
