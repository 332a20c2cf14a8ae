//! The scripted upstream: an HTTP/1.1 server on plain threads that answers, cuts, stalls and lies as a test says,
//! and records what reached it. It must not know the gateway's code.

use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

mod answer;
pub(crate) mod bodies;
mod connection;

pub(crate) use answer::{Answer, Gate, html, raw, reply, silence, sse, vanish};

use super::http1::find_header;

/// A request as it reached the upstream.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Names as they were written, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When all of it had arrived.
    pub(crate) at: Instant,
    /// Which connection brought it, from 1.
    pub(crate) connection: usize,
    /// Which request of that connection it was, from 1.
    pub(crate) nth: usize,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// The provider key, from either header.
    pub(crate) fn key(&self) -> Option<&str> {
        let bearer = self.header("authorization");
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        bearer.or_else(|| self.header("x-api-key"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the request's body is JSON")
    }
}

type Judge = dyn Fn(&Recorded) -> Answer + Send + Sync;

struct Link {
    socket: Weak<TcpStream>,
    idle: bool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Answer>,
    judge: Option<Arc<Judge>>,
    requests: Vec<Recorded>,
    /// Index of the request whose answer was not taken to its end, and when that was noticed.
    hangups: Vec<(usize, Instant)>,
    links: Vec<Link>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Keeps the request and says what to do with it.
    fn record(&self, connection: usize, request: Recorded) -> (usize, Answer) {
        let mut state = self.state();
        state.links[connection - 1].idle = false;
        state.requests.push(request.clone());
        let index = state.requests.len() - 1;
        let queued = state.queue.pop_front();
        let judge = state.judge.clone();
        drop(state);
        self.changed.notify_all();
        let answer = queued.unwrap_or_else(|| match judge {
            Some(judge) => judge(&request),
            None => panic!(
                "no answer is scripted for request {} ({})",
                index + 1,
                request.target
            ),
        });
        (index, answer)
    }

    fn set_idle(&self, connection: usize, idle: bool) {
        self.state().links[connection - 1].idle = idle;
        self.changed.notify_all();
    }

    fn hung_up(&self, index: usize) {
        self.state().hangups.push((index, Instant::now()));
        self.changed.notify_all();
    }

    fn wait_for<T>(
        &self,
        longest: Duration,
        mut wanted: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + longest;
        let mut state = self.state();
        loop {
            if let Some(found) = wanted(&state) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A running upstream. Dropping it joins its threads, so that a panic of theirs fails the test.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Listens on a free port of the loopback interface.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, &shared))
        };
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Scheme, host and port, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers one request so, after those already queued.
    pub(crate) fn answer(&self, answer: Answer) -> &Self {
        self.shared.state().queue.push_back(answer);
        self
    }

    /// Answers so whenever the queue is empty.
    pub(crate) fn always(&self, answer: Answer) -> &Self {
        self.judge_by(move |_| answer.clone())
    }

    /// Answers by what the request says whenever the queue is empty.
    pub(crate) fn judge_by(
        &self,
        judge: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
    ) -> &Self {
        self.shared.state().judge = Some(Arc::new(judge));
        self
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.shared.state().requests.clone()
    }

    /// The key that each request so far came with, in order of arrival.
    pub(crate) fn keys_used(&self) -> Vec<String> {
        let requests = self.requests();
        let keys = requests.iter().map(|request| request.key().expect("a key"));
        keys.map(str::to_owned).collect()
    }

    /// The only request so far.
    #[track_caller]
    pub(crate) fn only_request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "requests at the upstream");
        requests[0].clone()
    }

    /// Waits until so many requests have arrived, and gives them all.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self, count: usize, longest: Duration) -> Vec<Recorded> {
        let enough =
            |state: &State| (state.requests.len() >= count).then(|| state.requests.clone());
        let found = self.shared.wait_for(longest, enough);
        found.unwrap_or_else(|| {
            panic!(
                "{} of {count} requests within {longest:?}",
                self.requests().len()
            )
        })
    }

    /// How often the other side left in the middle of an answer.
    pub(crate) fn hangups(&self) -> usize {
        self.shared.state().hangups.len()
    }

    /// Waits until the other side has left in the middle of an answer; false if it has not in time.
    pub(crate) fn wait_for_hangup(&self, longest: Duration) -> bool {
        self.wait_for_hangups(1, longest)
    }

    /// Waits until so many answers have been left in the middle; false if they have not in time.
    pub(crate) fn wait_for_hangups(&self, count: usize, longest: Duration) -> bool {
        let enough = |state: &State| (state.hangups.len() >= count).then_some(());
        self.shared.wait_for(longest, enough).is_some()
    }

    /// How many connections have been made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state().links.len()
    }

    /// Waits until an answered connection is kept open for the next request, then closes all such; says how many.
    pub(crate) fn close_idle_connections(&self, longest: Duration) -> usize {
        let idle = |state: &State| {
            let kept = state.links.iter().filter(|link| link.idle);
            let sockets: Vec<_> = kept.filter_map(|link| link.socket.upgrade()).collect();
            (!sockets.is_empty()).then_some(sockets)
        };
        let sockets = self.shared.wait_for(longest, idle).unwrap_or_default();
        for socket in &sockets {
            // one that is gone already is what we want
            let _ = socket.shutdown(Shutdown::Both);
        }
        sockets.len()
    }

    /// Joins every thread; panics if one of them did.
    pub(crate) fn finish(mut self) {
        self.join();
    }

    fn join(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        self.shared.stop.store(true, Ordering::Release);
        // wakes the acceptor, which then sees the flag
        drop(TcpStream::connect(self.address));
        let mut outcomes = vec![acceptor.join()];
        let threads = {
            let mut state = self.shared.state();
            let open = state.links.iter().filter_map(|link| link.socket.upgrade());
            for socket in open {
                let _ = socket.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut state.threads)
        };
        outcomes.extend(threads.into_iter().map(JoinHandle::join));
        let panicked = outcomes.into_iter().find_map(Result::err);
        if let Some(panic) = panicked.filter(|_| !std::thread::panicking()) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.join();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let (socket, _) = listener.accept().expect("a connection");
        if shared.stopping() {
            return;
        }
        let socket = Arc::new(socket);
        let mut state = shared.state();
        state.links.push(Link {
            socket: Arc::downgrade(&socket),
            idle: false,
        });
        let number = state.links.len();
        let thread = {
            let shared = Arc::clone(shared);
            std::thread::spawn(move || connection::serve(&shared, number, socket))
        };
        state.threads.push(thread);
    }
}
