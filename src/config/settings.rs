//! Settings of the process: `gateway.toml` (compiled in as the defaults), the file in `CONFIG_DIR`, the environment.
//! Every key has its upper-case name as environment variable, which wins.

use std::path::PathBuf;
use std::time::Duration;

use crate::telemetry::Form;

mod load;
mod values;

pub use load::config_dir;

/// Settings of the process, as meant. Read once at start; models, providers and keys are what reloads.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// HTTP workers; 0 is one for each core.
    pub workers: usize,
    /// Holds `gateway.toml`, `providers/` and `models/`; `None`: compiled-in providers alone.
    pub config_dir: Option<PathBuf>,
    /// SQLAlchemy spelling, such as `sqlite:///./model-proxy.db`.
    pub database_url: String,
    /// Start-up fails without a client key.
    pub require_client_api_key: bool,
    /// Start-up fails on any fault of the configuration.
    pub fail_on_startup_validation: bool,
    /// Rest of a key where no file says otherwise; zero switches every rest off.
    pub key_cooldown: Duration,
    /// No rest is longer, whatever the upstream asks for.
    pub max_cooldown: Duration,
    /// Passes over a route's keys.
    pub max_key_retry_cycles: u32,
    /// Further calls on a route after its ready keys, where the provider file says nothing.
    pub max_retries: u32,
    /// Calls of one request in all.
    pub max_attempts: u32,
    /// Longest wait for a key or for what a 429 asks for.
    pub max_wait: Duration,
    /// Allowed origins; `*` is any.
    pub cors_origins: Vec<String>,
    /// Per client and sliding minute; 0 is no limit.
    pub rate_limit_requests_per_minute: u64,
    /// Per client and sliding minute; 0 is no limit.
    pub rate_limit_tokens_per_minute: u64,
    /// Per client, in flight; 0 is no limit.
    pub rate_limit_concurrent_requests: u64,
    /// Filter of the process log, in `tracing` syntax.
    pub log_level: String,
    /// Form of the process log.
    pub log_format: LogFormat,
    /// Upstream error bodies (scrubbed) in the process log.
    pub verbose_http_errors: bool,
    /// What the request log keeps of prompts and answers.
    pub log_content: LogContent,
    /// Prompts and answers are cut there.
    pub log_content_max_bytes: usize,
    /// Older rows are deleted; 0 keeps them.
    pub log_retention_days: u32,
    /// Bound of the queue in front of the database.
    pub log_queue_bytes: usize,
    /// Largest request body.
    pub body_limit_bytes: usize,
    /// Request bodies and answers held at once, all requests together.
    pub body_budget_bytes: usize,
    /// Requests in flight at once; more are refused with 503; 0 is no limit.
    pub max_in_flight: usize,
    /// Between two chunks of a client's body.
    pub client_body: Duration,
    /// A client that does not read its stream for so long is given up.
    pub client_stall: Duration,
    /// Silence before the first token after which pings flow; zero: never.
    pub keepalive: Duration,
    /// TCP and TLS connect to an upstream.
    pub connect: Duration,
    /// Until the first event with content.
    pub first_token: Duration,
    /// Between two events of a running stream.
    pub idle: Duration,
    /// Until content flows, and the whole of an answer that is not streamed.
    pub total: Duration,
    /// Longest running stream; zero: no bound.
    pub stream_max: Duration,
    /// How long streams may finish after a stop signal.
    pub shutdown_timeout: Duration,
}

/// Form of the process log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl From<LogFormat> for Form {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// What the request log keeps of prompts and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogContent {
    /// Text, cut at `log_content_max_bytes`.
    Full,
    /// Counts and parameters only.
    Metadata,
}

#[cfg(test)]
mod tests;
