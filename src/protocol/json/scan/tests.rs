//! What is JSON, by comparison with serde_json, and what passing over it tells.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn accepts(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.value().is_some() && scanner.is_at_end()
}

#[track_caller]
fn assert_agrees(text: &str) {
    let theirs = serde_json::from_str::<IgnoredAny>(text).is_ok();
    assert_eq!(accepts(text), theirs, "{text:?}");
}

#[test]
fn what_is_json_is_what_serde_json_takes() {
    for text in [
        "",
        " ",
        "0",
        "-",
        "-0",
        "01",
        "-01",
        "1.",
        "1.0e",
        "1.0e+",
        "1E-5",
        ".5",
        "+1",
        "1 2",
        "nul",
        "null",
        "nulll",
        "true false",
        "\"\"",
        "\"",
        "\"\\\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"a\nb\"",
        "\"0123456789abcdefg\u{1}hijklmnop\"",
        "\"0123456789abcdefghijklmnop\\n0123456789abcdefghijklmnop\"",
        "\"é\u{7f}\"",
        "[]",
        "[ ]",
        "[,]",
        "[1,]",
        "[1 2]",
        "[1}",
        "{}",
        "{ }",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{\"a\":1]",
        " { \"a\" : [ 1 , { } , [ ] , \"x\" ] , \"b\" : null } ",
        "{}{}",
        "\u{feff}{}",
    ] {
        assert_agrees(text);
    }
}

#[test]
fn depth_is_no_matter() {
    let deep = format!("{}1{}", "[{\"a\":".repeat(50_000), "}]".repeat(50_000));
    assert!(accepts(&deep));
    assert!(!accepts(&"[".repeat(100_000)));
}

#[test]
fn a_value_is_told_without_the_blanks_around_it() {
    let mut scanner = Scanner::new(" { \"a\" : [ 1 ] , \"b\\n\":2} ");
    assert!(scanner.takes(b'{'));
    let name = scanner.name().unwrap();
    assert_eq!((name.inside, name.has_escapes), ("a", false));
    assert_eq!(scanner.value(), Some("[ 1 ]"));
    assert!(!scanner.takes(b'}') && scanner.takes(b','));
    assert!(scanner.name().unwrap().has_escapes);
    assert_eq!(scanner.value(), Some("2"));
    assert!(scanner.takes(b'}') && scanner.is_at_end());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn it_agrees_with_serde_json_on_what_looks_like_json(
        text in r#"([\[\]{}:,"]|"a":|"[a-z\\n ]{0,40}"|\\u00e9|[-+.eE0-9]{1,4}|true|null|[ \n]){0,16}"#,
    ) {
        assert_agrees(&text);
    }

    #[test]
    fn it_agrees_with_serde_json_on_json_with_a_fault(
        values in proptest::collection::vec(r#"("[^"\\]{0,40}"|-?[0-9]{1,3}(\.5|e2)?|\{"k": \[\] \}|\[null,true\])"#, 1..6),
        position in any::<prop::sample::Index>(),
        fault in prop_oneof![Just(None), any::<char>().prop_map(Some)],
    ) {
        let mut text = format!("[{}]", values.join(" , "));
        if let Some(fault) = fault {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
            text.insert(places[position.index(places.len())], fault);
        }
        assert_agrees(&text);
    }
}
