//! One connection to a scripted upstream: reads requests, has them recorded, plays the answers,
//! and notices when the other side hangs up in the middle of one.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Recorded, Shared};
use crate::support::http1::{Framing, Incoming, Stop};

/// How often a waiting upstream looks whether the other side is still there.
const LOOK: Duration = Duration::from_millis(2);
/// A kept connection may be silent for so long; its end is a test's end.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why an answer was not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The other side left.
    HungUp,
    /// The test is over.
    Stopped,
}

/// The writing half of a connection.
pub(super) struct Line<'a> {
    pub(super) socket: &'a TcpStream,
    shared: &'a Shared,
}

impl Line<'_> {
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Over> {
        let mut socket = self.socket;
        match socket.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(_) if self.shared.stopping() => Err(Over::Stopped),
            Err(_) => Err(Over::HungUp),
        }
    }

    /// Waits for the condition, at most so long, unless the other side leaves first.
    pub(super) fn wait(
        &self,
        longest: Option<Duration>,
        condition: impl Fn() -> bool,
    ) -> Result<(), Over> {
        let until = longest.map(|longest| Instant::now() + longest);
        loop {
            if self.shared.stopping() {
                return Err(Over::Stopped);
            }
            if self.hung_up() {
                return Err(Over::HungUp);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if condition() || left == Some(Duration::ZERO) {
                return Ok(());
            }
            std::thread::sleep(left.unwrap_or(LOOK).min(LOOK));
        }
    }

    fn hung_up(&self) -> bool {
        self.socket.set_nonblocking(true).expect("nonblocking");
        let looked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false).expect("blocking");
        match looked {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Serves requests until either side has had enough.
pub(super) fn serve(shared: &Shared, number: usize, socket: Arc<TcpStream>) {
    socket.set_nodelay(true).expect("nodelay");
    let mut incoming = Incoming::new(Arc::clone(&socket));
    let line = Line {
        socket: &socket,
        shared,
    };
    for nth in 1.. {
        let Ok(request) = read(&mut incoming, number, nth) else {
            return;
        };
        let (index, answer) = shared.record(number, request);
        match answer.play(&line) {
            Ok(true) => shared.set_idle(number, true),
            Ok(false) | Err(Over::Stopped) => return,
            Err(Over::HungUp) => {
                shared.hung_up(index);
                return;
            }
        }
    }
}

fn read(incoming: &mut Incoming, connection: usize, nth: usize) -> Result<Recorded, Stop> {
    let until = Instant::now() + PATIENCE;
    let head = incoming.head(until)?;
    let framing = head.framing(Framing::Length(0));
    let (body, ended) = incoming.body(framing, until);
    ended?;
    let mut words = head.first_line.split(' ').map(str::to_owned);
    Ok(Recorded {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        headers: head.headers,
        body,
        at: Instant::now(),
        connection,
        nth,
    })
}
