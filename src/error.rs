//! What can go wrong with a request: a kind with a low-cardinality name, whose fault it is, and our words.
//! It knows no protocol; `protocol` gives an error its shape on the wire.

use std::time::Duration;

/// Who has to act so that the error goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The request itself.
    Client,
    /// A provider, or the way to it.
    Upstream,
    /// This process or its configuration.
    Gateway,
}

/// The part of an upstream call that took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// TCP and TLS connect.
    Connect,
    /// From sending the request to the first event with content.
    FirstToken,
    /// Between two events of a running stream.
    Idle,
    /// One attempt at an answer that is not streamed.
    Attempt,
    /// All attempts and waits of one request together.
    Total,
}

/// How an upstream call failed where no status tells. Said by `upstream`, judged by `routing::outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// No connection could be made (refused, unreachable, name not found, TLS).
    Connect,
    /// The connection was lost after it had been made.
    Reset,
    /// A deadline passed.
    Timeout(Phase),
    /// The answer ended before its protocol says that it is complete.
    Cut,
    /// The answer is not what the protocol says (HTML, broken JSON, an oversized line, no event at all).
    Malformed,
    /// Nothing of the upstream's: this process had no room for the answer, or no socket for the call.
    NoRoom,
}

impl FaultKind {
    /// Low-cardinality name for logs and the `error_type` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "upstream_connect",
            Self::Reset => "upstream_reset",
            Self::Timeout(Phase::Connect) => "upstream_timeout_connect",
            Self::Timeout(Phase::FirstToken) => "upstream_timeout_first_token",
            Self::Timeout(Phase::Idle) => "upstream_timeout_idle",
            Self::Timeout(Phase::Attempt) => "upstream_timeout_attempt",
            Self::Timeout(Phase::Total) => "upstream_timeout_total",
            Self::Cut => "upstream_cut",
            Self::Malformed => "upstream_malformed",
            Self::NoRoom => "no_room",
        }
    }
}

/// nginx' number for a client that closed its connection first; it stands in the log and is never sent.
pub const CLIENT_LEFT: u16 = 499;

/// What went wrong, as a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No client key, or a wrong one.
    Unauthorized,
    /// The endpoint is switched off.
    Forbidden,
    /// More requests in flight than `max_in_flight`, or the process has no memory or socket left for this one.
    Overloaded,
    /// The body is larger than `body_limit_bytes`.
    BodyTooLarge,
    /// The client's body did not arrive in time.
    BodyTimeout,
    /// The body is not what the endpoint takes.
    InvalidRequest,
    /// No model of this name.
    ModelNotFound,
    /// The client is over its limit of requests, in a minute or in flight.
    RateLimited,
    /// The client is over its limit of tokens in a minute.
    TokenLimited,
    /// The model has routes, but none can be called (no key, disabled, unset variable).
    NoUsableRoute,
    /// Every route said 429, or every key rests.
    UpstreamRateLimited,
    /// Every route was too slow.
    UpstreamTimeout,
    /// The routes failed in several ways.
    UpstreamUnavailable,
    /// The only call made was refused with this status, and its body cannot be passed on.
    UpstreamRefused(u16),
    /// Upstreams refused the prompt because it does not fit into the model's context.
    PromptTooLong,
    /// A stream broke after its head had been sent.
    UpstreamBroken(FaultKind),
    /// The upstream sent an error inside a stream after content had been sent.
    UpstreamErrorEvent,
    /// No such path.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body is not JSON by its content type.
    UnsupportedMediaType,
    /// The gateway is stopping and ended this stream itself.
    Stopping,
    /// The client closed its connection before the answer was complete; never sent.
    ClientLeft,
    /// The client stopped reading its stream (`client_stall_seconds`).
    ClientStalled,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// The status sent when the head has not gone out yet.
    pub fn status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::InvalidRequest | Self::PromptTooLong => 400,
            Self::BodyTooLarge => 413,
            Self::BodyTimeout | Self::ClientStalled => 408,
            Self::ModelNotFound | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::UnsupportedMediaType => 415,
            Self::RateLimited | Self::TokenLimited | Self::UpstreamRateLimited => 429,
            Self::Overloaded | Self::NoUsableRoute | Self::UpstreamUnavailable | Self::Stopping => {
                503
            }
            Self::UpstreamTimeout => 504,
            Self::UpstreamRefused(status) => status,
            Self::ClientLeft => CLIENT_LEFT,
            Self::UpstreamBroken(_) | Self::UpstreamErrorEvent => 502,
            Self::Internal => 500,
        }
    }

    /// Low-cardinality name for logs and the `error_type` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Overloaded => "overloaded",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::InvalidRequest => "invalid_request",
            Self::ModelNotFound => "model_not_found",
            Self::RateLimited => "rate_limited",
            Self::TokenLimited => "token_limited",
            Self::NoUsableRoute => "no_usable_route",
            Self::UpstreamRateLimited => "upstream_rate_limited",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamRefused(_) => "upstream_refused",
            Self::PromptTooLong => "prompt_too_long",
            Self::UpstreamBroken(fault) => fault.name(),
            Self::UpstreamErrorEvent => "upstream_error_event",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Stopping => "stopping",
            Self::ClientLeft => "client_left",
            Self::ClientStalled => "client_stalled",
            Self::Internal => "internal",
        }
    }

    /// Whose fault it is.
    pub fn blame(self) -> Blame {
        match self {
            Self::Unauthorized
            | Self::Forbidden
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::InvalidRequest
            | Self::PromptTooLong
            | Self::ModelNotFound
            | Self::RateLimited
            | Self::TokenLimited
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::UnsupportedMediaType
            | Self::ClientLeft
            | Self::ClientStalled => Blame::Client,
            Self::UpstreamRateLimited
            | Self::UpstreamTimeout
            | Self::UpstreamUnavailable
            | Self::UpstreamRefused(_)
            | Self::UpstreamBroken(_)
            | Self::UpstreamErrorEvent => Blame::Upstream,
            Self::Overloaded | Self::NoUsableRoute | Self::Stopping | Self::Internal => {
                Blame::Gateway
            }
        }
    }
}

/// An error as the client will read it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct GatewayError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Our words: what is wrong and where; lower case is not required, this is for people and SDKs.
    pub message: String,
    /// The member of the request that is wrong, in dotted form.
    pub param: Option<String>,
    /// When trying again may help.
    pub retry_after: Option<Duration>,
}

impl GatewayError {
    /// An error without parameter and without retry time.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            retry_after: None,
        }
    }

    /// Names the member of the request that is wrong.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says when trying again may help.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }
}
