//! JSON read without building it: what is refused as too deep, too much or malformed, and what is told of the rest.

use super::*;

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn nesting_is_refused_beyond_the_limit_only() {
    assert!(text(nested(NESTING_LIMIT).as_bytes()).is_ok());
    let fault = text(nested(100_000).as_bytes()).unwrap_err();
    assert_eq!((fault.line, fault.column), (1, NESTING_LIMIT + 1));
    assert!(fault.message.contains("10000 levels"), "{fault}");
}

#[test]
fn members_and_elements_are_counted_at_all_levels() {
    let list = |values: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(values - 3));
    assert!(check_shape(&list(VALUE_LIMIT), VALUE_LIMIT).is_ok());
    let fault = check_shape(&list(VALUE_LIMIT + 2), VALUE_LIMIT).unwrap_err();
    assert_eq!(fault.message, "more than 500000 members and elements");
    let objects = format!("[{}1]", r#"{"a":{}},"#.repeat(VALUE_LIMIT / 2));
    assert!(check_shape(&objects, VALUE_LIMIT).is_err());
}

#[test]
fn commas_and_quotes_inside_strings_are_no_values() {
    let prompt = format!(
        r#"{{"a":"{}\\","b":1}}"#,
        r#"\",,[{"#.repeat(VALUE_LIMIT / 2)
    );
    assert!(check_shape(&prompt, VALUE_LIMIT).is_ok());
    let after = format!(
        "{}{}]",
        prompt.trim_end_matches('}'),
        ",1".repeat(VALUE_LIMIT)
    );
    assert!(check_shape(&after, VALUE_LIMIT).is_err());
    let open = format!("\"{}\\", ",".repeat(VALUE_LIMIT * 2));
    assert!(check_shape(&open, VALUE_LIMIT).is_ok());
}

#[test]
fn answers_may_hold_more_values_than_requests() {
    let log_probabilities = format!("[{}1]", "1,".repeat(2 * VALUE_LIMIT));
    assert!(text(log_probabilities.as_bytes()).is_ok());
}

#[test]
fn brackets_inside_strings_are_no_nesting() {
    let prompt = format!(r#"{{"a":"\\\"{}","b":[]}}"#, "[{".repeat(NESTING_LIMIT));
    assert!(text(prompt.as_bytes()).is_ok());
    assert!(is_object(&prompt));
}

#[test]
fn many_brackets_side_by_side_are_no_nesting() {
    let flat = format!("[{}[]]", "[],".repeat(2 * NESTING_LIMIT));
    assert!(text(flat.as_bytes()).is_ok());
}

#[test]
fn deep_values_are_walked_over_without_recursion() {
    let bomb = format!(r#"{{"a":{}}}"#, nested(100_000));
    assert!(is_object(&bomb));
    assert!(members(&bomb, |_, _| ()).is_ok());
    assert!(elements(&nested(100_000), |_| ()).is_ok());
    assert!(!is_object(&"{\"a\":".repeat(100_000)));
}

#[test]
fn a_fault_tells_line_and_column() {
    let fault = text(b"{\n\"a\": \"\xff\"}").unwrap_err();
    assert_eq!(fault.to_string(), "invalid UTF-8 at line 2 column 7");
    let fault = members("{\n\"a\" 1}", |_, _| ()).unwrap_err();
    assert_eq!(fault.to_string(), "expected `:` at line 2 column 5");
}

#[test]
fn members_come_decoded_and_in_order() {
    let mut seen = Vec::new();
    members(r#" {"b\u0061": 1.50 , "a":[ ]} "#, |name, value| {
        seen.push((name.into_owned(), value));
    })
    .unwrap();
    assert_eq!(seen, [("ba".to_owned(), "1.50"), ("a".to_owned(), "[ ]")]);
}

#[derive(Default)]
struct Steps(Vec<String>);

impl<'a> Walk<'a> for Steps {
    fn begin(&mut self) {
        self.0.push("{".to_owned());
    }

    fn enter(&mut self, name: &str) -> bool {
        name.starts_with('<')
    }

    fn member(&mut self, name: &str, value: &'a str) {
        self.0.push(format!("{name}={value}"));
    }

    fn end(&mut self) {
        self.0.push("}".to_owned());
    }
}

#[test]
fn a_walk_tells_of_members_and_enters_what_it_is_told_to() {
    let mut steps = Steps::default();
    let text =
        r#"{"a":{"<":1},"<b":{"c": [ ],"<":[{"\u0064":"\u0064"},7,[{}]]},"<e":"x","<f":null}"#;
    walk(text, &mut steps).unwrap();
    let expected = [
        "{",
        "a={\"<\":1}",
        "{",
        "c=[ ]",
        "{",
        "d=\"\\u0064\"",
        "}",
        "{",
        "}",
        "}",
        "}",
    ];
    assert_eq!(steps.0, expected);
    for scalar in ["null", "true", "-1", "1", "1.5", "\"a\"", "[]"] {
        assert!(walk(scalar, &mut Steps::default()).is_ok(), "{scalar}");
    }
    for fault in ["", "{", "{}{}", "{\"<\":[}"] {
        assert!(walk(fault, &mut Steps::default()).is_err(), "{fault}");
    }
    let bomb = format!("{{\"<\":{}}}", nested(100_000));
    assert!(walk(&bomb, &mut Steps::default()).is_err());
}

#[test]
fn half_a_surrogate_pair_is_no_text_but_can_be_shown() {
    assert_eq!(string(r#""a\ud83d""#), None);
    assert_eq!(string(r#""a\ud83d\ude00""#).as_deref(), Some("a😀"));
    assert!(
        lossy_string(r#""a\ud83d""#)
            .unwrap()
            .starts_with("a\u{fffd}")
    );
    assert_eq!(lossy_string(r#""a\n\u00e9""#).as_deref(), Some("a\né"));
    assert_eq!(lossy_string("[97]"), None);
}

#[test]
fn only_counts_are_counts() {
    for (value, expected) in [
        ("7", Some(7)),
        ("7.9", Some(7)),
        ("1e3", Some(1000)),
        ("-1", None),
        ("null", None),
        ("\"7\"", None),
        ("[]", None),
    ] {
        assert_eq!(count(value), expected, "{value}");
    }
}

#[test]
fn empty_values_are_seen_through_white_space() {
    for empty in ["null", "\"\"", "[ ]", "{\n}", "false"] {
        assert!(is_empty(empty), "{empty}");
    }
    for full in ["0", "\" \"", "[null]", "{\"a\":1}", "true"] {
        assert!(!is_empty(full), "{full}");
    }
}

#[test]
fn a_text_is_quoted_as_json_wants_it() {
    for text in [
        "",
        "model",
        "größe 😀",
        "a\"b",
        "a\\b",
        "\u{0}",
        "line\n",
        "\u{7f}\u{2028}",
    ] {
        assert_eq!(
            quote(text),
            serde_json::to_string(text).unwrap(),
            "{text:?}"
        );
    }
}
