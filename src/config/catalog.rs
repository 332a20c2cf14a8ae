//! The validated whole of providers, models and keys: immutable, behind an `Arc`, one snapshot per request.
//! Everything that a file may say at several levels is resolved here, so that nobody downstream asks twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::address;
use super::settings::Settings;
use crate::protocol::Protocol;
use crate::secret::{Digest, Scrubber, Secret};

/// Everything that requests need to know, as of one moment.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Providers by name.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// Models by logical name, in name order.
    pub models: IndexMap<String, Arc<Model>, RandomState>,
    /// Clients by the digest of their key; catalogs share them until a key comes or goes.
    pub clients: Arc<HashMap<Digest, Arc<Client>>>,
    /// SHA-256 of `ADMIN_API_KEY`; `None`: nobody administrates over HTTP.
    pub administrator: Option<Digest>,
    /// Knows every secret of this catalog.
    pub scrubber: Arc<Scrubber>,
    /// What is wrong with the files; what they describe is missing or still as in its last good version.
    pub faults: Vec<Finding>,
    /// What is odd, but works.
    pub warnings: Vec<Finding>,
}

impl Catalog {
    /// A model by its logical name.
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.get(name)
    }

    /// Why the gateway must not start with these settings: the faults if `fail_on_startup_validation` is set, and no client
    /// key if `require_client_api_key` is.
    pub fn reasons_not_to_start(&self, settings: &Settings) -> Vec<Finding> {
        let mut reasons = Vec::new();
        if settings.require_client_api_key && self.clients.is_empty() {
            reasons.push(Finding {
                source: PathBuf::from("CLIENT_API_KEY"),
                position: None,
                message: "is not set, and REQUIRE_CLIENT_API_KEY is true".to_owned(),
            });
        }
        if settings.fail_on_startup_validation {
            reasons.extend_from_slice(&self.faults);
        }
        reasons
    }
}

/// One thing to tell about a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, as it was found, or the name of an environment variable.
    pub source: PathBuf,
    /// Line and column in it, both from 1, where they are known.
    pub position: Option<(usize, usize)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.source.display())?;
        if let Some((line, column)) = self.position {
            write!(formatter, ":{line}:{column}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// A client of ours, by its key.
#[derive(Debug, PartialEq, Eq)]
pub struct Client {
    /// `client-1`, `client-2`, … in the order of `CLIENT_API_KEY`.
    pub name: String,
    /// SHA-256 of its key: its identity across reloads.
    pub digest: Digest,
    /// Its limits.
    pub limits: Limits,
}

/// Limits of one client; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests in a sliding minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in a sliding minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests in flight at once.
    pub concurrent_requests: Option<u64>,
}

/// Where a provider's definition came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Compiled in.
    BuiltIn,
    /// A file in `CONFIG_DIR`.
    File(PathBuf),
}

/// A provider as one file describes it, with its keys.
#[derive(Debug, Clone)]
pub struct Provider {
    /// The file's stem: the name that routes use.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// False: no route of it is used.
    pub enabled: bool,
    /// Compiled in, or from a file.
    pub origin: Origin,
    /// The protocol of its routes unless they say otherwise.
    pub protocol: Protocol,
    /// Why it cannot be called whatever the keys (an unset `${VAR}`).
    pub unusable: Option<String>,
    /// Name of the header that carries the key, lower case.
    pub auth_header: String,
    /// Its value, with `{api_key}` where the key goes.
    pub auth_format: String,
    /// Headers sent with every call: lower-case name and value (a `Secret` because `${VAR}` may have gone in).
    pub headers: Vec<(String, Secret)>,
    /// Keys found by the file's patterns, in order.
    pub keys: Arc<[Arc<ProviderKey>]>,
    /// Every key that some route of this provider may use: `keys` and those named by routes' `api_key_env`.
    pub ring: Arc<[Arc<ProviderKey>]>,
    /// Further calls on a route after its ready keys; the file's `max_retries`, else the setting's.
    pub max_retries: u32,
    /// Statuses that may be repeated.
    pub retry_on_status: Vec<u16>,
    /// `error_handling` by status.
    pub error_rules: BTreeMap<u16, ErrorRule>,
    /// A 400 whose message begins with one of these means a bad key.
    pub bad_key_phrases: Vec<String>,
    /// False: never ask for usage in streams.
    pub stream_usage: bool,
    /// `anthropic-beta` entries that this provider refuses.
    pub strip_betas: Vec<String>,
    /// Sent where the client sent nothing.
    pub default_parameters: Vec<(String, Box<RawValue>)>,
    /// Parameters that must be there after the defaults.
    pub required_parameters: Vec<String>,
    /// It refuses `max_tokens` and wants `max_completion_tokens` (OpenAI's newer models do).
    pub wants_max_completion_tokens: bool,
    /// Own limits of the provider, over all clients.
    pub limits: Limits,
    /// Calls that one key may have under way; `None`: any number.
    pub max_in_flight_per_key: Option<u64>,
}

/// One key of a provider.
#[derive(Debug)]
pub struct ProviderKey {
    /// The environment variable it came from; the only name it has outside the `Authorization` header.
    pub label: String,
    /// The value.
    pub secret: Secret,
    /// SHA-256 of the value: its identity in rings and over reloads.
    pub digest: Digest,
}

/// What `error_handling.<status>` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRule {
    /// Overrides the built-in meaning.
    pub action: Option<ErrorAction>,
    /// Overrides the cooldown, zero included.
    pub cooldown: Option<Duration>,
}

/// The five actions of `error_handling`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorAction {
    /// The key rests for all models.
    GlobalKeyFailure,
    /// The key rests for this provider and model.
    ModelKeyFailure,
    /// The provider rests whole.
    ProviderCooldown,
    /// Nothing rests; the next route is tried.
    FallbackNoCooldown,
    /// Missing tool results are added and the call is made once more.
    AutoFixToolResponses,
}

/// Deadlines of one route, resolved from route, model, provider and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS connect.
    pub connect: Duration,
    /// Until the first event with content (streams).
    pub first_token: Duration,
    /// Between two events of a running stream.
    pub idle: Duration,
    /// Until content flows, all attempts together; the whole of an answer that is not streamed.
    pub total: Duration,
    /// One attempt at an answer that is not streamed, where `timeout_seconds` says so.
    pub attempt: Option<Duration>,
}

/// One way to a model.
#[derive(Debug)]
pub struct Route {
    /// The file's `id`, else its position from 1.
    pub id: String,
    /// The provider.
    pub provider: Arc<Provider>,
    /// The upstream's name of the model, after `model_mapping`.
    pub model: String,
    /// The protocol spoken on this route.
    pub protocol: Protocol,
    /// Address for whole answers.
    pub url: String,
    /// Address for streams.
    pub stream_url: String,
    /// Keys of this route, in order.
    pub keys: Arc<[Arc<ProviderKey>]>,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Rest after a failure where `error_handling` names none for its status; zero: no rest at all.
    pub cooldown: Duration,
    /// How a request of another protocol may ask this model to think.
    pub reasoning: ReasoningStyle,
    /// `KEY_COOLDOWN_SECONDS=0`: no key ever rests, whatever the files and the upstream say.
    pub cooldowns_off: bool,
    /// Its share among the routes of a weighted model, from 0 (only after the others); 1 unless the file says otherwise.
    pub weight: f64,
}

/// Which of a model's routes a request tries first; the others follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// As the file lists them.
    #[default]
    Ordered,
    /// Each in turn.
    RoundRobin,
    /// By chance, in the proportion of their weights.
    Weighted,
    /// The one with the fewest requests under way.
    LeastBusy,
    /// The one that was quickest to say something lately.
    Fastest,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 5] = [
        Self::Ordered,
        Self::RoundRobin,
        Self::Weighted,
        Self::LeastBusy,
        Self::Fastest,
    ];

    /// Its name in model files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::LeastBusy => "least_busy",
            Self::Fastest => "fastest",
        }
    }
}

impl Route {
    /// Where the upstream counts the tokens of a message; `None` if its protocol or its address knows no such thing.
    pub fn count_tokens_url(&self) -> Option<String> {
        match self.protocol {
            Protocol::OpenAi => None,
            Protocol::Anthropic => address::count_tokens(&self.url),
        }
    }
}

/// How a model is asked to think by a request that had to be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReasoningStyle {
    /// As its protocol usually does: `reasoning_effort`, or `thinking` with a budget.
    #[default]
    Usual,
    /// By Anthropic's adaptive thinking with an effort: newer models refuse budgets.
    Adaptive,
    /// Not at all: it refuses to be asked.
    None,
}

/// What to do when a stream breaks after content has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamRecovery {
    /// Ask the next route for the same answer and continue where it agrees.
    #[default]
    Splice,
    /// End with the protocol's error event.
    Error,
    /// Keep the whole answer back until it is complete.
    Hold,
}

impl Model {
    /// Whether its routes are tried as the file lists them, whatever became of earlier requests.
    pub fn keeps_order(&self) -> bool {
        self.strategy == Strategy::Ordered && !self.session_affinity
    }
}

/// A logical model: what clients name.
#[derive(Debug)]
pub struct Model {
    /// The name.
    pub name: String,
    /// The file it came from.
    pub source: PathBuf,
    /// Its routes, in order.
    pub routes: Vec<Arc<Route>>,
    /// Which of them a request tries first.
    pub strategy: Strategy,
    /// Requests of one session stay with the route and the key that answered the last of them.
    pub session_affinity: bool,
    /// Logical models to go on with, in order.
    pub fallbacks: Vec<String>,
    /// Refuse what a conversion would lose.
    pub strict: bool,
    /// Recovery after content.
    pub stream_recovery: StreamRecovery,
    /// Silence before the first token after which pings flow; `None`: never.
    pub keepalive: Option<Duration>,
    /// When the file was last changed, seconds since 1970; the `created` of model listings.
    pub created: u64,
}
