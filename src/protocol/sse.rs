//! Server-sent events: an incremental decoder that cuts a stream of chunks into events without copying where a
//! chunk holds them whole, and the few frames we write ourselves. It knows no protocol.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// Longest line, and longest event, that is read: 16 MiB.
pub const LINE_LIMIT: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event, or a comment, that is longer than the decoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

/// One block of lines that ends with a blank line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The upstream's own bytes, the blank line included.
    pub raw: Bytes,
    /// The `data` lines joined with LF; a slice of `raw` if there is one, empty if there is none.
    pub data: Bytes,
    /// It consists of comments.
    pub comment_only: bool,
    /// Where the value of the last `event` line lies in `raw`.
    name: Option<(usize, usize)>,
}

impl Event {
    /// Reads the lines of one event. What follows a blank line inside is read as if the line were not there.
    pub fn parse(raw: Bytes) -> Self {
        let mut name = None;
        let mut data = Data::None;
        let mut comment_only = true;
        let mut start = 0;
        while let Some(rest) = raw.get(start..).filter(|rest| !rest.is_empty()) {
            let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or(rest);
            let (field, value) = split(line);
            let value = (start + value, start + length);
            match field {
                // A blank line, the LF of a CRLF, or a comment.
                b"" => {}
                b"data" => data.add(&raw, value),
                b"event" => name = Some(value),
                _ => {}
            }
            comment_only &= field.is_empty();
            start += length + 1;
        }
        Self {
            data: data.finish(&raw),
            comment_only,
            name,
            raw,
        }
    }

    /// The value of the `event` line, if there is one that is not empty.
    pub fn name(&self) -> Option<&str> {
        let (start, end) = self.name?;
        let name = self.raw.get(start..end)?;
        std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty())
    }
}

/// Splits a line into the name of its field, empty for a comment, and where its value begins.
fn split(line: &[u8]) -> (&[u8], usize) {
    let colon = memchr(b':', line).unwrap_or(line.len());
    let field = line.get(..colon).unwrap_or(line);
    let space = usize::from(line.get(colon + 1) == Some(&b' '));
    (field, (colon + 1 + space).min(line.len()))
}

/// What the `data` lines of one event have said so far.
enum Data {
    None,
    One((usize, usize)),
    Joined(BytesMut),
}

impl Data {
    fn add(&mut self, raw: &Bytes, (start, end): (usize, usize)) {
        let bytes = |(start, end)| raw.get(start..end).unwrap_or_default();
        match self {
            Self::None => *self = Self::One((start, end)),
            Self::One(first) => {
                let mut joined = BytesMut::from(bytes(*first));
                joined.extend_from_slice(b"\n");
                joined.extend_from_slice(bytes((start, end)));
                *self = Self::Joined(joined);
            }
            Self::Joined(joined) => {
                joined.extend_from_slice(b"\n");
                joined.extend_from_slice(bytes((start, end)));
            }
        }
    }

    fn finish(self, raw: &Bytes) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One((start, end)) => raw.slice(start..end),
            Self::Joined(joined) => joined.freeze(),
        }
    }
}

/// Where the decoder stands between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of an event.
    Start,
    /// Inside a line.
    Inside,
    /// After an LF that ended a line.
    LineEnd,
    /// After a CR that ended a line; an LF may still belong to it.
    AfterReturn,
    /// After a CR that ended a blank line; an LF may still belong to it.
    BlankReturn,
}

/// Cuts a stream of chunks into events.
///
/// Lines end at CR, LF or CRLF, and how the stream is cut into chunks makes no difference. Nothing is lost and
/// nothing added: the `raw` of all events, one after the other, are the stream without its byte order mark and
/// without blank lines that end no event.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// What former chunks held of the event that is being read.
    held: BytesMut,
    /// What is left of the last chunk.
    chunk: Bytes,
    /// How much of `chunk` belongs to the event so far.
    position: usize,
    state: State,
    /// How much of a byte order mark has been seen; all of it once that is settled.
    mark: usize,
}

impl Decoder {
    /// A decoder of events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            held: BytesMut::new(),
            chunk: Bytes::new(),
            position: 0,
            state: State::Start,
            mark: 0,
        }
    }

    /// Takes the next chunk. It costs a copy to call this before [`Decoder::next`] has said `None`.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut both = BytesMut::with_capacity(self.chunk.len() + chunk.len());
            both.extend_from_slice(&self.chunk);
            both.extend_from_slice(&chunk);
            self.chunk = both.freeze();
        }
    }

    /// Bytes of an event that is not complete.
    pub fn waiting(&self) -> usize {
        self.held.len()
    }

    /// The next event that is complete, or `None` if that takes another chunk.
    ///
    /// # Errors
    /// The event is longer than the limit. It stays so: there is no way to go on with this stream.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator ends for good with `None`, this goes on with the next chunk"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, TooLong> {
        self.skip_mark();
        let complete = self.scan();
        let length = if complete {
            self.held.len() + self.position
        } else {
            self.held.len() + self.chunk.len()
        };
        if length > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        if complete {
            return Ok(Some(Event::parse(self.take())));
        }
        self.held.extend_from_slice(&self.chunk);
        self.chunk = Bytes::new();
        self.position = 0;
        Ok(None)
    }

    /// What is left at the end of the stream: an event with data that lacks its blank line gets one, anything else
    /// is nothing. To be called after [`Decoder::next`] has said `None`.
    pub fn finish(&mut self) -> Option<Event> {
        let state = self.state;
        self.position = self.chunk.len();
        let mut raw = BytesMut::from(self.take());
        match state {
            State::Start => return None,
            State::Inside | State::AfterReturn => raw.extend_from_slice(b"\n\n"),
            State::LineEnd => raw.extend_from_slice(b"\n"),
            State::BlankReturn => {}
        }
        let event = Event::parse(raw.freeze());
        (state == State::BlankReturn || !event.data.is_empty()).then_some(event)
    }

    /// Skips the byte order mark that may lead the stream.
    fn skip_mark(&mut self) {
        while let Some(expected) = BYTE_ORDER_MARK.get(self.mark) {
            match self.chunk.first() {
                None => return,
                Some(byte) if byte == expected => {
                    self.chunk.advance(1);
                    self.mark += 1;
                }
                Some(_) => {
                    // It was none: what looked like its beginning begins the first line.
                    if self.mark > 0 {
                        let seen = BYTE_ORDER_MARK.get(..self.mark).unwrap_or_default();
                        self.held.extend_from_slice(seen);
                        self.state = State::Inside;
                    }
                    self.mark = BYTE_ORDER_MARK.len();
                }
            }
        }
    }

    /// Advances `position` to the end of the event, or of the chunk; tells whether the event is complete.
    fn scan(&mut self) -> bool {
        if self.state == State::Start {
            let is_blank = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
            let blank = self.chunk.iter().take_while(is_blank).count();
            self.chunk.advance(blank);
        }
        loop {
            let rest = self.chunk.get(self.position..).unwrap_or_default();
            let Some(byte) = rest.first() else {
                return false;
            };
            let (length, state) = match (self.state, byte) {
                (State::Start | State::Inside, _) => match memchr2(b'\r', b'\n', rest) {
                    None => (rest.len(), State::Inside),
                    Some(end) if rest.get(end) == Some(&b'\n') => (end + 1, State::LineEnd),
                    Some(end) => (end + 1, State::AfterReturn),
                },
                (State::AfterReturn, b'\n') => (1, State::LineEnd),
                (State::LineEnd, b'\r') => (1, State::BlankReturn),
                // Two CR are two line ends: whoever ends lines so does not send CRLF.
                (State::LineEnd, b'\n')
                | (State::AfterReturn, b'\r')
                | (State::BlankReturn, b'\n') => {
                    self.position += 1;
                    return true;
                }
                (State::BlankReturn, _) => return true,
                (State::LineEnd | State::AfterReturn, _) => (0, State::Inside),
            };
            self.position += length;
            self.state = state;
        }
    }

    /// The bytes of the event that has been scanned; a copy only if former chunks began it.
    fn take(&mut self) -> Bytes {
        let tail = self.chunk.split_to(self.position);
        self.position = 0;
        self.state = State::Start;
        if self.held.is_empty() {
            return tail;
        }
        let mut raw = std::mem::take(&mut self.held);
        raw.extend_from_slice(&tail);
        raw.freeze()
    }
}

/// An event without a name.
pub fn frame(data: &str) -> Bytes {
    Bytes::from(lines("data: ", data))
}

/// An event with a name, which must be a single line.
pub fn frame_named(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\n{}", lines("data: ", data)))
}

/// A comment; clients skip it, but it keeps the connection busy.
pub fn comment(text: &str) -> Bytes {
    Bytes::from(lines(": ", text))
}

/// Each line of the text behind the prefix, and the blank line.
fn lines(prefix: &str, text: &str) -> String {
    let mut framed = String::with_capacity(prefix.len() + text.len() + 2);
    for line in text.split('\n') {
        for line in line.strip_suffix('\r').unwrap_or(line).split('\r') {
            framed.push_str(prefix);
            framed.push_str(line);
            framed.push('\n');
        }
    }
    framed.push('\n');
    framed
}

#[cfg(test)]
mod tests;
