//! One request to a provider: address, headers, key, body, and how sending it can fail.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::error::ParseError;
use awc::SendClientRequest;
use awc::error::{ConnectError, SendRequestError};
use awc::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use awc::http::{StatusCode, Version};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::client::{self, Clients};
use super::errands;
use super::socket::{self, Happened};
use crate::config::catalog::{Provider, ProviderKey, Route};
use crate::error::{FaultKind, Phase};
use crate::protocol::Protocol;
use crate::protocol::raw::Pieces;

/// The answer of an upstream before its body is read.
pub type Response = awc::ClientResponse;

/// A pooled connection that was dead already fails at once; one that fails later had begun to work.
const STALE: Duration = Duration::from_secs(1);

/// How much of a body awc is given at once.
const SLICE: usize = 64 * 1024;

const USER_AGENT: &str = concat!("model-proxy/", env!("CARGO_PKG_VERSION"));

/// What of the client's headers goes up.
#[derive(Debug, Default, Clone)]
pub struct Forwarded {
    /// `anthropic-version`; it wins over the provider file's.
    pub anthropic_version: Option<HeaderValue>,
    /// `anthropic-beta`, joined with the provider file's.
    pub anthropic_beta: Vec<HeaderValue>,
    /// `idempotency-key`.
    pub idempotency_key: Option<HeaderValue>,
    /// `?beta=true`, which Anthropic's SDKs append for their beta members.
    pub beta: bool,
}

/// One call to make.
pub struct Call<'a> {
    /// Where to.
    pub route: &'a Route,
    /// With which key.
    pub key: &'a ProviderKey,
    /// The body, ready to send.
    pub body: Pieces,
    /// Whether the answer is asked for as a stream.
    pub streaming: bool,
    /// The client's headers that go along.
    pub forwarded: &'a Forwarded,
    /// When the head must be there, and which deadline that is.
    pub deadline: (Instant, Phase),
}

/// Why no head came back.
#[derive(Debug)]
pub struct SendFault {
    /// What happened.
    pub kind: FaultKind,
    /// The cause in words, for the log; it may name addresses, never keys.
    pub message: String,
}

/// Sends the call and waits for the head of the answer.
///
/// A pooled connection that dies before any byte of an answer says nothing about the upstream: the call is repeated
/// once on a fresh connection.
pub fn send<'a>(
    clients: &'a Clients,
    call: Call<'a>,
) -> impl Future<Output = Result<Response, SendFault>> {
    let url = if call.streaming {
        &call.route.stream_url
    } else {
        &call.route.url
    };
    send_to(clients, url, call)
}

/// The same to another address of the route's provider.
pub async fn send_to(clients: &Clients, url: &str, call: Call<'_>) -> Result<Response, SendFault> {
    let connect = call.route.timeouts.connect;
    let url = &*target(url, &call);
    let mut outcome = attempt(&clients.get(url, connect), url, &call).await;
    if matches!(outcome, Err(Trouble::Stale)) {
        tracing::debug!(
            provider = call.route.provider.name,
            "a pooled connection was dead, repeating on a fresh one"
        );
        outcome = attempt(&client::fresh(url, connect), url, &call).await;
    }
    outcome.map_err(|trouble| trouble.into_fault(call.deadline.1))
}

fn target<'a>(url: &'a str, call: &Call<'_>) -> Cow<'a, str> {
    if call.forwarded.beta && call.route.protocol == Protocol::Anthropic {
        let join = if url.contains('?') { '&' } else { '?' };
        return Cow::Owned(format!("{url}{join}beta=true"));
    }
    Cow::Borrowed(url)
}

/// How one try went wrong.
enum Trouble {
    Unsendable(SendFault),
    Stale,
    Interim,
    Failed(SendRequestError),
    Late,
}

impl Trouble {
    fn into_fault(self, phase: Phase) -> SendFault {
        match self {
            Self::Unsendable(fault) => fault,
            Self::Late => SendFault {
                kind: FaultKind::Timeout(phase),
                message: "no response head in time".to_owned(),
            },
            Self::Interim => SendFault {
                kind: FaultKind::Malformed,
                message: "the upstream sent an interim response (1xx), which is not supported"
                    .to_owned(),
            },
            Self::Stale => SendFault {
                kind: FaultKind::Reset,
                message: "connection closed before any answer".to_owned(),
            },
            Self::Failed(error) => SendFault {
                kind: classify(&error),
                message: describe(&error),
            },
        }
    }
}

async fn attempt(client: &awc::Client, url: &str, call: &Call<'_>) -> Result<Response, Trouble> {
    let began = Instant::now();
    let sending = sending(client, url, call).map_err(Trouble::Unsendable)?;
    let sending = timeout_at(call.deadline.0, errands::unrun(sending));
    let (outcome, happened) = socket::noting(sending).await;
    match outcome {
        Err(_) => Err(Trouble::Late),
        Ok(Ok(response)) => {
            if is_unframed(&response) {
                happened.spoil_connection();
            }
            if response.status().is_informational() {
                return Err(Trouble::Interim);
            }
            Ok(response)
        }
        Ok(Err(error)) if began.elapsed() < STALE && was_dead(&error, &happened) => {
            Err(Trouble::Stale)
        }
        Ok(Err(error)) => Err(Trouble::Failed(error)),
    }
}

/// Not in the future above, which would keep awc's builder of requests as long as it waits.
fn sending(
    client: &awc::Client,
    url: &str,
    call: &Call<'_>,
) -> Result<SendClientRequest, SendFault> {
    let mut request = client.post(url);
    write_headers(request.headers_mut(), call)?;
    Ok(request.send_body(Slices(call.body.clone())))
}

/// awc takes a head without length for an answer without body and puts its connection back into the pool, although a
/// 1xx is followed by the real answer and anything else by a body that ends with the connection. The next call on it
/// would read what belongs to this one.
fn is_unframed(response: &Response) -> bool {
    let status = response.status();
    let headers = response.headers();
    let framed = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING);
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    status.is_informational() || (response.version() == Version::HTTP_11 && !framed && !bodiless)
}

/// A body that is handed over piece by piece: awc keeps what it has been given for as long as the answer lasts.
struct Slices(Pieces);

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.0.take(SLICE).map(Ok))
    }
}

fn write_headers(headers: &mut HeaderMap, call: &Call<'_>) -> Result<(), SendFault> {
    let provider = &*call.route.provider;
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let accept = if call.streaming {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    for (name, value) in &provider.headers {
        let (name, value) = pair(name, value.expose(), "additional header")?;
        headers.insert(name, value);
    }
    if call.route.protocol == Protocol::Anthropic {
        anthropic_headers(headers, provider, call.forwarded);
    }
    if let Some(key) = &call.forwarded.idempotency_key {
        headers.insert(HeaderName::from_static("idempotency-key"), key.clone());
    }
    let credential = credential(&provider.auth_format, call.key.secret.expose());
    let (name, mut value) = pair(&provider.auth_header, &credential, "key")?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// The key as the provider wants it shown; nearly always it stands at the end.
fn credential(format: &str, secret: &str) -> String {
    const KEY: &str = "{api_key}";
    match format.strip_suffix(KEY) {
        Some(before) if !before.contains('{') => [before, secret].concat(),
        _ => format.replace(KEY, secret),
    }
}

fn pair(name: &str, value: &str, what: &str) -> Result<(HeaderName, HeaderValue), SendFault> {
    let fault = || SendFault {
        kind: FaultKind::Connect,
        message: format!("{what} `{name}` cannot be sent as a header"),
    };
    let header_name = if name.eq_ignore_ascii_case("authorization") {
        header::AUTHORIZATION
    } else {
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?
    };
    let header_value = HeaderValue::from_str(value).map_err(|_| fault())?;
    Ok((header_name, header_value))
}

fn anthropic_headers(headers: &mut HeaderMap, provider: &Provider, forwarded: &Forwarded) {
    let version = HeaderName::from_static("anthropic-version");
    if let Some(value) = &forwarded.anthropic_version {
        headers.insert(version, value.clone());
    } else if !headers.contains_key(&version) {
        headers.insert(version, HeaderValue::from_static("2023-06-01"));
    }
    let beta = HeaderName::from_static("anthropic-beta");
    let configured = headers.get(&beta).cloned();
    let joined = join_betas(
        forwarded.anthropic_beta.iter().chain(configured.as_ref()),
        &provider.strip_betas,
    );
    match HeaderValue::from_str(&joined) {
        Ok(value) if !joined.is_empty() => {
            headers.insert(beta, value);
        }
        _ => {
            headers.remove(&beta);
        }
    }
}

/// One list of beta names: each once, in order, without those that the provider refuses.
fn join_betas<'a>(lists: impl Iterator<Item = &'a HeaderValue>, strip: &[String]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for list in lists {
        for name in list.to_str().unwrap_or_default().split(',').map(str::trim) {
            if !name.is_empty()
                && !names.contains(&name)
                && !strip.iter().any(|refused| refused == name)
            {
                names.push(name);
            }
        }
    }
    names.join(",")
}

/// Whether a pooled connection was lost before a byte of an answer. An orderly end tells so by itself; bytes that came
/// before it may have been TLS' farewell.
fn was_dead(error: &SendRequestError, happened: &Happened) -> bool {
    let ended = matches!(error, SendRequestError::Connect(ConnectError::Disconnected));
    !happened.connected && (ended || (lost(error) && !happened.received))
}

/// Whether the connection was lost, as opposed to never made or spoken on wrongly.
fn lost(error: &SendRequestError) -> bool {
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => true,
        SendRequestError::Send(error) | SendRequestError::Connect(ConnectError::Io(error)) => {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::NotConnected
            )
        }
        SendRequestError::Response(error) => {
            matches!(error, ParseError::Io(_) | ParseError::Incomplete)
        }
        _ => false,
    }
}

fn classify(error: &SendRequestError) -> FaultKind {
    match error {
        error if lost(error) => FaultKind::Reset,
        SendRequestError::Connect(ConnectError::Io(error)) if is_ours(error) => FaultKind::NoRoom,
        SendRequestError::Connect(ConnectError::Timeout) => FaultKind::Timeout(Phase::Connect),
        SendRequestError::Response(_) => FaultKind::Malformed,
        SendRequestError::Send(_) | SendRequestError::Body(_) => FaultKind::Reset,
        _ => FaultKind::Connect,
    }
}

/// Whether no socket was to be had: the limit of open files, of the process or of the system. That no port or no address of ours
/// leads to the upstream (`EADDRNOTAVAIL`) is not ours: so ends, too, a host with IPv6 that is down, where there is only IPv4.
fn is_ours(error: &io::Error) -> bool {
    /// ENFILE and EMFILE, which std does not name, are these on Linux and on macOS.
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    let code = error.raw_os_error();
    cfg!(unix) && code.is_some_and(|code| TOO_MANY_FILES.contains(&code))
}

/// The error with its causes: awc often says little at the top.
fn describe(error: &SendRequestError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    if let SendRequestError::Connect(ConnectError::Io(inner)) = error {
        cause = inner.source();
    }
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_files_is_our_own_fault() {
        let failed = |error| classify(&SendRequestError::Connect(ConnectError::Io(error)));
        for (error, kind) in [
            (io::Error::from_raw_os_error(24), FaultKind::NoRoom),
            (io::ErrorKind::AddrNotAvailable.into(), FaultKind::Connect),
            (io::ErrorKind::ConnectionRefused.into(), FaultKind::Connect),
        ] {
            assert_eq!(failed(error), kind);
        }
    }
}
