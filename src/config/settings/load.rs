//! The settings, layer over layer: the compiled-in `gateway.toml`, the one in the configuration directory, the environment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ::config::{Config, ConfigError, File, FileFormat, Value};

use super::values::Values;
use super::{LogContent, LogFormat, Settings};
use crate::config::catalog::Finding;
use crate::config::environment::Environment;
use crate::config::locate::{Position, position_of_toml_key};
use crate::config::nearest::hint;
use crate::config::seconds::Zero;

/// Every key with its default and its explanation.
pub(super) const DEFAULTS: &str = include_str!("../../../config/gateway.toml");

/// The directory used where `CONFIG_DIR` is not set, if it exists.
const USUAL_DIRECTORY: &str = "./config";

/// Another name of `DATABASE_URL`, from the original.
const SQLALCHEMY_DATABASE_URL: &str = "SQLALCHEMY_DATABASE_URL";

/// The configuration directory: `CONFIG_DIR`, which must be one, else `./config` if it is one, else none.
pub fn config_dir(environment: &Environment) -> Result<Option<PathBuf>, Finding> {
    directory(environment, Path::new(USUAL_DIRECTORY))
}

fn directory(environment: &Environment, usual: &Path) -> Result<Option<PathBuf>, Finding> {
    let Some(given) = environment.get("CONFIG_DIR") else {
        return Ok(usual.is_dir().then(|| usual.to_owned()));
    };
    let given = PathBuf::from(given);
    if given.is_dir() {
        return Ok(Some(given));
    }
    Err(Finding {
        source: PathBuf::from("CONFIG_DIR"),
        position: None,
        message: format!(
            "is `{}`, which is not a directory: create it, correct the path, or unset CONFIG_DIR",
            given.display()
        ),
    })
}

impl Settings {
    /// The settings of this environment and of the configuration directory that it names, or all that is wrong.
    pub fn read(environment: &Environment) -> Result<Self, Vec<Finding>> {
        match config_dir(environment) {
            Ok(directory) => Self::load(directory.as_deref(), environment),
            Err(finding) => {
                let mut findings = vec![finding];
                findings.extend(Self::load(None, environment).err().unwrap_or_default());
                Err(findings)
            }
        }
    }

    /// The settings of this environment and of a configuration directory, or all that is wrong.
    pub fn load(
        config_dir: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, Vec<Finding>> {
        let mut faults = Vec::new();
        let file = config_dir.and_then(|directory| SettingsFile::read(directory, &mut faults));
        let defaults = table(DEFAULTS).map_err(|error| vec![compiled_in(&error.to_string())])?;
        let variables = variables(&defaults, environment);
        if let Some(file) = &file {
            faults.extend(file.unknown_keys(&defaults));
        }
        let merged = merge(file.as_ref(), &variables)
            .map_err(|error| vec![compiled_in(&error.to_string())])?;
        let place = |key: &str| place(key, file.as_ref(), &variables, environment);
        let mut values = Values::new(merged, &place);
        let settings = build(config_dir.map(Path::to_owned), &mut values);
        faults.append(&mut values.faults);
        faults.sort();
        if faults.is_empty() {
            Ok(settings)
        } else {
            Err(faults)
        }
    }
}

/// `gateway.toml` of the configuration directory.
struct SettingsFile {
    path: PathBuf,
    text: String,
    table: HashMap<String, Value>,
}

impl SettingsFile {
    /// `None` if there is none, or it is no TOML.
    fn read(directory: &Path, faults: &mut Vec<Finding>) -> Option<Self> {
        let path = directory.join("gateway.toml");
        let mut fault = |position, message| {
            faults.push(Finding {
                source: path.clone(),
                position,
                message,
            });
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                fault(None, format!("cannot be read: {error}"));
                return None;
            }
        };
        match table(&text) {
            Ok(table) => Some(Self { path, text, table }),
            Err(ConfigError::FileParse { cause, .. }) => {
                let (position, reason) = toml_error(&cause.to_string());
                fault(position, format!("not valid TOML: {reason}"));
                None
            }
            Err(error) => {
                fault(None, format!("not valid TOML: {error}"));
                None
            }
        }
    }

    fn unknown_keys(&self, defaults: &HashMap<String, Value>) -> Vec<Finding> {
        let known = || defaults.keys().map(String::as_str);
        self.table
            .keys()
            .filter(|key| !defaults.contains_key(*key))
            .map(|key| Finding {
                source: self.path.clone(),
                position: position_of_toml_key(&self.text, key),
                message: format!("{key} is not a setting{}", hint(key, known())),
            })
            .collect()
    }
}

/// The variables that set a key, under their upper-case names.
fn variables(
    defaults: &HashMap<String, Value>,
    environment: &Environment,
) -> HashMap<String, String> {
    let mut variables: HashMap<_, _> = defaults
        .keys()
        .filter_map(|key| {
            let name = key.to_ascii_uppercase();
            let value = environment.get(&name)?.to_owned();
            Some((name, value))
        })
        .collect();
    if let Some(url) = environment.get(SQLALCHEMY_DATABASE_URL) {
        variables
            .entry("DATABASE_URL".to_owned())
            .or_insert_with(|| url.to_owned());
    }
    variables
}

fn merge(
    file: Option<&SettingsFile>,
    variables: &HashMap<String, String>,
) -> Result<HashMap<String, Value>, ConfigError> {
    let mut layers = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(file) = file {
        layers = layers.add_source(File::from_str(&file.text, FileFormat::Toml));
    }
    layers
        .add_source(::config::Environment::default().source(Some(variables.clone())))
        .build()?
        .cache
        .into_table()
}

fn table(text: &str) -> Result<HashMap<String, Value>, ConfigError> {
    Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .build()?
        .cache
        .into_table()
}

/// An empty finding at the place that decides a key.
fn place(
    key: &str,
    file: Option<&SettingsFile>,
    variables: &HashMap<String, String>,
    environment: &Environment,
) -> Finding {
    let name = key.to_ascii_uppercase();
    let mut position = None;
    let source = if variables.contains_key(&name) {
        if environment.get(&name).is_some() {
            PathBuf::from(name)
        } else {
            PathBuf::from(SQLALCHEMY_DATABASE_URL)
        }
    } else if let Some(file) = file.filter(|file| file.table.contains_key(key)) {
        position = position_of_toml_key(&file.text, key);
        file.path.clone()
    } else {
        PathBuf::from("gateway.toml (compiled in)")
    };
    Finding {
        source,
        position,
        message: String::new(),
    }
}

fn compiled_in(message: &str) -> Finding {
    Finding {
        source: PathBuf::from("gateway.toml (compiled in)"),
        position: None,
        message: message.to_owned(),
    }
}

/// Position and reason out of the TOML parser's drawing: its first line names the place, its last one the reason, those
/// between show the text.
fn toml_error(drawing: &str) -> (Option<Position>, String) {
    let place = drawing.lines().next().and_then(|first| {
        let (line, column) = first
            .strip_prefix("TOML parse error at line ")?
            .split_once(", column ")?;
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    let reason = drawing
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or(drawing);
    (place, reason.to_owned())
}

/// One line for every field; a test holds it against `gateway.toml`.
fn build(config_dir: Option<PathBuf>, values: &mut Values<'_>) -> Settings {
    let settings = Settings {
        host: values.text("host"),
        port: values.whole("port", 0, 65_535),
        workers: values.whole("workers", 0, 1024),
        config_dir,
        database_url: values.text("database_url"),
        require_client_api_key: values.boolean("require_client_api_key"),
        fail_on_startup_validation: values.boolean("fail_on_startup_validation"),
        key_cooldown: values.seconds("key_cooldown_seconds", Zero::Allowed),
        max_cooldown: values.seconds("max_cooldown_seconds", Zero::Refused),
        max_key_retry_cycles: values.whole("max_key_retry_cycles", 1, 100),
        max_retries: values.whole("max_retries", 0, 1000),
        max_attempts: values.whole("max_attempts", 1, 1000),
        max_wait: values.seconds("max_wait_seconds", Zero::Allowed),
        cors_origins: values.list("cors_origins"),
        rate_limit_requests_per_minute: values.whole("rate_limit_requests_per_minute", 0, MANY),
        rate_limit_tokens_per_minute: values.whole("rate_limit_tokens_per_minute", 0, MANY),
        rate_limit_concurrent_requests: values.whole("rate_limit_concurrent_requests", 0, MANY),
        log_level: values.text("log_level"),
        log_format: values.word(
            "log_format",
            ("text", LogFormat::Text),
            ("json", LogFormat::Json),
        ),
        verbose_http_errors: values.boolean("verbose_http_errors"),
        log_content: values.word(
            "log_content",
            ("full", LogContent::Full),
            ("metadata", LogContent::Metadata),
        ),
        log_content_max_bytes: values.whole("log_content_max_bytes", 0, MANY),
        log_retention_days: values.whole("log_retention_days", 0, 36_500),
        log_queue_bytes: values.whole("log_queue_bytes", 1, MANY),
        body_limit_bytes: values.whole("body_limit_bytes", 1, MANY),
        body_budget_bytes: values.whole("body_budget_bytes", 1, MANY),
        max_in_flight: values.whole("max_in_flight", 0, MANY),
        client_body: values.seconds("client_body_seconds", Zero::Refused),
        client_stall: values.seconds("client_stall_seconds", Zero::Refused),
        keepalive: values.seconds("keepalive_seconds", Zero::Allowed),
        connect: values.seconds("connect_seconds", Zero::Refused),
        first_token: values.seconds("first_token_seconds", Zero::Refused),
        idle: values.seconds("idle_seconds", Zero::Refused),
        total: values.seconds("total_seconds", Zero::Refused),
        stream_max: values.seconds("stream_max_seconds", Zero::Allowed),
        shutdown_timeout: values.seconds("shutdown_timeout_seconds", Zero::Allowed),
    };
    check(&settings, values);
    settings
}

/// More of anything is a slip of the finger; it still fits every integer type that is used.
const MANY: u64 = 1 << 40;

/// What a single value cannot tell.
fn check(settings: &Settings, values: &mut Values<'_>) {
    if let Err(wrong) = check_database(&settings.database_url) {
        values.fault("database_url", wrong);
    }
    if settings.host.contains(char::is_whitespace) {
        values.fault("host", "must be an address or a host name");
    }
    let is_origin = |origin: &str| {
        origin == "*"
            || origin.split_once("://").is_some_and(|(scheme, host)| {
                !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ', '*'])
            })
    };
    if !settings.cors_origins.iter().all(|origin| is_origin(origin)) {
        values.fault(
            "cors_origins",
            "must hold origins such as https://app.example.com (scheme and host, no path), or `*`",
        );
    }
    let body_limit_is_good = settings.body_limit_bytes > 0 && settings.body_budget_bytes > 0;
    if body_limit_is_good && settings.body_budget_bytes < settings.body_limit_bytes {
        values.fault(
            "body_budget_bytes",
            "must not be less than body_limit_bytes",
        );
    }
}

/// The kind of database alone, so that it is told together with every other fault; the rest of the address is `storage`'s
/// to judge. Nothing of it is shown: it may hold a password.
fn check_database(url: &str) -> Result<(), &'static str> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let dialect = scheme.split('+').next().unwrap_or_default();
    match dialect.to_ascii_lowercase().as_str() {
        "sqlite" => Ok(()),
        "postgres" | "postgresql" => Err(
            "names PostgreSQL, which comes with a later version: use sqlite:///./model-proxy.db until then",
        ),
        // That it is empty has been said.
        _ if url.is_empty() => Ok(()),
        _ => Err("must be sqlite:///relative/path or sqlite:////absolute/path"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_directory_counts_only_if_it_is_there() {
        let nothing = Environment::default();
        assert_eq!(directory(&nothing, Path::new("/nonexistent")), Ok(None));
        let there = tempfile::tempdir().unwrap();
        assert_eq!(
            directory(&nothing, there.path()),
            Ok(Some(there.path().to_owned()))
        );
    }
}
