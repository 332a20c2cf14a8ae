//! Configuration that changes under a running gateway: good files take effect, bad ones change nothing, no request fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use crate::support::binary::model_proxy;
use crate::support::client::post;
use crate::support::gateway::{Gateway, model_json, provider_json};
use crate::support::upstream::bodies::{openai_answer, openai_error};
use crate::support::upstream::{Gate, Upstream};

/// Events are quicker; the scan alone takes two seconds, and the quiet after it one more at most.
const RELOAD: Duration = Duration::from_secs(8);

fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// Asks until the answer satisfies the condition.
#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + RELOAD;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends the load when the test has seen enough, or has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn upstream_model(gateway: &Gateway, upstream: &Upstream) -> String {
    let answer = gateway.chat(&question("m"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let last = upstream.requests().pop().expect("a request");
    last.json()["model"].as_str().expect("a name").to_owned()
}

#[test]
fn an_edited_a_new_and_a_deleted_model_take_effect() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    assert_eq!(upstream_model(&gateway, &upstream), "up-m");
    gateway.write_model("m", &model_json("m", [("alpha", "up-new")]).to_string());
    until("an edited model", || {
        upstream_model(&gateway, &upstream) == "up-new"
    });
    gateway.write_model("n", &model_json("n", [("alpha", "up-n")]).to_string());
    until("a new model", || gateway.chat(&question("n")).status == 200);
    gateway.delete_model("n");
    until("a deleted model", || {
        gateway.chat(&question("n")).status == 404
    });
    assert_eq!(gateway.chat(&question("m")).status, 200);
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_other_changes_pass() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    gateway.write_model("m", "{ \"logical_name\": \"m\",\n  broken");
    gateway.write_model("n", &model_json("n", [("alpha", "up-n")]).to_string());
    until("the other change", || {
        gateway.chat(&question("n")).status == 200
    });
    assert_eq!(upstream_model(&gateway, &upstream), "up-m");
    let detail = gateway.get("/health/detailed").send();
    assert_eq!(detail.status, 200);
    assert_eq!(detail.json()["status"], "degraded");
    assert!(detail.text().contains("m.json"), "{}", detail.text());
    gateway.write_model("m", &model_json("m", [("alpha", "up-mended")]).to_string());
    until("the mended file", || {
        upstream_model(&gateway, &upstream) == "up-mended"
    });
    assert_eq!(
        gateway.get("/health/detailed").send().json()["status"],
        "healthy"
    );
}

#[test]
fn a_request_in_flight_keeps_what_it_began_with() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.answer(openai_answer("slow").wait(&gate));
    upstream.always(openai_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.chat(&question("m")));
        upstream.wait_for_requests(1, Duration::from_secs(5));
        gateway.delete_model("m");
        until("the deleted model", || {
            gateway.chat(&question("m")).status == 404
        });
        gate.open();
        assert_eq!(slow.join().expect("an answer").status, 200);
    });
}

#[test]
fn a_reload_keeps_a_key_at_rest() {
    let upstream = Upstream::start();
    upstream.judge_by(|request| match request.key() {
        Some("key-a") => openai_error(429, "requests", None, "slow down").retry_after(60),
        _ => openai_answer("hi"),
    });
    let gateway = Gateway::builder()
        .provider("alpha", &upstream, Protocol::OpenAi)
        .keys("alpha", ["key-a", "key-b"])
        .model("m", [("alpha", "up-m")])
        .start();
    for _ in 0..2 {
        assert_eq!(gateway.chat(&question("m")).status, 200);
    }
    gateway.write_model("n", &model_json("n", [("alpha", "up-m")]).to_string());
    until("the reload", || gateway.chat(&question("n")).status == 200);
    for _ in 0..4 {
        assert_eq!(gateway.chat(&question("m")).status, 200);
    }
    let requests = upstream.requests();
    let resting = requests
        .iter()
        .filter(|request| request.key() == Some("key-a"));
    assert_eq!(resting.count(), 1);
}

#[test]
fn a_provider_that_comes_and_goes_under_load_fails_no_request() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = Gateway::builder()
        .provider("alpha", &upstream, Protocol::OpenAi)
        .keys("beta", ["key-of-beta"])
        .model("m", [("alpha", "up-m")])
        .start();
    let beta = |path: &str| {
        let mut file = provider_json("beta", &upstream.url(), Protocol::OpenAi);
        file["endpoints"]["completions"] = json!(path);
        file.to_string()
    };
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    let answer = gateway.chat(&question("m"));
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    asked.fetch_add(1, Ordering::AcqRel);
                    // four of these make about a hundred requests a second
                    std::thread::sleep(Duration::from_millis(40));
                }
            });
        }
        let _over = Over(&over);
        let both = model_json("both", [("beta", "up-b")]).to_string();
        for path in ["/chat/completions", "/other/completions"] {
            gateway.write_provider("beta", &beta("/chat/completions"));
            gateway.write_model("both", &both);
            until("an added provider", || {
                gateway.chat(&question("both")).status == 200
            });
            gateway.write_provider("beta", &beta(path));
            let sent_there = || {
                gateway.chat(&question("both"));
                upstream
                    .requests()
                    .iter()
                    .any(|request| request.target.ends_with(path))
            };
            until("an edited provider", sent_there);
            gateway.delete_model("both");
            gateway.delete_provider("beta");
            until("a removed provider", || {
                gateway.chat(&question("both")).status == 404
            });
        }
        until("a hundred answers", || asked.load(Ordering::Acquire) >= 100);
    });
}

#[test]
fn keys_in_dotenv_are_read_again_when_it_changes() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let serve = model_proxy(["serve"])
        .env("PORT", "0")
        .env("RATE_LIMIT_REQUESTS_PER_MINUTE", "0")
        .file(".env", "CLIENT_API_KEY=client\nALPHA_API_KEY_1=old-key\n")
        .file(
            "config/providers/alpha.json",
            &provider_json("alpha", &upstream.url(), Protocol::OpenAi).to_string(),
        )
        .file(
            "config/models/m.json",
            &model_json("m", [("alpha", "up-m")]).to_string(),
        )
        .start();
    let ask = post(serve.address(), "/v1/chat/completions")
        .key("client")
        .json(&question("m"));
    assert_eq!(ask.send().status, 200);
    let dotenv = serve.directory().join(".env");
    std::fs::write(dotenv, "CLIENT_API_KEY=client\nALPHA_API_KEY_1=new-key\n").expect("a file");
    until("the new key", || {
        assert_eq!(ask.send().status, 200);
        upstream.requests().pop().expect("a request").key() == Some("new-key")
    });
}

#[test]
fn a_file_that_changes_while_the_gateway_starts_is_not_missed() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let provider = provider_json("alpha", &upstream.url(), Protocol::OpenAi).to_string();
    for _ in 0..2 {
        let serve = model_proxy(["serve"])
            .env("PORT", "0")
            .env("CLIENT_API_KEY", "client")
            .env("ALPHA_API_KEY", "key")
            .env("RATE_LIMIT_REQUESTS_PER_MINUTE", "0")
            .file("config/providers/alpha.json", &provider)
            .file("config/models/other.json", "{}")
            .start();
        // printed once the files have been read, before anything watches them
        let address = serve.address();
        let model = model_json("m", [("alpha", "up-m")]).to_string();
        std::fs::write(serve.directory().join("config/models/m.json"), model).expect("a file");
        let ask = post(address, "/v1/chat/completions")
            .key("client")
            .json(&question("m"));
        until("the new model", || ask.send().status == 200);
    }
}
