//! The demo model's answers as OpenAI chat completions. Pure. It is written apart from `protocol` on purpose:
//! this side plays a provider, and must not share a mistake with the gateway.

use serde_json::{Value, json};

use super::prompt::{Answer, Prompt, Refusal, Stamp};

fn usage(prompt: &Prompt, answer: &Answer) -> Value {
    let output_tokens = answer.words.len();
    json!({
        "prompt_tokens": prompt.input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt.input_tokens + output_tokens,
    })
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.cut { "length" } else { "stop" }
}

/// The whole answer.
pub(super) fn completion(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Value {
    json!({
        "id": format!("chatcmpl-{}", stamp.id),
        "object": "chat.completion",
        "created": stamp.created,
        "model": prompt.model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": answer.text(), "refusal": null},
            "logprobs": null,
            "finish_reason": finish_reason(answer),
        }],
        "usage": usage(prompt, answer),
    })
}

/// The events of the streamed answer, each with its blank line.
pub(super) fn events(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{}", stamp.id),
            "object": "chat.completion.chunk",
            "created": stamp.created,
            "model": prompt.model,
            "choices": choices,
        });
        if let Some(members) = chunk.as_object_mut().filter(|_| prompt.include_usage) {
            members.insert("usage".to_owned(), usage);
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish_reason: Option<&str>| {
        let choice =
            json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        chunk(json!([choice]), Value::Null)
    };
    let mut events = vec![choice(json!({"role": "assistant", "content": ""}), None)];
    let words = answer.words.iter();
    events.extend(words.map(|word| choice(json!({"content": word}), None)));
    events.push(choice(json!({}), Some(finish_reason(answer))));
    if prompt.include_usage {
        events.push(chunk(json!([]), usage(prompt, answer)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// The body of a refusal.
pub(super) fn refusal(refusal: &Refusal) -> Value {
    error(&refusal.message, refusal.param, None)
}

/// The body for a wrong key.
pub(super) fn wrong_key() -> Value {
    error("Incorrect API key provided.", None, Some("invalid_api_key"))
}

fn error(message: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}})
}

/// The list of models.
pub(super) fn models(names: &[&str], created: u64) -> Value {
    let models: Vec<_> = names
        .iter()
        .map(|name| json!({"id": name, "object": "model", "created": created, "owned_by": "demo"}))
        .collect();
    json!({"object": "list", "data": models})
}

#[cfg(test)]
mod tests {
    use super::super::prompt;
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            id: "1".to_owned(),
            created: 1_700_000_000,
        }
    }

    fn prompt(extra: &str) -> Prompt {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"good morning"}}]{extra}}}"#
        );
        prompt::read(body.as_bytes()).expect("a prompt")
    }

    fn parsed(events: &[String]) -> Vec<Value> {
        let data = events
            .iter()
            .filter_map(|event| event.strip_prefix("data: "));
        let data = data.filter(|data| !data.starts_with("[DONE]"));
        data.map(|data| serde_json::from_str(data).expect("JSON"))
            .collect()
    }

    #[test]
    fn a_whole_answer_counts_its_words() {
        let prompt = prompt("");
        let answer = prompt::answer(&prompt);
        let body = completion(&prompt, &answer, &stamp());
        assert_eq!(body["usage"]["prompt_tokens"], 2);
        assert_eq!(body["usage"]["completion_tokens"], answer.words.len());
        assert_eq!(body["usage"]["total_tokens"], 2 + answer.words.len());
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
        assert_eq!(body["model"], "m");
    }

    #[test]
    fn a_stream_says_the_same_as_the_whole_answer() {
        let prompt = prompt("");
        let answer = prompt::answer(&prompt);
        let events = events(&prompt, &answer, &stamp());
        assert_eq!(events.last().map(String::as_str), Some("data: [DONE]\n\n"));
        let chunks = parsed(&events);
        let texts = chunks
            .iter()
            .filter_map(|chunk| chunk.pointer("/choices/0/delta/content"));
        let text: String = texts.filter_map(Value::as_str).collect();
        assert_eq!(text, answer.text());
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    }

    #[test]
    fn usage_comes_last_and_only_if_asked_for() {
        let prompt = prompt(r#","stream_options":{"include_usage":true}"#);
        let answer = prompt::answer(&prompt);
        let chunks = parsed(&events(&prompt, &answer, &stamp()));
        let (last, others) = chunks.split_last().expect("chunks");
        assert_eq!(last["choices"], json!([]));
        assert_eq!(last["usage"]["prompt_tokens"], 2);
        assert!(
            others
                .iter()
                .all(|chunk| chunk.get("usage") == Some(&Value::Null))
        );
    }

    #[test]
    fn a_limit_shows_as_length() {
        let prompt = prompt(r#","max_tokens":1"#);
        let answer = prompt::answer(&prompt);
        let chunks = parsed(&events(&prompt, &answer, &stamp()));
        assert_eq!(chunks[2]["choices"][0]["finish_reason"], "length");
    }

    #[test]
    fn errors_and_models_have_the_real_shape() {
        assert_eq!(wrong_key()["error"]["code"], "invalid_api_key");
        let refused = Refusal {
            message: "no".to_owned(),
            param: Some("model"),
        };
        assert_eq!(refusal(&refused)["error"]["param"], "model");
        assert_eq!(models(&["a"], 1)["data"][0]["object"], "model");
    }
}
