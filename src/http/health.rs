//! `/health` for load balancers: no key, no query, no internals. `/health/detailed` for people with a key.

use std::path::Path;
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::worker::Worker;
use crate::actors::key_pool::{self, KeyPools};
use crate::config::catalog::{Catalog, Finding, Origin, Provider};
use crate::routing::keyring::RingStatus;

/// A key pool that does not answer within this is reported as such.
const ASK: Duration = Duration::from_secs(2);

/// How something is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

/// `GET /health`.
pub async fn brief(worker: web::Data<Worker>) -> HttpResponse {
    let shared = &worker.shared;
    let healthy = shared.database.healthy(Instant::now()) && !shared.stop.is_draining();
    let status = if healthy {
        Status::Healthy
    } else {
        Status::Unhealthy
    };
    answer(healthy, &json!({"status": status, "timestamp": now()}))
}

/// `GET /health/detailed`.
pub async fn detailed(caller: Caller, worker: web::Data<Worker>) -> HttpResponse {
    let shared = &worker.shared;
    let catalog = &caller.catalog;
    let database_is_healthy = shared.database.healthy(Instant::now());
    let (providers, mut overall) = providers(catalog, &shared.pools).await;
    if !catalog.faults.is_empty() {
        overall = overall.max(Status::Degraded);
    }
    if !database_is_healthy || shared.stop.is_draining() {
        overall = Status::Unhealthy;
    }
    let database = if database_is_healthy {
        json!({"status": Status::Healthy, "response_time_ms": shared.database.response_time_ms()})
    } else {
        json!({"status": Status::Unhealthy, "error": shared.database.error()})
    };
    let (model_faults, provider_faults) =
        faults(&catalog.faults, shared.settings.config_dir.as_deref());
    let body = json!({
        "status": overall,
        "timestamp": now(),
        "uptime_seconds": shared.started.elapsed().as_secs(),
        "components": {
            "database": database,
            "providers": providers,
            "model_config": {
                "status": files_status(&model_faults),
                "models_count": catalog.models.len(),
                "faults": model_faults,
            },
            "provider_configs": {
                "status": files_status(&provider_faults),
                "providers_loaded": catalog.providers.len(),
                "faults": provider_faults,
            },
        },
        "log": {"records_dropped": shared.buffer.dropped()},
        "requests_in_flight": shared.stop.live(),
    });
    answer(overall != Status::Unhealthy, &body)
}

fn files_status(faults: &[String]) -> Status {
    if faults.is_empty() {
        Status::Healthy
    } else {
        Status::Degraded
    }
}

/// Faults of model files, and of everything else.
fn faults(findings: &[Finding], directory: Option<&Path>) -> (Vec<String>, Vec<String>) {
    let is_model = |finding: &&Finding| {
        directory
            .and_then(|directory| finding.source.strip_prefix(directory).ok())
            .is_some_and(|path| path.starts_with("models") || path == Path::new("models.json"))
    };
    let (models, others): (Vec<&Finding>, Vec<&Finding>) = findings.iter().partition(is_model);
    let words = |findings: Vec<&Finding>| findings.iter().map(ToString::to_string).collect();
    (words(models), words(others))
}

/// The providers worth mentioning, and what they mean for the whole.
async fn providers(catalog: &Catalog, pools: &KeyPools) -> (Value, Status) {
    let mut overall = Status::Healthy;
    let mut listed = Map::new();
    for provider in catalog.providers.values() {
        let routed = is_routed(catalog, provider);
        let has_file = matches!(provider.origin, Origin::File(_));
        if !routed && !has_file && provider.ring.is_empty() {
            continue;
        }
        let ring = ring_status(pools, &provider.name).await;
        let (status, available) = describe(provider, ring);
        if routed && status != "healthy" {
            overall = overall.max(Status::Degraded);
        }
        listed.insert(
            provider.name.clone(),
            json!({"status": status, "keys_available": available}),
        );
    }
    (Value::Object(listed), overall)
}

async fn ring_status(pools: &KeyPools, provider: &str) -> Option<RingStatus> {
    let pool = pools.get(provider)?;
    pool.send(key_pool::Status).timeout(ASK).await.ok()
}

fn is_routed(catalog: &Catalog, provider: &Provider) -> bool {
    catalog
        .models
        .values()
        .flat_map(|model| &model.routes)
        .any(|route| route.provider.name == provider.name)
}

fn describe(provider: &Provider, ring: Option<RingStatus>) -> (&'static str, usize) {
    if !provider.enabled || provider.unusable.is_some() {
        return ("disabled", 0);
    }
    if provider.ring.is_empty() {
        return ("no_keys", 0);
    }
    // A ring that nobody has asked yet has all its keys ready.
    let ready = ring.map_or(provider.ring.len(), |ring| ring.ready);
    if ready == 0 {
        ("cooling", 0)
    } else {
        ("healthy", ready)
    }
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn answer(healthy: bool, body: &Value) -> HttpResponse {
    let mut response = if healthy {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response
        .content_type("application/json")
        .insert_header(("cache-control", "no-store"))
        .body(body.to_string())
}
