//! The HTTP server: its settings, its middleware, its workers.

use std::any::Any;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};

use crate::http::worker::{Shared, Worker};
use crate::http::{self, cors, edge, span};

/// A client's head must be there within this.
const HEAD: Duration = Duration::from_secs(15);
/// What a client still sends after it has been refused is discarded for so long, then its connection is closed.
const DISCARD: Duration = Duration::from_secs(1);
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
    let stall = settings.client_stall;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(Worker::start(shared.clone())))
            .service(cors::pages(&shared.settings.cors_origins))
            .configure(http::routes)
            .default_service(web::to(http::not_found))
            .wrap(span::shown())
            .wrap(from_fn(edge::pass))
    })
    .on_connect(move |socket, _| give_up_after(stall, socket))
    .workers(workers)
    .tcp_nodelay(true)
    .h1_allow_half_closed(false)
    .client_request_timeout(HEAD)
    .client_disconnect_timeout(DISCARD)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(patience)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

/// Has the system break the connection of a client that takes nothing of what it was sent for `stall` and a little: actix
/// itself would hold a whole answer, or what a swept stream left in its buffer, for ever.
#[cfg(target_os = "linux")]
fn give_up_after(stall: Duration, socket: &dyn Any) {
    /// A stream that its client does not read is swept first, so that its row says why.
    const AFTER_SWEEP: Duration = Duration::from_secs(5);
    let Some(socket) = socket.downcast_ref::<actix_rt::net::TcpStream>() else {
        return;
    };
    if let Err(error) =
        socket2::SockRef::from(socket).set_tcp_user_timeout(Some(stall + AFTER_SWEEP))
    {
        tracing::debug!(%error, "could not set TCP_USER_TIMEOUT on a client's connection");
    }
}

/// Other systems know no such limit.
#[cfg(not(target_os = "linux"))]
fn give_up_after(_: Duration, _: &dyn Any) {}
