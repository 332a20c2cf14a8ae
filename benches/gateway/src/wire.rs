//! As much of HTTP/1.1 as the upstream and the load generator need: heads, bodies with a length, chunks.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Room for one read.
const READ: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;

/// A connection with what was read from it and not used yet.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    used: usize,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy)]
pub struct AnswerHead {
    pub status: u16,
    pub framing: Framing,
    pub has_retry_after: bool,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunks,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            used: 0,
        })
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Reads once; an end of the connection is an error.
    pub async fn fill(&mut self) -> Result<()> {
        if self.fill_or_end().await? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::UnexpectedEof, "the connection ended"))
    }

    /// Reads once; false at the end of the connection.
    async fn fill_or_end(&mut self) -> Result<bool> {
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        // thousands of idle connections keep no room
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
            self.stream.readable().await?;
        }
        self.buffer.reserve(READ);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// The whole body of the next request, or nothing where the connection ends between two requests. The path comes with it.
    pub async fn request(&mut self, body: &mut Vec<u8>) -> Result<Option<String>> {
        let (path, length) = loop {
            if let Some((path, length, head)) = parse_request(self.unread())? {
                self.used += head;
                break (path, length);
            }
            if !self.fill_or_end().await? {
                return Ok(None);
            }
        };
        body.clear();
        self.take(length, body).await?;
        Ok(Some(path))
    }

    /// The head of the next answer.
    pub async fn head(&mut self) -> Result<AnswerHead> {
        loop {
            if let Some((head, length)) = parse_answer(self.unread())? {
                self.used += length;
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    /// Moves so many bytes to the end of `into`.
    pub async fn take(&mut self, mut length: usize, into: &mut Vec<u8>) -> Result<()> {
        loop {
            let there = self.unread().len().min(length);
            into.extend_from_slice(&self.unread()[..there]);
            self.used += there;
            length -= there;
            if length == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Moves the next chunks that are there to the end of `into`, and waits where there are none; false after the last.
    pub async fn chunks(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        let before = into.len();
        loop {
            match httparse::parse_chunk_size(self.unread()) {
                Ok(httparse::Status::Complete((head, length))) => {
                    let length = usize::try_from(length).map_err(Error::other)?;
                    if self.unread().len() >= head + length + 2 {
                        self.used += head;
                        into.extend_from_slice(&self.unread()[..length]);
                        self.used += length + 2;
                        if length == 0 {
                            return Ok(false);
                        }
                        continue;
                    }
                }
                Ok(httparse::Status::Partial) => {}
                Err(_) => return Err(Error::other("not a chunk")),
            }
            if into.len() > before {
                return Ok(true);
            }
            self.fill().await?;
        }
    }
}

fn parse_request(bytes: &[u8]) -> Result<Option<(String, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).map_err(Error::other)? else {
        return Ok(None);
    };
    let path = request.path.unwrap_or_default().to_owned();
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .map_or(Ok(0), |header| number(header.value))?;
    Ok(Some((path, length, head)))
}

fn parse_answer(bytes: &[u8]) -> Result<Option<(AnswerHead, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = answer.parse(bytes).map_err(Error::other)? else {
        return Ok(None);
    };
    let mut head = AnswerHead {
        status: answer.code.unwrap_or(0),
        framing: Framing::Chunks,
        has_retry_after: false,
    };
    for header in answer.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            head.framing = Framing::Length(number(header.value)?);
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            head.has_retry_after = true;
        }
    }
    Ok(Some((head, length)))
}

fn number(value: &[u8]) -> Result<usize> {
    str::from_utf8(value)
        .map_err(Error::other)?
        .trim()
        .parse()
        .map_err(Error::other)
}
