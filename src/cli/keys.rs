//! `model-proxy keys list` and `keys reset`: what a running gateway's provider keys do, and an end to their rests.

use std::io::Write;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::{self, Reply};
use super::outcome::Failure;
use super::start;
use super::{KeysListArguments, KeysResetArguments};
use crate::http::admin::report::{KeyReport, KeysReport, ResetReport, RestReport, Scope, State};

/// Between two columns.
const GAP: usize = 2;

pub(super) fn list(arguments: &KeysListArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let body = ask(arguments.url.as_deref(), "GET /admin/keys", None)?;
    if arguments.json {
        return Ok(writeln!(out, "{body}")?);
    }
    let report: KeysReport = read(&body)?;
    if report.providers.is_empty() {
        return Ok(writeln!(
            out,
            "no provider has a key; `model-proxy check` says which variables to set"
        )?);
    }
    for line in table(&report) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

pub(super) fn reset(arguments: &KeysResetArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let mut asked = serde_json::Map::new();
    for (name, value) in [("provider", &arguments.provider), ("key", &arguments.key)] {
        if let Some(value) = value {
            asked.insert(name.to_owned(), json!(value));
        }
    }
    let asked = Value::Object(asked).to_string();
    let body = ask(
        arguments.url.as_deref(),
        "POST /admin/keys/reset",
        Some(&asked),
    )?;
    let report: ResetReport = read(&body)?;
    if report.reset.is_empty() {
        writeln!(out, "no provider has a key: nothing to reset")?;
    }
    for lifted in report.reset {
        let keys = match lifted.keys {
            1 => "1 key is".to_owned(),
            keys => format!("{keys} keys are"),
        };
        writeln!(out, "{}: {keys} ready again", lifted.provider)?;
    }
    Ok(())
}

/// Asks with the key of this command's own environment; every refusal says what to do.
fn ask(url: Option<&str>, request_line: &str, body: Option<&str>) -> Result<String, Failure> {
    let environment = start::read()?.environment;
    let key = environment.get("ADMIN_API_KEY").map(str::trim);
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return Err(Failure::usage(
            "ADMIN_API_KEY is not set: set it here, and for the gateway, to the same key of your choice",
        ));
    };
    if key.contains(|letter: char| letter.is_control()) {
        return Err(Failure::usage("ADMIN_API_KEY cannot be sent in a header"));
    }
    let authority = call::gateway(url)?;
    let reply = call::call(&authority, request_line, Some(key), body).map_err(|error| {
        Failure::failed(format!(
            "no gateway answers at {authority} ({error}): start one with `model-proxy serve`, or name it with --url"
        ))
    })?;
    answered(reply, &authority)
}

fn answered(reply: Reply, authority: &str) -> Result<String, Failure> {
    let words = match reply.status {
        200 => return Ok(reply.body),
        401 => format!(
            "the gateway at {authority} has another ADMIN_API_KEY: set it here to the gateway's own"
        ),
        403 => format!(
            "the gateway at {authority} has no ADMIN_API_KEY, so nobody may do this: set it in the gateway's environment or .env"
        ),
        status => {
            let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
            match body.pointer("/error/message").and_then(Value::as_str) {
                Some(message) => format!("the gateway at {authority} says: {message}"),
                None => format!("{authority} answered with status {status}: is it a model-proxy?"),
            }
        }
    };
    Err(Failure::failed(words))
}

fn read<Report: DeserializeOwned>(body: &str) -> Result<Report, Failure> {
    serde_json::from_str(body).map_err(|error| {
        Failure::failed(format!(
            "the gateway's answer cannot be read ({error}): is it of this version?"
        ))
    })
}

/// Aligned lines, the heading first; a key that rests for several reasons has a line for each.
fn table(report: &KeysReport) -> Vec<String> {
    let heading = [
        "PROVIDER",
        "KEY",
        "STATE",
        "MODEL",
        "WHY",
        "FOR",
        "IN FLIGHT",
        "LEFT",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    for provider in &report.providers {
        for key in &provider.keys {
            let (in_flight, left) = (key.in_flight.to_string(), left(key));
            let mut push = |state: &str, rest: [String; 3]| {
                let [model, why, wait] = rest;
                rows.push([
                    provider.provider.clone(),
                    key.key.clone(),
                    state.to_owned(),
                    model,
                    why,
                    wait,
                    in_flight.clone(),
                    left.clone(),
                ]);
            };
            if key.rests.is_empty() {
                push(name(key.state), [(); 3].map(|()| "-".to_owned()));
            }
            for rest in &key.rests {
                let state = if rest.seconds > 0.0 {
                    State::Resting
                } else {
                    State::Probing
                };
                push(name(state), cells(rest));
            }
        }
    }
    aligned(&rows)
}

fn name(state: State) -> &'static str {
    match state {
        State::Resting => "resting",
        State::Probing => "probing",
        State::Busy => "busy",
        State::Ready => "ready",
    }
}

/// Model, reason and time of a rest.
fn cells(rest: &RestReport) -> [String; 3] {
    let model = match (rest.scope, &rest.model) {
        (Scope::Model, Some(model)) => model.clone(),
        (Scope::Provider, _) => "all, and all keys".to_owned(),
        _ => "all".to_owned(),
    };
    [model, rest.why.clone(), time(rest.seconds)]
}

/// A time for people: `45s`, `4m10s`, `1h0m`.
fn time(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a gateway says no negative time, and a cast saturates"
    )]
    let seconds = seconds.ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, _) => format!("{hours}h{minutes}m"),
    }
}

fn left(key: &KeyReport) -> String {
    if key.headroom.is_empty() {
        return "-".to_owned();
    }
    let shares = key.headroom.iter();
    let shares: Vec<_> = shares
        .map(|share| format!("{} {:.0}%", share.model, share.percent_left))
        .collect();
    shares.join(", ")
}

fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:<wide$}", wide = width + GAP))
            .collect();
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_every_reason() {
        let report = read::<KeysReport>(
            r#"{"providers": [{"provider": "acme", "keys": [
                {"key": "ACME_API_KEY", "state": "ready", "in_flight": 12, "rests": [],
                 "headroom": [{"model": "big", "percent_left": 12.5}]},
                {"key": "ACME_API_KEY_2", "state": "resting", "in_flight": 0, "headroom": [], "rests": [
                    {"scope": "key", "why": "bad_key", "after_accident": false, "seconds": 250.0,
                     "until": "2026-11-22T12:00:30Z", "probing": false},
                    {"scope": "model", "model": "big", "why": "timeout", "after_accident": true, "seconds": 0.0,
                     "until": "2026-11-22T12:00:00Z", "probing": true}]}]}]}"#,
        )
        .unwrap();
        let expected = [
            "PROVIDER  KEY             STATE    MODEL  WHY      FOR    IN FLIGHT  LEFT",
            "acme      ACME_API_KEY    ready    -      -        -      12         big 12%",
            "acme      ACME_API_KEY_2  resting  all    bad_key  4m10s  0          -",
            "acme      ACME_API_KEY_2  probing  big    timeout  0s     0          -",
        ];
        assert_eq!(table(&report), expected);
    }

    #[test]
    fn times_are_short() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (44.1, "45s"),
            (60.0, "1m0s"),
            (3_600.0, "1h0m"),
            (90_000.0, "25h0m"),
        ] {
            assert_eq!(time(seconds), expected);
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let failure = |status, body: &str| {
            let reply = Reply {
                status,
                body: body.to_owned(),
            };
            answered(reply, "host:1").unwrap_err().message
        };
        assert!(failure(401, "").contains("set it here"));
        assert!(failure(403, "").contains("set it in the gateway's environment"));
        assert!(failure(404, r#"{"error": {"message": "No key"}}"#).ends_with("says: No key"));
        assert!(failure(404, "<html>").ends_with("is it a model-proxy?"));
    }
}
