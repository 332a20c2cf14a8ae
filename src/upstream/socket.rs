//! The socket under an awc client, which tells the call under way what happened on it: whether it was made for this
//! call, and whether a byte came back. It knows no HTTP.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What happened on the connection of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Happened {
    /// The connection was made instead of taken from the pool.
    pub(super) connected: bool,
    /// Bytes were read from it.
    pub(super) received: bool,
}

tokio::task_local! {
    static CALL: Cell<Happened>;
}

/// Runs a call and tells what happened on its connection.
pub(super) async fn noting<F: Future>(call: F) -> (F::Output, Happened) {
    CALL.scope(Cell::default(), async {
        let output = call.await;
        (output, CALL.with(Cell::get))
    })
    .await
}

fn note(change: impl FnOnce(&mut Happened)) {
    // Nobody listens while a body is read.
    let _ = CALL.try_with(|call| {
        let mut happened = call.get();
        change(&mut happened);
        call.set(happened);
    });
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket(TcpStream);

impl Socket {
    /// A connection that the call under way has made. Without TCP_NODELAY a fast stream waits 40 ms for a delayed ACK.
    pub(super) fn connected(socket: TcpStream) -> Self {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY on an upstream connection");
        }
        note(|happened| happened.connected = true);
        Self(socket)
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
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
        ActixStream::poll_read_ready(&self.0, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.0, context)
    }
}
