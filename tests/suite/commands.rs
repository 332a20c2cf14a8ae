//! The command line: what each command prints, and how it ends.

use model_proxy::protocol::Protocol;
use serde_json::json;

use crate::support::binary::{CommandLine, model_proxy};
use crate::support::client::{get, post};
use crate::support::gateway::{model_json, provider_json};
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::openai_error;

const PROVIDER_URL: &str = "http://127.0.0.1:9";

fn with_config<const N: usize>(arguments: [&str; N]) -> CommandLine {
    let provider = provider_json("alpha", PROVIDER_URL, Protocol::OpenAi);
    model_proxy(arguments)
        .env("CLIENT_API_KEY", "client-secret")
        .env("ALPHA_API_KEY_1", "provider-secret-1")
        .env("ALPHA_API_KEY_2", "provider-secret-2")
        .file("config/providers/alpha.json", &provider.to_string())
        .file(
            "config/models/m.json",
            &model_json("m", [("alpha", "up-m")]).to_string(),
        )
}

#[test]
fn help_and_version_are_no_failures_and_nonsense_is_bad_usage() {
    let version = model_proxy(["--version"]).run();
    assert_eq!(version.code(), 0);
    assert!(
        version.printed.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        version.printed
    );
    let help = model_proxy(["--help"]).run();
    assert_eq!(help.code(), 0);
    for command in ["serve", "demo", "check", "explain", "health"] {
        assert!(help.printed.contains(command), "{}", help.printed);
        assert_eq!(model_proxy([command, "--help"]).run().code(), 0);
    }
    assert_eq!(model_proxy(["nonsense"]).run().code(), 64);
    assert_eq!(model_proxy(["serve", "--nonsense"]).run().code(), 64);
}

/// The linker puts its `malloc` before glibc's without a word, so it could be left out without one.
#[cfg(target_os = "linux")]
#[test]
fn memory_comes_from_mimalloc() {
    let told = model_proxy(["--version"])
        .env("MIMALLOC_SHOW_STATS", "1")
        .run();
    let pages = told.printed.lines().find_map(|line| {
        let (name, figures) = line.split_once(':')?;
        (name.trim() == "pages").then(|| figures.split_whitespace().next())?
    });
    let peak: usize = pages
        .and_then(|peak| peak.parse().ok())
        .expect(&told.printed);
    assert!(peak > 1, "{}", told.printed);
}

#[test]
fn check_accepts_a_good_configuration() {
    let checked = with_config(["check"]).run();
    assert_eq!(checked.code(), 0, "{}", checked.printed);
    assert!(
        !checked.printed.contains("provider-secret"),
        "{}",
        checked.printed
    );
}

#[test]
fn check_names_every_fault_with_its_place() {
    let checked = with_config(["check"])
        .file(
            "config/models/broken.json",
            "{\n  \"logical_name\": \"broken\",\n  oops\n}",
        )
        .file(
            "config/models/lost.json",
            &model_json("lost", [("nobody", "x")]).to_string(),
        )
        .run();
    assert_eq!(checked.code(), 64, "{}", checked.printed);
    assert!(
        checked.printed.contains("broken.json:3:3"),
        "{}",
        checked.printed
    );
    assert!(checked.printed.contains("lost.json"), "{}", checked.printed);
    assert!(checked.printed.contains("nobody"), "{}", checked.printed);
}

#[test]
fn explain_shows_the_attempts_with_labels_and_without_keys() {
    let explained = with_config(["explain", "m"]).run();
    assert_eq!(explained.code(), 0, "{}", explained.printed);
    for word in [
        "alpha",
        "up-m",
        "openai",
        "ALPHA_API_KEY_1",
        "ALPHA_API_KEY_2",
    ] {
        assert!(
            explained.printed.contains(word),
            "{word} in {}",
            explained.printed
        );
    }
    assert!(
        !explained.printed.contains("provider-secret"),
        "{}",
        explained.printed
    );
    let unknown = with_config(["explain", "nobody"]).run();
    assert_eq!(unknown.code(), 1, "{}", unknown.printed);
}

#[test]
fn explain_shows_how_routes_are_chosen() {
    let mut file = model_json("m", [("alpha", "up-m"), ("alpha", "up-n")]);
    let plain = with_config(["explain", "m"]).run();
    assert!(
        plain.printed.contains("strategy ordered"),
        "{}",
        plain.printed
    );
    file["strategy"] = "weighted".into();
    file["session_affinity"] = true.into();
    file["model_routings"][0]["weight"] = 3.into();
    let explained = with_config(["explain", "m"])
        .file("config/models/m.json", &file.to_string())
        .run();
    for words in [
        "strategy weighted",
        "a session stays with the route and key",
        "weight: 3, first for 75 % of requests",
        "weight: 1, first for 25 % of requests",
    ] {
        assert!(
            explained.printed.contains(words),
            "{words} in {}",
            explained.printed
        );
    }
    file["strategy"] = "wheighted".into();
    let checked = with_config(["check"])
        .file("config/models/m.json", &file.to_string())
        .run();
    assert_eq!(checked.code(), 64, "{}", checked.printed);
    let said = "strategy must be one of `ordered`";
    assert!(checked.printed.contains(said), "{}", checked.printed);
    assert!(
        checked.printed.contains("did you mean `weighted`?"),
        "{}",
        checked.printed
    );
}

#[test]
fn serve_reads_dotenv_and_the_real_environment_wins() {
    let serve = with_config(["serve"])
        .env("PORT", "0")
        .env("CLIENT_API_KEY", "from-the-environment")
        .file(
            ".env",
            "CLIENT_API_KEY=from-the-file\nDATABASE_URL=sqlite:///./own.db\n",
        )
        .start();
    let address = serve.address();
    let models = |key: &str| get(address, "/v1/models").key(key).send().status;
    assert_eq!(models("from-the-environment"), 200);
    assert_eq!(models("from-the-file"), 401);
    assert!(serve.directory().join("own.db").exists());
    let health = model_proxy(["health", "--url", &format!("http://{address}")]).run();
    assert_eq!(health.code(), 0, "{}", health.printed);
    let printed =
        serve.wait_until_printed(|text| text.contains("database").then(|| text.to_owned()));
    for word in [
        "m → alpha/up-m",
        "2 keys",
        "ALPHA_API_KEY_1",
        "1 client key",
    ] {
        assert!(printed.contains(word), "{word} in {printed}");
    }
    serve.signal("TERM");
    let ended = serve.wait();
    assert_eq!(ended.code(), 0, "{}", ended.printed);
    for secret in ["provider-secret", "from-the-environment", "from-the-file"] {
        assert!(!ended.printed.contains(secret), "{}", ended.printed);
    }
}

#[test]
fn serve_refuses_what_the_settings_call_fatal() {
    let refused = |line: CommandLine| {
        let ended = line.env("PORT", "0").run();
        assert_eq!(ended.code(), 64, "{}", ended.printed);
        ended.printed
    };
    let printed = refused(model_proxy(["serve"]).env("REQUIRE_CLIENT_API_KEY", "true"));
    assert!(printed.contains("CLIENT_API_KEY"), "{printed}");
    let printed = refused(
        with_config(["serve"])
            .env("FAIL_ON_STARTUP_VALIDATION", "true")
            .file("config/models/broken.json", "{"),
    );
    assert!(printed.contains("broken.json"), "{printed}");
    refused(with_config(["serve"]).env("DATABASE_URL", "postgres://x/y"));
    refused(with_config(["serve"]).env("DATABASE_URL", "nonsense"));
    refused(with_config(["serve"]).env("WORKERS", "many"));
}

#[test]
fn a_port_that_is_taken_is_a_failure_with_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let ended = with_config(["serve"]).env("PORT", &port).run();
    assert_eq!(ended.code(), 1, "{}", ended.printed);
    assert!(ended.printed.contains(&port), "{}", ended.printed);
}

#[test]
fn health_fails_where_nobody_listens() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let ended = model_proxy(["health", "--url", &format!("http://{address}")]).run();
    assert_eq!(ended.code(), 1, "{}", ended.printed);
}

#[test]
fn no_key_is_printed_even_at_trace() {
    let upstream = Upstream::start();
    let telling = "your key provider-secret-1 or provider-secret-2 and client-secret are bad";
    let error = openai_error(
        401,
        "invalid_request_error",
        Some("invalid_api_key"),
        telling,
    );
    upstream.always(error);
    let provider = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    for format in ["text", "json"] {
        let serve = with_config(["serve"])
            .env("PORT", "0")
            .env("LOG_LEVEL", "trace")
            .env("LOG_FORMAT", format)
            .env("VERBOSE_HTTP_ERRORS", "true")
            .file("config/providers/alpha.json", &provider.to_string())
            .start();
        let ask = post(serve.address(), "/v1/chat/completions")
            .key("client-secret")
            .api_key("client-secret")
            .json(&json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}));
        assert!(ask.send().status >= 400);
        serve.signal("TERM");
        let ended = serve.wait();
        assert_eq!(ended.code(), 0, "{}", ended.printed);
        for secret in ["client-secret", "provider-secret"] {
            let line = ended.printed.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{format}");
        }
    }
}
