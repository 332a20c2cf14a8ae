//! `GET /v1/models` and `/v1/models/{id}`, in OpenAI's shape, or Anthropic's when its version header is there.

use actix_web::{HttpRequest, HttpResponse, web};

use super::caller::Caller;
use super::{protocol_of, respond};
use crate::config::catalog::Model;
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::anthropic::Page;
use crate::protocol::{ModelInfo, Protocol, anthropic, openai};

/// Anthropic's paging parameters; OpenAI has none.
#[derive(Debug, Default)]
pub struct Paging {
    limit: Option<String>,
    after_id: Option<String>,
    before_id: Option<String>,
}

/// `GET /v1/models`.
pub async fn list(caller: Caller, request: HttpRequest) -> HttpResponse {
    let infos: Vec<ModelInfo> = caller
        .catalog
        .models
        .values()
        .map(|model| info(model))
        .collect();
    match protocol_of(&request) {
        Protocol::OpenAi => json(openai::model_list(&infos)),
        Protocol::Anthropic => match page(paging(request.query_string())) {
            Ok(page) => json(anthropic::model_list(&infos, &page)),
            Err(error) => respond::failure(&request, &error),
        },
    }
}

/// `GET /v1/models/{id}`; an id may hold slashes.
pub async fn one(caller: Caller, request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    let Some(model) = caller.catalog.models.get(id.as_str()) else {
        let error = GatewayError::new(
            ErrorKind::ModelNotFound,
            format!("The model `{id}` does not exist"),
        )
        .with_param("model");
        return respond::failure(&request, &error);
    };
    json(match protocol_of(&request) {
        Protocol::OpenAi => openai::model_object(&info(model)),
        Protocol::Anthropic => anthropic::model_object(&info(model)),
    })
}

fn info(model: &Model) -> ModelInfo {
    ModelInfo {
        id: model.name.clone(),
        owned_by: model.routes.first().map_or_else(
            || "model-proxy".to_owned(),
            |route| route.provider.name.clone(),
        ),
        created: model.created,
    }
}

/// Of a parameter that is there twice the last counts.
fn paging(query: &str) -> Paging {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
    let mut paging = Paging::default();
    for (name, value) in pairs.map(web::Query::into_inner).unwrap_or_default() {
        match name.as_str() {
            "limit" => paging.limit = Some(value),
            "after_id" => paging.after_id = Some(value),
            "before_id" => paging.before_id = Some(value),
            _ => {}
        }
    }
    paging
}

fn page(paging: Paging) -> Result<Page, GatewayError> {
    let limit = match paging.limit {
        None => None,
        Some(text) => Some(
            text.parse()
                .ok()
                .filter(|limit| (1..=1000).contains(limit))
                .ok_or_else(|| {
                    GatewayError::new(
                        ErrorKind::InvalidRequest,
                        format!("limit: `{text}` is not a number from 1 to 1000"),
                    )
                    .with_param("limit")
                })?,
        ),
    };
    Ok(Page {
        limit,
        after_id: paging.after_id,
        before_id: paging.before_id,
    })
}

fn json(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(body)
}
