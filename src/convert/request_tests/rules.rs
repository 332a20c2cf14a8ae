//! What providers of each protocol refuse of a request, written from their documentation and from what they answered.

mod anthropic;
mod openai;

use serde_json::Value;

pub(in crate::convert) use anthropic::faults as anthropic;
pub(in crate::convert) use openai::faults as openai;

/// Notes what is wrong.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, is_fine: bool, place: &str, fault: &str) {
        let fault = format!("{place}: {fault}");
        if !is_fine && !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    /// No member has another name.
    fn only(&mut self, object: &Value, known: &[&str], place: &str) {
        for name in object
            .as_object()
            .into_iter()
            .flat_map(|object| object.keys())
        {
            self.unless(
                known.contains(&name.as_str()),
                place,
                &format!("{name} is not known"),
            );
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn is_plain(text: &str, longest: usize) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.chars().count() <= longest && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is wrong with messages that follow a call of `a`.
    fn faults_after_a_call(protocol: &str, more: &[Value]) -> Vec<String> {
        let (call, rules): (_, fn(&Value) -> Vec<String>) = match protocol {
            "openai" => (
                json!({"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ]}),
                openai,
            ),
            _ => (
                json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}),
                anthropic,
            ),
        };
        let mut messages = vec![json!({"role": "user", "content": "Hi"}), call];
        messages.extend_from_slice(more);
        rules(&json!({"model": "m", "max_tokens": 9, "messages": messages}))
    }

    #[test]
    fn illegal_chat_completions_are_refused() {
        let result = json!({"role": "tool", "tool_call_id": "a", "content": "x"});
        let user = json!({"role": "user", "content": "x"});
        let faults = |more: &[Value]| faults_after_a_call("openai", more);
        assert_eq!(
            faults(&[result.clone(), user.clone()]),
            Vec::<String>::new()
        );
        for illegal in [
            vec![],
            vec![user.clone()],
            vec![user.clone(), result.clone()],
            vec![result.clone(), result.clone()],
            vec![result.clone(), json!({"role": "user", "content": ""})],
            vec![result.clone(), json!({"role": "user", "content": []})],
            vec![
                result.clone(),
                json!({"role": "user", "content": [{"type": "text", "text": ""}]}),
            ],
            vec![
                result.clone(),
                json!({"role": "user", "content": "x", "cache_control": {}}),
            ],
            vec![result, json!({"role": "assistant", "content": null})],
        ] {
            assert!(!faults(&illegal).is_empty(), "{illegal:?}");
        }
        let hello = json!({"model": "m", "messages": [user]});
        assert_eq!(openai(&hello), Vec::<String>::new());
        for (name, value) in [
            ("top_k", json!(1)),
            ("stop", json!(["a", "b", "c", "d", "e"])),
            ("tool_choice", json!("auto")),
            ("reasoning_effort", json!("max")),
            (
                "response_format",
                json!({"type": "json_schema", "json_schema": {"schema": {}}}),
            ),
            (
                "tools",
                json!([{"type": "function", "function": {"name": "a.b"}}]),
            ),
        ] {
            let mut body = hello.clone();
            body[name] = value;
            assert!(!openai(&body).is_empty(), "{body}");
        }
    }

    #[test]
    fn illegal_messages_are_refused() {
        let result = json!({"type": "tool_result", "tool_use_id": "a"});
        let text = json!({"type": "text", "text": "x"});
        let user = |blocks: &[&Value]| json!({"role": "user", "content": blocks});
        let faults = |more: &[Value]| faults_after_a_call("anthropic", more);
        assert_eq!(faults(&[user(&[&result, &text])]), Vec::<String>::new());
        for illegal in [
            vec![],
            vec![user(&[&text])],
            vec![user(&[&text, &result])],
            vec![user(&[&result, &result])],
            vec![user(&[&result]), user(&[&text])],
            vec![user(&[&result, &json!({"type": "text", "text": " "})])],
            vec![user(&[
                &result,
                &json!({"type": "thinking", "thinking": "x", "signature": "s"}),
            ])],
            vec![
                user(&[&result]),
                json!({"role": "assistant", "content": []}),
            ],
            vec![
                user(&[&result]),
                json!({"role": "assistant", "content": "x "}),
            ],
            vec![
                user(&[&result]),
                json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}),
            ],
        ] {
            assert!(!faults(&illegal).is_empty(), "{illegal:?}");
        }
        let hello = json!({"model": "m", "max_tokens": 2000, "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(anthropic(&hello), Vec::<String>::new());
        for (name, value) in [
            ("max_tokens", Value::Null),
            ("stop", json!("x")),
            ("temperature", json!(1.5)),
            ("stop_sequences", json!([" "])),
            ("tool_choice", json!({"type": "auto"})),
            (
                "thinking",
                json!({"type": "enabled", "budget_tokens": 2000}),
            ),
            ("tools", json!([{"name": "f", "input_schema": {}}])),
            ("system", json!([{"type": "text", "text": ""}])),
        ] {
            let mut body = hello.clone();
            body[name] = value;
            assert!(!anthropic(&body).is_empty(), "{body}");
        }
    }
}
