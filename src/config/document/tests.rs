//! The reader of JSON by hand: every fault with its member and its position, and random texts of all kinds.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn report() -> Report {
    Report::new(Path::new("a.json"))
}

fn told(report: &Report) -> Vec<String> {
    report.faults.iter().map(ToString::to_string).collect()
}

fn members(text: &str) -> (Members<'_>, Report) {
    let mut report = report();
    let members = Node::parse(text, &mut report)
        .and_then(|node| node.members(&mut report))
        .expect("an object");
    (members, report)
}

#[test]
fn a_syntax_error_is_told_with_its_position_and_without_the_parsers_own() {
    let mut report = report();
    assert!(Node::parse("{\n  \"ä\": 1,\n}", &mut report).is_none());
    assert_eq!(
        told(&report),
        ["a.json:3:1: not valid JSON: trailing comma"]
    );
}

#[test]
fn an_empty_file_is_no_json() {
    let mut report = report();
    assert!(Node::parse("", &mut report).is_none());
    assert_eq!(
        told(&report),
        ["a.json:1:1: not valid JSON: EOF while parsing a value"]
    );
}

#[test]
fn wrong_types_are_told_all_with_member_and_position() {
    let text = "{\n  \"text\": 1,\n  \"list\": {},\n  \"seconds\": [],\n  \"flag\": \"yes\",\n  \"whole\": -1\n}";
    let (mut members, mut report) = members(text);
    members.text("text", &mut report);
    members.strings("list", &mut report);
    members.seconds("seconds", Zero::Allowed, &mut report);
    members.boolean("flag", &mut report);
    members.whole("whole", 9, &mut report);
    assert_eq!(
        told(&report),
        [
            "a.json:2:11: text must be a string, not a number",
            "a.json:3:11: list must be a list, not an object",
            "a.json:4:14: seconds must be a number of seconds, not a list",
            "a.json:5:11: flag must be true or false, not a string",
            "a.json:6:12: whole must be a whole number from 0 to 9",
        ]
    );
}

#[test]
fn null_is_absent() {
    let (mut members, mut report) = members(r#"{"a": null}"#);
    assert!(members.take("a").is_none());
    assert!(members.require("a", &mut report).is_none());
    assert_eq!(told(&report), ["a.json:1:1: a is missing"]);
}

#[test]
fn a_name_that_stands_twice_is_a_fault_even_if_spelled_otherwise() {
    let (_, report) = members(r#"{"ab": 1, "a\u0062": 2}"#);
    assert_eq!(
        told(&report),
        ["a.json:1:11: `ab` stands here twice; keep one"]
    );
}

#[test]
fn a_lone_surrogate_is_told_where_it_stands() {
    let (mut members, mut report) = members(r#"{"a": "\ud800"}"#);
    assert_eq!(members.text("a", &mut report), None);
    assert!(told(&report)[0].starts_with("a.json:1:7: a is not valid: "));
}

#[test]
fn paths_lead_through_lists_and_objects() {
    let (mut outer, mut report) = members(r#"{"a": [{"b": 1}, {"b": {"c": true}}]}"#);
    let elements = outer.take("a").unwrap().elements(&mut report).unwrap();
    let mut inner = elements[1].members(&mut report).unwrap();
    let mut innermost = inner.object("b", &mut report).unwrap();
    innermost.text("c", &mut report);
    assert_eq!(
        told(&report),
        ["a.json:1:30: a[1].b.c must be a string, not a boolean"]
    );
}

#[test]
fn what_nobody_asked_for_is_unknown() {
    let (mut members, mut report) = members(r#"{"known": 1, "knwon": 2, "other": 3}"#);
    members.take("known");
    members.warn_of_unknown(&mut report);
    let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "a.json:1:14: knwon is not known and ignored; did you mean `known`?",
            "a.json:1:26: other is not known and ignored",
        ]
    );
}

#[test]
fn cooldowns_may_be_strings_as_in_the_original() {
    let (mut members, mut report) =
        members(r#"{"a": "90", "b": 1.5, "c": "soon", "d": "-1", "e": "NaN"}"#);
    assert_eq!(
        members.cooldown("a", &mut report),
        Some(Duration::from_secs(90))
    );
    assert_eq!(
        members.cooldown("b", &mut report),
        Some(Duration::from_millis(1500))
    );
    for name in ["c", "d", "e"] {
        assert_eq!(members.cooldown(name, &mut report), None);
    }
    assert_eq!(report.faults.len(), 3);
}

#[test]
fn whole_numbers_may_be_written_as_fractions_without_one() {
    let (mut members, mut report) = members(r#"{"a": 60.0, "b": 6e1, "c": 60.5}"#);
    assert_eq!(members.whole("a", 99, &mut report), Some(60));
    assert_eq!(members.whole("b", 99, &mut report), Some(60));
    assert_eq!(members.whole("c", 99, &mut report), None);
}

/// Every value of a JSON text, found through nodes, with its position.
fn walk(node: &Node<'_>, report: &mut Report, found: &mut Vec<(Position, Value)>) {
    let value: Value = serde_json::from_str(node.raw().get()).unwrap();
    if let Value::Object(_) = value {
        for (_, inner) in node.members(report).unwrap().all() {
            walk(&inner, report, found);
        }
    } else if let Value::Array(_) = value {
        for inner in node.elements(report).unwrap() {
            walk(&inner, report, found);
        }
    }
    found.push((node.position(), value));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zä\"\\\\\n{}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zä ]{0,4}", inner, 0..4)
                .prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_begins_at_its_position(value in any_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let mut report = report();
        let mut found = Vec::new();
        walk(&Node::parse(&text, &mut report).unwrap(), &mut report, &mut found);
        prop_assert!(report.faults.is_empty());
        for ((line, column), value) in found {
            let rest: String = text
                .split_inclusive('\n')
                .skip(line - 1)
                .collect::<String>()
                .chars()
                .skip(column - 1)
                .collect();
            let mut read = serde_json::Deserializer::from_str(&rest).into_iter::<Value>();
            prop_assert_eq!(read.next().unwrap().unwrap(), value);
        }
    }

    #[test]
    fn no_text_makes_the_reading_fail(text in "[{}\\[\\]\":, a1\\\\\n-]{0,40}") {
        let mut report = report();
        if let Some(node) = Node::parse(&text, &mut report)
            && node.is_object()
        {
            node.members(&mut report);
        }
    }
}
