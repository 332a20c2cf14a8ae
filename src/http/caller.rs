//! Who is calling: a synchronous extractor, so that nothing is read from a caller without a key.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use subtle::ConstantTimeEq as _;

use super::respond::Refused;
use super::worker::Worker;
use crate::config::catalog::{Catalog, Client};
use crate::error::{ErrorKind, GatewayError};
use crate::secret;

/// A client that showed one of our keys, with the catalog as of its request.
pub struct Caller {
    /// Who.
    pub client: Arc<Client>,
    /// The snapshot for the whole request.
    pub catalog: Arc<Catalog>,
}

impl FromRequest for Caller {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identify(request).map_err(|error| Refused::new(request, error)))
    }
}

fn identify(request: &HttpRequest) -> Result<Caller, GatewayError> {
    let worker = request
        .app_data::<web::Data<Worker>>()
        .ok_or_else(|| GatewayError::new(ErrorKind::Internal, "the worker is not set up"))?;
    let catalog = worker.shared.catalog.load_full();
    let mut shown = false;
    for key in presented(request.headers()) {
        shown = true;
        if let Some(client) = find(&catalog, key) {
            return Ok(Caller { client, catalog });
        }
    }
    let words = if shown {
        "The API key is not one of this gateway's client keys"
    } else {
        "No API key: send `Authorization: Bearer <key>` or `x-api-key: <key>`"
    };
    Err(GatewayError::new(ErrorKind::Unauthorized, words))
}

/// The keys that a request shows, without their `Bearer ` prefixes.
pub(super) fn presented(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    [AUTHORIZATION.as_str(), "x-api-key"]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok())
        .map(bare)
        .filter(|key| !key.is_empty())
}

fn bare(value: &str) -> &str {
    let mut key = value.trim();
    while let Some((prefix, rest)) = key.split_at_checked(6) {
        if !prefix.eq_ignore_ascii_case("bearer") || !(rest.is_empty() || rest.starts_with(' ')) {
            break;
        }
        key = rest.trim_start();
    }
    key
}

/// The map is found by digest; the comparison that decides takes constant time.
fn find(catalog: &Catalog, key: &str) -> Option<Arc<Client>> {
    let digest = secret::digest(key);
    catalog
        .clients
        .get(&digest)
        .filter(|client| client.digest.ct_eq(&digest).into())
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_bearer_prefixes_is_stripped_in_any_case() {
        for value in [
            "key",
            "Bearer key",
            "bearer  key",
            "BEARER Bearer key ",
            " key",
        ] {
            assert_eq!(bare(value), "key", "{value}");
        }
        assert_eq!(bare("Bearer"), "");
        assert_eq!(bare("Bearer "), "");
        assert_eq!(bare("bearerkey"), "bearerkey");
    }
}
