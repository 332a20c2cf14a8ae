//! What a failed call means for the key and for the request: the table of failures, as one pure function.
//! It knows no HTTP client, and it waits for nothing; who calls it does what it says.

mod headroom;
mod limits;
mod recognise;
mod wait;

use std::time::Duration;

use crate::config::catalog::{ErrorAction, ErrorRule, Provider, Route};
use crate::error::{FaultKind, Phase};
use crate::protocol::UpstreamError;

pub use headroom::{Headroom, headroom, spent};
pub use wait::{retry_after, retry_after_header};

/// One failed call, as far as it got.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failure<'a> {
    /// Status of the head; `None`: no head came.
    pub status: Option<u16>,
    /// What broke where no status tells.
    pub fault: Option<FaultKind>,
    /// The error in the body or in an event.
    pub error: Option<&'a UpstreamError>,
    /// What [`retry_after`] read from the head.
    pub retry_after: Option<Duration>,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// What it is.
    pub class: Class,
    /// What it does to the key.
    pub key: KeyEffect,
    /// Where the request goes.
    pub next: Next,
    /// Whether the same call may be repeated after a wait when the route's ready keys are used up.
    pub repeatable: bool,
    /// The time that the upstream named: the same call is not repeated before, whether or not the key rests so long.
    pub asked: Option<Duration>,
    /// The provider file wants missing tool results added and the call made once more before `next`.
    pub repair: bool,
}

impl Judgement {
    /// Whether the route failed. A request that is wrong, too long or not allowed, or whose time was used up on other
    /// calls, says nothing about it.
    pub fn blames_route(&self) -> bool {
        match self.class {
            Class::ClientFault
            | Class::ContextLength
            | Class::ContentPolicy
            | Class::Overloaded => false,
            Class::Timeout => self.next != Next::Return,
            Class::BadKey
            | Class::Quota
            | Class::Misconfigured
            | Class::RateLimited
            | Class::Transient => true,
        }
    }
}

/// What a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request is wrong, wherever it goes.
    ClientFault,
    /// The request is too long for this model; another one may take it.
    ContextLength,
    /// The request was refused for what it asks; nobody else is asked.
    ContentPolicy,
    /// The key is wrong or not allowed.
    BadKey,
    /// The key's account has no money left.
    Quota,
    /// The route cannot work as it is configured.
    Misconfigured,
    /// Too many requests or tokens for this key.
    RateLimited,
    /// The provider is in trouble, or the way to it.
    Transient,
    /// The provider was too slow.
    Timeout,
    /// The gateway itself has no room for the call or its answer.
    Overloaded,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ClientFault,
        Self::ContextLength,
        Self::ContentPolicy,
        Self::BadKey,
        Self::Quota,
        Self::Misconfigured,
        Self::RateLimited,
        Self::Transient,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// The class of this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Low-cardinality name for the `outcome` of logs and attempts.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientFault => "client_fault",
            Self::ContextLength => "context_length",
            Self::ContentPolicy => "content_policy",
            Self::BadKey => "bad_key",
            Self::Quota => "quota",
            Self::Misconfigured => "misconfigured",
            Self::RateLimited => "rate_limited",
            Self::Transient => "transient",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
        }
    }
}

/// What a call does to the key that it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEffect {
    /// Nothing.
    None,
    /// The call succeeded, and the key's rests end. No failure is judged so.
    Success,
    /// Something rests.
    Rest {
        /// What rests.
        scope: Scope,
        /// Why, and so how the rest ends.
        kind: RestKind,
        /// How long; for [`RestKind::Transient`] the longest step, unless `asked`. Never zero.
        duration: Duration,
        /// The upstream named this time itself: the rest is exactly so long.
        asked: bool,
        /// What the failure was, for people.
        why: Class,
    },
}

/// What rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The key, for all models.
    Key,
    /// The key, for the upstream model of this call.
    KeyModel,
    /// The provider with all its keys.
    Provider,
}

/// Why something rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestKind {
    /// It was refused: calling it earlier is pointless.
    Banned,
    /// It had an accident: calling it earlier may work.
    Transient,
}

/// Where the request goes after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Back to the client.
    Return,
    /// To the route's next key; without one, as [`Next::Route`].
    Key,
    /// To the next route.
    Route,
}

/// Judges one failed call.
///
/// What a body says plainly wins over the provider file's rule for the status: a request that is too long never
/// rests a key, and a bad key or an empty account is judged as 401 or 402, rules of these statuses included.
/// `max_cooldown` bounds every rest.
pub fn judge(failure: &Failure<'_>, route: &Route, max_cooldown: Duration) -> Judgement {
    let provider = &route.provider;
    let mut row = row(failure, provider);
    let rule = row
        .status
        .and_then(|status| provider.error_rules.get(&status));
    let action = rule.and_then(|rule| rule.action);
    if let Some(action) = action {
        row = overridden(row, action);
    }
    Judgement {
        class: row.class,
        key: key_effect(&row, failure, route, rule, max_cooldown),
        next: row.next,
        repeatable: is_repeatable(&row, failure, provider),
        asked: failure.retry_after.filter(|asked| !asked.is_zero()),
        repair: action == Some(ErrorAction::AutoFixToolResponses),
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    class: Class,
    /// The status whose rule and whose place in `retry_on_status` count.
    status: Option<u16>,
    rest: Option<(Scope, RestKind)>,
    next: Next,
}

impl Row {
    fn new(class: Class, status: Option<u16>) -> Self {
        let (rest, next) = match class {
            Class::ClientFault | Class::ContentPolicy | Class::Overloaded => (None, Next::Return),
            Class::ContextLength | Class::Misconfigured => (None, Next::Route),
            Class::BadKey | Class::Quota => (Some((Scope::Key, RestKind::Banned)), Next::Key),
            Class::RateLimited => (Some((Scope::KeyModel, RestKind::Banned)), Next::Key),
            Class::Transient => (Some((Scope::KeyModel, RestKind::Transient)), Next::Key),
            Class::Timeout => (Some((Scope::KeyModel, RestKind::Transient)), Next::Route),
        };
        Self {
            class,
            status,
            rest,
            next,
        }
    }
}

fn row(failure: &Failure<'_>, provider: &Provider) -> Row {
    match failure.status {
        Some(status) if status >= 300 => refused(status, failure.error, provider),
        _ => broken(failure),
    }
}

/// The upstream answered with a status that is no success.
fn refused(status: u16, error: Option<&UpstreamError>, provider: &Provider) -> Row {
    if let (400 | 403 | 413 | 422, Some(error)) = (status, error) {
        if recognise::is_content_policy(error) {
            return Row::new(Class::ContentPolicy, None);
        }
        if status != 403 && recognise::is_context_length(error) {
            return Row::new(Class::ContextLength, None);
        }
        if status == 400 && recognise::is_bad_key(error, &provider.bad_key_phrases) {
            return Row::new(Class::BadKey, Some(401));
        }
    }
    if let (400 | 429, Some(error)) = (status, error)
        && recognise::is_out_of_quota(error)
    {
        return Row::new(Class::Quota, Some(402));
    }
    if let (429, Some(error)) = (status, error)
        && recognise::is_larger_than_limit(error)
    {
        return Row::new(Class::ContextLength, None);
    }
    // Some servers refuse a long prompt with a 500: the name tells, words alone might be about anything.
    if let (500.., Some(error)) = (status, error)
        && recognise::is_named_context_length(error)
    {
        return Row::new(Class::ContextLength, None);
    }
    let class = match status {
        400 | 409 | 413 | 422 => Class::ClientFault,
        401 | 403 => Class::BadKey,
        402 => Class::Quota,
        429 => Class::RateLimited,
        501 | 505 => Class::Misconfigured,
        408 | 500.. => Class::Transient,
        _ => Class::Misconfigured,
    };
    Row::new(class, Some(status))
}

/// The upstream did not answer, or its answer is not one.
fn broken(failure: &Failure<'_>) -> Row {
    match failure.fault {
        // The request used its time up on other calls; this one may have been as quick as ever.
        Some(FaultKind::Timeout(Phase::Total)) => Row {
            rest: None,
            next: Next::Return,
            ..Row::new(Class::Timeout, None)
        },
        Some(FaultKind::Timeout(_)) => Row::new(Class::Timeout, None),
        Some(FaultKind::Connect | FaultKind::Reset) => Row::new(Class::Transient, None),
        Some(FaultKind::NoRoom) => Row::new(Class::Overloaded, None),
        Some(FaultKind::Cut | FaultKind::Malformed) | None => {
            bad_gateway(failure.error.unwrap_or(&NOTHING_SAID))
        }
    }
}

const NOTHING_SAID: UpstreamError = UpstreamError {
    status: None,
    kind: None,
    code: None,
    param: None,
    message: String::new(),
};

/// An error inside a success counts as a 502, but what the request itself caused rests no key.
fn bad_gateway(error: &UpstreamError) -> Row {
    if recognise::is_content_policy(error) {
        return Row::new(Class::ContentPolicy, None);
    }
    if recognise::is_context_length(error) {
        return Row::new(Class::ContextLength, None);
    }
    let mut row = Row::new(Class::Transient, Some(502));
    if recognise::is_client_fault(error) {
        row.rest = None;
    }
    row
}

/// The provider file's action in place of the row's own effects.
fn overridden(row: Row, action: ErrorAction) -> Row {
    let (rest, next) = match action {
        ErrorAction::GlobalKeyFailure => (Some(Scope::Key), Next::Key),
        ErrorAction::ModelKeyFailure => (Some(Scope::KeyModel), Next::Key),
        ErrorAction::ProviderCooldown => (Some(Scope::Provider), Next::Route),
        ErrorAction::FallbackNoCooldown | ErrorAction::AutoFixToolResponses => (None, Next::Route),
    };
    // Where the file blames the key, the client is not to read that its request is wrong.
    let class = match row.class {
        Class::ClientFault if rest.is_some() => Class::BadKey,
        class => class,
    };
    Row {
        class,
        rest: rest.map(|scope| (scope, RestKind::Banned)),
        next,
        ..row
    }
}

/// How long the first of rule, route (which knows the rest of the order) and upstream says; zero is no rest.
fn key_effect(
    row: &Row,
    failure: &Failure<'_>,
    route: &Route,
    rule: Option<&ErrorRule>,
    max_cooldown: Duration,
) -> KeyEffect {
    let configured = rule
        .and_then(|rule| rule.cooldown)
        .unwrap_or(route.cooldown);
    let (Some((scope, kind)), false) = (row.rest, route.cooldowns_off || configured.is_zero())
    else {
        return KeyEffect::None;
    };
    let duration = failure.retry_after.unwrap_or(configured).min(max_cooldown);
    if duration.is_zero() {
        return KeyEffect::None;
    }
    KeyEffect::Rest {
        scope,
        kind,
        duration,
        asked: failure.retry_after.is_some(),
        why: row.class,
    }
}

fn is_repeatable(row: &Row, failure: &Failure<'_>, provider: &Provider) -> bool {
    let listed = |status: u16| provider.retry_on_status.contains(&status);
    let lost = matches!(
        failure.fault,
        Some(FaultKind::Connect | FaultKind::Reset) if row.status.is_none()
    );
    match row.class {
        Class::RateLimited | Class::Transient if row.next == Next::Key => {
            lost || row
                .status
                .is_some_and(|status| listed(status) || (status == 529 && listed(503)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
