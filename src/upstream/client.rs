//! The awc clients of one HTTP worker, one for each connect timeout and scheme, each with its own pool.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_service::ServiceExt as _;
use actix_tls::connect::{Connection, Connector as TcpConnector, Resolver};
use awc::http::Uri;
use foldhash::HashMap;
use rustls::{ClientConfig, RootCertStore};

use super::socket::Socket;

/// Connections held by one client. Admission is ours, so this is only a backstop.
const CONNECTION_LIMIT: usize = 10_000;
/// Idle upstream connections are kept so long; most servers close theirs earlier, which awc notices.
const KEEP_ALIVE: Duration = Duration::from_secs(90);
/// Connections are renewed so that a change of DNS is followed.
const LIFETIME: Duration = Duration::from_secs(600);

/// Which client a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Profile {
    connect: Duration,
    tls: bool,
}

/// The clients of one worker. Not `Send`: awc's connections live on the thread that made them.
#[derive(Clone, Default)]
pub struct Clients {
    by_profile: Rc<RefCell<HashMap<Profile, awc::Client>>>,
}

impl Clients {
    /// The client for an address and a connect timeout; made on first use.
    pub fn get(&self, url: &str, connect: Duration) -> awc::Client {
        let profile = profile(url, connect);
        self.by_profile
            .borrow_mut()
            .entry(profile)
            .or_insert_with(|| build(profile))
            .clone()
    }
}

/// A client whose pool is empty, for the one repeat after a pooled connection turned out to be dead.
pub fn fresh(url: &str, connect: Duration) -> awc::Client {
    build(profile(url, connect))
}

fn profile(url: &str, connect: Duration) -> Profile {
    let tls = url
        .get(..6)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    Profile { connect, tls }
}

fn build(profile: Profile) -> awc::Client {
    let dial = TcpConnector::new(Resolver::default())
        .service()
        .map(watched);
    let mut connector = awc::Connector::new()
        .connector(dial)
        .timeout(profile.connect)
        .handshake_timeout(profile.connect)
        .limit(CONNECTION_LIMIT)
        .conn_keep_alive(KEEP_ALIVE)
        .conn_lifetime(LIFETIME);
    if profile.tls {
        connector = connector.rustls_0_23(tls_config());
    }
    awc::Client::builder()
        .connector(connector)
        .disable_redirects()
        .disable_timeout()
        .no_default_headers()
        .finish()
}

fn watched(connection: Connection<Uri, TcpStream>) -> Connection<Uri, Socket> {
    let (socket, uri) = connection.into_parts();
    Connection::new(uri, Socket::connected(socket))
}

/// TLS with the system's roots (`SSL_CERT_FILE` works), read once for the process on the first HTTPS call.
fn tls_config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    Arc::clone(CONFIG.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::error!(
                errors = ?found.errors,
                "no TLS root certificates found, every https provider will fail: install ca-certificates or set SSL_CERT_FILE"
            );
        }
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }))
}
