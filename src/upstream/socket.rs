//! The socket under an awc client, which tells the call under way what happened on it: whether it was made for this
//! call, and whether a byte came back; and which can be kept from being used again. Of HTTP it knows only that an answer
//! begins after something was written, and leaves its head to `head`.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::Head;

/// What happened on the connection of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Happened {
    /// The connection was made instead of taken from the pool.
    pub(super) connected: bool,
    /// Bytes were read from it.
    pub(super) received: bool,
    /// Set on the socket that the call was written to.
    spoilt: Option<Rc<Cell<bool>>>,
}

impl Happened {
    /// The connection is out of step with its answers: whoever takes it from the pool must find it dead.
    pub(super) fn spoil_connection(&self) {
        if let Some(spoilt) = &self.spoilt {
            spoilt.set(true);
        }
    }
}

tokio::task_local! {
    static CALL: RefCell<Happened>;
}

/// Runs a call and tells what happened on its connection.
pub(super) async fn noting<F: Future>(call: F) -> (F::Output, Happened) {
    CALL.scope(RefCell::default(), async {
        let output = call.await;
        (output, CALL.with(RefCell::take))
    })
    .await
}

fn note(change: impl FnOnce(&mut Happened)) {
    // Nobody listens while a body is read.
    let _ = CALL.try_with(|call| change(&mut call.borrow_mut()));
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    spoilt: Rc<Cell<bool>>,
    /// Of the answer to what was written last.
    head: Head,
}

impl Socket {
    /// A connection that the call under way has made. Without TCP_NODELAY a fast stream waits 40 ms for a delayed ACK.
    pub(super) fn connected(socket: TcpStream) -> Self {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY on an upstream connection");
        }
        note(|happened| happened.connected = true);
        Self {
            stream: socket,
            spoilt: Rc::default(),
            head: Head::default(),
        }
    }

    /// The next answer begins after this.
    fn writes(&mut self) {
        note(|happened| happened.spoilt = Some(Rc::clone(&self.spoilt)));
        if self.head.is_passed() {
            self.head = Head::default();
        }
    }

    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.head.has_bytes() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            let piece = buffer.filled_mut().get_mut(before..).unwrap_or_default();
            if piece.is_empty() {
                self.head.end();
                if self.head.is_passed() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            note(|happened| happened.received = true);
            if self.head.feed(piece) {
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
        }
        self.head
            .take(buffer.remaining(), |bytes| buffer.put_slice(bytes));
        Poll::Ready(Ok(()))
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.spoilt.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !self.head.is_passed() {
            return self.get_mut().poll_head(context, buffer);
        }
        let before = buffer.filled().len();
        let polled = self.inner().poll_read(context, buffer);
        if buffer.filled().len() > before {
            note(|happened| happened.received = true);
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes();
        self.inner().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes();
        self.inner().poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(context)
    }
}

impl ActixStream for Socket {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, context)
    }
}
