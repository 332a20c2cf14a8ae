//! Model files of both generations as they are typed, and all faults and warnings at once.

use super::*;

fn parse(stem: &str, text: &str) -> (Option<ModelFile>, Report) {
    ModelFile::parse(stem, Path::new("m.json"), text)
}

fn good(stem: &str, text: &str) -> ModelFile {
    let (file, report) = parse(stem, text);
    assert_eq!(report.faults, []);
    file.expect("a usable file")
}

fn told(findings: &[crate::config::catalog::Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

/// The example of the original's README, with its file name.
const README: &str = r#"{
  "logical_name": "gpt-5.2",
  "timeout_seconds": 60,
  "model_routings": [
    {
      "id": "primary",
      "wire_protocol": "openai",
      "provider": "openai",
      "model": "gpt-5.2",
      "api_key_env": ["OPENAI_API_KEY", "OPENAI_API_KEY_1"]
    },
    {
      "id": "secondary",
      "wire_protocol": "openai",
      "provider": "azure",
      "model": "gpt-5.2",
      "api_key_env": ["AZURE_API_KEY"]
    }
  ],
  "fallback_model_routings": ["gpt-5.1"]
}"#;

#[test]
fn the_readmes_example_is_read_without_warnings() {
    let (file, report) = parse("gpt-5-2", README);
    assert_eq!(report.warnings, []);
    let file = file.unwrap();
    assert_eq!(file.name, "gpt-5.2");
    assert_eq!(file.routes.len(), 2);
    let route = &file.routes[1];
    assert_eq!(route.id.as_deref(), Some("secondary"));
    assert_eq!(route.provider.value, "azure");
    assert_eq!(route.provider.position, (15, 19));
    assert_eq!(route.protocol, Some(Protocol::OpenAi));
    assert_eq!(route.api_key_env.as_ref().unwrap().value, ["AZURE_API_KEY"]);
    assert_eq!(file.fallbacks[0].value, "gpt-5.1");
}

#[test]
fn a_file_of_the_later_generation_is_read_with_every_member() {
    let file = good(
        "glm",
        r#"{"logical_name": "glm", "timeout_seconds": 60, "default_cooldown_seconds": 180,
            "model_routings": [{"provider": "nahcrof", "model": "glm-4.6", "base_url": "http://h:1/v1",
                                "timeout_seconds": 5, "cooldown_seconds": "0", "wire_protocol": null}]}"#,
    );
    assert_eq!(file.cooldown, Some(Duration::from_secs(180)));
    assert_eq!(file.routes[0].base_url.as_deref(), Some("http://h:1/v1"));
    assert_eq!(file.routes[0].cooldown, Some(Duration::ZERO));
    assert_eq!(file.routes[0].protocol, None);
    assert!(file.fallbacks.is_empty());
    assert_eq!(file.keepalive, None);
    assert_eq!(file.stream_recovery, StreamRecovery::Splice);
}

#[test]
fn the_new_members_are_read() {
    let file = good(
        "m",
        r#"{"logical_name": "m", "strict": true, "stream_recovery": "hold", "keepalive_seconds": 0,
            "model_routings": [{"provider": "p", "model": "m", "timeouts": {"idle_seconds": 1.5}}]}"#,
    );
    assert!(file.strict);
    assert_eq!(file.stream_recovery, StreamRecovery::Hold);
    assert_eq!(file.keepalive, Some(Duration::ZERO));
    assert_ne!(file.routes[0].deadlines, Deadlines::default());
}

#[test]
fn a_name_with_slashes_may_lie_in_folders_or_be_spelled_otherwise() {
    let text =
        r#"{"logical_name": "a/b:free", "model_routings": [{"provider": "p", "model": "m"}]}"#;
    for stem in ["a/b:free", "a-b-free", "a/b-free"] {
        assert_eq!(good(stem, text).name, "a/b:free");
    }
}

#[test]
fn another_models_name_is_a_fault() {
    let (file, report) = parse(
        "claude",
        r#"{"logical_name": "gpt", "model_routings": [{"provider": "p", "model": "m"}]}"#,
    );
    assert!(file.is_none());
    assert_eq!(
        told(&report.faults),
        [
            "m.json:1:18: logical_name is `gpt`, but the file is named `claude`: rename the file to `gpt.json`, or correct the name"
        ]
    );
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let (file, report) = parse(
        "m",
        r#"{
  "timeout_seconds": "60",
  "model_routings": [
    {"model": "m", "base_url": "h"},
    "openai",
    {"provider": "", "model": 7, "wire_protocol": "opanai"}
  ],
  "stream_recovery": "splise",
  "strict": 1
}"#,
    );
    assert!(file.is_none());
    assert_eq!(
        told(&report.faults),
        [
            "m.json:1:1: logical_name is missing",
            "m.json:2:22: timeout_seconds must be a number of seconds, not a string",
            "m.json:4:5: model_routings[0].provider is missing",
            "m.json:4:32: model_routings[0].base_url must begin with http:// or https://",
            "m.json:5:5: model_routings[1] must be an object, not a string",
            "m.json:6:51: model_routings[2].wire_protocol must be `openai` or `anthropic`; did you mean `openai`?",
            "m.json:6:18: model_routings[2].provider must not be empty",
            "m.json:9:13: strict must be true or false, not a number",
            "m.json:8:22: stream_recovery must be `splice`, `error` or `hold`; did you mean `splice`?",
        ]
    );
}

#[test]
fn a_model_needs_a_route_or_a_fallback() {
    let (file, report) = parse("m", r#"{"logical_name": "m", "model_routings": []}"#);
    assert!(file.is_none());
    assert!(report.faults[0].message.contains("holds no route"));
    let alias =
        r#"{"logical_name": "m", "model_routings": [], "fallback_model_routings": ["other"]}"#;
    assert!(good("m", alias).routes.is_empty());
}

#[test]
fn unknown_members_are_warned_of_with_what_was_meant() {
    let (file, report) = parse(
        "m",
        r#"{"logical_name": "m", "fallback_model_routing": ["x"],
 "model_routings": [{"provider": "p", "model": "m", "temperature": 1}]}"#,
    );
    assert!(file.is_some());
    assert_eq!(
        told(&report.warnings),
        [
            "m.json:2:53: model_routings[0].temperature is not known and ignored",
            "m.json:1:23: fallback_model_routing is not known and ignored; did you mean `fallback_model_routings`?",
        ]
    );
}

#[test]
fn two_routes_with_one_id_are_warned_of() {
    let (_, report) = parse(
        "m",
        r#"{"logical_name": "m", "model_routings": [{"id": "a", "provider": "p", "model": "m"}, {"id": "a", "provider": "p", "model": "n"}]}"#,
    );
    assert_eq!(report.warnings.len(), 1);
}
