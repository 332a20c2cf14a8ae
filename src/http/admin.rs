//! `/admin`, for whoever holds `ADMIN_API_KEY`: what the provider keys do, and an end to their rests. Labels only.

pub mod report;

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use self::report::{KeyReport, Lifted, ProviderReport, ResetReport};
use super::caller::presented;
use super::respond::{self, Refused};
use super::worker::Worker;
use crate::actors::key_pool::{KeyPools, List, Reset};
use crate::config::catalog::Catalog;
use crate::error::{ErrorKind, GatewayError};
use crate::secret;

/// A key pool answers within microseconds; one that takes longer is stuck.
const ASK: Duration = Duration::from_secs(2);

/// Somebody who showed the administrator's key.
pub struct Administrator {
    catalog: Arc<Catalog>,
}

impl FromRequest for Administrator {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identify(request).map_err(|error| Refused::new(request, error)))
    }
}

fn identify(request: &HttpRequest) -> Result<Administrator, GatewayError> {
    let worker = request
        .app_data::<web::Data<Worker>>()
        .ok_or_else(|| GatewayError::new(ErrorKind::Internal, "the worker is not set up"))?;
    let catalog = worker.shared.catalog.load_full();
    let Some(administrator) = catalog.administrator else {
        return Err(GatewayError::new(
            ErrorKind::Forbidden,
            "The admin endpoints are off: set ADMIN_API_KEY in the gateway's environment or .env",
        ));
    };
    let mut keys = presented(request.headers());
    if keys.any(|key| secret::digest(key).ct_eq(&administrator).into()) {
        return Ok(Administrator { catalog });
    }
    Err(GatewayError::new(
        ErrorKind::Unauthorized,
        "The admin endpoints want `Authorization: Bearer <ADMIN_API_KEY>`; client keys do not open them",
    ))
}

/// `GET /admin/keys`.
pub async fn list(admin: Administrator, worker: web::Data<Worker>) -> HttpResponse {
    let now = SystemTime::now();
    let mut providers = Vec::new();
    for (name, provider) in &admin.catalog.providers {
        if provider.ring.is_empty() {
            continue;
        }
        let views = match worker.shared.pools.get(name) {
            Some(pool) => pool.send(List).timeout(ASK).await.unwrap_or_default(),
            None => Vec::new(),
        };
        providers.push(ProviderReport {
            provider: name.clone(),
            keys: views
                .into_iter()
                .map(|view| KeyReport::new(view, now))
                .collect(),
        });
    }
    json(&report::KeysReport { providers })
}

/// What is to be reset: one key or one provider where they are named, else everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetRequest {
    provider: Option<String>,
    key: Option<String>,
}

/// `POST /admin/keys/reset`.
pub async fn reset(
    request: HttpRequest,
    admin: Administrator,
    worker: web::Data<Worker>,
    body: Result<web::Bytes, actix_web::Error>,
) -> HttpResponse {
    let answer = match asked(body) {
        Ok(asked) => lift(&admin.catalog, &worker.shared.pools, asked).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(report) => json(&report),
        Err(error) => respond::failure(&request, &error),
    }
}

fn asked(body: Result<web::Bytes, actix_web::Error>) -> Result<ResetRequest, GatewayError> {
    let invalid = |reason: String| GatewayError::new(ErrorKind::InvalidRequest, reason);
    let body = body.map_err(|error| invalid(format!("The body cannot be read: {error}")))?;
    if body.trim_ascii().is_empty() {
        return Ok(ResetRequest::default());
    }
    serde_json::from_slice(&body).map_err(|error| {
        invalid(format!(
            "The body must be empty or {{\"provider\": …, \"key\": …}}, each of them optional: {error}"
        ))
    })
}

async fn lift(
    catalog: &Catalog,
    pools: &KeyPools,
    asked: ResetRequest,
) -> Result<ResetReport, GatewayError> {
    let ResetRequest { provider, key } = asked;
    let mut reset = Vec::new();
    for name in catalog.providers.keys() {
        let named = provider.as_ref().is_none_or(|provider| provider == name);
        let Some(pool) = pools.get(name).filter(|_| named) else {
            continue;
        };
        let question = Reset { key: key.clone() };
        let keys = pool
            .send(question)
            .timeout(ASK)
            .await
            .map_err(|error| GatewayError::new(ErrorKind::Internal, error.to_string()))?;
        if keys > 0 {
            tracing::info!(provider = %name, key, keys, "an administrator ended the rests of keys");
            let provider = name.clone();
            reset.push(Lifted { provider, keys });
        }
    }
    if reset.is_empty() && (provider.is_some() || key.is_some()) {
        return Err(GatewayError::new(
            ErrorKind::NotFound,
            "No key of this provider and label is configured; GET /admin/keys lists them",
        ));
    }
    Ok(ResetReport { reset })
}

fn json(report: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(report)
}
