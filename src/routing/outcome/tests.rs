//! The table of failures, row by row, and everything that may override it.

mod table;
mod words;

use std::sync::Arc;

use super::*;
use crate::routing::samples;

const MAX: Duration = Duration::from_secs(3_600);
const COOLDOWN: Duration = Duration::from_secs(300);

fn route(change: impl FnOnce(&mut Provider)) -> Route {
    let mut provider = samples::provider("acme", 2);
    change(&mut provider);
    samples::route(&Arc::new(provider), "m")
}

fn plain() -> Route {
    route(|_| {})
}

fn with_rule(status: u16, action: Option<ErrorAction>, cooldown: Option<Duration>) -> Route {
    route(|provider| {
        provider
            .error_rules
            .insert(status, ErrorRule { action, cooldown });
    })
}

fn status(status: u16) -> Failure<'static> {
    Failure {
        status: Some(status),
        ..Failure::default()
    }
}

fn fault(fault: FaultKind) -> Failure<'static> {
    Failure {
        fault: Some(fault),
        ..Failure::default()
    }
}

fn error(kind: &str, code: &str, message: &str) -> UpstreamError {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    UpstreamError {
        kind: some(kind),
        code: some(code),
        message: message.to_owned(),
        ..UpstreamError::default()
    }
}

fn said(status: u16, error: &UpstreamError, route: &Route) -> Judgement {
    let failure = Failure {
        status: Some(status),
        error: Some(error),
        ..Failure::default()
    };
    judge(&failure, route, MAX)
}

/// A rest of the usual length. What it is for is told apart: see [`because`].
fn rest(scope: Scope, kind: RestKind) -> KeyEffect {
    KeyEffect::Rest {
        scope,
        kind,
        duration: COOLDOWN,
        asked: false,
        why: Class::Transient,
    }
}

/// The same rest, for this class of failure: every rest tells what it is for.
fn because(class: Class, effect: KeyEffect) -> KeyEffect {
    match effect {
        KeyEffect::Rest {
            scope,
            kind,
            duration,
            asked,
            ..
        } => KeyEffect::Rest {
            scope,
            kind,
            duration,
            asked,
            why: class,
        },
        nothing => nothing,
    }
}

fn duration(judgement: Judgement) -> Option<(Duration, bool)> {
    match judgement.key {
        KeyEffect::Rest {
            duration, asked, ..
        } => Some((duration, asked)),
        _ => None,
    }
}

#[test]
fn every_status_has_its_row() {
    let banned = rest(Scope::Key, RestKind::Banned);
    let limited = rest(Scope::KeyModel, RestKind::Banned);
    let shaken = rest(Scope::KeyModel, RestKind::Transient);
    let nothing = KeyEffect::None;
    for (statuses, class, key, next) in [
        (
            vec![400, 409, 413, 422],
            Class::ClientFault,
            nothing,
            Next::Return,
        ),
        (vec![401, 403], Class::BadKey, banned, Next::Key),
        (vec![402], Class::Quota, banned, Next::Key),
        (
            vec![
                301, 307, 404, 405, 406, 410, 415, 418, 421, 431, 451, 501, 505,
            ],
            Class::Misconfigured,
            nothing,
            Next::Route,
        ),
        (vec![429], Class::RateLimited, limited, Next::Key),
        (
            vec![408, 500, 502, 503, 504, 520, 524, 529, 598, 999],
            Class::Transient,
            shaken,
            Next::Key,
        ),
    ] {
        for code in statuses {
            let judged = judge(&status(code), &plain(), MAX);
            assert_eq!(
                (judged.class, judged.key, judged.next, judged.repair),
                (class, because(class, key), next, false),
                "{code}"
            );
        }
    }
}

#[test]
fn every_fault_has_its_row() {
    let shaken = rest(Scope::KeyModel, RestKind::Transient);
    for (kind, class, key, next, repeatable) in [
        (
            FaultKind::Connect,
            Class::Transient,
            shaken,
            Next::Key,
            true,
        ),
        (FaultKind::Reset, Class::Transient, shaken, Next::Key, true),
        (FaultKind::Cut, Class::Transient, shaken, Next::Key, true),
        (
            FaultKind::Malformed,
            Class::Transient,
            shaken,
            Next::Key,
            true,
        ),
        (
            FaultKind::Timeout(Phase::Connect),
            Class::Timeout,
            shaken,
            Next::Route,
            false,
        ),
        (
            FaultKind::Timeout(Phase::FirstToken),
            Class::Timeout,
            shaken,
            Next::Route,
            false,
        ),
        (
            FaultKind::Timeout(Phase::Idle),
            Class::Timeout,
            shaken,
            Next::Route,
            false,
        ),
        (
            FaultKind::Timeout(Phase::Attempt),
            Class::Timeout,
            shaken,
            Next::Route,
            false,
        ),
        (
            FaultKind::Timeout(Phase::Total),
            Class::Timeout,
            KeyEffect::None,
            Next::Return,
            false,
        ),
    ] {
        for head in [None, Some(200)] {
            let failure = Failure {
                status: head,
                ..fault(kind)
            };
            let judged = judge(&failure, &plain(), MAX);
            assert_eq!(
                (judged.class, judged.key, judged.next, judged.repeatable),
                (class, because(class, key), next, repeatable),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn a_success_without_an_answer_or_with_an_error_inside_is_a_502() {
    let plain = plain();
    let expected = judge(&status(502), &plain, MAX);
    assert_eq!(judge(&status(200), &plain, MAX), expected);
    assert_eq!(judge(&Failure::default(), &plain, MAX), expected);
    let overloaded = error("overloaded_error", "", "Overloaded");
    assert_eq!(said(200, &overloaded, &plain), expected);
    let ruled = with_rule(502, Some(ErrorAction::FallbackNoCooldown), None);
    assert_eq!(said(200, &overloaded, &ruled).next, Next::Route);
}

#[test]
fn what_the_request_itself_caused_rests_no_key_even_inside_a_success() {
    let wrong = error("invalid_request_error", "", "tools.0: unknown member");
    let judged = said(200, &wrong, &plain());
    assert_eq!(
        (judged.class, judged.key, judged.next),
        (Class::Transient, KeyEffect::None, Next::Key)
    );
    let status_inside = UpstreamError {
        status: Some(422),
        ..UpstreamError::default()
    };
    assert_eq!(said(200, &status_inside, &plain()).key, KeyEffect::None);
    let long = error("", "context_length_exceeded", "");
    assert_eq!(said(200, &long, &plain()).class, Class::ContextLength);
    let refused = error("", "content_filter", "");
    assert_eq!(said(200, &refused, &plain()).class, Class::ContentPolicy);
}

#[test]
fn a_request_that_is_too_long_goes_on_to_other_routes_in_both_protocols() {
    for error in [
        error("invalid_request_error", "context_length_exceeded", "…"),
        error(
            "invalid_request_error",
            "",
            "prompt is too long: 208310 tokens > 200000 maximum",
        ),
        error(
            "invalid_request_error",
            "",
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
        ),
        error(
            "BadRequestError",
            "400",
            "This model's maximum context length is 8192 tokens.",
        ),
        error("exceed_context_size_error", "400", "…"),
        error(
            "INVALID_ARGUMENT",
            "",
            "The input token count (1200000) exceeds the maximum number of tokens allowed",
        ),
    ] {
        for code in [400, 413, 422] {
            let judged = said(code, &error, &plain());
            assert_eq!(
                (judged.class, judged.key, judged.next, judged.repeatable),
                (Class::ContextLength, KeyEffect::None, Next::Route, false),
                "{error:?}"
            );
        }
    }
}

#[test]
fn a_request_larger_than_a_minute_allows_rests_no_key() {
    let large = error(
        "tokens",
        "rate_limit_exceeded",
        "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7000",
    );
    for code in [413, 429] {
        let judged = said(code, &large, &plain());
        assert_eq!(
            (judged.class, judged.key, judged.next),
            (Class::ContextLength, KeyEffect::None, Next::Route)
        );
    }
    let quoted = error(
        "",
        "",
        "Rate limit reached; \"request too large for\" is what you wrote",
    );
    assert_eq!(said(429, &quoted, &plain()).class, Class::RateLimited);
}

#[test]
fn a_refusal_for_its_content_goes_nowhere_else() {
    for (code, error) in [
        (400, error("", "content_policy_violation", "")),
        (
            400,
            error("", "content_filter", "The response was filtered"),
        ),
        (
            400,
            error(
                "invalid_request_error",
                "",
                "Output blocked by content filtering policy",
            ),
        ),
        (
            403,
            error(
                "",
                "403",
                "acme/x requires moderation. Your input was flagged for \"violence\".",
            ),
        ),
    ] {
        let judged = said(code, &error, &plain());
        assert_eq!(
            (judged.class, judged.key, judged.next, judged.repeatable),
            (Class::ContentPolicy, KeyEffect::None, Next::Return, false),
            "{error:?}"
        );
    }
}

#[test]
fn a_400_that_means_a_bad_key_bans_it() {
    let route = route(|provider| {
        provider.bad_key_phrases = vec!["API key not valid".to_owned(), "  ".to_owned()];
    });
    for error in [
        error("", "API_KEY_INVALID", ""),
        error("invalid_api_key", "", ""),
        error("INVALID_ARGUMENT", "400", "API key not valid. Please…"),
        error("", "", "  api KEY not valid"),
    ] {
        let judged = said(400, &error, &route);
        assert_eq!(judged.class, Class::BadKey, "{error:?}");
        assert_eq!(
            judged.key,
            because(judged.class, rest(Scope::Key, RestKind::Banned))
        );
        assert_eq!(judged.next, Next::Key);
        assert_ne!(said(422, &error, &route).class, Class::BadKey);
    }
}

#[test]
fn a_client_that_quotes_a_bad_key_phrase_bans_no_key() {
    let route = route(|provider| {
        provider.bad_key_phrases = vec!["API key not valid".to_owned(), String::new()];
    });
    for message in [
        "unknown tool `API key not valid`",
        "API_KEY_INVALID",
        "API key",
        "ÄPI key not valid",
        "",
    ] {
        let judged = said(400, &error("invalid_request_error", "", message), &route);
        assert_eq!(judged.class, Class::ClientFault, "{message}");
        assert_eq!(judged.key, KeyEffect::None);
    }
}

#[test]
fn an_empty_account_bans_the_key_for_all_models() {
    for error in [
        error("insufficient_quota", "insufficient_quota", ""),
        error("", "insufficient_quota", ""),
    ] {
        let judged = said(429, &error, &plain());
        assert_eq!(
            (judged.class, judged.key, judged.next, judged.repeatable),
            (
                Class::Quota,
                because(Class::Quota, rest(Scope::Key, RestKind::Banned)),
                Next::Key,
                false
            )
        );
    }
}

#[test]
fn only_listed_statuses_and_lost_connections_are_repeated() {
    let route = route(|provider| provider.retry_on_status = vec![429, 503, 409, 401, 404]);
    let repeatable = |failure: Failure<'_>| judge(&failure, &route, MAX).repeatable;
    assert!(repeatable(status(429)));
    assert!(repeatable(status(503)));
    assert!(repeatable(status(529)), "529 counts as 503");
    assert!(repeatable(fault(FaultKind::Connect)));
    assert!(repeatable(fault(FaultKind::Reset)));
    for code in [500, 502, 504, 408, 409, 401, 404] {
        assert!(!repeatable(status(code)), "{code}");
    }
    assert!(!repeatable(fault(FaultKind::Cut)));
    let none = self::route(|provider| provider.retry_on_status = vec![529]);
    assert!(judge(&status(529), &none, MAX).repeatable);
    assert!(!judge(&status(503), &none, MAX).repeatable);
    let after_head = Failure {
        status: Some(500),
        ..fault(FaultKind::Reset)
    };
    assert!(!judge(&after_head, &none, MAX).repeatable);
}

#[test]
fn the_five_actions_of_the_provider_file_override_the_row() {
    let banned = |scope| rest(scope, RestKind::Banned);
    for (action, key, next, repair) in [
        (
            ErrorAction::GlobalKeyFailure,
            banned(Scope::Key),
            Next::Key,
            false,
        ),
        (
            ErrorAction::ModelKeyFailure,
            banned(Scope::KeyModel),
            Next::Key,
            false,
        ),
        (
            ErrorAction::ProviderCooldown,
            banned(Scope::Provider),
            Next::Route,
            false,
        ),
        (
            ErrorAction::FallbackNoCooldown,
            KeyEffect::None,
            Next::Route,
            false,
        ),
        (
            ErrorAction::AutoFixToolResponses,
            KeyEffect::None,
            Next::Route,
            true,
        ),
    ] {
        for code in [400, 401, 404, 422, 429, 500, 503] {
            let judged = judge(&status(code), &with_rule(code, Some(action), None), MAX);
            assert_eq!(
                (judged.key, judged.next, judged.repair),
                (because(judged.class, key), next, repair),
                "{action:?} {code}"
            );
            let other = judge(&status(599), &with_rule(code, Some(action), None), MAX);
            assert_eq!(other.key, rest(Scope::KeyModel, RestKind::Transient));
        }
    }
}

#[test]
fn an_override_keeps_what_the_failure_is_unless_it_blames_the_key() {
    let class =
        |code, action| judge(&status(code), &with_rule(code, Some(action), None), MAX).class;
    assert_eq!(
        class(429, ErrorAction::ProviderCooldown),
        Class::RateLimited
    );
    assert_eq!(
        class(400, ErrorAction::FallbackNoCooldown),
        Class::ClientFault
    );
    assert_eq!(class(400, ErrorAction::GlobalKeyFailure), Class::BadKey);
}

#[test]
fn no_override_lets_a_request_s_content_rest_a_key() {
    let long = error("", "context_length_exceeded", "");
    for action in [
        ErrorAction::GlobalKeyFailure,
        ErrorAction::ModelKeyFailure,
        ErrorAction::ProviderCooldown,
    ] {
        let judged = said(400, &long, &with_rule(400, Some(action), None));
        assert_eq!(judged.key, KeyEffect::None);
        assert_eq!(judged.class, Class::ContextLength);
    }
}

#[test]
fn a_bad_key_and_an_empty_account_follow_the_rules_of_401_and_402() {
    let shipped = Some(ErrorAction::FallbackNoCooldown);
    let bad_key = error("", "API_KEY_INVALID", "");
    let judged = said(400, &bad_key, &with_rule(400, shipped, None));
    assert_eq!(
        judged.key,
        because(judged.class, rest(Scope::Key, RestKind::Banned))
    );
    let judged = said(400, &bad_key, &with_rule(401, shipped, None));
    assert_eq!((judged.key, judged.next), (KeyEffect::None, Next::Route));
    let empty = error("insufficient_quota", "", "");
    let judged = said(
        429,
        &empty,
        &with_rule(429, Some(ErrorAction::ModelKeyFailure), None),
    );
    assert_eq!(
        judged.key,
        because(judged.class, rest(Scope::Key, RestKind::Banned))
    );
}

#[test]
fn the_cooldown_is_the_first_that_is_present_and_zero_is_no_rest() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let asks = |retry_after| Failure {
        retry_after,
        ..status(429)
    };
    let case = |rule, cooldown, asked, off| {
        let mut route = with_rule(429, None, rule);
        route.cooldown = Duration::from_secs(cooldown);
        route.cooldowns_off = off;
        duration(judge(&asks(asked), &route, MAX)).map(|(length, asked)| (length.as_secs(), asked))
    };
    assert_eq!(case(None, 180, None, false), Some((180, false)));
    assert_eq!(case(seconds(30), 180, None, false), Some((30, false)));
    assert_eq!(case(seconds(30), 0, None, false), Some((30, false)));
    assert_eq!(case(seconds(0), 180, None, false), None);
    assert_eq!(
        case(seconds(0), 180, seconds(9), false),
        None,
        "zero wins over Retry-After"
    );
    assert_eq!(case(None, 0, seconds(9), false), None);
    assert_eq!(case(seconds(30), 180, seconds(9), false), Some((9, true)));
    assert_eq!(
        case(None, 180, seconds(600), false),
        Some((600, true)),
        "in either direction"
    );
    assert_eq!(
        case(None, 180, seconds(86_400), false),
        Some((3_600, true)),
        "capped"
    );
    assert_eq!(case(None, 86_400, None, false), Some((3_600, false)));
    assert_eq!(case(None, 180, seconds(0), false), None);
    assert_eq!(
        case(seconds(30), 180, seconds(9), true),
        None,
        "switched off"
    );
}

#[test]
fn a_rule_without_action_changes_only_the_time() {
    let route = with_rule(503, None, Some(Duration::from_secs(60)));
    let judged = judge(&status(503), &route, MAX);
    assert_eq!(
        judged.key,
        KeyEffect::Rest {
            scope: Scope::KeyModel,
            kind: RestKind::Transient,
            duration: Duration::from_secs(60),
            asked: false,
            why: Class::Transient,
        }
    );
    assert_eq!((judged.class, judged.next), (Class::Transient, Next::Key));
}

#[test]
fn classes_have_distinct_names() {
    let names = Class::ALL.map(Class::name);
    let distinct: std::collections::HashSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    for class in Class::ALL {
        assert_eq!(Class::from_name(class.name()), Some(class));
    }
    assert_eq!(Class::from_name("ok"), None);
}
