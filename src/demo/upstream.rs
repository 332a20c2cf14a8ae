//! The built-in upstream as an HTTP server: checks the key, asks the pure parts for an answer, sends it whole or paced.
//! It plays a provider and must not know the gateway.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::prompt::{self, Stamp};
use super::{anthropic, openai};

/// The keys that it takes. They guard nothing; two, so that their rotation can be seen.
pub const KEYS: [&str; 2] = ["demo-key-1", "demo-key-2"];
/// The models that it lists; it answers to any name.
pub const MODELS: [&str; 2] = ["parrot-1", "parrot-claude-1"];
/// Between two events of a stream.
const PACE: Duration = Duration::from_millis(30);
/// Prompts may carry images.
const LARGEST_BODY: usize = 32 * 1024 * 1024;

static ANSWERS: AtomicU64 = AtomicU64::new(1);

/// A running built-in upstream, on a thread of its own.
pub struct Upstream {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Upstream {
    /// Serves on the listener until it is dropped.
    ///
    /// # Errors
    /// When the server cannot be started on this listener.
    pub fn start(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("demo-upstream".to_owned())
            .spawn(move || {
                actix_web::rt::System::new().block_on(async move {
                    let server = server(listener, false)?;
                    // a receiver that is gone means that nobody waits for the server any more
                    let _ = sender.send(server.handle());
                    server.await
                })
            })?;
        let Ok(handle) = receiver.recv() else {
            return Err(failure(thread.join()));
        };
        Ok(Self {
            address,
            handle,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // the command is sent by the call; the future only waits for its end, which the join does
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn failure(outcome: std::thread::Result<io::Result<()>>) -> io::Error {
    match outcome {
        Ok(Err(error)) => error,
        _ => io::Error::other("the demo upstream ended before it was ready"),
    }
}

/// Serves on the listener, on the calling thread, until SIGINT or SIGTERM.
///
/// # Errors
/// When the server cannot be started, or fails.
pub fn serve(listener: TcpListener) -> io::Result<()> {
    actix_web::rt::System::new().block_on(async move { server(listener, true)?.await })
}

fn server(listener: TcpListener, signals: bool) -> io::Result<Server> {
    let server = HttpServer::new(|| App::new().configure(routes))
        .workers(1)
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .shutdown_timeout(5);
    let server = if signals {
        server
    } else {
        server.disable_signals()
    };
    Ok(server.listen(listener)?.run())
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(LARGEST_BODY))
        .route("/v1/chat/completions", web::post().to(chat))
        .route("/v1/messages", web::post().to(messages))
        .route("/v1/messages/count_tokens", web::post().to(count_tokens))
        .route("/v1/models", web::get().to(models))
        .route("/health", web::get().to(HttpResponse::Ok));
}

async fn chat(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    if !has_key(&request) {
        return HttpResponse::Unauthorized().json(openai::wrong_key());
    }
    let prompt = match prompt::read(&body) {
        Ok(prompt) => prompt,
        Err(refusal) => return HttpResponse::BadRequest().json(openai::refusal(&refusal)),
    };
    let answer = prompt::answer(&prompt);
    if prompt.stream {
        return paced(openai::events(&prompt, &answer, &stamp()));
    }
    HttpResponse::Ok().json(openai::completion(&prompt, &answer, &stamp()))
}

async fn messages(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    if !has_key(&request) {
        return HttpResponse::Unauthorized().json(anthropic::wrong_key());
    }
    let prompt = match anthropic::read(&body) {
        Ok(prompt) => prompt,
        Err(refusal) => return HttpResponse::BadRequest().json(anthropic::refusal(&refusal)),
    };
    let answer = prompt::answer(&prompt);
    if prompt.stream {
        return paced(anthropic::events(&prompt, &answer, &stamp()));
    }
    HttpResponse::Ok().json(anthropic::message(&prompt, &answer, &stamp()))
}

async fn count_tokens(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    if !has_key(&request) {
        return HttpResponse::Unauthorized().json(anthropic::wrong_key());
    }
    match prompt::read(&body) {
        Ok(prompt) => HttpResponse::Ok().json(anthropic::count(&prompt)),
        Err(refusal) => HttpResponse::BadRequest().json(anthropic::refusal(&refusal)),
    }
}

async fn models(request: HttpRequest) -> HttpResponse {
    if !has_key(&request) {
        return HttpResponse::Unauthorized().json(openai::wrong_key());
    }
    HttpResponse::Ok().json(openai::models(&MODELS, stamp().created))
}

fn has_key(request: &HttpRequest) -> bool {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let key = bearer.or_else(|| header("x-api-key"));
    key.is_some_and(|key| KEYS.contains(&key))
}

fn stamp() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Stamp {
        id: format!("demo{}", ANSWERS.fetch_add(1, Ordering::Relaxed)),
        created: since.map_or(0, |since| since.as_secs()),
    }
}

fn paced(events: Vec<String>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(Paced {
            events: events.into(),
            pause: Box::pin(tokio::time::sleep(PACE)),
        })
}

/// A body of events with a pause before each.
struct Paced {
    events: VecDeque<String>,
    pause: Pin<Box<Sleep>>,
}

impl MessageBody for Paced {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        ready!(self.pause.as_mut().poll(context));
        self.pause.as_mut().reset(Instant::now() + PACE);
        Poll::Ready(self.events.pop_front().map(|event| Ok(event.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use actix_web::http::StatusCode;
    use actix_web::test;
    use serde_json::{Value, json};

    fn call(path: &str, key: &str, body: Value) -> (StatusCode, String) {
        let request = test::TestRequest::post()
            .uri(path)
            .insert_header(("authorization", format!("Bearer {key}")))
            .set_json(body);
        actix_web::rt::System::new().block_on(async {
            let app = test::init_service(App::new().configure(routes)).await;
            let response = test::call_service(&app, request.to_request()).await;
            let status = response.status();
            let body = test::read_body(response).await;
            (status, String::from_utf8_lossy(&body).into_owned())
        })
    }

    fn question() -> Value {
        json!({"model": "m", "max_tokens": 2, "messages": [{"role": "user", "content": "hi"}]})
    }

    #[test]
    fn both_protocols_answer_whole_and_streamed() {
        let mut streamed = question();
        streamed["stream"] = json!(true);
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let (status, whole) = call(path, "demo-key-1", question());
            assert_eq!(
                (status, whole.contains("You said:")),
                (StatusCode::OK, true)
            );
            let (status, stream) = call(path, "demo-key-2", streamed.clone());
            assert_eq!((status, stream.contains(" said:")), (StatusCode::OK, true));
            let end = if path.contains("chat") {
                "[DONE]"
            } else {
                "message_stop"
            };
            assert!(stream.trim_end().contains(end), "{stream}");
        }
    }

    #[test]
    fn a_wrong_key_and_a_wrong_body_are_refused() {
        for path in [
            "/v1/chat/completions",
            "/v1/messages",
            "/v1/messages/count_tokens",
        ] {
            let (status, _) = call(path, "other", question());
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            let (status, _) = call(path, "demo-key-1", json!({"model": "m"}));
            assert_eq!(status, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn tokens_can_be_counted_without_an_answer() {
        let (status, body) = call("/v1/messages/count_tokens", "demo-key-1", question());
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::OK, r#"{"input_tokens":1}"#)
        );
    }

    #[test]
    fn it_serves_on_its_own_thread_until_it_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let upstream = Upstream::start(listener).expect("a server");
        let address = upstream.address();
        assert!(std::net::TcpStream::connect(address).is_ok());
        drop(upstream);
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
