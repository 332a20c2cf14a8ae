//! Keys that heal: what an upstream says is left, caps, probes, restarts, and what an administrator sees and lifts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::binary::model_proxy;
use crate::support::client::{self, Response};
use crate::support::gateway::{Builder, CLIENT_KEY, Gateway, model_json, provider_json};
use crate::support::rows;
use crate::support::upstream::bodies::{anthropic_stream, openai_answer, openai_error};
use crate::support::upstream::{Answer, Gate, Upstream};

const ADMIN_KEY: &str = "admin-key-for-tests";
/// What one worker is told, another may hear a moment later; a test that counts calls has only one.
const ONE: usize = 1;
const PATIENCE: Duration = Duration::from_secs(10);

fn question() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

fn keys(upstream: &Upstream, keys: &[&str]) -> Builder {
    Gateway::builder()
        .setting("workers", ONE)
        .setting("max_retries", 0)
        .setting("max_wait_seconds", 0)
        .setting("admin_api_key", ADMIN_KEY)
        .provider("alpha", upstream, Protocol::OpenAi)
        .keys("alpha", keys.iter().copied())
        .model("m", [("alpha", "up-m")])
}

fn limited() -> Answer {
    openai_error(429, "requests", Some("rate_limit_exceeded"), "slow down")
}

fn broken() -> Answer {
    openai_error(503, "server_error", None, "busy")
}

/// What the administrator sees of the only provider's keys, by label.
fn listed(gateway: &Gateway) -> Vec<Value> {
    let answer = client::get(gateway.address(), "/admin/keys")
        .key(ADMIN_KEY)
        .send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let report = answer.json();
    let providers = report["providers"].as_array().expect("providers").clone();
    let found = providers
        .iter()
        .find(|provider| provider["provider"] == "alpha");
    let found = found.expect("provider alpha");
    found["keys"].as_array().expect("keys").clone()
}

fn reset(gateway: &Gateway, body: &Value) -> Response {
    client::post(gateway.address(), "/admin/keys/reset")
        .key(ADMIN_KEY)
        .json(body)
        .send()
}

/// Asks until the answer has this status.
fn until_status(gateway: &Gateway, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    while gateway.chat(&question()).status != status {
        assert!(Instant::now() < deadline, "never answered with {status}");
    }
}

#[test]
fn a_key_that_says_nothing_is_left_rests_until_its_reset_and_gets_no_429() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.key() {
        Some("key-a") => openai_answer("hi")
            .header("x-ratelimit-limit-requests", 10)
            .header("x-ratelimit-remaining-requests", 0)
            .header("x-ratelimit-reset-requests", "6m0s"),
        _ => openai_answer("hi"),
    });
    let gateway = keys(&upstream, &["key-a", "key-b"]).start();
    for _ in 0..6 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    let used = upstream.keys_used();
    assert_eq!(
        used.iter().filter(|key| *key == "key-a").count(),
        1,
        "{used:?}"
    );
    let keys = listed(&gateway);
    assert_eq!(keys[0]["state"], "resting");
    assert_eq!(keys[0]["rests"][0]["scope"], "model");
    assert_eq!(keys[0]["rests"][0]["model"], "up-m");
    assert_eq!(keys[0]["rests"][0]["why"], "rate_limited");
    let seconds = keys[0]["rests"][0]["seconds"].as_f64().expect("seconds");
    assert!((330.0..=360.0).contains(&seconds), "{seconds}");
    assert_eq!(keys[0]["headroom"][0]["percent_left"], 0.0);
    assert_eq!(keys[1]["state"], "ready");
}

#[test]
fn anthropic_s_own_headers_are_heeded_in_streams_too() {
    let upstream = Upstream::start();
    upstream.always(
        anthropic_stream(&["hi"])
            .header("anthropic-ratelimit-tokens-limit", 80_000)
            .header("anthropic-ratelimit-tokens-remaining", 0)
            .header("anthropic-ratelimit-tokens-reset", "2999-01-01T00:00:00Z"),
    );
    let gateway = Gateway::builder()
        .setting("workers", ONE)
        .setting("max_wait_seconds", 0)
        .provider("alpha", &upstream, Protocol::Anthropic)
        .model("m", [("alpha", "up-m")])
        .start();
    let mut body = question();
    body["max_tokens"] = json!(10);
    body["stream"] = json!(true);
    let stream = gateway.messages_streaming(&body);
    assert!(stream.read_to_end().text().contains("hi"));
    let refused = gateway.messages(&body);
    assert_eq!(refused.status, 429, "{}", refused.text());
    let seconds: u64 = refused
        .header("retry-after")
        .expect("retry-after")
        .parse()
        .expect("seconds");
    assert!((3_500..=3_600).contains(&seconds), "capped: {seconds}");
    assert_eq!(upstream.requests().len(), 1, "refused without a call");
}

#[test]
fn a_spent_key_is_used_again_when_its_limit_has_reset() {
    let upstream = Upstream::start();
    upstream.answer(
        openai_answer("hi")
            .header("x-ratelimit-remaining-tokens", 0)
            .header("x-ratelimit-reset-tokens", "300ms"),
    );
    upstream.always(openai_answer("hi"));
    let gateway = keys(&upstream, &["key-a"]).start();
    let began = Instant::now();
    assert_eq!(gateway.chat(&question()).status, 200);
    until_status(&gateway, 200);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn where_rests_are_switched_off_a_spent_key_is_called_all_the_same() {
    let upstream = Upstream::start();
    upstream.always(
        openai_answer("hi")
            .header("x-ratelimit-remaining-requests", 0)
            .header("x-ratelimit-reset-requests", "6m0s"),
    );
    let gateway = keys(&upstream, &["key-a"])
        .setting("key_cooldown_seconds", 0)
        .start();
    for _ in 0..3 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
}

#[test]
fn a_key_with_little_left_is_spared_while_another_has_more() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| {
        let left = match request.key() {
            Some("key-a") => 5,
            _ => 90,
        };
        openai_answer("hi")
            .header("x-ratelimit-limit-requests", 100)
            .header("x-ratelimit-remaining-requests", left)
            .header("x-ratelimit-reset-requests", "1m0s")
    });
    let gateway = keys(&upstream, &["key-a", "key-b"]).start();
    for _ in 0..8 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    let used = upstream.keys_used();
    assert_eq!(
        used.iter().filter(|key| *key == "key-a").count(),
        1,
        "{used:?}"
    );
}

#[test]
fn keys_that_die_one_after_the_other_cost_each_request_at_most_their_own_call() {
    let upstream = Upstream::start();
    let dead = Arc::new(AtomicUsize::new(0));
    let names = ["key-0", "key-1", "key-2", "key-3"];
    upstream.judge_by({
        let dead = Arc::clone(&dead);
        move |request| {
            let number = names
                .iter()
                .position(|name| request.key() == Some(name))
                .expect("a key of ours");
            if number < dead.load(Ordering::Acquire) {
                openai_error(401, "invalid_request_error", Some("invalid_api_key"), "no")
            } else {
                openai_answer("hi")
            }
        }
    });
    let gateway = keys(&upstream, &names).start();
    for dying in 0..4 {
        dead.store(dying, Ordering::Release);
        for _ in 0..8 {
            assert_eq!(gateway.chat(&question()).status, 200, "{dying} are dead");
        }
    }
    // 32 answers, and one refusal for each of the three that died.
    assert_eq!(upstream.requests().len(), 35);
    dead.store(4, Ordering::Release);
    assert!(gateway.chat(&question()).status >= 400);
    let calls = upstream.requests().len();
    assert!(gateway.chat(&question()).status >= 400);
    assert_eq!(upstream.requests().len(), calls, "nobody is left to call");
    for key in listed(&gateway) {
        assert_eq!(key["rests"][0]["why"], "bad_key", "{key}");
        assert_eq!(key["rests"][0]["scope"], "key", "{key}");
    }
}

#[test]
fn after_an_accident_one_request_at_a_time_finds_out_while_others_go_elsewhere() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gate = Gate::new();
    first.answer(broken().header("retry-after-ms", 200));
    first.always(openai_answer("first").wait(&gate));
    second.always(openai_answer("second"));
    let gateway = Gateway::builder()
        .setting("workers", ONE)
        .setting("max_retries", 0)
        .setting("admin_api_key", ADMIN_KEY)
        .provider("alpha", &first, Protocol::OpenAi)
        .provider("beta", &second, Protocol::OpenAi)
        .model("m", [("alpha", "up-a"), ("beta", "up-b")])
        .start();
    assert_eq!(gateway.chat(&question()).status, 200, "by the second route");
    let deadline = Instant::now() + PATIENCE;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        // Until one of them has become the probe, others are answered by the second route.
        while first.requests().len() < 2 {
            assert!(Instant::now() < deadline, "nobody probed");
            threads.push(scope.spawn(|| gateway.chat(&question()).status));
            std::thread::yield_now();
        }
        let elsewhere = second.requests().len();
        let more: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| gateway.chat(&question())))
            .collect();
        for thread in more {
            let answer = thread.join().expect("an answer");
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("x-model-proxy-model"), Some("beta/up-b"));
        }
        assert!(second.requests().len() >= elsewhere + 10);
        assert_eq!(first.requests().len(), 2, "one probe");
        assert_eq!(listed(&gateway)[0]["state"], "probing");
        gate.open();
        for thread in threads {
            assert_eq!(thread.join().expect("an answer"), 200);
        }
    });
    let answer = gateway.chat(&question());
    assert_eq!(answer.header("x-model-proxy-model"), Some("alpha/up-a"));
    assert_eq!(listed(&gateway)[0]["state"], "ready");
}

#[test]
fn a_key_at_its_cap_is_passed_over_and_when_all_are_busy_the_client_is_told() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.always(openai_answer("hi").wait(&gate));
    let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    file["rate_limiting"] = json!({"max_in_flight_per_key": 1});
    let gateway = keys(&upstream, &["key-a", "key-b"])
        .provider_file("alpha", &file)
        .start();
    std::thread::scope(|scope| {
        let held: Vec<_> = (1..=2)
            .map(|count| {
                let thread = scope.spawn(|| gateway.chat(&question()).status);
                upstream.wait_for_requests(count, PATIENCE);
                thread
            })
            .collect();
        let mut both = upstream.keys_used();
        both.sort();
        assert_eq!(both, ["key-a", "key-b"]);
        let refused = gateway.chat(&question());
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert_eq!(refused.header("retry-after"), Some("1"));
        for key in listed(&gateway) {
            assert_eq!(key["state"], "busy", "{key}");
            assert_eq!(key["in_flight"], 1, "{key}");
        }
        gate.open();
        for thread in held {
            assert_eq!(thread.join().expect("an answer"), 200);
        }
    });
    until_status(&gateway, 200);
}

#[test]
fn a_restart_keeps_the_rests_of_keys() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.key() {
        Some("key-a") => limited().retry_after(120),
        Some("key-b") => openai_error(401, "invalid_request_error", Some("invalid_api_key"), "no"),
        _ => openai_answer("hi"),
    });
    let gateway = keys(&upstream, &["key-a", "key-b", "key-c"]).start();
    for _ in 0..3 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    assert_eq!(upstream.requests().len(), 5);
    let gateway = gateway.restart();
    let keys = listed(&gateway);
    assert_eq!(keys[0]["rests"][0]["why"], "rate_limited");
    let seconds = keys[0]["rests"][0]["seconds"].as_f64().expect("seconds");
    assert!((60.0..=120.0).contains(&seconds), "{seconds}");
    assert_eq!(keys[1]["rests"][0]["why"], "bad_key");
    for _ in 0..3 {
        assert_eq!(gateway.chat(&question()).status, 200);
    }
    assert_eq!(upstream.requests().len(), 8, "nobody asked those that rest");
    let database = std::fs::read(gateway.database()).expect("the database");
    for secret in [b"key-a", b"key-b"] {
        assert!(!database.windows(5).any(|window| window == secret));
    }
}

#[test]
fn a_restart_keeps_no_rest_that_was_lifted_or_is_switched_off() {
    let upstream = Upstream::start();
    upstream.answer(limited().retry_after(120));
    upstream.always(openai_answer("hi"));
    let gateway = keys(&upstream, &["key-a"]).start();
    assert_eq!(gateway.chat(&question()).status, 429);
    assert_eq!(reset(&gateway, &json!({})).status, 200);
    let gateway = gateway.restart();
    assert_eq!(gateway.chat(&question()).status, 200);

    let upstream = Upstream::start();
    upstream.answer(limited().retry_after(120));
    upstream.always(openai_answer("hi"));
    let gateway = keys(&upstream, &["key-a"]).start();
    assert_eq!(gateway.chat(&question()).status, 429);
    let gateway = gateway.restart_with("key_cooldown_seconds", 0);
    assert_eq!(gateway.chat(&question()).status, 200);
}

#[test]
fn rests_are_listed_and_lifted_by_key_by_provider_and_all_together() {
    let upstream = Upstream::start();
    upstream.always(limited().retry_after(60));
    let gateway = keys(&upstream, &["key-a", "key-b"]).start();
    assert_eq!(gateway.chat(&question()).status, 429);
    let states = |gateway: &Gateway| -> Vec<String> {
        let keys = listed(gateway);
        let states = keys
            .iter()
            .map(|key| key["state"].as_str().expect("a state").to_owned());
        states.collect()
    };
    assert_eq!(states(&gateway), ["resting", "resting"]);
    let lifted = reset(&gateway, &json!({"key": "ALPHA_API_KEY_2"}));
    assert_eq!(
        lifted.json(),
        json!({"reset": [{"provider": "alpha", "keys": 1}]})
    );
    assert_eq!(states(&gateway), ["resting", "ready"]);
    let lifted = reset(&gateway, &json!({"provider": "alpha"}));
    assert_eq!(
        lifted.json(),
        json!({"reset": [{"provider": "alpha", "keys": 2}]})
    );
    assert_eq!(states(&gateway), ["ready", "ready"]);
    for body in [
        json!({"provider": "omega"}),
        json!({"key": "ALPHA_API_KEY_9"}),
    ] {
        assert_eq!(reset(&gateway, &body).status, 404, "{body}");
    }
    assert_eq!(reset(&gateway, &json!({"label": "x"})).status, 400);
    assert_eq!(reset(&gateway, &json!([])).status, 400);
    let text = client::get(gateway.address(), "/admin/keys")
        .key(ADMIN_KEY)
        .send();
    assert!(!text.text().contains("key-a"), "labels only");
}

#[test]
fn only_the_administrator_s_key_opens_the_admin_endpoints() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = keys(&upstream, &["key-a"]).start();
    for target in ["/admin/keys", "/admin/keys/reset"] {
        let ask = |key: Option<&str>| {
            let request = match target {
                "/admin/keys" => client::get(gateway.address(), target),
                _ => client::post(gateway.address(), target),
            };
            match key {
                Some(key) => request.key(key),
                None => request,
            }
            .send()
            .status
        };
        assert_eq!(ask(None), 401, "{target}");
        assert_eq!(ask(Some("guess")), 401, "{target}");
        assert_eq!(ask(Some(CLIENT_KEY)), 401, "{target}");
        assert_eq!(ask(Some(ADMIN_KEY)), 200, "{target}");
    }
    let chat = client::post(gateway.address(), "/v1/chat/completions")
        .key(ADMIN_KEY)
        .json(&question())
        .send();
    assert_eq!(chat.status, 401, "the administrator is no client");
    let other = Gateway::before(&upstream, Protocol::OpenAi);
    let off = client::get(other.address(), "/admin/keys")
        .key(CLIENT_KEY)
        .send();
    assert_eq!(off.status, 403);
    assert!(off.text().contains("ADMIN_API_KEY"), "{}", off.text());
}

#[test]
fn the_command_line_lists_and_resets_the_keys_of_a_running_gateway() {
    let upstream = Upstream::start();
    upstream.always(limited().retry_after(60));
    let gateway = keys(&upstream, &["key-a", "key-b"]).start();
    assert_eq!(gateway.chat(&question()).status, 429);
    let url = format!("http://{}", gateway.address());
    let run = |arguments: [&str; 4]| model_proxy(arguments).env("ADMIN_API_KEY", ADMIN_KEY).run();
    let listed = run(["keys", "list", "--url", &url]);
    assert_eq!(listed.code(), 0, "{}", listed.printed);
    let line = listed
        .printed
        .lines()
        .find(|line| line.contains("ALPHA_API_KEY_1"));
    let line = line.unwrap_or_else(|| panic!("{}", listed.printed));
    for word in ["alpha", "resting", "up-m", "rate_limited"] {
        assert!(line.contains(word), "{}", listed.printed);
    }
    let json = model_proxy(["keys", "list", "--json", "--url", &url])
        .env("ADMIN_API_KEY", ADMIN_KEY)
        .run();
    let report: Value = serde_json::from_str(&json.printed).expect("JSON");
    assert_eq!(report["providers"][0]["provider"], "alpha");
    let reset = run(["keys", "reset", "--url", &url]);
    assert_eq!(reset.code(), 0, "{}", reset.printed);
    assert!(
        reset.printed.contains("alpha: 2 keys are ready again"),
        "{}",
        reset.printed
    );
    let listed = run(["keys", "list", "--url", &url]);
    assert!(!listed.printed.contains("resting"), "{}", listed.printed);
    let without = model_proxy(["keys", "list", "--url", &url]).run();
    assert_eq!(without.code(), 64, "{}", without.printed);
    let wrong = model_proxy(["keys", "list", "--url", &url])
        .env("ADMIN_API_KEY", "guess")
        .run();
    assert_eq!(wrong.code(), 1);
    assert!(
        wrong.printed.contains("another ADMIN_API_KEY"),
        "{}",
        wrong.printed
    );
    drop(gateway);
    let gone = run(["keys", "list", "--url", &url]);
    assert_eq!(gone.code(), 1);
    assert!(
        gone.printed.contains("model-proxy serve"),
        "{}",
        gone.printed
    );
}

#[test]
fn a_real_process_that_is_killed_forgets_nothing_older_than_a_second() {
    let upstream = Upstream::start();
    upstream.answer(limited().retry_after(120));
    upstream.always(openai_answer("hi"));
    let database = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:///{}", database.path().join("log.db").display());
    let serve = || {
        let provider = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
        model_proxy(["serve"])
            .env("PORT", "0")
            .env("DATABASE_URL", &url)
            .env("CLIENT_API_KEY", CLIENT_KEY)
            .env("ADMIN_API_KEY", ADMIN_KEY)
            .env("ALPHA_API_KEY", "key-a")
            .env("MAX_WAIT_SECONDS", "0")
            .env("MAX_RETRIES", "0")
            .file("config/providers/alpha.json", &provider.to_string())
            .file(
                "config/models/m.json",
                &model_json("m", [("alpha", "up-m")]).to_string(),
            )
            .start()
    };
    let ask = |address| {
        client::post(address, "/v1/chat/completions")
            .key(CLIENT_KEY)
            .json(&question())
            .send()
            .status
    };
    let first = serve();
    assert_eq!(ask(first.address()), 429);
    wait_for_a_rest(&database.path().join("log.db"));
    first.signal("KILL");
    first.wait();
    let second = serve();
    assert_eq!(ask(second.address()), 429);
    assert_eq!(upstream.requests().len(), 1, "the key was left in peace");
    second.signal("TERM");
    assert_eq!(second.wait().code(), 0);
}

/// Waits until a rest is on disk.
#[track_caller]
fn wait_for_a_rest(database: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while rows::rests(database) == 0 {
        assert!(Instant::now() < deadline, "no rest was written");
        std::thread::sleep(Duration::from_millis(10));
    }
}
