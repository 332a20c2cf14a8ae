//! Raw objects: what is read, what is refused, and that an edit changes nothing but its member.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn parse(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn fault(text: impl AsRef<[u8]>) -> String {
    RawObject::parse(Bytes::copy_from_slice(text.as_ref()))
        .unwrap_err()
        .to_string()
}

fn edited(text: &str, change: impl FnOnce(&mut Edit<'_>)) -> String {
    let object = parse(text);
    let mut edit = object.edit();
    change(&mut edit);
    String::from_utf8(edit.finish().to_vec()).unwrap()
}

#[test]
fn names_are_decoded_and_values_stay_as_they_are() {
    let object = parse(" {\"mod\\u0065l\" : \"a\\u0062\", \"x\":1.50e+3,\n\"\":[ 1 , 2 ] } ");
    assert_eq!(object.get("model"), Some("\"a\\u0062\""));
    assert_eq!(object.get("x"), Some("1.50e+3"));
    assert_eq!(object.value_bytes("").as_deref(), Some(&b"[ 1 , 2 ]"[..]));
    assert_eq!(object.get("y"), None);
    let names: Vec<&str> = object.members().map(|(name, _)| name).collect();
    assert_eq!(names, ["model", "x", ""]);
}

#[test]
fn a_value_is_a_slice_of_the_body() {
    let object = parse(r#"{"messages":[1,2,3]}"#);
    let value = object.value_bytes("messages").unwrap();
    assert_eq!(value.as_ptr(), object.source().slice(12..).as_ptr());
}

#[test]
fn what_is_no_object_is_a_fault_that_says_so() {
    assert_eq!(
        fault("[1]"),
        "invalid type: sequence, expected a JSON object at line 1 column 0"
    );
    assert!(fault("\"a\"").contains("expected a JSON object"));
    assert!(fault("null").contains("expected a JSON object"));
    assert_eq!(fault(""), "EOF while parsing a value at line 1 column 0");
}

#[test]
fn an_object_of_countless_members_is_a_fault_that_names_the_limit() {
    let object = |members: usize| format!("{{{}\"a\":1}}", "\"b\":1,".repeat(members - 1));
    assert_eq!(parse(&object(MEMBER_LIMIT)).members().count(), MEMBER_LIMIT);
    assert!(fault(object(MEMBER_LIMIT + 1)).starts_with("more than 1000 members at line 1 column"));
    let inside = format!("{{\"a\":{}}}", object(MEMBER_LIMIT + 1));
    assert_eq!(parse(&inside).members().count(), 1);
}

#[test]
fn a_body_of_countless_elements_is_a_fault_that_names_the_limit() {
    let body = format!("{{\"messages\":[{}1]}}", "1,".repeat(json::VALUE_LIMIT));
    assert!(fault(body).starts_with("more than 500000 members and elements at line 1 column"));
}

#[test]
fn a_body_may_be_nested_to_the_limit_and_not_beyond() {
    let body = |levels: usize, inside: &str| {
        let lists = levels - 1;
        format!(
            "{{\"a\":{}{inside}{}}}",
            "[".repeat(lists),
            "]".repeat(lists)
        )
    };
    for inside in ["", "1"] {
        parse(&body(json::NESTING_LIMIT, inside));
        let fault = fault(body(json::NESTING_LIMIT + 1, inside));
        assert!(
            fault.starts_with("nested more than 10000 levels deep"),
            "{fault}"
        );
    }
}

#[test]
fn broken_json_is_a_fault_with_its_place() {
    assert_eq!(fault("{\"a\":1,}"), "trailing comma at line 1 column 8");
    assert_eq!(
        fault("{\"a\":1} x"),
        "trailing characters at line 1 column 9"
    );
    assert_eq!(
        fault("{\"a\":1}{}"),
        "trailing characters at line 1 column 8"
    );
    assert_eq!(fault("{\n\"a\":\n01}"), "invalid number at line 3 column 2");
    assert_eq!(
        fault(b"{\"a\":\"\xc3\"}"),
        "invalid UTF-8 at line 1 column 7"
    );
    for text in [
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":[1}",
        "{a:1}",
        "{\"a\":nul}",
        "{'a':1}",
    ] {
        fault(text);
    }
}

#[test]
fn depth_bombs_are_faults() {
    let open = "[".repeat(100_000);
    let close = "]".repeat(100_000);
    assert!(fault(&open).contains("levels deep"));
    assert!(fault(format!("{{\"a\":{open}{close}}}")).contains("levels deep"));
    assert!(fault(format!("{{\"a\":{open}}}")).contains("levels deep"));
    assert!(fault("{\"a\":".repeat(100_000)).contains("levels deep"));
    assert!(fault(format!("{{\"a\":{}}}", "[".repeat(9_000))).contains("expected value"));
}

#[test]
fn duplicates_are_found_by_their_decoded_names() {
    let object = parse(r#"{"model":"a","x":1,"m\u006fdel":"b","x":2,"stream":true}"#);
    assert_eq!(object.duplicates(&["stream", "model"]), Some("model"));
    assert_eq!(object.duplicates(&["stream"]), None);
    assert_eq!(object.get("x"), Some("2"));
}

#[test]
fn an_edit_without_changes_is_the_same_bytes() {
    let object = parse(r#"{"a":1}"#);
    assert_eq!(object.edit().finish().as_ptr(), object.source().as_ptr());
}

#[test]
fn a_large_object_is_changed_without_a_copy_of_what_stays() {
    let long = "x".repeat(100_000);
    let object = parse(&format!(
        r#"{{"model":"a","messages":["{long}"],"stream":false}}"#
    ));
    let change = |edit: &mut Edit<'_>| {
        edit.set("stream", "true")
            .set("model", r#""b""#)
            .set("n", "1");
    };
    let mut edit = object.edit();
    change(&mut edit);
    let mut pieces = edit.pieces();
    let mut edit = object.edit();
    change(&mut edit);
    assert_eq!(pieces.clone().join(), edit.finish());
    let source = object.source().as_ptr_range();
    let kept = std::iter::from_fn(|| pieces.take(usize::MAX))
        .filter(|piece| source.contains(&piece.as_ptr()))
        .map(|piece| piece.len())
        .sum::<usize>();
    assert_eq!(kept, object.source().len() - r#""a"false"#.len());
    assert_eq!(
        object.edit().pieces().join().as_ptr(),
        object.source().as_ptr()
    );
}

#[test]
fn a_present_member_is_changed_in_its_place() {
    let text = "{ \"b\" : 1.0 ,\"mod\\u0065l\":\"x\"\t, \"c\":[ ]}\n";
    assert_eq!(
        edited(text, |edit| {
            edit.set("model", "\"yy\"").set("b", "2");
        }),
        "{ \"b\" : 2 ,\"mod\\u0065l\":\"yy\"\t, \"c\":[ ]}\n"
    );
}

#[test]
fn a_missing_member_becomes_the_last() {
    let set = |edit: &mut Edit<'_>| {
        edit.set("a", "1").set("b\"", "2").set("a", "3");
    };
    assert_eq!(edited("{}", set), r#"{"a":3,"b\"":2}"#);
    assert_eq!(edited(" { \n } ", set), " { \n \"a\":3,\"b\\\"\":2} ");
    assert_eq!(edited(r#"{"x":"}" }"#, set), r#"{"x":"}" ,"a":3,"b\"":2}"#);
}

#[test]
fn of_members_with_one_name_the_last_is_changed() {
    assert_eq!(
        edited(r#"{"a":1,"a":2}"#, |edit| {
            edit.set("a", "3");
        }),
        r#"{"a":1,"a":3}"#
    );
}

#[test]
fn inner_members_are_set_in_place_or_created() {
    let set = |edit: &mut Edit<'_>| {
        edit.set_in("o", "i", "true");
    };
    assert_eq!(edited("{}", set), r#"{"o":{"i":true}}"#);
    assert_eq!(edited(r#"{"o": null }"#, set), r#"{"o": {"i":true} }"#);
    assert_eq!(edited(r#"{"o":{ }}"#, set), r#"{"o":{ "i":true}}"#);
    assert_eq!(
        edited(r#"{"o":{"x" : 1, "i":false },"p":2}"#, set),
        r#"{"o":{"x" : 1, "i":true },"p":2}"#
    );
    assert_eq!(edited(r#"{"o":7}"#, set), r#"{"o":7}"#);
    assert_eq!(
        edited(r#"{"a":1}"#, |edit| {
            edit.set_in("o", "i", "1").set_in("o", "j", "2");
        }),
        r#"{"a":1,"o":{"i":1,"j":2}}"#
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names and texts of values.
fn any_object() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof!["[a-d]", ".{0,4}"];
    let value = any_json().prop_map(|value| format!("{value:#}"));
    prop::collection::vec((name, value), 0..6)
}

/// Writes the members with the given white space around each token, duplicates included.
fn write(members: &[(String, String)], space: &str) -> String {
    let inner: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}{space}:{space}{value}{space}", json::quote(name)))
        .collect();
    format!(
        "{space}{{{space}{}}}{space}",
        inner.join(&format!(",{space}"))
    )
}

fn read(object: &RawObject) -> Vec<(String, String)> {
    let members = object.members();
    members
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

proptest! {
    #[test]
    fn members_are_read_as_they_were_written(members in any_object(), space in "[ \t\r\n]{0,2}") {
        prop_assert_eq!(read(&parse(&write(&members, &space))), members);
    }

    #[test]
    fn an_edit_changes_its_member_only(
        members in any_object(),
        space in "[ \t\r\n]{0,2}",
        name in prop_oneof!["[a-d]", ".{0,4}"],
        value in any_json(),
    ) {
        let text = write(&members, &space);
        let value = value.to_string();
        let changed = edited(&text, |edit| { edit.set(name.clone(), value.clone()); });
        let mut expected = members.clone();
        match expected.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => expected.push((name.clone(), value)),
        }
        let object = parse(&changed);
        prop_assert_eq!(read(&object), expected);

        // What stands before and after the value is as it was.
        let before = parse(&text);
        if let Some((_, old)) = before.find(&name) {
            let (_, new) = object.find(&name).unwrap();
            prop_assert_eq!(text.get(..old.value.start), changed.get(..new.value.start));
            prop_assert_eq!(text.get(old.value.end..), changed.get(new.value.end..));
        }
    }

    #[test]
    fn it_takes_exactly_the_objects_that_serde_json_takes(
        text in r#"[{}\[\]",:\\ 0-9a-eEnul.tr\n+-]{0,12}"#,
    ) {
        let expected = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object());
        prop_assert_eq!(RawObject::parse(Bytes::from(text)).is_ok(), expected);
    }
}
