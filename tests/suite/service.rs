//! Everything around the answers: models, health, CORS, probes.

use model_proxy::protocol::Protocol;
use serde_json::json;

use crate::support::client::{get, request};
use crate::support::gateway::{CLIENT_KEY, Gateway};
use crate::support::upstream::Upstream;

#[test]
fn models_are_listed_in_the_shape_that_was_asked_for() {
    let upstream = Upstream::start();
    let gateway = Gateway::builder()
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("b", [("alpha", "up-b")])
        .model("a", [("alpha", "up-a")])
        .start();
    let list = gateway.get("/v1/models?limit=1000").send();
    assert_eq!(list.status, 200);
    let body = list.json();
    assert_eq!(body["object"], "list");
    let last = body["data"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|model| model["id"] == "b");
    let last = last.expect("the model").clone();
    assert_eq!(last["object"], "model");
    assert!(last["created"].is_u64() && last["owned_by"].is_string());
    assert_eq!(
        gateway.get("/v1/models").send().json(),
        body,
        "it changes with every call"
    );
    assert_eq!(gateway.get("/v1/models/b").send().json(), last);
    assert_eq!(gateway.get("/v1/models/none").send().status, 404);

    let anthropic = |path: &str| {
        gateway
            .get(path)
            .header("anthropic-version", "2023-06-01")
            .send()
    };
    let body = anthropic("/v1/models").json();
    assert_eq!(body["has_more"], false);
    let models = body["data"].as_array().expect("a list");
    assert_eq!(body["first_id"], models[0]["id"]);
    assert_eq!(body["last_id"], models[models.len() - 1]["id"]);
    assert_eq!(models[0]["type"], "model");
    assert!(models[0]["created_at"].is_string() && models[0]["display_name"].is_string());
    assert_eq!(anthropic("/v1/models/b").json()["id"], "b");
    assert_eq!(
        anthropic("/v1/models/none").json()["error"]["type"],
        "not_found_error"
    );
    assert_eq!(get(gateway.address(), "/v1/models").send().status, 401);
}

#[test]
fn health_needs_no_key_and_tells_no_internals() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let health = get(gateway.address(), "/health").send();
    assert_eq!(health.status, 200);
    let body = health.json();
    assert_eq!(body["status"], "healthy");
    assert!(body["timestamp"].is_string());
    assert_eq!(body.as_object().expect("an object").len(), 2);
    assert_eq!(
        get(gateway.address(), "/health/detailed").send().status,
        401
    );
}

#[test]
fn detailed_health_names_what_is_used_and_what_it_lacks() {
    let upstream = Upstream::start();
    let builder = || {
        Gateway::builder()
            .provider("alpha", &upstream, Protocol::OpenAi)
            .provider("beta", &upstream, Protocol::Anthropic)
            .model("m", [("alpha", "up-m")])
    };
    let gateway = builder().start();
    let detail = gateway.get("/health/detailed").send();
    assert_eq!(detail.status, 200);
    let body = detail.json();
    assert_eq!(body["status"], "healthy", "{body}");
    assert!(body["uptime_seconds"].is_number());
    let components = &body["components"];
    assert_eq!(components["database"]["status"], "healthy");
    assert_eq!(components["providers"]["alpha"]["status"], "healthy");
    assert_eq!(components["providers"]["alpha"]["keys_available"], 1);
    assert_eq!(
        components["providers"].get("openai"),
        None,
        "compiled in, but unused"
    );
    assert_eq!(components["model_config"]["models_count"], 1);
    assert!(!detail.text().contains("key-of-alpha"));

    let gateway = builder().keys("alpha", []).start();
    let body = gateway.get("/health/detailed").send().json();
    assert_eq!(body["status"], "degraded");
    assert_eq!(
        body["components"]["providers"]["alpha"]["status"],
        "no_keys"
    );

    let gateway = builder().keys("beta", []).start();
    let body = gateway.get("/health/detailed").send().json();
    assert_eq!(body["status"], "healthy", "no model routes to beta: {body}");
}

#[test]
fn a_probe_needs_no_key() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::Anthropic);
    let probe = request(gateway.address(), "HEAD", "/").send();
    assert_eq!((probe.status, probe.body.len()), (200, 0));
}

#[test]
fn browsers_are_answered_as_the_settings_say() {
    let upstream = Upstream::start();
    let preflight = |gateway: &Gateway, origin: &str| {
        request(gateway.address(), "OPTIONS", "/v1/chat/completions")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization, content-type",
            )
            .send()
    };
    let open = Gateway::before(&upstream, Protocol::OpenAi);
    let answer = preflight(&open, "https://anywhere.example");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);

    let closed = Gateway::builder()
        .setting("cors_origins", " https://one.example , https://two.example")
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    let answer = preflight(&closed, "https://two.example");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://two.example")
    );
    let answer = preflight(&closed, "https://three.example");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let answer = get(closed.address(), "/v1/models")
        .key(CLIENT_KEY)
        .header("origin", "https://one.example")
        .send();
    let exposed = answer
        .header("access-control-expose-headers")
        .expect("exposed headers");
    for name in ["x-request-id", "x-model-proxy-model", "retry-after"] {
        assert!(exposed.to_lowercase().contains(name), "{exposed}");
    }
    let answer = get(closed.address(), "/v1/models").key(CLIENT_KEY).send();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-expose-headers"), None);
}

#[test]
fn a_gateway_without_a_client_key_refuses_everybody() {
    let upstream = Upstream::start();
    let gateway = Gateway::builder()
        .setting("client_api_key", " , ")
        .provider("alpha", &upstream, Protocol::OpenAi)
        .model("m", [("alpha", "up-m")])
        .start();
    for key in ["", CLIENT_KEY, ","] {
        let refused = request(gateway.address(), "POST", "/v1/chat/completions")
            .key(key)
            .json(&json!({"model": "m", "messages": [{}]}))
            .send();
        assert_eq!(refused.status, 401);
    }
}
