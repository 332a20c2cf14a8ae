//! One request through its plan: attempts in order, the commit point, and whose words the client hears.
//! It knows no HTTP surface: a request comes in as read, an answer goes out as bytes or as a relay.

pub mod attempt;
pub mod budget;
pub mod count;
pub mod exchange;
mod fitting;
mod opening;
mod pools;
mod relay;
mod splice;
pub mod stop;
pub mod stream;
pub mod transcript;
mod verdict;
mod walk;

use std::rc::Rc;
use std::sync::Arc;

use awc::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use tokio::time::timeout;

use crate::actors::ledger::Selection;
use crate::actors::registry::Registry;
use crate::config::catalog::{Catalog, Route};
use crate::config::settings::Settings;
use crate::error::GatewayError;
use crate::protocol::raw::RawObject;
use crate::protocol::{Protocol, RequestHead};
use crate::routing::plan::Plan;
use crate::upstream::{Clients, Forwarded};

pub use fitting::preview;

use budget::{BodyBudget, Taken};
use exchange::Exchange;
use stop::Stop;
use stream::ClientStream;
use walk::{Ending, Walk};

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
    /// Bytes of requests and answers held at once.
    pub budget: BodyBudget,
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
    /// How the routes of its plan came into their order.
    pub selection: Selection,
}

/// Headers of an upstream answer that the client may see.
pub type PassedHeaders = Vec<(HeaderName, HeaderValue)>;

/// An answer to give.
pub enum Answer {
    /// Complete, from an upstream.
    Whole(Whole),
    /// A stream whose first content has arrived, or that has waited for it so long that its client has to hear something.
    Stream(Box<OpenStream>),
    /// Nobody answered.
    None(NoAnswer),
}

/// Why nobody answered, as the client hears it.
pub enum NoAnswer {
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
    /// What the body takes of the budget; to be kept as long as the body is.
    pub taken: Option<Taken>,
    /// What the route's protocol could not be told.
    pub loss: Option<String>,
    /// Who answered.
    pub route: Arc<Route>,
}

/// A stream under way.
pub struct OpenStream {
    /// Headers to pass on.
    pub headers: PassedHeaders,
    /// Who answers, if that is known.
    pub source: Option<Source>,
    /// The events.
    pub stream: ClientStream,
}

/// Who answers a stream.
pub struct Source {
    /// Where it comes from.
    pub route: Arc<Route>,
    /// Calls it took.
    pub attempts: usize,
    /// What the route's protocol could not be told.
    pub loss: Option<String>,
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
        exchange: Box<Exchange>,
    ) -> (Answer, Option<Box<Exchange>>) {
        let terms = stream::terms(&request, &self.settings);
        let request_id = exchange.shared_request_id();
        let pace = plan.model.keepalive.unwrap_or_default();
        let waits = !request.streaming || pace.is_zero();
        let head = exchange.head();
        let walk = Walk::new(Rc::clone(self), request, plan, catalog, exchange);
        let mut walking: stream::Walking = Box::pin(walk.run());
        let ending = if waits {
            walking.await
        } else {
            match timeout(pace, &mut walking).await {
                Ok(ending) => ending,
                Err(_) => {
                    head.set(Some(200));
                    let open = OpenStream {
                        headers: PassedHeaders::new(),
                        source: None,
                        stream: ClientStream::walking(walking, terms, pace, request_id),
                    };
                    return (Answer::Stream(Box::new(open)), None);
                }
            }
        };
        match ending {
            Ending::Answer(answer, exchange) => (answer, Some(exchange)),
            Ending::Stream(arrived) => {
                let open = OpenStream {
                    headers: arrived.committed.headers.clone(),
                    source: Some(Source {
                        route: Arc::clone(&arrived.engagement.route),
                        attempts: arrived.exchange.attempts(),
                        loss: arrived.exchange.loss().map(str::to_owned),
                    }),
                    stream: ClientStream::relaying(*arrived, terms, pace, request_id),
                };
                (Answer::Stream(Box::new(open)), None)
            }
        }
    }
}
