//! Settings from all three places: their defaults, which place wins, and all that is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::config::catalog::Finding;
use crate::config::environment::Environment;

fn with_variables(variables: &[(&str, &str)]) -> Result<Settings, Vec<Finding>> {
    Settings::load(None, &variables.iter().copied().collect())
}

fn with_file(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("gateway.toml"), text).unwrap();
    let environment = variables.iter().copied().collect();
    Settings::load(Some(directory.path()), &environment).map_err(|faults| {
        let prefix = format!("{}/", directory.path().display());
        let mut faults: Vec<_> = faults
            .iter()
            .map(|fault| fault.to_string().replace(&prefix, ""))
            .collect();
        faults.sort();
        faults
    })
}

fn defaults() -> Settings {
    with_variables(&[]).unwrap()
}

#[test]
fn the_defaults_are_those_that_the_documentation_promises() {
    let seconds = Duration::from_secs;
    let expected = Settings {
        host: "127.0.0.1".to_owned(),
        port: 9876,
        workers: 0,
        config_dir: None,
        database_url: "sqlite:///./model-proxy.db".to_owned(),
        require_client_api_key: false,
        fail_on_startup_validation: false,
        key_cooldown: seconds(300),
        max_cooldown: seconds(3600),
        max_key_retry_cycles: 1,
        max_retries: 2,
        max_attempts: 12,
        max_wait: seconds(5),
        cors_origins: vec!["*".to_owned()],
        rate_limit_requests_per_minute: 60,
        rate_limit_tokens_per_minute: 100_000,
        rate_limit_concurrent_requests: 0,
        log_level: "info".to_owned(),
        log_format: LogFormat::Text,
        verbose_http_errors: false,
        log_content: LogContent::Full,
        log_content_max_bytes: 65_536,
        log_retention_days: 30,
        log_queue_bytes: 64 << 20,
        body_limit_bytes: 32 << 20,
        body_budget_bytes: 512 << 20,
        max_in_flight: 10_000,
        client_body: seconds(30),
        client_stall: seconds(120),
        keepalive: seconds(15),
        connect: seconds(5),
        first_token: seconds(300),
        idle: seconds(120),
        total: seconds(600),
        stream_max: seconds(0),
        shutdown_timeout: seconds(30),
    };
    assert_eq!(defaults(), expected);
}

/// Every key with a value that is not its default. Together with `every_key_changes_one_field`, and with the literal above,
/// which names every field, this holds the file and the code against each other.
const OTHER_VALUES: [(&str, &str); 35] = [
    ("host", "0.0.0.0"),
    ("port", "1"),
    ("workers", "3"),
    ("database_url", "sqlite:////data/x.db"),
    ("require_client_api_key", "true"),
    ("fail_on_startup_validation", "TRUE"),
    ("key_cooldown_seconds", "0"),
    ("max_cooldown_seconds", "1"),
    ("max_key_retry_cycles", "2"),
    ("max_retries", "0"),
    ("max_attempts", "1"),
    ("max_wait_seconds", "0.5"),
    ("cors_origins", "https://a.example, http://localhost:3000"),
    ("rate_limit_requests_per_minute", "0"),
    ("rate_limit_tokens_per_minute", "0"),
    ("rate_limit_concurrent_requests", "9"),
    ("log_level", "debug"),
    ("log_format", "JSON"),
    ("verbose_http_errors", "1"),
    ("log_content", "metadata"),
    ("log_content_max_bytes", "0"),
    ("log_retention_days", "0"),
    ("log_queue_bytes", "1000"),
    ("body_limit_bytes", "1000"),
    ("body_budget_bytes", "99999999"),
    ("max_in_flight", "0"),
    ("client_body_seconds", "1"),
    ("client_stall_seconds", "1"),
    ("keepalive_seconds", "0"),
    ("connect_seconds", "1.25"),
    ("first_token_seconds", "1"),
    ("idle_seconds", "1"),
    ("total_seconds", "1"),
    ("stream_max_seconds", "1"),
    ("shutdown_timeout_seconds", "0"),
];

#[test]
fn the_file_and_the_code_know_the_same_keys() {
    let in_file: BTreeSet<&str> = load::DEFAULTS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = ").map(|(key, _)| key))
        .collect();
    let in_code: BTreeSet<&str> = OTHER_VALUES.iter().map(|(key, _)| *key).collect();
    assert_eq!(in_file, in_code);
}

#[test]
fn every_key_changes_one_field_from_the_environment_and_from_the_file() {
    let mut seen = Vec::new();
    for (key, value) in OTHER_VALUES {
        let from_environment = with_variables(&[(&key.to_uppercase(), value)]).unwrap();
        assert_ne!(from_environment, defaults(), "{key}");
        assert!(
            !seen.contains(&from_environment),
            "{key} changes the field of another key"
        );
        let mut from_file = with_file(&format!("{key} = \"{value}\""), &[]).unwrap();
        from_file.config_dir = None;
        assert_eq!(from_file, from_environment, "{key}");
        seen.push(from_environment);
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let settings = with_file("port = 1\nworkers = 2", &[("PORT", "3")]).unwrap();
    assert_eq!(settings.port, 3);
    assert_eq!(settings.workers, 2);
    assert_eq!(settings.host, "127.0.0.1");
}

#[test]
fn the_originals_name_of_the_database_counts_where_ours_is_not_set() {
    let old = ("SQLALCHEMY_DATABASE_URL", "sqlite:///old.db");
    let settings = with_variables(&[old]).unwrap();
    assert_eq!(settings.database_url, "sqlite:///old.db");
    let settings = with_variables(&[old, ("DATABASE_URL", "sqlite:///new.db")]).unwrap();
    assert_eq!(settings.database_url, "sqlite:///new.db");
    let faults =
        with_variables(&[("SQLALCHEMY_DATABASE_URL", "mysql://u:secret@h/d")]).unwrap_err();
    assert!(
        faults[0]
            .to_string()
            .starts_with("SQLALCHEMY_DATABASE_URL: database_url must be")
    );
    assert!(!faults[0].to_string().contains("secret"));
}

#[test]
fn postgres_is_refused_until_it_comes() {
    for url in [
        "postgres://u@h/d",
        "postgresql://u@h/d",
        "postgresql+psycopg://u@h/d",
    ] {
        let faults = with_variables(&[("DATABASE_URL", url)]).unwrap_err();
        assert!(
            faults[0].message.contains("comes with a later version"),
            "{url}"
        );
    }
}

#[test]
fn all_faults_are_told_at_once_each_where_it_was_written() {
    let faults = with_file(
        "host = \"\"\nprot = 1\n[server]\nport = 2\n",
        &[
            ("IDLE_SECONDS", "-1"),
            ("TOTAL_SECONDS", "nan"),
            ("LOG_FORMAT", "jsno"),
            ("WORKERS", "many"),
        ],
    )
    .unwrap_err();
    assert_eq!(
        faults,
        [
            "IDLE_SECONDS: idle_seconds must be 0 or more seconds",
            "LOG_FORMAT: log_format must be `text` or `json`; did you mean `json`?",
            "TOTAL_SECONDS: total_seconds must be 0 or more seconds",
            "WORKERS: workers must be a whole number from 0 to 1024",
            "gateway.toml: server is not a setting",
            "gateway.toml:1:1: host must not be empty",
            "gateway.toml:2:1: prot is not a setting; did you mean `port`?",
        ]
    );
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for (name, value) in [
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "80.5"),
        ("CONNECT_SECONDS", "0"),
        ("CONNECT_SECONDS", "inf"),
        ("STREAM_MAX_SECONDS", "1e12"),
        ("MAX_ATTEMPTS", "0"),
        ("MAX_KEY_RETRY_CYCLES", "0"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://a.example/path"),
        ("REQUIRE_CLIENT_API_KEY", "maybe"),
        ("LOG_CONTENT", "some"),
        ("DATABASE_URL", "model-proxy.db"),
        ("DATABASE_URL", "mysql://h/d"),
        ("BODY_BUDGET_BYTES", "1000"),
        ("HOST", "local host"),
    ] {
        let faults = with_variables(&[(name, value)]).expect_err(name);
        assert_eq!(faults.len(), 1, "{name}={value}: {faults:?}");
        assert_eq!(faults[0].source, Path::new(name));
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_position_and_the_rest_is_still_checked() {
    let faults = with_file("port = 1\nhost = \"x\n", &[("PORT", "x")]).unwrap_err();
    assert_eq!(faults.len(), 2);
    assert!(faults[1].starts_with("gateway.toml:2:"), "{}", faults[1]);
    assert!(faults[1].contains("not valid TOML: "), "{}", faults[1]);
}

#[test]
fn origins_may_be_a_list() {
    let settings = with_file(
        "cors_origins = [\"https://a.example\", \"http://b:1\"]",
        &[],
    )
    .unwrap();
    assert_eq!(settings.cors_origins, ["https://a.example", "http://b:1"]);
}

#[test]
fn an_empty_variable_is_no_variable() {
    assert_eq!(with_variables(&[("PORT", "")]).unwrap(), defaults());
}

#[test]
fn a_configuration_directory_that_is_named_must_be_there() {
    let missing: Environment = [("CONFIG_DIR", "/nonexistent/config"), ("PORT", "x")]
        .into_iter()
        .collect();
    let fault = config_dir(&missing).unwrap_err();
    assert!(
        fault
            .to_string()
            .starts_with("CONFIG_DIR: is `/nonexistent/config`, which is not a directory")
    );
    assert_eq!(Settings::read(&missing).unwrap_err().len(), 2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let environment: Environment = [("CONFIG_DIR", path)].into_iter().collect();
    assert_eq!(
        config_dir(&environment),
        Ok(Some(directory.path().to_owned()))
    );
    assert_eq!(
        Settings::read(&environment).unwrap().config_dir.as_deref(),
        Some(directory.path())
    );
}

#[test]
fn the_example_of_an_env_file_shows_known_variables_with_their_defaults() {
    let example = include_str!("../../../.env.example");
    let shown: Vec<(&str, &str)> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .filter(|(name, _)| {
            name.chars()
                .all(|letter| letter.is_ascii_uppercase() || letter == '_')
        })
        .filter(|(_, value)| !value.is_empty())
        .collect();
    assert!(shown.len() > 15);
    for (name, _) in &shown {
        let key = name.to_lowercase();
        assert!(
            *name == "CONFIG_DIR" || OTHER_VALUES.iter().any(|(known, _)| *known == key),
            "{name}"
        );
    }
    assert_eq!(with_variables(&shown).unwrap(), defaults());
}
