//! What the demo model understands of a request, and what it says to it. Pure; both protocols look alike from here.
//! A token of this model is a word, so that everybody can check its usage by counting.

use serde_json::Value;

/// Words of the question that are repeated in the answer.
const REPEATED_WORDS: usize = 40;

/// A request as the demo model understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    /// The model name, as sent.
    pub(super) model: String,
    /// The text of the last message of the user.
    pub(super) question: String,
    /// Words of all messages and of the system text.
    pub(super) input_tokens: usize,
    /// Longest answer, in words.
    pub(super) limit: Option<usize>,
    /// Whether the answer is wanted as a stream.
    pub(super) stream: bool,
    /// Whether a stream shall end with usage (OpenAI only).
    pub(super) include_usage: bool,
}

/// Why a request is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is wrong, in words.
    pub(super) message: String,
    /// The member that is wrong.
    pub(super) param: Option<&'static str>,
}

/// Reads a request of either protocol.
pub(super) fn read(body: &[u8]) -> Result<Prompt, Refusal> {
    let request: Value = serde_json::from_slice(body).map_err(|error| Refusal {
        message: format!("The body is not JSON: {error}"),
        param: None,
    })?;
    let model = request.get("model").and_then(Value::as_str);
    let model = model.ok_or_else(|| wrong("model", "a model name is required"))?;
    let messages = request.get("messages").and_then(Value::as_array);
    let messages = messages
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| wrong("messages", "a list with at least one message is required"))?;
    let system = request.get("system").map(text_of).unwrap_or_default();
    let texts: Vec<_> = messages.iter().map(message_text).collect();
    let of_user = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    let question = messages.iter().rev().find(of_user);
    let flag = |pointer| request.pointer(pointer).and_then(Value::as_bool) == Some(true);
    Ok(Prompt {
        model: model.to_owned(),
        question: question.map(message_text).unwrap_or_default(),
        input_tokens: count(&system) + texts.iter().map(|text| count(text)).sum::<usize>(),
        limit: limit(&request)?,
        stream: flag("/stream"),
        include_usage: flag("/stream_options/include_usage"),
    })
}

fn wrong(param: &'static str, message: &str) -> Refusal {
    Refusal {
        message: format!("{param}: {message}"),
        param: Some(param),
    }
}

fn limit(request: &Value) -> Result<Option<usize>, Refusal> {
    for name in ["max_completion_tokens", "max_tokens"] {
        let Some(value) = request.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        let limit = value.as_u64().filter(|limit| *limit > 0);
        let limit = limit.ok_or_else(|| wrong(name, "a whole number above 0 is required"))?;
        return Ok(Some(usize::try_from(limit).unwrap_or(usize::MAX)));
    }
    Ok(None)
}

fn message_text(message: &Value) -> String {
    message.get("content").map(text_of).unwrap_or_default()
}

/// The text of a content that is a string or a list of blocks.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks
                .iter()
                .filter_map(|block| block.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

/// What makes an answer itself and no other.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    /// Unique among the answers of this process.
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) created: u64,
}

/// What the demo model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its words; all but the first begin with their space. One word is one token.
    pub(super) words: Vec<String>,
    /// Whether the limit of the request ended it.
    pub(super) cut: bool,
}

impl Answer {
    /// All of it.
    pub(super) fn text(&self) -> String {
        self.words.concat()
    }
}

/// Answers by repeating the question, so that a reader recognises it.
pub(super) fn answer(prompt: &Prompt) -> Answer {
    let words: Vec<_> = prompt.question.split_whitespace().collect();
    let mut repeated = words
        .iter()
        .take(REPEATED_WORDS)
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    if words.len() > REPEATED_WORDS {
        repeated.push_str(" …");
    }
    let text = format!(
        "You said: \"{repeated}\". I am the demo model of model-proxy. I understand nothing, \
         but the gateway between us is the real one."
    );
    let mut words: Vec<_> = text
        .split_whitespace()
        .enumerate()
        .map(|(index, word)| {
            if index == 0 {
                word.to_owned()
            } else {
                format!(" {word}")
            }
        })
        .collect();
    let longest = prompt.limit.unwrap_or(usize::MAX);
    let cut = words.len() > longest;
    words.truncate(longest);
    Answer { words, cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(body: &str) -> Prompt {
        read(body.as_bytes()).expect("a request that is understood")
    }

    #[test]
    fn the_last_message_of_the_user_is_repeated() {
        let prompt = understood(
            r#"{"model":"m","messages":[{"role":"user","content":"one"},{"role":"assistant","content":"two"},
                {"role":"user","content":[{"type":"text","text":"three  four"},{"type":"image"}]}]}"#,
        );
        assert_eq!(prompt.question, "three  four");
        let answer = answer(&prompt);
        assert!(answer.text().starts_with("You said: \"three four\". I am"));
        assert!(!answer.cut);
    }

    #[test]
    fn a_token_is_a_word_of_any_message_or_of_the_system_text() {
        let prompt = understood(
            r#"{"model":"m","system":[{"type":"text","text":"be brief"}],"messages":[{"role":"user","content":"a b c"},
                {"role":"assistant","content":null}]}"#,
        );
        assert_eq!(prompt.input_tokens, 5);
    }

    #[test]
    fn the_limit_counts_words_and_either_name_of_it_is_taken() {
        for name in ["max_tokens", "max_completion_tokens"] {
            let body = format!(
                r#"{{"model":"m","{name}":3,"messages":[{{"role":"user","content":"hi"}}]}}"#
            );
            let answer = answer(&understood(&body));
            assert_eq!(answer.text(), "You said: \"hi\".");
            assert!(answer.cut);
        }
    }

    #[test]
    fn a_long_question_is_not_repeated_whole() {
        let question = "word ".repeat(100);
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{question}"}}]}}"#);
        let text = answer(&understood(&body)).text();
        assert_eq!(text.matches("word").count(), REPEATED_WORDS);
        assert!(text.contains("word …\""));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_by_name() {
        for (body, param) in [
            ("[", None),
            (r#"{"messages":[{}]}"#, Some("model")),
            (r#"{"model":"m"}"#, Some("messages")),
            (r#"{"model":"m","messages":[]}"#, Some("messages")),
            (
                r#"{"model":"m","messages":[{}],"max_tokens":0}"#,
                Some("max_tokens"),
            ),
        ] {
            assert_eq!(
                read(body.as_bytes()).expect_err(body).param,
                param,
                "{body}"
            );
        }
    }

    #[test]
    fn streaming_and_usage_are_asked_for_by_flags() {
        let prompt = understood(
            r#"{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":true}}"#,
        );
        assert!(prompt.stream && prompt.include_usage);
        let prompt = understood(r#"{"model":"m","messages":[{}],"stream":null}"#);
        assert!(!prompt.stream && !prompt.include_usage);
    }
}
