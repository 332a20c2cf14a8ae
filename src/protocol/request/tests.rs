//! Requests of both protocols: what is read, what is refused, and what changes on the way up.

use proptest::prelude::*;

use super::*;
use crate::protocol::Protocol::{self, Anthropic, OpenAi};

const BOTH: [Protocol; 2] = [OpenAi, Anthropic];

fn body(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn head(protocol: Protocol, text: &str) -> RequestHead {
    protocol.read_request(&body(text)).unwrap()
}

/// The parameter and the message of a refusal.
fn refusal(protocol: Protocol, text: &str) -> (String, String) {
    let error = protocol.read_request(&body(text)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    (error.param.unwrap(), error.message)
}

/// A request with these further members.
fn with(members: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],{members}}}"#)
}

#[test]
fn a_request_needs_a_model_and_messages_and_nothing_else() {
    for protocol in BOTH {
        let head = head(protocol, r#"{"messages": [ 1 ],"m\u006fdel":"a\/\u00e9"}"#);
        assert_eq!(head.model, "a/é");
        assert_eq!(head.messages, "[ 1 ]");
        assert_eq!(
            (head.stream, head.answer_limit, head.choices),
            (false, None, 1)
        );
    }
}

#[test]
fn null_is_as_good_as_nothing() {
    let nulls = with(
        r#""stream":null,"max_tokens":null,"max_completion_tokens":null,"stream_options":null,"n":null"#,
    );
    for protocol in BOTH {
        let head = head(protocol, &nulls);
        assert_eq!(
            (head.stream, head.answer_limit, head.choices),
            (false, None, 1)
        );
    }
    assert!(!head(OpenAi, &nulls).include_usage);
}

#[test]
fn what_the_gateway_needs_is_read() {
    let text =
        with(r#""stream":true,"max_tokens":5,"n":3,"stream_options":{"x":1,"include_usage":true}"#);
    let read = head(OpenAi, &text);
    assert_eq!(
        (read.stream, read.answer_limit, read.choices),
        (true, Some(5), 3)
    );
    assert!(read.include_usage);
    let read = head(Anthropic, &text);
    assert_eq!(
        (read.stream, read.answer_limit, read.choices),
        (true, Some(5), 1)
    );
    let both = with(r#""max_tokens":5,"max_completion_tokens":7"#);
    assert_eq!(head(OpenAi, &both).answer_limit, Some(7));
}

#[test]
fn a_member_that_is_read_must_not_be_there_twice() {
    for protocol in BOTH {
        for name in READ_MEMBERS {
            // The second time its first letter is written as an escape.
            let mut letters = name.chars();
            let first = u32::from(letters.next().unwrap());
            let escaped = format!("\\u{first:04x}{}", letters.as_str());
            let text = with(&format!("\"{name}\":1,\"{escaped}\":1"));
            let (param, message) = refusal(protocol, &text);
            assert_eq!(param, name);
            assert!(
                message.contains(name) && message.contains("more than once"),
                "{message}"
            );
        }
        head(protocol, &with(r#""temperature":1,"temperature":2"#));
    }
    let (param, _) = refusal(
        OpenAi,
        &with(r#""stream_options":{"include_usage":true,"include_usage":false}"#),
    );
    assert_eq!(param, "stream_options.include_usage");
}

#[test]
fn wrong_members_are_refused_by_name() {
    let long = format!(
        r#"{{"messages":[1],"model":"{}"}}"#,
        "m".repeat(LONGEST_MODEL + 1)
    );
    for protocol in BOTH {
        for (text, param, words) in [
            (r#"{"messages":[1]}"#, "model", "required"),
            (
                r#"{"messages":[1],"model":null}"#,
                "model",
                "a string, not null",
            ),
            (
                r#"{"messages":[1],"model":7}"#,
                "model",
                "a string, not a number",
            ),
            (r#"{"messages":[1],"model":"\ud83d"}"#, "model", "a string"),
            (r#"{"messages":[1],"model":""}"#, "model", "not be empty"),
            (&long, "model", "512 bytes"),
            (r#"{"model":"m"}"#, "messages", "required"),
            (
                r#"{"model":"m","messages":null}"#,
                "messages",
                "an array, not null",
            ),
            (
                r#"{"model":"m","messages":{}}"#,
                "messages",
                "an array, not an object",
            ),
            (
                r#"{"model":"m","messages":"a"}"#,
                "messages",
                "an array, not a string",
            ),
            (
                r#"{"model":"m","messages":[ ]}"#,
                "messages",
                "not be empty",
            ),
            (
                &with(r#""stream":"true""#),
                "stream",
                "a boolean, not a string",
            ),
            (&with(r#""stream":1"#), "stream", "a boolean, not a number"),
            (
                &with(r#""max_tokens":"9""#),
                "max_tokens",
                "an integer, not a string",
            ),
            (
                &with(r#""max_tokens":1.5"#),
                "max_tokens",
                "an integer, not a number",
            ),
            (&with(r#""max_tokens":1e999"#), "max_tokens", "an integer"),
            (
                &with(r#""max_tokens":true"#),
                "max_tokens",
                "an integer, not a boolean",
            ),
        ] {
            let (found, message) = refusal(protocol, text);
            assert_eq!(found, param, "{text}");
            assert!(
                message.contains(words) && message.contains(param),
                "{message}"
            );
        }
    }
    for (text, param) in [
        (
            with(r#""max_completion_tokens":[]"#),
            "max_completion_tokens",
        ),
        (with(r#""n":"2""#), "n"),
        (with(r#""stream_options":true"#), "stream_options"),
        (with(r#""stream_options":[]"#), "stream_options"),
    ] {
        assert_eq!(refusal(OpenAi, &text).0, param);
        head(Anthropic, &text);
    }
}

#[test]
fn whole_numbers_are_integers_however_they_are_spelled() {
    for (spelling, limit) in [
        ("1", Some(1)),
        ("0", Some(0)),
        ("100.0", Some(100)),
        ("1e3", Some(1000)),
        ("-1", None),
        ("-0", Some(0)),
        ("18446744073709551616", Some(u64::MAX)),
    ] {
        let text = with(&format!("\"max_tokens\":{spelling},\"n\":{spelling}"));
        assert_eq!(head(OpenAi, &text).answer_limit, limit, "{spelling}");
        assert!(head(OpenAi, &text).choices >= 1);
    }
}

#[test]
fn members_that_are_not_read_may_be_anything() {
    for protocol in BOTH {
        head(
            protocol,
            &with(r#""temperature":"hot","tools":7,"metadata":[null]"#),
        );
    }
}

fn defaults(members: &[(&str, &str)]) -> Vec<(String, Box<RawValue>)> {
    members
        .iter()
        .map(|(name, value)| {
            let value = RawValue::from_string((*value).to_owned()).unwrap();
            ((*name).to_owned(), value)
        })
        .collect()
}

fn rewritten(protocol: Protocol, text: &str, rewrite: &Rewrite<'_>) -> String {
    let body = body(text);
    let head = protocol.read_request(&body).unwrap();
    String::from_utf8(protocol.rewrite(&body, &head, rewrite).join().to_vec()).unwrap()
}

const UNCHANGED: Rewrite<'_> = Rewrite {
    model: "m",
    stream: None,
    ask_usage: false,
    defaults: &[],
};

#[test]
fn a_request_that_needs_no_change_goes_up_as_its_own_bytes() {
    for protocol in BOTH {
        let body = body(&with(r#""stream":true"#));
        let head = protocol.read_request(&body).unwrap();
        let rewrite = Rewrite {
            stream: Some(true),
            ..UNCHANGED
        };
        let sent = protocol.rewrite(&body, &head, &rewrite).join();
        assert_eq!(sent.as_ptr(), body.source().as_ptr());
    }
}

#[test]
fn only_the_model_is_replaced() {
    let text =
        "{ \"x\":1.0e0,\n\"model\" : \"m\", \"messages\":[{\"cache_control\":{\"ttl\":\"1h\"}}] }";
    let rewrite = Rewrite {
        model: "a \"b\"",
        ..UNCHANGED
    };
    for protocol in BOTH {
        assert_eq!(
            rewritten(protocol, text, &rewrite),
            text.replace("\"m\"", r#""a \"b\"""#)
        );
    }
}

#[test]
fn the_alias_decides_whether_it_is_a_stream() {
    let stream = Rewrite {
        stream: Some(true),
        ..UNCHANGED
    };
    let whole = Rewrite {
        stream: Some(false),
        ..UNCHANGED
    };
    for protocol in BOTH {
        for (members, rewrite, expected) in [
            (r#""x":1"#, &stream, r#""x":1,"stream":true"#),
            (r#""stream":false,"x":1"#, &stream, r#""stream":true,"x":1"#),
            (r#""stream": null"#, &stream, r#""stream": true"#),
            (r#""stream":true"#, &whole, r#""stream":false"#),
            (r#""x":1"#, &whole, r#""x":1"#),
        ] {
            assert_eq!(rewritten(protocol, &with(members), rewrite), with(expected));
        }
    }
}

#[test]
fn usage_is_asked_for_where_the_client_did_not() {
    let rewrite = Rewrite {
        ask_usage: true,
        ..UNCHANGED
    };
    for (members, expected) in [
        (
            r#""x":1"#,
            r#""x":1,"stream_options":{"include_usage":true}"#,
        ),
        (
            r#""stream_options":null"#,
            r#""stream_options":{"include_usage":true}"#,
        ),
        (
            r#""stream_options":{"include_usage": false, "x":1}"#,
            r#""stream_options":{"include_usage": true, "x":1}"#,
        ),
        (
            r#""stream_options":{"include_obfuscation":false}"#,
            r#""stream_options":{"include_obfuscation":false,"include_usage":true}"#,
        ),
        (
            r#""stream_options":{ "include_usage":true}"#,
            r#""stream_options":{ "include_usage":true}"#,
        ),
    ] {
        assert_eq!(rewritten(OpenAi, &with(members), &rewrite), with(expected));
        assert_eq!(
            rewritten(Anthropic, &with(members), &rewrite),
            with(members)
        );
    }
}

#[test]
fn defaults_are_added_where_the_client_sent_nothing() {
    let defaults = defaults(&[("temperature", "0.20"), ("top_k", "[1, 2]"), ("model", "7")]);
    let rewrite = Rewrite {
        defaults: &defaults,
        ..UNCHANGED
    };
    for protocol in BOTH {
        assert_eq!(
            rewritten(protocol, &with(r#""top_k":null"#), &rewrite),
            with(r#""top_k":null,"temperature":0.20"#)
        );
    }
}

#[test]
fn a_default_limit_does_not_contradict_the_clients() {
    let defaults = defaults(&[("max_tokens", "9")]);
    let rewrite = Rewrite {
        defaults: &defaults,
        ..UNCHANGED
    };
    for (members, expected) in [
        (r#""x":1"#, r#""x":1,"max_tokens":9"#),
        (r#""max_tokens":5"#, r#""max_tokens":5"#),
        (
            r#""max_completion_tokens":5"#,
            r#""max_completion_tokens":5"#,
        ),
    ] {
        assert_eq!(rewritten(OpenAi, &with(members), &rewrite), with(expected));
    }
}

#[test]
fn what_never_is_a_default_stays_the_clients() {
    let defaults = defaults(&[
        ("stream", "true"),
        ("messages", "[]"),
        ("stream_options", "{}"),
    ]);
    let rewrite = Rewrite {
        defaults: &defaults,
        ..UNCHANGED
    };
    assert_eq!(
        rewritten(OpenAi, &with(r#""x":1"#), &rewrite),
        with(r#""x":1"#)
    );
}

proptest! {
    #[test]
    fn reading_a_request_never_fails_but_by_name(
        names in prop::collection::vec(
            prop::sample::select(vec![
                "model", "messages", "stream", "stream_options", "max_tokens", "n", "x",
            ]),
            0..8,
        ),
        values in prop::collection::vec(
            prop::sample::select(vec![
                "null", "true", "0", "-1", "1.5", "\"m\"", "\"\"", "[]", "[1]", "{}", "[[[]]]",
                r#"{"include_usage":true}"#,
            ]),
            8,
        ),
    ) {
        let members: Vec<String> = names
            .iter()
            .zip(values)
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let body = body(&format!("{{{}}}", members.join(",")));
        for protocol in BOTH {
            match protocol.read_request(&body) {
                Err(error) => prop_assert!(error.param.is_some()),
                Ok(head) => {
                    // What was read survives a change of the model.
                    let rewrite = Rewrite { model: "other", ..UNCHANGED };
                    let sent = protocol.rewrite(&body, &head, &rewrite).join();
                    let again = protocol.read_request(&RawObject::parse(sent).unwrap()).unwrap();
                    prop_assert_eq!(again, RequestHead { model: "other".to_owned(), ..head });
                }
            }
        }
    }
}
