//! What a scripted upstream does with one request: built by a test, played by a connection's thread.
//! It knows no protocol; ready-made bodies are in `bodies`.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::connection::{Line, Over};

/// Something that a test opens when it wants an upstream to go on.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through, for ever.
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    Wait(Gate),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// `content-length`, by default the true one.
    Length(Option<usize>),
    Chunked,
    /// The steps are the whole answer, head included.
    Raw,
    /// Nothing is ever sent.
    Silence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// As the framing says; the connection stays open.
    Proper,
    /// As the framing says; then the connection is closed.
    Close,
    /// Without the last chunk, in order (FIN).
    Cut,
    /// In the middle, with RST.
    Reset,
    /// Not at all: the connection stays open and silent until the other side leaves.
    Stall,
}

/// One scripted answer.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
    before_head: Vec<Step>,
    steps: Vec<Step>,
    ending: Ending,
    bytewise: bool,
}

impl Answer {
    fn new(status: u16, framing: Framing) -> Self {
        Self {
            status,
            headers: Vec::new(),
            framing,
            before_head: Vec::new(),
            steps: Vec::new(),
            ending: Ending::Proper,
            bytewise: false,
        }
    }
}

/// An answer with this status, and no body until one is given.
pub(crate) fn reply(status: u16) -> Answer {
    Answer::new(status, Framing::Length(None))
}

/// A chunked event stream, one chunk an event; each event with its own line ends and blank line.
pub(crate) fn sse<I>(events: I) -> Answer
where
    I: IntoIterator,
    I::Item: Into<Vec<u8>>,
{
    let mut answer = Answer::new(200, Framing::Chunked)
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache");
    let events = events.into_iter().map(Into::into);
    answer.steps = events.map(Step::Send).collect();
    answer
}

/// These bytes as the whole answer, head included; then the connection closes.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
    let mut answer = Answer::new(0, Framing::Raw);
    answer.steps = vec![Step::Send(bytes.into())];
    answer.ending = Ending::Close;
    answer
}

/// Reads the request and closes the connection without a byte, as a stale pooled connection does.
pub(crate) fn vanish() -> Answer {
    raw([])
}

/// Reads the request and never answers.
pub(crate) fn silence() -> Answer {
    let mut answer = Answer::new(0, Framing::Silence);
    answer.ending = Ending::Stall;
    answer
}

/// The kind of page that a proxy in front of a provider sends.
pub(crate) fn html(status: u16) -> Answer {
    reply(status).body(
        "text/html; charset=utf-8",
        "<!DOCTYPE html><html><head><title>Bad gateway</title></head><body><h1>502</h1></body></html>",
    )
}

impl Answer {
    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.header("retry-after", seconds)
    }

    pub(crate) fn body(mut self, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.steps = vec![Step::Send(bytes.into())];
        self.header("content-type", content_type)
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    /// Says that the body is compressed, which it is not.
    pub(crate) fn claiming_gzip(self) -> Self {
        self.header("content-encoding", "gzip")
    }

    /// Says that the body is so long, whatever it is; where it is shorter the connection is closed after it.
    pub(crate) fn claiming_length(mut self, length: usize) -> Self {
        self.framing = Framing::Length(Some(length));
        self.ending = Ending::Close;
        self
    }

    /// Sends the body in chunks although its length is known.
    pub(crate) fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Waits so long before the head.
    pub(crate) fn delay(mut self, milliseconds: u64) -> Self {
        let pause = Step::Pause(Duration::from_millis(milliseconds));
        self.before_head.push(pause);
        self
    }

    /// Waits at the gate before the head.
    pub(crate) fn wait(mut self, gate: &Gate) -> Self {
        self.before_head.push(Step::Wait(gate.clone()));
        self
    }

    /// Waits so long before each event but the first.
    pub(crate) fn pause(mut self, milliseconds: u64) -> Self {
        let pause = Step::Pause(Duration::from_millis(milliseconds));
        let mut spaced = Vec::new();
        for step in self.steps {
            if !spaced.is_empty() && matches!(step, Step::Send(_)) {
                spaced.push(pause.clone());
            }
            spaced.push(step);
        }
        self.steps = spaced;
        self
    }

    /// Waits at the gate after so many events.
    pub(crate) fn wait_after(mut self, events: usize, gate: &Gate) -> Self {
        let position = self.position_after(events);
        self.steps.insert(position, Step::Wait(gate.clone()));
        self
    }

    /// Keeps only so many events; most useful before `cut`, `reset` and `stall`.
    pub(crate) fn only(mut self, events: usize) -> Self {
        let position = self.position_after(events);
        self.steps.truncate(position);
        self
    }

    fn position_after(&self, events: usize) -> usize {
        let mut sends = self.steps.iter().enumerate();
        let mut sends = sends
            .by_ref()
            .filter(|(_, step)| matches!(step, Step::Send(_)));
        match events.checked_sub(1) {
            None => 0,
            Some(last) => sends
                .nth(last)
                .map_or(self.steps.len(), |(index, _)| index + 1),
        }
    }

    /// Leaves the protocol's last marker out.
    pub(crate) fn without_done(self) -> Self {
        self.without(|event| event.contains("[DONE]") || event.contains("message_stop"))
    }

    /// Leaves out what says why the answer ended, and keeps the last marker.
    pub(crate) fn without_finish(self) -> Self {
        self.without(|event| {
            event.contains("\"finish_reason\":\"") || event.contains("message_delta")
        })
    }

    fn without(mut self, unwanted: impl Fn(&str) -> bool) -> Self {
        self.steps.retain(|step| match step {
            Step::Send(bytes) => !unwanted(&String::from_utf8_lossy(bytes)),
            Step::Pause(_) | Step::Wait(_) => true,
        });
        self
    }

    /// Sends the body in two pieces, parted at this byte of it and long enough apart to arrive apart.
    pub(crate) fn split_at(mut self, position: usize) -> Self {
        let whole = self.body_bytes();
        let (first, second) = whole.split_at(position.min(whole.len()));
        self.steps = [first, second]
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .map(|piece| Step::Send(piece.to_vec()))
            .collect();
        self.pause(2)
    }

    /// The bytes of all events, or of the body.
    pub(crate) fn body_bytes(&self) -> Vec<u8> {
        let sent = self.steps.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes.as_slice()),
            Step::Pause(_) | Step::Wait(_) => None,
        });
        sent.collect::<Vec<_>>().concat()
    }

    /// One byte a write, each a chunk of its own where the answer is chunked.
    pub(crate) fn bytewise(mut self) -> Self {
        self.bytewise = true;
        self
    }

    /// Ends properly, and closes the connection.
    pub(crate) fn close(mut self) -> Self {
        self.ending = Ending::Close;
        self.header("connection", "close")
    }

    /// Closes the connection in order, without what ends the body.
    pub(crate) fn cut(mut self) -> Self {
        self.ending = Ending::Cut;
        self
    }

    /// Resets the connection (RST) after what has been sent.
    pub(crate) fn reset(mut self) -> Self {
        self.ending = Ending::Reset;
        self
    }

    /// Says nothing more after what has been sent, and keeps the connection open.
    pub(crate) fn stall(mut self) -> Self {
        self.ending = Ending::Stall;
        self
    }

    /// Sends everything; true if the connection may serve another request.
    pub(super) fn play(&self, line: &Line<'_>) -> Result<bool, Over> {
        self.walk(line, &self.before_head)?;
        if !matches!(self.framing, Framing::Raw | Framing::Silence) {
            line.send(self.head().as_bytes())?;
        }
        self.walk(line, &self.steps)?;
        match self.ending {
            Ending::Proper | Ending::Close => {
                if self.framing == Framing::Chunked {
                    line.send(b"0\r\n\r\n")?;
                }
                Ok(self.ending == Ending::Proper)
            }
            Ending::Cut => {
                // the other side reads the end even if somebody still holds the socket
                let _ = line.socket.shutdown(Shutdown::Both);
                Ok(false)
            }
            Ending::Reset => {
                let socket = socket2::SockRef::from(line.socket);
                socket.set_linger(Some(Duration::ZERO)).expect("linger");
                Ok(false)
            }
            Ending::Stall => line.wait(None, || false).map(|()| false),
        }
    }

    fn walk(&self, line: &Line<'_>, steps: &[Step]) -> Result<(), Over> {
        for step in steps {
            match step {
                Step::Send(bytes) if self.bytewise => {
                    for byte in bytes.chunks(1) {
                        line.send(&self.framed(byte))?;
                    }
                }
                Step::Send(bytes) => line.send(&self.framed(bytes))?,
                Step::Pause(duration) => line.wait(Some(*duration), || false)?,
                Step::Wait(gate) => line.wait(None, || gate.is_open())?,
            }
        }
        Ok(())
    }

    fn framed(&self, bytes: &[u8]) -> Vec<u8> {
        if self.framing != Framing::Chunked || bytes.is_empty() {
            return bytes.to_vec();
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        chunk
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.framing {
            Framing::Length(claimed) => {
                let length = claimed.unwrap_or_else(|| self.body_bytes().len());
                head.push_str(&format!("content-length: {length}\r\n"));
            }
            Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
            Framing::Raw | Framing::Silence => {}
        }
        head.push_str("\r\n");
        head
    }
}
