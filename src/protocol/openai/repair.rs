//! Tool calls that no `tool` message answers.

use crate::protocol::json;
use crate::protocol::repair::{self, Message, NO_RESULT, Patches};

/// A `tool` message for each of them, after those that are there.
pub(in crate::protocol) fn missing_results(messages: &str) -> Option<Patches> {
    let mut read = Vec::new();
    json::elements(messages, |text| read.push(repair::read(text, member))).ok()?;
    let mut patches = Patches::new();
    for (place, message) in read.iter().enumerate() {
        let missing = repair::unanswered(&read, place);
        if missing.is_empty() {
            continue;
        }
        let later = read.iter().skip(place + 1);
        let last = later.take_while(|later| later.role == "tool").last();
        let range = repair::after(messages, last.unwrap_or(message).text)?;
        let answers = missing.iter().map(|id| {
            format!(
                r#",{{"role":"tool","tool_call_id":{},"content":"{NO_RESULT}"}}"#,
                json::quote(id)
            )
        });
        patches.push((range, answers.collect()));
    }
    Some(patches)
}

fn member(message: &mut Message<'_>, name: &str, value: &str) {
    match name {
        "tool_call_id" => message.answers.extend(json::string(value).map(Into::into)),
        "tool_calls" => {
            let _ = json::elements(value, |call| {
                let _ = json::members(call, |name, value| {
                    if name == "id" {
                        message.calls.extend(json::string(value).map(Into::into));
                    }
                });
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::protocol::Protocol;
    use crate::protocol::raw::RawObject;

    fn repaired(messages: &str) -> String {
        let body = format!(r#"{{ "a": 1.0, "messages": {messages} ,"b":[ ]}}"#);
        let body = RawObject::parse(Bytes::from(body)).unwrap();
        let repaired = Protocol::OpenAi.with_missing_results(&body).unwrap();
        let repaired = String::from_utf8(repaired.to_vec()).unwrap();
        let inner = repaired
            .strip_prefix(r#"{ "a": 1.0, "messages": "#)
            .unwrap();
        inner.strip_suffix(r#" ,"b":[ ]}"#).unwrap().to_owned()
    }

    #[test]
    fn a_missing_result_comes_after_those_that_are_there() {
        assert_eq!(
            repaired(
                r#"[ {"role":"assistant","tool_calls":[{"id":"a"},{"id":"\"b"},{"id":"c"}]} , {"role":"tool","tool_call_id":"c"} ,{"role":"user","content":"x"}]"#
            ),
            r#"[ {"role":"assistant","tool_calls":[{"id":"a"},{"id":"\"b"},{"id":"c"}]} , {"role":"tool","tool_call_id":"c"},{"role":"tool","tool_call_id":"a","content":"No result of this call was recorded."},{"role":"tool","tool_call_id":"\"b","content":"No result of this call was recorded."} ,{"role":"user","content":"x"}]"#
        );
    }

    #[test]
    fn the_last_message_may_be_the_one_without_results() {
        assert_eq!(
            repaired(r#"[{"role":"assistant","tool_calls":[{"id":"a"},{"id":"a"}]}]"#),
            r#"[{"role":"assistant","tool_calls":[{"id":"a"},{"id":"a"}]},{"role":"tool","tool_call_id":"a","content":"No result of this call was recorded."}]"#
        );
    }

    #[test]
    fn a_result_after_the_next_answer_is_too_late() {
        let call = r#"{"role":"assistant","tool_calls":[{"id":"a"}]}"#;
        let messages = format!(
            r#"[{call},{{"role":"assistant","content":"x"}},{{"role":"tool","tool_call_id":"a"}}]"#
        );
        assert_eq!(repaired(&messages).matches("No result").count(), 1);
    }
}
