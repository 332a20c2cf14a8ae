//! Every row of the table of failures, against every action that a provider file may put in its place.

use super::*;

/// A row as the design has it, written apart from the code that judges.
struct Expected {
    class: Class,
    rest: Option<(Scope, RestKind)>,
    next: Next,
    /// The status whose rule in the provider file applies.
    rule: Option<u16>,
}

const CLIENT: (Class, Option<(Scope, RestKind)>, Next) = (Class::ClientFault, None, Next::Return);
const LONG: (Class, Option<(Scope, RestKind)>, Next) = (Class::ContextLength, None, Next::Route);
const POLICY: (Class, Option<(Scope, RestKind)>, Next) = (Class::ContentPolicy, None, Next::Return);
const BAD_KEY: (Class, Option<(Scope, RestKind)>, Next) = (
    Class::BadKey,
    Some((Scope::Key, RestKind::Banned)),
    Next::Key,
);
const EMPTY: (Class, Option<(Scope, RestKind)>, Next) = (
    Class::Quota,
    Some((Scope::Key, RestKind::Banned)),
    Next::Key,
);
const ROUTE: (Class, Option<(Scope, RestKind)>, Next) = (Class::Misconfigured, None, Next::Route);
const LIMITED: (Class, Option<(Scope, RestKind)>, Next) = (
    Class::RateLimited,
    Some((Scope::KeyModel, RestKind::Banned)),
    Next::Key,
);
const SHAKEN: (Class, Option<(Scope, RestKind)>, Next) = (
    Class::Transient,
    Some((Scope::KeyModel, RestKind::Transient)),
    Next::Key,
);
const SLOW: (Class, Option<(Scope, RestKind)>, Next) = (
    Class::Timeout,
    Some((Scope::KeyModel, RestKind::Transient)),
    Next::Route,
);

type Row = (Class, Option<(Scope, RestKind)>, Next);

fn expected((class, rest, next): Row, rule: Option<u16>) -> Expected {
    Expected {
        class,
        rest,
        next,
        rule,
    }
}

/// Every failure that the table knows, with its row.
fn rows() -> Vec<(Failure<'static>, Expected)> {
    let said = |code: u16, kind: &str, name: &str, message: &str| Failure {
        status: Some(code),
        error: Some(Box::leak(Box::new(error(kind, name, message)))),
        ..Failure::default()
    };
    let mut rows = Vec::new();
    for code in 300..=999 {
        let row = match code {
            400 | 409 | 413 | 422 => CLIENT,
            401 | 403 => BAD_KEY,
            402 => EMPTY,
            429 => LIMITED,
            501 | 505 => ROUTE,
            408 | 500.. => SHAKEN,
            _ => ROUTE,
        };
        rows.push((status(code), expected(row, Some(code))));
    }
    for code in [400, 413, 422, 500] {
        rows.push((
            said(code, "", "context_length_exceeded", ""),
            expected(LONG, None),
        ));
    }
    for code in [413, 429] {
        rows.push((
            said(code, "tokens", "", "Request too large for model `x`"),
            expected(LONG, None),
        ));
    }
    for code in [400, 403, 422] {
        rows.push((
            said(code, "", "content_policy_violation", ""),
            expected(POLICY, None),
        ));
    }
    rows.push((
        said(400, "", "API_KEY_INVALID", ""),
        expected(BAD_KEY, Some(401)),
    ));
    for code in [400, 429] {
        rows.push((
            said(code, "insufficient_quota", "", ""),
            expected(EMPTY, Some(402)),
        ));
    }
    // Whatever a success holds instead of an answer is a 502, an error of any type among it.
    rows.push((status(200), expected(SHAKEN, Some(502))));
    for name in [
        "overloaded_error",
        "api_error",
        "rate_limit_error",
        "authentication_error",
        "server_error",
    ] {
        rows.push((said(200, name, "", "…"), expected(SHAKEN, Some(502))));
    }
    rows.push((
        said(200, "", "context_length_exceeded", ""),
        expected(LONG, None),
    ));
    rows.push((said(200, "", "content_filter", ""), expected(POLICY, None)));
    for kind in [FaultKind::Cut, FaultKind::Malformed] {
        rows.push((fault(kind), expected(SHAKEN, Some(502))));
    }
    for kind in [FaultKind::Connect, FaultKind::Reset] {
        rows.push((fault(kind), expected(SHAKEN, None)));
    }
    for phase in [
        Phase::Connect,
        Phase::FirstToken,
        Phase::Idle,
        Phase::Attempt,
    ] {
        rows.push((fault(FaultKind::Timeout(phase)), expected(SLOW, None)));
    }
    let crowded = (Class::Overloaded, None, Next::Return);
    rows.push((fault(FaultKind::NoRoom), expected(crowded, None)));
    let out_of_time = (Class::Timeout, None, Next::Return);
    rows.push((
        fault(FaultKind::Timeout(Phase::Total)),
        expected(out_of_time, None),
    ));
    rows
}

/// What an action puts in a row's place: what rests (always as a ban), where the request goes, whether it is repaired.
fn replaced(action: ErrorAction) -> (Option<Scope>, Next, bool) {
    match action {
        ErrorAction::GlobalKeyFailure => (Some(Scope::Key), Next::Key, false),
        ErrorAction::ModelKeyFailure => (Some(Scope::KeyModel), Next::Key, false),
        ErrorAction::ProviderCooldown => (Some(Scope::Provider), Next::Route, false),
        ErrorAction::FallbackNoCooldown => (None, Next::Route, false),
        ErrorAction::AutoFixToolResponses => (None, Next::Route, true),
    }
}

const ACTIONS: [ErrorAction; 5] = [
    ErrorAction::GlobalKeyFailure,
    ErrorAction::ModelKeyFailure,
    ErrorAction::ProviderCooldown,
    ErrorAction::FallbackNoCooldown,
    ErrorAction::AutoFixToolResponses,
];

fn effect(class: Class, rest: Option<(Scope, RestKind)>) -> KeyEffect {
    rest.map_or(KeyEffect::None, |(scope, kind)| {
        because(class, super::rest(scope, kind))
    })
}

#[test]
fn every_row_is_judged_as_the_table_says() {
    for (failure, expected) in rows() {
        let judged = judge(&failure, &plain(), MAX);
        assert_eq!(
            (judged.class, judged.key, judged.next, judged.repair),
            (
                expected.class,
                effect(expected.class, expected.rest),
                expected.next,
                false
            ),
            "{failure:?}"
        );
    }
}

#[test]
fn each_of_the_five_actions_replaces_every_row_that_has_a_status_and_no_other() {
    for action in ACTIONS {
        for (failure, expected) in rows() {
            let status = expected.rule.unwrap_or(599);
            let route = with_rule(status, Some(action), None);
            let judged = judge(&failure, &route, MAX);
            let (key, next, repair) = if expected.rule.is_some() {
                let (scope, next, repair) = replaced(action);
                (
                    effect(judged.class, scope.map(|scope| (scope, RestKind::Banned))),
                    next,
                    repair,
                )
            } else {
                (effect(expected.class, expected.rest), expected.next, false)
            };
            assert_eq!(
                (judged.key, judged.next, judged.repair),
                (key, next, repair),
                "{action:?} {failure:?}"
            );
        }
    }
}

#[test]
fn a_rule_for_another_status_changes_no_row() {
    for action in ACTIONS {
        for (failure, expected) in rows() {
            let other = if expected.rule == Some(418) { 419 } else { 418 };
            let judged = judge(&failure, &with_rule(other, Some(action), None), MAX);
            assert_eq!(judged, judge(&failure, &plain(), MAX), "{failure:?}");
        }
    }
}

#[test]
fn where_cooldowns_are_off_no_row_and_no_action_rests_anything() {
    for (failure, expected) in rows() {
        for action in [None].into_iter().chain(ACTIONS.map(Some)) {
            let mut route = with_rule(expected.rule.unwrap_or(599), action, None);
            route.cooldowns_off = true;
            let asked = Failure {
                retry_after: Some(Duration::from_secs(9)),
                ..failure
            };
            assert_eq!(judge(&asked, &route, MAX).key, KeyEffect::None);
        }
    }
}

#[test]
fn a_time_that_the_upstream_names_replaces_the_cooldown_of_every_row_that_rests() {
    for (failure, expected) in rows() {
        for (asked, length) in [(9, 9), (600, 600), (86_400, 3_600)] {
            let asked = Failure {
                retry_after: Some(Duration::from_secs(asked)),
                ..failure
            };
            let judged = duration(judge(&asked, &plain(), MAX));
            let wanted = expected.rest.map(|_| (Duration::from_secs(length), true));
            assert_eq!(judged, wanted, "{failure:?}");
        }
    }
}

#[test]
fn only_failures_that_a_wait_may_mend_are_repeated() {
    for (failure, expected) in rows() {
        let judged = judge(&failure, &plain(), MAX);
        let listed = match expected.rule {
            Some(529) => true,
            Some(status) => plain().provider.retry_on_status.contains(&status),
            None => matches!(failure.fault, Some(FaultKind::Connect | FaultKind::Reset)),
        };
        let mends = matches!(expected.class, Class::RateLimited | Class::Transient);
        assert_eq!(judged.repeatable, listed && mends, "{failure:?}");
    }
}
