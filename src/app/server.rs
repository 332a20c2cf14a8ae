//! The HTTP server: its settings, its middleware, its workers.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use tracing_actix_web::TracingLogger;

use crate::http::cors::cors;
use crate::http::span::RequestSpan;
use crate::http::worker::{Shared, Worker};
use crate::http::{self, identity};

/// A client's head must be there within this.
const HEAD: Duration = Duration::from_secs(15);
/// Idle client connections are kept so long; above the 60 s of common load balancers.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// actix' own limit when stopping lies so many seconds behind ours and is never reached.
const STOP_MARGIN: u64 = 30;

/// Starts the workers.
pub(super) fn start(shared: Shared, listener: TcpListener) -> std::io::Result<Server> {
    let settings = shared.settings.clone();
    let workers = match settings.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    };
    let patience = settings.shutdown_timeout.as_secs() + STOP_MARGIN;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(Worker::start(shared.clone())))
            .configure(http::routes)
            .default_service(web::to(http::not_found))
            .wrap(cors(&shared.settings.cors_origins))
            .wrap(from_fn(identity::stamp))
            .wrap(TracingLogger::<RequestSpan>::new())
    })
    .workers(workers)
    .tcp_nodelay(true)
    .h1_allow_half_closed(false)
    .client_request_timeout(HEAD)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(patience)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}
