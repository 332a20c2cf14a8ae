//! Deadlines as one level (route, model, provider) writes them, and the nearest level's choice of each.

use std::time::Duration;

use super::catalog::Timeouts;
use super::document::Members;
use super::report::Report;
use super::seconds::Zero;
use super::settings::Settings;

/// `timeouts` and `timeout_seconds` of one level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Deadlines {
    connect: Option<Duration>,
    first_token: Option<Duration>,
    idle: Option<Duration>,
    total: Option<Duration>,
    /// The original's single number: first token and idle of a stream, and one attempt at a whole answer.
    single: Option<Duration>,
}

impl Deadlines {
    /// Takes both members out of an object; unknown ones inside `timeouts` are warned of, wherever it stands,
    /// because a misspelled deadline fails at the worst moment.
    pub(crate) fn read(members: &mut Members<'_>, report: &mut Report) -> Self {
        let mut deadlines = Self {
            single: members.seconds("timeout_seconds", Zero::Refused, report),
            ..Self::default()
        };
        if let Some(mut timeouts) = members.object("timeouts", report) {
            deadlines.connect = timeouts.seconds("connect_seconds", Zero::Refused, report);
            deadlines.first_token = timeouts.seconds("first_token_seconds", Zero::Refused, report);
            deadlines.idle = timeouts.seconds("idle_seconds", Zero::Refused, report);
            deadlines.total = timeouts.seconds("total_seconds", Zero::Refused, report);
            timeouts.warn_of_unknown(report);
        }
        deadlines
    }
}

/// The deadlines of a route: of each the nearest level that names it, the settings last.
pub(crate) fn resolve(nearest_first: [&Deadlines; 3], settings: &Settings) -> Timeouts {
    let nearest =
        |choose: fn(&Deadlines) -> Option<Duration>| nearest_first.into_iter().find_map(choose);
    Timeouts {
        connect: nearest(|level| level.connect).unwrap_or(settings.connect),
        first_token: nearest(|level| level.first_token.or(level.single))
            .unwrap_or(settings.first_token),
        idle: nearest(|level| level.idle.or(level.single)).unwrap_or(settings.idle),
        total: nearest(|level| level.total).unwrap_or(settings.total),
        // A nearer `total_seconds` has said how long a whole answer may take: a farther `timeout_seconds` is overruled.
        attempt: nearest_first
            .into_iter()
            .find(|level| level.single.is_some() || level.total.is_some())
            .and_then(|level| level.single),
    }
}

/// Deadlines that can never pass, because another one always passes first.
pub(crate) fn contradictions(timeouts: &Timeouts) -> Vec<String> {
    let never = |name: &str, inner: Duration, outer_name: &str, outer: Duration| {
        (inner > outer).then(|| {
            format!(
                "{name} ({} s) is longer than {outer_name} ({} s), which always passes first",
                inner.as_secs_f64(),
                outer.as_secs_f64()
            )
        })
    };
    let Timeouts {
        connect,
        first_token,
        total,
        attempt,
        ..
    } = *timeouts;
    let whole =
        attempt.and_then(|attempt| never("timeout_seconds", attempt, "total_seconds", total));
    [
        never(
            "connect_seconds",
            connect,
            "first_token_seconds",
            first_token,
        ),
        never("first_token_seconds", first_token, "total_seconds", total),
        whole,
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::document::Node;
    use crate::config::environment::Environment;

    fn level(text: &str) -> Deadlines {
        let mut report = Report::new(Path::new("a.json"));
        let node = Node::parse(text, &mut report).unwrap();
        let mut members = node.members(&mut report).unwrap();
        let deadlines = Deadlines::read(&mut members, &mut report);
        assert_eq!(report.faults, []);
        deadlines
    }

    fn resolved(levels: [&str; 3]) -> Timeouts {
        let settings = Settings::load(None, &Environment::default()).unwrap();
        let [route, model, provider] = levels.map(level);
        resolve([&route, &model, &provider], &settings)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn without_any_level_the_settings_hold() {
        let timeouts = resolved(["{}", "{}", "{}"]);
        assert_eq!(timeouts.connect, seconds(5));
        assert_eq!(timeouts.first_token, seconds(300));
        assert_eq!(timeouts.idle, seconds(120));
        assert_eq!(timeouts.total, seconds(600));
        assert_eq!(timeouts.attempt, None);
    }

    #[test]
    fn the_single_number_sets_first_token_idle_and_the_attempt() {
        let timeouts = resolved(["{}", "{}", r#"{"timeout_seconds": 60}"#]);
        assert_eq!(timeouts.first_token, seconds(60));
        assert_eq!(timeouts.idle, seconds(60));
        assert_eq!(timeouts.attempt, Some(seconds(60)));
        assert_eq!(timeouts.total, seconds(600));
    }

    #[test]
    fn within_a_level_timeouts_win_over_the_single_number() {
        let timeouts = resolved([
            r#"{"timeout_seconds": 60, "timeouts": {"idle_seconds": 7}}"#,
            "{}",
            "{}",
        ]);
        assert_eq!(timeouts.idle, seconds(7));
        assert_eq!(timeouts.first_token, seconds(60));
    }

    #[test]
    fn the_nearest_level_wins_for_each_deadline_by_itself() {
        let timeouts = resolved([
            r#"{"timeouts": {"connect_seconds": 1}}"#,
            r#"{"timeout_seconds": 20}"#,
            r#"{"timeouts": {"connect_seconds": 2, "idle_seconds": 3, "total_seconds": 4}}"#,
        ]);
        assert_eq!(timeouts.connect, seconds(1));
        assert_eq!(timeouts.idle, seconds(20));
        assert_eq!(timeouts.total, seconds(4));
        assert_eq!(timeouts.attempt, Some(seconds(20)));
    }

    #[test]
    fn a_nearer_total_overrules_a_farther_single_number() {
        let timeouts = resolved([
            r#"{"timeouts": {"total_seconds": 900}}"#,
            "{}",
            r#"{"timeout_seconds": 60}"#,
        ]);
        assert_eq!(timeouts.attempt, None);
        assert_eq!(timeouts.total, seconds(900));
    }

    #[test]
    fn a_deadline_that_never_passes_is_a_contradiction() {
        assert_eq!(
            contradictions(&resolved(["{}", "{}", "{}"])),
            Vec::<String>::new()
        );
        let level =
            r#"{"timeouts": {"connect_seconds": 9, "first_token_seconds": 8, "total_seconds": 7}}"#;
        assert_eq!(
            contradictions(&resolved(["{}", level, "{}"])),
            [
                "connect_seconds (9 s) is longer than first_token_seconds (8 s), which always passes first",
                "first_token_seconds (8 s) is longer than total_seconds (7 s), which always passes first",
            ]
        );
        assert_eq!(
            contradictions(&resolved([r#"{"timeout_seconds": 700}"#, "{}", "{}"])).len(),
            2
        );
    }

    #[test]
    fn a_misspelled_deadline_is_warned_of() {
        let mut report = Report::new(Path::new("a.json"));
        let text = r#"{"timeouts": {"idel_seconds": 3}}"#;
        let node = Node::parse(text, &mut report).unwrap();
        let mut members = node.members(&mut report).unwrap();
        Deadlines::read(&mut members, &mut report);
        assert_eq!(
            report.warnings[0].to_string(),
            "a.json:1:15: timeouts.idel_seconds is not known and ignored; did you mean `idle_seconds`?"
        );
    }
}
