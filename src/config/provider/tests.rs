//! Provider files of both generations as they are typed, those compiled in, and all faults and warnings at once.

use super::*;
use crate::config::catalog::ErrorAction;

fn parse(text: &str) -> (Option<ProviderFile>, Report) {
    ProviderFile::parse("acme", Path::new("acme.json"), text)
}

fn good(text: &str) -> ProviderFile {
    let (file, report) = parse(text);
    assert_eq!(report.faults, []);
    file.expect("a usable file")
}

fn faults(text: &str) -> Vec<String> {
    let (file, report) = parse(text);
    assert!(file.is_none());
    report.faults.iter().map(ToString::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let (_, report) = parse(text);
    report.warnings.iter().map(ToString::to_string).collect()
}

/// As the original shipped them, dead members and nulls included.
const OPENAI_OF_THE_ORIGINAL: &str = r#"{
  "name": "acme", "display_name": "OpenAI", "enabled": true,
  "api_keys": {"env_var_pattern": "{PROVIDER}_API_KEY",
               "env_var_patterns": ["{PROVIDER}_API_KEY", "{PROVIDER}_API_KEY_{INDEX}"]},
  "endpoints": {"base_url": "https://api.openai.com/v1", "completions": "/chat/completions",
                "streaming": "/chat/completions", "compatible_format": "openai"},
  "authentication": {"type": "bearer", "header_name": "Authorization", "header_format": "Bearer {api_key}"},
  "request_config": {"timeout_seconds": 60, "max_retries": 50, "retry_on_status": [429, 500, 502, 503, 504],
                     "default_parameters": {"temperature": 1.0, "top_p": null, "n": 1}},
  "rate_limiting": {"enabled": false, "requests_per_minute": null, "tokens_per_minute": null, "cooldown_seconds": 180},
  "models": {"gpt-x": {"cooldown_seconds": "30"}},
  "error_handling": {"401": {"action": "global_key_failure"}, "429": {"action": "model_key_failure", "cooldown_seconds": 0},
                     "422": {"action": "auto_fix_tool_responses"}, "500": null},
  "proxy_support": {"enabled": false, "base_url_override": null},
  "model_mapping": {"gpt-4-turbo": "gpt-4-turbo-preview"},
  "provider_notes": {"description": "free text"}
}"#;

#[test]
fn a_file_of_the_original_is_read_with_every_member() {
    let file = good(OPENAI_OF_THE_ORIGINAL);
    assert_eq!(file.display_name, "OpenAI");
    assert_eq!(file.key_patterns.len(), 2);
    assert_eq!(file.endpoints.base_url, "https://api.openai.com/v1");
    assert_eq!(file.endpoints.protocol, Protocol::OpenAi);
    assert_eq!(file.endpoints.base_url_override, None);
    assert_eq!(file.authentication.header, "authorization");
    assert_eq!(file.authentication.format, "Bearer {api_key}");
    assert_eq!(file.max_retries, Some(50));
    assert_eq!(file.retry_on_status, [429, 500, 502, 503, 504]);
    let defaults: Vec<_> = file
        .default_parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.get()))
        .collect();
    assert_eq!(defaults, [("temperature", "1.0"), ("n", "1")]);
    assert_eq!(file.cooldown, Some(Duration::from_secs(180)));
    assert_eq!(file.limits, Limits::default());
    assert_eq!(file.model_cooldowns["gpt-x"], Duration::from_secs(30));
    assert_eq!(file.error_rules.len(), 3);
    assert_eq!(
        file.error_rules[&429],
        ErrorRule {
            action: Some(ErrorAction::ModelKeyFailure),
            cooldown: Some(Duration::ZERO),
        }
    );
    assert_eq!(file.model_mapping["gpt-4-turbo"], "gpt-4-turbo-preview");
    assert!(file.stream_usage);
    assert_eq!(warnings(OPENAI_OF_THE_ORIGINAL), Vec::<String>::new());
}

#[test]
fn the_readmes_name_for_key_patterns_is_understood() {
    let endpoints = r#""endpoints": {"base_url": "http://h"}"#;
    let patterns = |member: &str| good(&format!("{{{member}{endpoints}}}")).key_patterns;
    assert_eq!(patterns(r#""api_key_env_patterns": ["ACME"],"#), ["ACME"]);
    assert_eq!(
        patterns(r#""api_keys": {"env_var_pattern": "ONE"},"#),
        ["ONE"]
    );
    assert_eq!(
        patterns(
            r#""api_keys": {"env_var_pattern": "ONE", "env_var_patterns": ["TWO"]}, "api_key_env_patterns": ["ACME"],"#
        ),
        ["TWO"]
    );
    assert_eq!(patterns(""), keys_of_none());
}

fn keys_of_none() -> Vec<String> {
    crate::config::keys::USUAL_PATTERNS
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn a_minimal_file_gets_what_its_protocol_usually_has() {
    let file =
        good(r#"{"endpoints": {"base_url": "https://h", "compatible_format": "anthropic"}}"#);
    assert_eq!(file.display_name, "acme");
    assert!(file.enabled);
    assert_eq!(file.endpoints.protocol, Protocol::Anthropic);
    assert_eq!(file.authentication.header, "x-api-key");
    assert_eq!(file.authentication.format, "{api_key}");
    assert_eq!(file.retry_on_status, [408, 429, 500, 502, 503, 504]);
}

#[test]
fn a_header_without_a_format_carries_the_bare_key() {
    let file = good(
        r#"{"endpoints": {"base_url": "https://h"}, "authentication": {"header_name": "api-key"}}"#,
    );
    assert_eq!(file.authentication.header, "api-key");
    assert_eq!(file.authentication.format, "{api_key}");
}

#[test]
fn headers_that_are_ours_are_left_out() {
    let file = good(
        r#"{"endpoints": {"base_url": "https://h"}, "authentication": {"additional_headers":
           {"Content-Type": "application/json", "Host": "x", "X-Title": "T", "api-version": "${V}\u0001"}}}"#,
    );
    let names: Vec<_> = file
        .authentication
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["x-title", "api-version"]);
}

#[test]
fn an_override_counts_only_while_it_is_enabled() {
    let file = |enabled: bool| {
        good(&format!(
            r#"{{"endpoints": {{"base_url": "https://h"}},
                "proxy_support": {{"enabled": {enabled}, "base_url_override": "http://proxy:1"}}}}"#
        ))
    };
    assert_eq!(
        file(true).endpoints.base_url_override.as_deref(),
        Some("http://proxy:1")
    );
    assert_eq!(file(false).endpoints.base_url_override, None);
}

#[test]
fn limits_hold_unless_they_are_switched_off() {
    let limits = |enabled: &str| {
        good(&format!(
            r#"{{"endpoints": {{"base_url": "https://h"}},
                "rate_limiting": {{{enabled} "requests_per_minute": 5, "tokens_per_minute": 0}}}}"#
        ))
        .limits
    };
    assert_eq!(limits("").requests_per_minute, Some(5));
    assert_eq!(limits("").tokens_per_minute, None);
    assert_eq!(limits(r#""enabled": true,"#).requests_per_minute, Some(5));
    assert_eq!(limits(r#""enabled": false,"#), Limits::default());
}

#[test]
fn a_cap_for_each_key_is_read_beside_the_limits_for_all() {
    let cap = |members: &str| {
        good(&format!(
            r#"{{"endpoints": {{"base_url": "https://h"}}, "rate_limiting": {{{members}}}}}"#
        ))
        .max_in_flight_per_key
    };
    assert_eq!(cap(r#""max_in_flight_per_key": 4"#), Some(4));
    assert_eq!(cap(r#""max_in_flight_per_key": 0"#), None);
    assert_eq!(cap(r#""enabled": false, "max_in_flight_per_key": 4"#), None);
    assert_eq!(cap(""), None);
}

#[test]
fn the_new_members_are_read() {
    let file = good(
        r#"{"endpoints": {"base_url": "https://h"}, "stream_usage": false, "strip_betas": ["a-1"],
            "bad_key_phrases": ["API key not valid"]}"#,
    );
    assert!(!file.stream_usage);
    assert_eq!(file.strip_betas, ["a-1"]);
    assert_eq!(file.bad_key_phrases, ["API key not valid"]);
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let text = r#"{
  "enabled": "yes",
  "api_keys": {"env_var_patterns": ["MY KEY"]},
  "endpoints": {"base_url": "api.acme.com", "completions": 7},
  "authentication": {"header_name": "my header", "additional_headers": {"a b": "x", "c": "ü"}},
  "request_config": {"max_retries": -1, "retry_on_status": [42, 429], "timeout_seconds": 0},
  "rate_limiting": {"cooldown_seconds": "later"},
  "error_handling": {"4xx": {}, "429": {"action": "modelkey_failure"}}
}"#;
    assert_eq!(
        faults(text),
        [
            "acme.json:3:36: api_keys.env_var_patterns holds `MY KEY`, which is not the name of a variable; placeholders are {PROVIDER} and {INDEX}",
            "acme.json:4:60: endpoints.completions must be a string, not a number",
            "acme.json:4:29: endpoints.base_url must begin with http:// or https://",
            "acme.json:5:37: authentication.header_name is not the name of a header",
            "acme.json:5:80: authentication.additional_headers.a b has a name that no header can have",
            "acme.json:5:90: authentication.additional_headers.c holds a character that no header can carry",
            "acme.json:6:90: request_config.timeout_seconds must be more than 0 seconds",
            "acme.json:6:37: request_config.max_retries must be a whole number from 0 to 1000",
            "acme.json:6:61: request_config.retry_on_status[0] must be an HTTP status",
            "acme.json:7:41: rate_limiting.cooldown_seconds must be a number of seconds",
            "acme.json:2:14: enabled must be true or false, not a string",
            "acme.json:8:29: error_handling.4xx must be named by an HTTP status such as `429`",
            "acme.json:8:51: error_handling.429.action must be one of global_key_failure, model_key_failure, provider_cooldown, fallback_no_cooldown, auto_fix_tool_responses; did you mean `model_key_failure`?",
        ]
    );
}

#[test]
fn without_an_address_there_is_no_provider() {
    assert_eq!(faults("{}"), ["acme.json:1:1: endpoints is missing"]);
    assert_eq!(
        faults(r#"{"endpoints": {}}"#),
        ["acme.json:1:15: endpoints.base_url is missing"]
    );
    assert_eq!(
        faults("[]"),
        ["acme.json:1:1: the file must be an object, not a list"]
    );
}

#[test]
fn what_works_but_may_surprise_is_warned_of() {
    assert_eq!(
        warnings(
            r#"{"name": "other", "endpoints": {"base_url": "https://h", "compatible_format": "antropic"},
                "authentication": {"header_format": "Bearer x"}}"#
        ),
        [
            "acme.json:1:10: name differs from the file's name, which counts: routes say `acme`",
            "acme.json:1:79: endpoints.compatible_format is not known and taken as `openai`; did you mean `anthropic`?",
            "acme.json:2:53: authentication.header_format does not hold `{api_key}`, so no key is ever sent",
        ]
    );
}

#[test]
fn a_known_member_in_the_wrong_place_is_warned_of_and_a_note_is_not() {
    assert_eq!(
        warnings(
            r#"{"endpoints": {"base_url": "https://h"}, "timeout_seconds": 5, "_comment": "mine",
                "request_config": {"stream_usage": false}}"#
        ),
        [
            "acme.json:1:42: timeout_seconds is ignored here: it belongs into request_config",
            "acme.json:2:36: request_config.stream_usage is ignored here: it belongs into the file's outermost object",
        ]
    );
}

#[test]
fn the_compiled_in_files_have_neither_faults_nor_warnings() {
    for (name, text) in crate::config::built_in::PROVIDERS {
        let (file, report) = ProviderFile::parse(name, Path::new(name), text);
        assert_eq!(report.faults, [], "{name}");
        assert_eq!(report.warnings, [], "{name}");
        let file = file.expect("a usable file");
        assert_eq!(file.max_retries, Some(2), "{name}");
        assert!(
            !text.contains("null") && !text.contains("timeout_seconds"),
            "{name}"
        );
        assert!(
            !text.contains("temperature") && !text.contains("model_mapping"),
            "{name}"
        );
        assert!(!file.error_rules.contains_key(&400), "{name}");
    }
}

#[test]
fn the_compiled_in_files_are_those_of_the_directory() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/providers");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let built_in = crate::config::built_in::PROVIDERS.map(|(name, _)| format!("{name}.json"));
    assert_eq!(files, built_in);
}
