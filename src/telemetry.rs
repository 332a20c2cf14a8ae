//! The process log: one subscriber, lines without secrets, the names of fields. It must not know who logs what.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::secret::Scrubber;

/// Names of the fields that say whom a line is about. `tracing` takes names literally, so this list is the place to
/// look them up.
pub mod field {
    /// The id that the client reads as `x-request-id`.
    pub const REQUEST_ID: &str = "request_id";
    /// Name of the client.
    pub const CLIENT: &str = "client";
    /// The logical model.
    pub const MODEL: &str = "model";
    /// Name of the provider.
    pub const PROVIDER: &str = "provider";
    /// Label of a key, never the key.
    pub const KEY: &str = "key";
    /// Number of the call within its request, from 1.
    pub const ATTEMPT: &str = "attempt";
    /// HTTP status.
    pub const STATUS: &str = "status";
    /// Low-cardinality name of how something ended.
    pub const OUTCOME: &str = "outcome";
    /// Somebody else's words about what went wrong.
    pub const ERROR: &str = "error";
}

/// Filter used when none is given or the given one cannot be read.
const FALLBACK: &str = "info";

/// Form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "LOG_LEVEL: {filter:?} is not a filter ({reason}); \
     use error, warn, info, debug, trace, or a list such as info,model_proxy=debug"
)]
pub struct BadFilter {
    filter: String,
    reason: String,
}

/// Starts the process log on standard error. The first call decides; later ones change nothing, which tests rely on.
///
/// # Errors
/// The filter cannot be read: the log runs all the same, at `info`, so that the error can be logged.
pub fn init(filter: &str, form: Form) -> Result<(), BadFilter> {
    let (filter, result) = match parse(filter) {
        Ok(filter) => (filter, Ok(())),
        Err(error) => (EnvFilter::new(FALLBACK), Err(error)),
    };
    let registry = tracing_subscriber::registry().with(without_chatter(filter));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(CleanStderr)
        .with_ansi(form == Form::Text && io::stderr().is_terminal());
    // An error means that a subscriber is there already.
    let _ = match form {
        Form::Text => registry.with(lines).try_init(),
        Form::Json => registry
            .with(lines.json().flatten_event(true).with_span_list(false))
            .try_init(),
    };
    result
}

/// actix tells of each worker's start and stop; left out unless it is asked for.
fn without_chatter(filter: EnvFilter) -> EnvFilter {
    if filter.to_string().contains("actix_server") {
        return filter;
    }
    match "actix_server=warn".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}

/// From now on no line holds one of these secrets, whoever wrote it. To be called with each new catalog.
pub fn keep_out(secrets: Arc<Scrubber>) {
    SECRETS.store(secrets);
}

static SECRETS: LazyLock<ArcSwap<Scrubber>> = LazyLock::new(ArcSwap::default);

/// Reads a filter, Python's names of levels included. Unlike `EnvFilter` it refuses a lone word that is no level, which
/// would silence everything but a target of that name.
fn parse(filter: &str) -> Result<EnvFilter, BadFilter> {
    let bad = |reason: String| BadFilter {
        filter: filter.to_owned(),
        reason,
    };
    let directives: Vec<_> = filter
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .map(known_level)
        .collect();
    if directives.is_empty() {
        return Ok(EnvFilter::new(FALLBACK));
    }
    if let Some(word) = directives.iter().find(|word| is_unknown_word(word)) {
        return Err(bad(format!("{word:?} is no level")));
    }
    EnvFilter::try_new(directives.join(",")).map_err(|error| bad(error.to_string()))
}

fn known_level(directive: &str) -> &str {
    match directive.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        _ => directive,
    }
}

fn is_unknown_word(directive: &str) -> bool {
    let lone = !directive.contains(['=', '[', ']', '{', '}']);
    lone && directive
        .parse::<tracing_subscriber::filter::LevelFilter>()
        .is_err()
}

/// Standard error, without secrets.
struct CleanStderr;

impl<'a> MakeWriter<'a> for CleanStderr {
    type Writer = Clean<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Clean(io::stderr())
    }
}

/// Replaces known secrets in what passes. Each line arrives in one call of `write`.
struct Clean<W>(W);

impl<W: Write> Write for Clean<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let secrets = SECRETS.load();
        if secrets.finds(line) {
            let clean = secrets.scrub(&String::from_utf8_lossy(line));
            self.0.write_all(clean.as_bytes())?;
        } else {
            self.0.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn levels_and_lists_of_directives_are_filters() {
        for (filter, expected) in [
            ("", "info"),
            ("DEBUG", "debug"),
            ("warning", "warn"),
            ("CRITICAL", "error"),
            ("off", "off"),
        ] {
            assert_eq!(parse(filter).unwrap().to_string(), expected, "{filter}");
        }
        let list = parse("info, model_proxy=debug,awc=off")
            .unwrap()
            .to_string();
        assert!(list.contains("model_proxy=debug"), "{list}");
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_by_name() {
        for filter in ["inof", "info,verbose", "model_proxy=loud"] {
            let error = parse(filter).unwrap_err().to_string();
            assert!(error.starts_with("LOG_LEVEL: "), "{error}");
            assert!(error.contains(filter), "{error}");
        }
    }

    #[test]
    fn starting_twice_is_harmless_and_a_bad_filter_still_starts() {
        assert_eq!(init("off", Form::Json), Ok(()));
        assert!(init("inof", Form::Text).is_err());
        assert!(tracing::dispatcher::has_been_set());
    }

    #[test]
    fn a_known_secret_never_reaches_the_log() {
        keep_out(Arc::new(Scrubber::new([(
            Secret::new("sk-telemetry-1"),
            "KEY_1".to_owned(),
        )])));
        let mut lines = Clean(Vec::new());
        lines
            .write_all(b"header x-api-key: sk-telemetry-1\n")
            .unwrap();
        lines.write_all(b"nothing here\n").unwrap();
        lines.flush().unwrap();
        let lines = String::from_utf8(lines.0).unwrap();
        assert_eq!(lines, "header x-api-key: [KEY_1]\nnothing here\n");
    }
}
