//! A client on one blocking socket that controls every byte: it can send slowly, read slowly, and leave in the middle.
//! It must not know the gateway's code.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::events::{Event, Events};
use super::http1::{Framing, Head, Incoming, Stop, find_header};

/// No whole answer of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request that is not sent yet.
#[derive(Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A `POST` to this path.
pub(crate) fn post(address: SocketAddr, target: &str) -> Request {
    request(address, "POST", target)
}

/// A `GET` of this path.
pub(crate) fn get(address: SocketAddr, target: &str) -> Request {
    request(address, "GET", target)
}

/// A request with any method.
pub(crate) fn request(address: SocketAddr, method: &str, target: &str) -> Request {
    Request {
        address,
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The client key, as a bearer token.
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", format!("Bearer {key}"))
    }

    /// The client key, Anthropic's way.
    pub(crate) fn api_key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    pub(crate) fn body(self, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.bytes(bytes).header("content-type", content_type)
    }

    /// A body without saying of what type.
    pub(crate) fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// Sends it on a connection of its own and reads the whole answer.
    #[track_caller]
    pub(crate) fn send(&self) -> Response {
        Connection::open(self.address).send(self)
    }

    /// Sends it on a connection of its own and reads the head of the answer.
    #[track_caller]
    pub(crate) fn send_streaming(&self) -> Streaming {
        Connection::open(self.address).send_streaming(self)
    }

    /// Sends the head on a connection of its own, as if so many bytes of body were to follow.
    #[track_caller]
    pub(crate) fn send_head(&self, body_length: usize) -> Connection {
        let connection = Connection::open(self.address);
        connection.write(self.head_bytes(body_length).as_bytes());
        connection
    }

    fn head_bytes(&self, body_length: usize) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        head.push_str(&format!("host: {}\r\n", self.address));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if body_length > 0 || self.method == "POST" {
            head.push_str(&format!("content-length: {body_length}\r\n"));
        }
        head.push_str("\r\n");
        head
    }
}

/// An open connection.
pub(crate) struct Connection {
    socket: Arc<TcpStream>,
    incoming: Incoming,
}

impl Connection {
    #[track_caller]
    pub(crate) fn open(address: SocketAddr) -> Self {
        let socket = Arc::new(TcpStream::connect(address).expect("the gateway listens"));
        socket.set_nodelay(true).expect("nodelay");
        Self {
            incoming: Incoming::new(Arc::clone(&socket)),
            socket,
        }
    }

    /// Keeps little of what it has not been asked for yet: who does not read is soon noticed.
    pub(crate) fn buffering_little(self) -> Self {
        let socket = socket2::SockRef::from(&*self.socket);
        socket.set_recv_buffer_size(64 * 1024).expect("a size");
        self
    }

    /// Writes as much as the other side takes; one that has closed takes nothing more.
    pub(crate) fn write(&self, bytes: &[u8]) -> bool {
        (&*self.socket).write_all(bytes).is_ok()
    }

    /// Sends a request and reads its whole answer; the connection can be used again.
    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request) -> Response {
        self.write(request.head_bytes(request.body.len()).as_bytes());
        self.write(&request.body);
        self.read_response(request.method == "HEAD")
    }

    /// Sends a request and reads the head of its answer.
    #[track_caller]
    pub(crate) fn send_streaming(self, request: &Request) -> Streaming {
        self.write(request.head_bytes(request.body.len()).as_bytes());
        self.write(&request.body);
        self.read_streaming(PATIENCE)
            .expect("the head of an answer")
    }

    /// Reads one whole answer.
    #[track_caller]
    pub(crate) fn read_response(&mut self, without_body: bool) -> Response {
        let until = Instant::now() + PATIENCE;
        let head = self.incoming.head(until);
        let head = head.unwrap_or_else(|stop| panic!("no answer: {stop:?}"));
        let framing = match head.framing(Framing::UntilClose) {
            _ if without_body => Framing::Ended,
            framing => framing,
        };
        let (body, ended) = self.incoming.body(framing, until);
        Response {
            status: status(&head),
            headers: head.headers,
            body,
            ended,
        }
    }

    /// Reads the head of an answer, if it comes in time.
    pub(crate) fn read_streaming(mut self, longest: Duration) -> Result<Streaming, Stop> {
        let head = self.incoming.head(Instant::now() + longest)?;
        Ok(Streaming {
            status: status(&head),
            framing: head.framing(Framing::UntilClose),
            headers: head.headers,
            received: Vec::new(),
            events: Events::default(),
            ended: None,
            connection: self,
        })
    }

    /// True once the other side has closed or broken the connection, within this time, without another byte.
    pub(crate) fn closes_within(&mut self, longest: Duration) -> bool {
        let stop = self.incoming.head(Instant::now() + longest);
        matches!(stop, Err(Stop::Closed | Stop::Broken))
    }

    /// Leaves.
    pub(crate) fn hang_up(self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn status(head: &Head) -> u16 {
    let word = head.first_line.split(' ').nth(1);
    let status = word.and_then(|word| word.parse().ok());
    status.unwrap_or_else(|| panic!("not a status line: {:?}", head.first_line))
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its head had said.
    pub(crate) ended: Result<(), Stop>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.body);
        parsed.unwrap_or_else(|error| panic!("{error} in {:?} ({})", self.text(), self.status))
    }
}

/// An answer that is being read.
pub(crate) struct Streaming {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    connection: Connection,
    framing: Framing,
    received: Vec<u8>,
    events: Events,
    ended: Option<Result<(), Stop>>,
}

/// How a stream ended, and what it held.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The events that had not been taken before.
    pub(crate) events: Vec<Event>,
    /// Every byte of the body.
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its head had said; `Err(Late)` if it has not ended at all.
    pub(crate) ended: Result<(), Stop>,
}

impl Streaming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// The next event; `None` if none comes in time or the stream has ended.
    pub(crate) fn next_event(&mut self, longest: Duration) -> Option<Event> {
        let until = Instant::now() + longest;
        loop {
            if let Some(event) = self.events.next() {
                return Some(event);
            }
            if self.ended.is_some() || self.read_piece(until) == Err(Stop::Late) {
                return None;
            }
        }
    }

    /// The next event, which must come.
    #[track_caller]
    pub(crate) fn expect_event(&mut self) -> Event {
        let event = self.next_event(PATIENCE);
        event.unwrap_or_else(|| panic!("no event more: {:?}, {:?}", self.ended, self.text()))
    }

    /// Everything that has been read of the body.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    fn read_piece(&mut self, until: Instant) -> Result<(), Stop> {
        match self.connection.incoming.piece(&mut self.framing, until) {
            Ok(Some(piece)) => {
                self.events.feed(&piece);
                self.received.extend(piece);
                return Ok(());
            }
            Ok(None) => self.ended = Some(Ok(())),
            Err(Stop::Late) => return Err(Stop::Late),
            Err(stop) => self.ended = Some(Err(stop)),
        }
        Ok(())
    }

    /// Reads on until the stream ends.
    pub(crate) fn read_to_end(self) -> Finished {
        self.read_for(PATIENCE)
    }

    /// Reads on until the stream ends or the time is over.
    pub(crate) fn read_for(mut self, longest: Duration) -> Finished {
        let until = Instant::now() + longest;
        while self.ended.is_none() && self.read_piece(until).is_ok() {}
        Finished {
            events: self.events.collect(),
            body: self.received,
            ended: self.ended.unwrap_or(Err(Stop::Late)),
        }
    }

    /// Leaves in the middle.
    pub(crate) fn hang_up(self) {
        self.connection.hang_up();
    }
}

impl Finished {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// True if the body ended as its head had said.
    pub(crate) fn properly(&self) -> bool {
        self.ended.is_ok()
    }
}
