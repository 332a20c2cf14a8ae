//! The real binary as a process: for the command line, signals, exit codes and what is printed.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take that a process does by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command line that is not started yet, in an empty directory and with an empty environment.
pub(crate) struct CommandLine {
    command: Command,
    directory: TempDir,
}

/// `model-proxy` with these arguments; `MODEL_PROXY_BINARY` may name another build of it, such as an optimised one.
pub(crate) fn model_proxy<const N: usize>(arguments: [&str; N]) -> CommandLine {
    let directory = tempfile::tempdir().expect("a directory");
    let binary = std::env::var_os("MODEL_PROXY_BINARY");
    let mut command = Command::new(binary.unwrap_or(env!("CARGO_BIN_EXE_model-proxy").into()));
    command
        .args(arguments)
        .env_clear()
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    CommandLine { command, directory }
}

impl CommandLine {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Temporary files go into the working directory.
    pub(crate) fn temporary_files_inside(self) -> Self {
        let directory = self.directory.path().to_owned();
        self.env("TMPDIR", directory)
    }

    /// A file in the working directory.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.directory.path().join(path);
        let folder = path.parent().expect("a folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(path, text).expect("a file");
        self
    }

    /// Runs it by a shell that has done this first.
    pub(crate) fn under(mut self, setup: &str) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!("{setup}; exec \"$0\" \"$@\"")])
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .env_clear()
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in self.command.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        self.command = shell;
        self
    }

    /// Starts it and goes on at once.
    #[track_caller]
    pub(crate) fn start(mut self) -> Process {
        let mut child = self.command.spawn().expect("the binary starts");
        let printed = Arc::new(Printed::default());
        let readers = vec![
            read(child.stdout.take().expect("a pipe"), Arc::clone(&printed)),
            read(child.stderr.take().expect("a pipe"), Arc::clone(&printed)),
        ];
        Process {
            child,
            directory: self.directory,
            printed,
            readers,
        }
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        self.start().wait()
    }
}

#[derive(Default)]
struct Printed {
    text: Mutex<String>,
    changed: Condvar,
}

impl Printed {
    fn text(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(pipe: impl Read + Send + 'static, printed: Arc<Printed>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            printed.text().push_str(&String::from_utf8_lossy(&line));
            printed.changed.notify_all();
            line.clear();
        }
    })
}

/// A running process; killed if a test forgets it.
pub(crate) struct Process {
    child: Child,
    directory: TempDir,
    printed: Arc<Printed>,
    readers: Vec<JoinHandle<()>>,
}

/// What a process left behind.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Standard output and standard error, as their lines came.
    pub(crate) printed: String,
}

impl Ended {
    /// The exit code; -1 if a signal ended it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

impl Process {
    /// Its working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.text().clone()
    }

    /// Waits until what it printed satisfies the condition.
    #[track_caller]
    pub(crate) fn wait_until_printed<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut text = self.printed.text();
        loop {
            if let Some(found) = wanted(&text) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not printed in time; so far: {text}");
            let waited = self.printed.changed.wait_timeout(text, left);
            text = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until it prints where it listens.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        self.wait_until_printed(|text| {
            let (_, rest) = text.split_once("http://")?;
            let address = rest.split(|letter: char| letter.is_whitespace() || letter == '/');
            address.take(1).find_map(|address| address.parse().ok())
        })
    }

    /// Sends a signal by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("a shell").success(), "{kill}");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(self) -> Ended {
        self.wait_for(PATIENCE)
    }

    /// Waits for its end, and looks at what it left behind before its working directory goes.
    #[track_caller]
    pub(crate) fn wait_and<T>(mut self, look: impl FnOnce() -> T) -> (Ended, T) {
        (self.end(PATIENCE), look())
    }

    /// Waits for its end, so long.
    #[track_caller]
    pub(crate) fn wait_for(mut self, longest: Duration) -> Ended {
        self.end(longest)
    }

    #[track_caller]
    fn end(&mut self, longest: Duration) -> Ended {
        let until = Instant::now() + longest;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            assert!(
                Instant::now() < until,
                "still running; printed: {}",
                self.printed()
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader that does not fail");
        }
        Ended {
            status,
            printed: self.printed(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // one that has ended already cannot be killed, which is what we want
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
