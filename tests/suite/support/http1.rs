//! Just enough HTTP/1.1 for both ends of a test, on blocking sockets: heads, and bodies by length, by chunk or to the end.
//! Not the gateway's own HTTP library, so that the two cannot share a mistake.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why nothing more can be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The deadline passed; what has arrived is kept, and reading may go on later.
    Late,
    /// The other side closed its end in order.
    Closed,
    /// The connection broke.
    Broken,
}

/// The part of a message before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The request line or the status line.
    pub(crate) first_line: String,
    /// Names as they were written, in order.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        Self {
            first_line: lines.next().unwrap_or_default().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        }
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// How long its body is; `otherwise` where the head does not say.
    pub(crate) fn framing(&self, otherwise: Framing) -> Framing {
        let chunked = self
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if chunked {
            return Framing::Chunked;
        }
        match self.header("content-length") {
            Some(length) => Framing::Length(length.parse().expect("content-length is a number")),
            None => otherwise,
        }
    }
}

/// The first header of this name, whatever its case.
pub(crate) fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(usize),
    /// Chunks, until the one of length zero.
    Chunked,
    /// Everything until the connection closes.
    UntilClose,
    /// Nothing: the body ended as its head had said.
    Ended,
}

/// The reading half of a connection, with what has arrived and is not used yet.
pub(crate) struct Incoming {
    socket: Arc<TcpStream>,
    buffer: Vec<u8>,
}

impl Incoming {
    pub(crate) fn new(socket: Arc<TcpStream>) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    fn fill(&mut self, until: Instant) -> Result<(), Stop> {
        let left = until.saturating_duration_since(Instant::now());
        // zero would mean "no limit" to the socket
        let left = left.max(Duration::from_millis(1));
        let limited = self.socket.set_read_timeout(Some(left));
        limited.map_err(|_| Stop::Broken)?;
        let mut piece = [0_u8; 16 * 1024];
        match (&*self.socket).read(&mut piece) {
            Ok(0) => Err(Stop::Closed),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(Stop::Late),
                ErrorKind::Interrupted => Ok(()),
                _ => Err(Stop::Broken),
            },
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// The next head; interim answers (1xx) are skipped by the caller.
    pub(crate) fn head(&mut self, until: Instant) -> Result<Head, Stop> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = self.take(end + 4);
                let text = String::from_utf8_lossy(&head[..end]).into_owned();
                return Ok(Head::parse(&text));
            }
            self.fill(until)?;
        }
    }

    /// The next piece of a body, at least one byte; `None` at its proper end.
    pub(crate) fn piece(
        &mut self,
        framing: &mut Framing,
        until: Instant,
    ) -> Result<Option<Vec<u8>>, Stop> {
        loop {
            match *framing {
                Framing::Ended => return Ok(None),
                Framing::Length(0) => *framing = Framing::Ended,
                Framing::Length(left) if !self.buffer.is_empty() => {
                    let count = left.min(self.buffer.len());
                    *framing = Framing::Length(left - count);
                    return Ok(Some(self.take(count)));
                }
                Framing::UntilClose if !self.buffer.is_empty() => {
                    return Ok(Some(self.take(self.buffer.len())));
                }
                Framing::Chunked => match self.chunk() {
                    Some(chunk) if chunk.is_empty() => *framing = Framing::Ended,
                    Some(chunk) => return Ok(Some(chunk)),
                    None => self.fill(until)?,
                },
                Framing::UntilClose => match self.fill(until) {
                    Err(Stop::Closed) => *framing = Framing::Ended,
                    filled => filled?,
                },
                Framing::Length(_) => self.fill(until)?,
            }
        }
    }

    /// One whole chunk, if all of it has arrived.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = find(&self.buffer, b"\r\n")?;
        let text = String::from_utf8_lossy(&self.buffer[..line]).into_owned();
        let digits = text.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16)
            .unwrap_or_else(|_| panic!("not the length of a chunk: {text:?}"));
        let start = line + 2;
        if self.buffer.len() < start + length + 2 {
            return None;
        }
        let mut chunk = self.take(start + length + 2);
        chunk.truncate(start + length);
        Some(chunk.split_off(start))
    }

    /// All of a body, and whether it ended as its head had said.
    pub(crate) fn body(
        &mut self,
        mut framing: Framing,
        until: Instant,
    ) -> (Vec<u8>, Result<(), Stop>) {
        let mut body = Vec::new();
        loop {
            match self.piece(&mut framing, until) {
                Ok(Some(piece)) => body.extend(piece),
                Ok(None) => return (body, Ok(())),
                Err(stop) => return (body, Err(stop)),
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}
