//! Mixed traffic before upstreams that fail at random in every way, while the configuration is edited: nothing may leak,
//! no stream may end cleanly without being whole, and every request has its row.
//!
//! Fifteen seconds by default. Longer, and with an optimised gateway (`cargo build --release` first):
//! `MODEL_PROXY_BINARY=$PWD/target/release/model-proxy SOAK_SECONDS=1800 cargo test --test suite soak -- --nocapture`

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::binary::{Process, model_proxy};
use crate::support::client::{get, post};
use crate::support::gateway::{CLIENT_KEY, provider_json};
use crate::support::rows;
use crate::support::upstream::bodies::{
    anthropic_answer, anthropic_error, anthropic_events, anthropic_stream, openai_answer,
    openai_error, openai_events, openai_stream,
};
use crate::support::upstream::{Answer, Recorded, Upstream, html, raw, silence, sse, vanish};

const CLIENTS: usize = 8;
/// A client that leaves and comes back at once may find its old slot taken for a moment.
const SLOTS: usize = 4 * CLIENTS;
const ADMIN_KEY: &str = "admin-key-for-the-soak";
const WORDS: [&str; 6] = ["The ", "quick ", "brown ", "fox ", "jumps", "."];
const PATHS: [&str; 2] = ["/v1/chat/completions", "/v1/messages"];
/// The longest that one answer may take: four routes that are silent, and waits between them.
const LONGEST: Duration = Duration::from_secs(30);

#[test]
fn a_soak_leaks_nothing_and_accounts_for_every_request() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(15, |text| text.parse().expect("seconds"));
    let upstreams = [Protocol::OpenAi, Protocol::Anthropic].map(|protocol| {
        let upstream = Upstream::start();
        upstream.judge_by(move |request| misbehave(protocol, request));
        upstream
    });
    let serve = start(&upstreams);
    let address = serve.address();
    let soak = Arc::new(Soak::default());
    let watch = run(&soak, &serve, Duration::from_secs(seconds));

    let detailed = || {
        get(address, "/health/detailed")
            .key(CLIENT_KEY)
            .send()
            .json()
    };
    wait_until("no request is in flight", || {
        detailed()["requests_in_flight"] == 0
    });
    every_slot_is_free(address);
    every_lease_is_back(address);
    let asked = soak.asked();
    eprintln!("{} requests: {:?}; {watch}", asked.len(), soak.ends());
    watch.judge(seconds);

    serve.signal("TERM");
    let database = serve.directory().join("model-proxy.db");
    let (ended, rows) = serve.wait_and(|| rows::read(&database));
    assert_eq!(ended.code(), 0, "{}", ended.printed);
    assert!(!ended.printed.contains("panicked"), "{}", ended.printed);
    let mut found: HashMap<&str, usize> = HashMap::new();
    for row in &rows {
        *found.entry(row.text("request_id")).or_default() += 1;
    }
    for id in &asked {
        assert_eq!(found.get(id.as_str()), Some(&1), "rows of {id}");
    }
}

/// What all client threads share.
#[derive(Default)]
struct Soak {
    stop: AtomicBool,
    number: AtomicUsize,
    asked: Mutex<Vec<String>>,
    ends: Mutex<HashMap<String, usize>>,
}

impl Soak {
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    fn ends(&self) -> HashMap<String, usize> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.clone()
    }

    fn note(&self, end: String) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(end).or_default() += 1;
    }
}

fn start(upstreams: &[Upstream; 2]) -> Process {
    let mut serve = model_proxy(["serve"])
        .env("PORT", "0")
        .env("CLIENT_API_KEY", CLIENT_KEY)
        .env("ADMIN_API_KEY", ADMIN_KEY)
        .env("RATE_LIMIT_REQUESTS_PER_MINUTE", "0")
        .env("RATE_LIMIT_TOKENS_PER_MINUTE", "0")
        .env("RATE_LIMIT_CONCURRENT_REQUESTS", SLOTS.to_string())
        .env("KEY_COOLDOWN_SECONDS", "0.2")
        .env("MAX_COOLDOWN_SECONDS", "0.5")
        .env("MAX_WAIT_SECONDS", "0.3")
        .env("FIRST_TOKEN_SECONDS", "0.5")
        .env("IDLE_SECONDS", "0.5")
        .env("KEEPALIVE_SECONDS", "0.2")
        .env("LOG_LEVEL", "error");
    for (name, protocol, upstream) in [
        ("alpha", Protocol::OpenAi, &upstreams[0]),
        ("beta", Protocol::Anthropic, &upstreams[1]),
    ] {
        for number in 1..=3 {
            let variable = format!("{}_API_KEY_{number}", name.to_uppercase());
            serve = serve.env(&variable, format!("secret-key-{number}-of-{name}"));
        }
        let file = provider_json(name, &upstream.url(), protocol).to_string();
        serve = serve.file(&format!("config/providers/{name}.json"), &file);
    }
    for recovery in ["splice", "hold", "error"] {
        let file = model_file(recovery, 0).to_string();
        serve = serve.file(&format!("config/models/{recovery}.json"), &file);
    }
    let slow = json!({"logical_name": "slow", "model_routings": [
        {"provider": "alpha", "model": "up-slow", "timeouts": {"first_token_seconds": 10}}]});
    serve
        .file("config/models/slow.json", &slow.to_string())
        .start()
}

/// A model that begins with either provider, as its edition says.
fn model_file(recovery: &str, edition: usize) -> Value {
    let mut routes = vec![
        json!({"provider": "alpha", "model": "up-a"}),
        json!({"provider": "beta", "model": "up-b", "timeouts": {"total_seconds": 20}}),
    ];
    routes.rotate_left(edition % 2);
    json!({"logical_name": recovery, "model_routings": routes, "stream_recovery": recovery,
        "timeouts": {"total_seconds": 15}})
}

/// Half of the answers are right, every other one is wrong in its own way.
fn misbehave(protocol: Protocol, request: &Recorded) -> Answer {
    let streams = request.json()["stream"] == true;
    let openai = protocol == Protocol::OpenAi;
    let stream = || match protocol {
        Protocol::OpenAi => openai_stream(&WORDS),
        Protocol::Anthropic => anthropic_stream(&WORDS),
    };
    let right = || match (streams, protocol) {
        (true, _) => stream(),
        (false, Protocol::OpenAi) => openai_answer("The quick brown fox jumps."),
        (false, Protocol::Anthropic) => anthropic_answer("The quick brown fox jumps."),
    };
    let refuse = |status: u16, kind: &str| {
        if openai {
            openai_error(status, kind, None, "no")
        } else {
            anthropic_error(status, kind, "no")
        }
    };
    if request.json()["model"] == "up-slow" {
        return right().delay(500);
    }
    match fastrand::u32(0..36) {
        0 => refuse(429, "rate_limit_error").retry_after(1),
        1 => refuse(500, "api_error"),
        2 => refuse(503, "overloaded_error"),
        3 => refuse(401, "authentication_error"),
        4 => refuse(404, "not_found_error"),
        5 => html(502),
        6 => vanish(),
        7 => raw("HTTP/1.1 200 OK\r\ncontent-le"),
        8 if fastrand::bool() => silence(),
        9 => right().delay(300),
        10 => right().cut(),
        11 => right().reset(),
        12 => right().bytewise(),
        13 if streams => stream().only(4).cut(),
        14 if streams => stream().only(4).reset(),
        15 if streams => stream().only(5).stall(),
        16 if streams => stream().without_finish(),
        17 if streams => broken_events(openai),
        18 if streams => stream().pause(5),
        19 => refuse(400, "invalid_request_error"),
        20 => openai_error(200, "server_error", None, "in a success"),
        _ => right(),
    }
}

/// Garbage in the middle, then an error event.
fn broken_events(openai: bool) -> Answer {
    let mut events = if openai {
        openai_events(&WORDS)
    } else {
        anthropic_events(&WORDS)
    };
    events.truncate(4);
    events.push("data: {not json\n\n".to_owned());
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "no"}});
    events.push(format!("event: error\ndata: {error}\n\n"));
    sse(events)
}

/// The process while it is under load.
struct Watch {
    /// Resident memory in KiB, sampled all along.
    memory: Vec<u64>,
    files_before: usize,
    files_after: usize,
}

impl std::fmt::Display for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (early, late) = self.memory_early_and_late();
        write!(
            formatter,
            "memory {early} KiB early, {late} KiB late; {} open files before, {} after",
            self.files_before, self.files_after
        )
    }
}

impl Watch {
    /// Medians of the second and of the last fifth.
    fn memory_early_and_late(&self) -> (u64, u64) {
        let fifth = (self.memory.len() / 5).max(1);
        let median = |samples: &[u64]| {
            let mut sorted = samples.to_vec();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied().unwrap_or_default()
        };
        let early = self.memory.get(fifth..2 * fifth).unwrap_or_default();
        let late = self.memory.get(self.memory.len().saturating_sub(fifth)..);
        (median(early), median(late.unwrap_or_default()))
    }

    fn judge(&self, seconds: u64) {
        // Kept connections to two upstreams from each worker, and nothing else.
        assert!(
            self.files_after <= self.files_before + 2 * CLIENTS * 2,
            "open files: {self}"
        );
        let (early, late) = self.memory_early_and_late();
        // A short run is still warming up.
        let allowed = if seconds >= 300 { 15 } else { 60 };
        assert!(late <= early + early * allowed / 100, "{self}");
    }
}

fn run(soak: &Arc<Soak>, serve: &Process, length: Duration) -> Watch {
    let address = serve.address();
    let proc = format!("/proc/{}", serve.id());
    let config = serve.directory().join("config/models");
    let files_before = open_files(&proc);
    let mut memory = Vec::new();
    let until = Instant::now() + length;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !soak.stop.load(Ordering::Acquire) {
                    ask(soak, address);
                }
            });
        }
        scope.spawn(|| edit(soak, &config));
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
            memory.push(resident(&proc));
        }
        soak.stop.store(true, Ordering::Release);
    });
    wait_until("the connections of clients have closed", || {
        open_files(&proc) <= files_before + 2 * CLIENTS * 2
    });
    Watch {
        memory,
        files_before,
        files_after: open_files(&proc),
    }
}

/// One request, mostly an ordinary one, and what came of it.
fn ask(soak: &Soak, address: SocketAddr) {
    let id = format!("soak-{}", soak.number.fetch_add(1, Ordering::AcqRel));
    let path = PATHS[fastrand::usize(..PATHS.len())];
    let model = ["splice", "hold", "error", "nobody"][fastrand::usize(..13).min(12) / 4];
    let stream = fastrand::bool();
    let body = json!({"model": model, "stream": stream, "max_tokens": 100,
        "messages": [{"role": "user", "content": "Say it. ".repeat(fastrand::usize(1..200))}]});
    let request = post(address, path)
        .key(CLIENT_KEY)
        .header("x-request-id", &id);
    let request = if fastrand::u32(..50) == 0 {
        request.body("application/json", "{\"model\": ")
    } else {
        request.json(&body)
    };
    soak.asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(id);
    let mut answer = request.send_streaming();
    if fastrand::u32(..10) == 0 {
        if fastrand::bool() {
            answer.next_event(Duration::from_millis(50));
        }
        answer.hang_up();
        return soak.note("left".to_owned());
    }
    let status = answer.status;
    assert!(
        [200, 400, 404, 429, 500, 502, 503, 504].contains(&status),
        "status {status}"
    );
    let is_stream = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    let finished = answer.read_for(LONGEST);
    assert!(
        finished.properly(),
        "{:?}: {}",
        finished.ended,
        finished.text()
    );
    if !is_stream {
        assert!(serde_json::from_slice::<Value>(&finished.body).is_ok());
        return soak.note(status.to_string());
    }
    let text = finished.text();
    let whole = text.contains("[DONE]") || text.contains("event: message_stop");
    let failed = text.contains("\"error\"");
    assert!(
        whole != failed,
        "whole or with an error, never both or neither: {text}"
    );
    if whole {
        assert_eq!(said(&finished.events), WORDS.concat(), "{text}");
    }
    soak.note(format!("stream {}", if whole { "whole" } else { "failed" }));
}

fn said(events: &[crate::support::events::Event]) -> String {
    crate::support::events::text_of(events)
}

/// Rewrites the models, now and then with a fault.
fn edit(soak: &Soak, folder: &Path) {
    let mut edition = 0;
    while !soak.stop.load(Ordering::Acquire) {
        edition += 1;
        for recovery in ["splice", "hold", "error"] {
            let text = match edition % 7 {
                0 => "{ this is not JSON".to_owned(),
                _ => model_file(recovery, edition).to_string(),
            };
            let hidden = folder.join(format!(".{recovery}"));
            std::fs::write(&hidden, text).expect("a file");
            std::fs::rename(&hidden, folder.join(format!("{recovery}.json"))).expect("a file");
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// A slot that leaked would be missed when as many requests are under way at once as there are slots.
fn every_slot_is_free(address: SocketAddr) {
    let body = json!({"model": "slow", "messages": [{"role": "user", "content": "x"}]});
    let ask = post(address, PATHS[0]).key(CLIENT_KEY).json(&body);
    wait_until("every key has rested enough", || ask.send().status == 200);
    std::thread::scope(|scope| {
        for _ in 0..SLOTS {
            scope.spawn(|| assert_eq!(ask.send().status, 200));
        }
    });
}

fn every_lease_is_back(address: SocketAddr) {
    let listed = get(address, "/admin/keys").key(ADMIN_KEY).send().json();
    let providers = listed["providers"].as_array().expect("providers");
    let keys = providers
        .iter()
        .flat_map(|provider| provider["keys"].as_array().expect("keys"));
    let in_flight: Vec<_> = keys.map(|key| key["in_flight"].as_u64()).collect();
    assert_eq!(in_flight, [Some(0); 6], "{listed}");
}

fn resident(proc: &str) -> u64 {
    let status = std::fs::read_to_string(format!("{proc}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a size")
}

fn open_files(proc: &str) -> usize {
    std::fs::read_dir(format!("{proc}/fd"))
        .expect("the process lives")
        .count()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
