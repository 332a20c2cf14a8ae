//! The newcomer's door: a gateway in front of a small built-in upstream, with no key, no configuration and no network.
//! Everything between the client and that upstream is the real thing: files, environment, `Application`.

mod anthropic;
mod openai;
mod prompt;
pub mod upstream;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use tempfile::TempDir;

use crate::app::{Application, StartError};
use crate::config::environment::Environment;
use crate::config::settings::Settings;
use crate::telemetry;
use upstream::Upstream;

/// The files of the demo's configuration, also used by the compose stack.
const FILES: [(&str, &str); 4] = [
    (
        "providers/demo-openai.json",
        include_str!("../examples/demo-config/providers/demo-openai.json"),
    ),
    (
        "providers/demo-anthropic.json",
        include_str!("../examples/demo-config/providers/demo-anthropic.json"),
    ),
    (
        "models/demo.json",
        include_str!("../examples/demo-config/models/demo.json"),
    ),
    (
        "models/demo-claude.json",
        include_str!("../examples/demo-config/models/demo-claude.json"),
    ),
];

/// The demo's client key: there is nothing to protect behind it, and commands that are written down keep working.
const CLIENT_KEY: &str = "sk-demo";

/// Variables that the demo takes from the real environment; everything else is its own.
const INHERITED: [&str; 2] = ["LOG_LEVEL", "LOG_FORMAT"];

/// Why the demo did not start, or failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The address could not be taken.
    #[error("cannot listen on {address}: {source}; choose another with --host and --port")]
    Listen {
        /// Host and port as given.
        address: String,
        /// The system's word.
        source: io::Error,
    },
    /// The gateway did not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// A file or a stream failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The settings that the environment gives are wrong.
    #[error("{0}")]
    Settings(String),
}

impl DemoError {
    /// Whether the fault is in what the user asked for (exit code 64) rather than in the machine.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Settings(_) => true,
            Self::Start(error) => error.is_usage(),
            Self::Listen { .. } | Self::Io(_) => false,
        }
    }
}

/// A demo that is ready to run. Its directory goes with it.
struct Demo {
    application: Application,
    // Dropped last, after what uses it.
    _upstream: Upstream,
    _directory: TempDir,
}

/// Starts the built-in upstream and a gateway in front of it, says how to use them, and runs until it is stopped.
///
/// # Errors
/// When something of it cannot be started, or fails.
pub fn run(host: &str, port: u16, out: &mut dyn Write) -> Result<(), DemoError> {
    let demo = build(host, port)?;
    let text = welcome(demo.application.address());
    let ended = demo.application.on_signals().run_and_tell(|| {
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            tracing::warn!(%error, "the demo could not say how to use it");
        }
    });
    ended.map_err(|error| DemoError::Io(io::Error::other(error)))
}

fn build(host: &str, port: u16) -> Result<Demo, DemoError> {
    let directory = tempfile::Builder::new()
        .prefix("model-proxy-demo-")
        .tempdir()?;
    for (path, text) in FILES {
        let path = directory.path().join("config").join(path);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        fs_err::write(path, text)?;
    }
    let upstream = Upstream::start(TcpListener::bind("127.0.0.1:0")?)?;
    let variables = variables(host, port, directory.path(), upstream.address());
    let environment = Environment::new(variables, BTreeMap::new());
    let settings = Settings::read(&environment).map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        DemoError::Settings(lines.join("\n"))
    })?;
    telemetry::init(&settings.log_level, settings.log_format.into())
        .map_err(|error| DemoError::Settings(error.to_string()))?;
    Ok(Demo {
        application: Application::build(settings, environment)?,
        _upstream: upstream,
        _directory: directory,
    })
}

fn variables(
    host: &str,
    port: u16,
    directory: &Path,
    upstream: SocketAddr,
) -> BTreeMap<String, String> {
    let database = directory.join("model-proxy.db");
    let inherited = INHERITED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let [first_key, second_key] = upstream::KEYS;
    let own = [
        ("HOST", host.to_owned()),
        ("PORT", port.to_string()),
        ("CONFIG_DIR", directory.join("config").display().to_string()),
        ("DATABASE_URL", format!("sqlite:///{}", database.display())),
        ("CLIENT_API_KEY", CLIENT_KEY.to_owned()),
        ("DEMO_URL", format!("http://{upstream}")),
        ("DEMO_API_KEY_1", first_key.to_owned()),
        ("DEMO_API_KEY_2", second_key.to_owned()),
    ];
    let own = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    inherited.chain(own).collect()
}

/// What the demo prints: where it is, its key, and three commands that work as they stand.
fn welcome(address: SocketAddr) -> String {
    let curl = |path: &str, body: &str| {
        format!(
            "curl -sN http://{address}{path} -H 'Authorization: Bearer {CLIENT_KEY}' \
             -H 'Content-Type: application/json' -d '{body}'"
        )
    };
    let whole = curl(
        "/v1/chat/completions",
        r#"{"model":"demo","messages":[{"role":"user","content":"Hello, who are you?"}]}"#,
    );
    let streamed = curl(
        "/v1/chat/completions",
        r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello, who are you?"}]}"#,
    );
    let anthropic = curl(
        "/v1/messages",
        r#"{"model":"demo-claude","max_tokens":200,"stream":true,"messages":[{"role":"user","content":"Hello, who are you?"}]}"#,
    );
    format!(
        "\
A gateway with a demo model behind it is listening on http://{address}
Client key: {CLIENT_KEY}

OpenAI, a whole answer:
{whole}

OpenAI, streamed:
{streamed}

Anthropic, streamed:
{anthropic}

Ctrl-C ends it and removes its files.
"
    )
}

/// Serves the built-in upstream alone, until it is stopped.
///
/// # Errors
/// When the address cannot be taken, or the server fails.
pub fn run_upstream(host: &str, port: u16, out: &mut dyn Write) -> Result<(), DemoError> {
    let listener = TcpListener::bind((host, port)).map_err(|source| DemoError::Listen {
        address: format!("{host}:{port}"),
        source,
    })?;
    let address = listener.local_addr()?;
    let [first_key, second_key] = upstream::KEYS;
    writeln!(
        out,
        "The demo upstream takes the keys {first_key} and {second_key} and is listening on http://{address}"
    )?;
    out.flush()?;
    Ok(upstream::serve(listener)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_holds_three_commands_that_each_stand_on_one_line() {
        let address = SocketAddr::from(([127, 0, 0, 1], 9876));
        let text = welcome(address);
        let commands: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("curl "))
            .collect();
        assert_eq!(commands.len(), 3);
        for command in commands {
            assert!(command.contains("http://127.0.0.1:9876/v1/"), "{command}");
            assert!(command.contains("Bearer sk-demo"), "{command}");
            assert_eq!(command.matches('\'').count(), 6, "{command}");
        }
    }

    #[test]
    fn the_demo_takes_only_the_log_settings_from_outside() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 1));
        let variables = variables("127.0.0.1", 0, Path::new("/demo"), upstream);
        assert_eq!(variables["DATABASE_URL"], "sqlite:////demo/model-proxy.db");
        assert_eq!(variables["DEMO_URL"], "http://127.0.0.1:1");
        assert!(!variables.contains_key("OPENAI_API_KEY"));
    }
}
