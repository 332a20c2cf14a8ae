//! One request through its plan: attempts in order, the commit point, and whose words the client hears.
//! It knows no HTTP surface: a request comes in as read, an answer goes out as bytes or as a relay.

pub mod attempt;
pub mod budget;
pub mod exchange;
mod fitting;
mod opening;
pub mod relay;
pub mod stop;
pub mod transcript;
mod verdict;
mod walk;

use std::rc::Rc;
use std::sync::Arc;

use awc::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;

use crate::actors::registry::Registry;
use crate::config::catalog::{Catalog, Route};
use crate::config::settings::Settings;
use crate::error::GatewayError;
use crate::protocol::raw::RawObject;
use crate::protocol::{Protocol, RequestHead};
use crate::routing::plan::Plan;
use crate::upstream::{Clients, Forwarded};

pub use fitting::preview;

use exchange::Exchange;
use relay::Relay;
use stop::Stop;

/// What a worker needs to answer requests. One for each worker; not `Send`.
pub struct Gateway {
    /// Settings of the process.
    pub settings: Arc<Settings>,
    /// The worker's awc clients.
    pub clients: Clients,
    /// The worker's shells of the actors.
    pub registry: Rc<Registry>,
    /// Tells when streams have to end.
    pub stop: Stop,
}

/// A client's request as the gateway needs it.
pub struct ClientRequest {
    /// The protocol the client speaks.
    pub protocol: Protocol,
    /// The body, its members as they came.
    pub body: RawObject,
    /// What we read of it.
    pub head: RequestHead,
    /// Whether the answer is a stream (asked for in the body, or by the path).
    pub streaming: bool,
    /// Headers that go up.
    pub forwarded: Forwarded,
}

/// Headers of an upstream answer that the client may see.
pub type PassedHeaders = Vec<(HeaderName, HeaderValue)>;

/// An answer to give.
pub enum Answer {
    /// Complete, from an upstream.
    Whole(Whole),
    /// A stream whose first content has arrived.
    Stream(Box<OpenStream>),
    /// An upstream's refusal, in the client's protocol.
    Refused(Refusal),
    /// Ours.
    Failed(GatewayError),
}

/// A complete answer.
pub struct Whole {
    /// The upstream's status, 2xx.
    pub status: u16,
    /// Headers to pass on.
    pub headers: PassedHeaders,
    /// The upstream's bytes, or what they say in the client's protocol.
    pub body: Bytes,
    /// What the route's protocol could not be told.
    pub loss: Option<String>,
    /// Who answered.
    pub route: Arc<Route>,
}

/// A stream under way.
pub struct OpenStream {
    /// Headers to pass on.
    pub headers: PassedHeaders,
    /// Who answers.
    pub route: Arc<Route>,
    /// Calls it took.
    pub attempts: usize,
    /// What the route's protocol could not be told.
    pub loss: Option<String>,
    /// The events.
    pub relay: Relay,
}

/// A refusal in an upstream's words.
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// Headers to pass on.
    pub headers: PassedHeaders,
    /// An error body of the client's protocol, scrubbed.
    pub body: Bytes,
    /// What the upstream said, scrubbed, for the log.
    pub message: String,
}

impl Gateway {
    /// Answers a request by its plan. The exchange comes back with everything but a stream, which takes it along.
    pub async fn answer(
        self: &Rc<Self>,
        request: ClientRequest,
        plan: Plan,
        catalog: Arc<Catalog>,
        exchange: Exchange,
    ) -> (Answer, Option<Exchange>) {
        let walk = walk::Walk::new(Rc::clone(self), request, plan, catalog, exchange);
        walk.run().await
    }
}
