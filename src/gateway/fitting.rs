//! A client's request as each route wants it: the same bytes for the same protocol, through the hub otherwise.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::ClientRequest;
use crate::config::catalog::{Model, Route};
use crate::conversation::Conversation;
use crate::convert::loss::Loss;
use crate::convert::memo::Memo;
use crate::convert::{Target, pair};
use crate::error::{ErrorKind, GatewayError};
use crate::protocol::Rewrite;
use crate::protocol::raw::Pieces;

/// The limit of an answer for a protocol that requires one, where neither the client nor the provider's file has one.
const DEFAULT_MAX_TOKENS: u64 = 8192;

/// A request decoded at most once, on the first route of another protocol, and written once for each route.
#[derive(Default)]
pub(super) struct Hub {
    conversation: Option<Result<Conversation, GatewayError>>,
    /// For the route of the last call; its further calls send the same.
    latest: Option<(Arc<Route>, Rc<Fitted>)>,
}

/// A body ready for a route.
pub(super) struct Fitted {
    pub(super) body: Pieces,
    /// What the route's protocol cannot say.
    pub(super) loss: Loss,
    /// What the answer has to know of it.
    pub(super) memo: Memo,
}

/// Why a request cannot be sent on a route.
pub(super) enum Unfit {
    /// It is wrong on every route.
    Everywhere(GatewayError),
    /// It does not fit this one.
    Here(GatewayError),
}

impl Hub {
    /// The body for a route of a logical model, or why there is none.
    pub(super) fn fit(
        &mut self,
        request: &ClientRequest,
        model: &Model,
        route: &Arc<Route>,
    ) -> Result<Rc<Fitted>, Unfit> {
        if let Some((known, fitted)) = &self.latest
            && Arc::ptr_eq(known, route)
        {
            return Ok(Rc::clone(fitted));
        }
        let fitted = Rc::new(self.write(request, model, route)?);
        self.latest = Some((Arc::clone(route), Rc::clone(&fitted)));
        Ok(fitted)
    }

    fn write(
        &mut self,
        request: &ClientRequest,
        model: &Model,
        route: &Route,
    ) -> Result<Fitted, Unfit> {
        if let Some(parameter) = missing_parameter(request, route) {
            return Err(Unfit::Here(needs(model, parameter)));
        }
        if route.protocol == request.protocol {
            return Ok(same(request, route));
        }
        let conversation = self
            .conversation
            .get_or_insert_with(|| pair::decode_request(request.protocol, &request.body))
            .as_ref()
            .map_err(|error| Unfit::Everywhere(error.clone()))?;
        let encoded = pair::encode_request(
            route.protocol,
            conversation,
            &Target {
                model: &route.model,
                stream: request.streaming,
                ask_usage: request.streaming && route.provider.stream_usage,
                defaults: &route.provider.default_parameters,
                default_max_tokens: DEFAULT_MAX_TOKENS,
                wants_max_completion_tokens: route.provider.wants_max_completion_tokens,
                reasoning: route.reasoning,
            },
        );
        if model.strict && !encoded.loss.is_empty() {
            return Err(Unfit::Here(would_lose(model, &encoded.loss)));
        }
        Ok(Fitted {
            body: encoded.body.into(),
            loss: encoded.loss,
            memo: encoded.memo,
        })
    }
}

/// What a route would be sent and what would be lost, without sending it.
pub fn preview(
    request: &ClientRequest,
    model: &Model,
    route: &Route,
) -> Result<(Bytes, Loss), GatewayError> {
    match Hub::default().write(request, model, route) {
        Ok(fitted) => Ok((fitted.body.join(), fitted.loss)),
        Err(Unfit::Here(error) | Unfit::Everywhere(error)) => Err(error),
    }
}

/// The client's own bytes. What is taken out is not the client's but ours, so that a strict model refuses nothing for it.
fn same(request: &ClientRequest, route: &Route) -> Fitted {
    let provider = &route.provider;
    let stream = (request.streaming != request.head.stream).then_some(request.streaming);
    let trimmed = request.protocol.without_unsigned_thinking(&request.body);
    let mut loss = Loss::default();
    for path in trimmed.iter().flat_map(|trimmed| &trimmed.dropped) {
        loss.dropped(path.as_str());
    }
    let body = request.protocol.rewrite(
        trimmed
            .as_ref()
            .map_or(&request.body, |trimmed| &trimmed.body),
        &request.head,
        &Rewrite {
            model: &route.model,
            stream,
            ask_usage: request.streaming && provider.stream_usage,
            defaults: &provider.default_parameters,
        },
    );
    Fitted {
        body,
        loss,
        memo: Memo::default(),
    }
}

/// A parameter that the provider's file requires and that neither the client nor the file's defaults give.
fn missing_parameter<'a>(request: &ClientRequest, route: &'a Route) -> Option<&'a str> {
    let provider = &route.provider;
    let given = |name: &str| {
        request.body.get(name).is_some()
            || provider
                .default_parameters
                .iter()
                .any(|(default, _)| default == name)
    };
    let mut required = provider.required_parameters.iter();
    required.find(|name| !given(name)).map(String::as_str)
}

fn needs(model: &Model, parameter: &str) -> GatewayError {
    GatewayError::new(
        ErrorKind::InvalidRequest,
        format!("{parameter}: model `{}` needs this parameter", model.name),
    )
    .with_param(parameter)
}

fn would_lose(model: &Model, loss: &Loss) -> GatewayError {
    let error = GatewayError::new(
        ErrorKind::InvalidRequest,
        format!(
            "Model `{}` is strict, and its provider cannot be told everything: {loss}",
            model.name
        ),
    );
    match loss.items().first() {
        Some((path, _)) => error.with_param(path.clone()),
        None => error,
    }
}
