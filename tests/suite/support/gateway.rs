//! The real application on a free port, with its own directory of files, its own SQLite file and its own thread.
//! Everything a scenario needs of it is a verb here; what the gateway is made of stays behind `Application`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model_proxy::app::{AppHandle, Application};
use model_proxy::config::environment::Environment;
use model_proxy::config::settings::Settings;
use model_proxy::protocol::Protocol;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{self, Request, Response, Streaming};
use super::rows::{self, Row};
use super::upstream::Upstream;

/// The key of the gateway's first client, unless a scenario sets `CLIENT_API_KEY`.
pub(crate) const CLIENT_KEY: &str = "client-key-for-tests";

/// How long a row may take to be noted.
const PATIENCE: Duration = Duration::from_secs(5);

/// A gateway that is not started yet.
pub(crate) struct Builder {
    directory: TempDir,
    variables: BTreeMap<String, String>,
}

impl Builder {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for folder in ["config/providers", "config/models"] {
            std::fs::create_dir_all(directory.path().join(folder)).expect("a folder");
        }
        let database = directory.path().join("log.db");
        let builder = Self {
            variables: BTreeMap::new(),
            directory,
        };
        let config = builder.config_dir();
        builder
            .setting("config_dir", config.display())
            .setting("database_url", format!("sqlite:///{}", database.display()))
            .setting("client_api_key", CLIENT_KEY)
            .setting("host", "127.0.0.1")
            .setting("port", 0)
            .setting("workers", 2)
            .setting("rate_limit_requests_per_minute", 0)
            .setting("rate_limit_tokens_per_minute", 0)
    }

    fn config_dir(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    /// A provider with this name whose every call goes to the upstream, with one key `key-of-NAME`.
    pub(crate) fn provider(self, name: &str, upstream: &Upstream, protocol: Protocol) -> Self {
        let key = format!("key-of-{name}");
        self.provider_file(name, &provider_json(name, &upstream.url(), protocol))
            .keys(name, [key.as_str()])
    }

    /// A provider as this file describes it.
    pub(crate) fn provider_file(self, name: &str, file: &Value) -> Self {
        write_file(&self.config_dir(), "providers", name, &file.to_string());
        self
    }

    /// Exactly these keys for the provider, labelled `NAME_API_KEY_1`, `NAME_API_KEY_2`, …
    pub(crate) fn keys<'a>(
        mut self,
        provider: &str,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let prefix = format!("{}_API_KEY_", provider.to_uppercase().replace('-', "_"));
        self.variables.retain(|name, _| !name.starts_with(&prefix));
        for (index, key) in (1..).zip(keys) {
            let name = format!("{prefix}{index}");
            self.variables.insert(name, key.to_owned());
        }
        self
    }

    /// A model with these routes: provider, and the upstream's name of the model.
    pub(crate) fn model<const N: usize>(self, name: &str, routes: [(&str, &str); N]) -> Self {
        self.model_file(name, &model_json(name, routes))
    }

    /// A model as this file describes it.
    pub(crate) fn model_file(self, name: &str, file: &Value) -> Self {
        write_file(&self.config_dir(), "models", name, &file.to_string());
        self
    }

    /// A setting by its name in `gateway.toml`, or any environment variable.
    pub(crate) fn setting(mut self, name: &str, value: impl Display) -> Self {
        self.variables
            .insert(name.to_uppercase(), value.to_string());
        self
    }

    /// Starts it, and waits until it answers.
    #[track_caller]
    pub(crate) fn start(self) -> Gateway {
        let variables = self.variables.clone();
        let environment = Environment::new(self.variables, BTreeMap::new());
        let settings = Settings::read(&environment).expect("settings that load");
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let application = Application::build(settings, environment).expect("an application");
            let started = (application.address(), application.handle());
            let ended = application.run_and_tell(|| sender.send(started).expect("the test waits"));
            ended.expect("an orderly end");
        });
        let Ok((address, handle)) = receiver.recv() else {
            let panic = thread.join().expect_err("a thread that failed");
            std::panic::resume_unwind(panic);
        };
        Gateway {
            directory: self.directory,
            variables,
            address,
            handle,
            stopping: AtomicBool::new(false),
            thread: Some(thread),
        }
    }
}

/// A provider file that points at this address.
pub(crate) fn provider_json(name: &str, url: &str, protocol: Protocol) -> Value {
    let (path, header, format) = match protocol {
        Protocol::OpenAi => ("/chat/completions", "Authorization", "Bearer {api_key}"),
        Protocol::Anthropic => ("/messages", "x-api-key", "{api_key}"),
    };
    json!({
        "name": name,
        "display_name": name,
        "enabled": true,
        "api_keys": {"env_var_patterns": ["{PROVIDER}_API_KEY", "{PROVIDER}_API_KEY_{INDEX}"]},
        "endpoints": {
            "base_url": format!("{url}/v1"),
            "completions": path,
            "compatible_format": protocol.name(),
        },
        "authentication": {"header_name": header, "header_format": format},
    })
}

/// A model file with these routes.
pub(crate) fn model_json<const N: usize>(name: &str, routes: [(&str, &str); N]) -> Value {
    let routes = routes.map(|(provider, model)| json!({"provider": provider, "model": model}));
    json!({"logical_name": name, "model_routings": Value::from_iter(routes)})
}

/// Puts the file in place whole, as an editor does.
fn write_file(config_dir: &Path, folder: &str, name: &str, text: &str) {
    let folder = config_dir.join(folder);
    let hidden = folder.join(format!(".{name}.new"));
    std::fs::write(&hidden, text).expect("a file");
    std::fs::rename(hidden, folder.join(format!("{name}.json"))).expect("a file in place");
}

/// A running gateway. Dropping it stops it and joins its thread, so that a panic of it fails the test.
pub(crate) struct Gateway {
    directory: TempDir,
    variables: BTreeMap<String, String>,
    address: SocketAddr,
    handle: AppHandle,
    stopping: AtomicBool,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    pub(crate) fn builder() -> Builder {
        Builder::new()
    }

    /// A gateway with one model `m`, routed to the upstream's model `up-m` by provider `alpha`.
    #[track_caller]
    pub(crate) fn before(upstream: &Upstream, protocol: Protocol) -> Self {
        Self::builder()
            .provider("alpha", upstream, protocol)
            .model("m", [("alpha", "up-m")])
            .start()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A `POST` with the client's key.
    pub(crate) fn post(&self, target: &str) -> Request {
        client::post(self.address, target).key(CLIENT_KEY)
    }

    /// A `GET` with the client's key.
    pub(crate) fn get(&self, target: &str) -> Request {
        client::get(self.address, target).key(CLIENT_KEY)
    }

    /// A chat completion with this body.
    #[track_caller]
    pub(crate) fn chat(&self, body: &Value) -> Response {
        self.post("/v1/chat/completions").json(body).send()
    }

    /// A streamed chat completion with this body.
    #[track_caller]
    pub(crate) fn chat_streaming(&self, body: &Value) -> Streaming {
        self.post("/v1/chat/completions")
            .json(body)
            .send_streaming()
    }

    /// A message with this body.
    #[track_caller]
    pub(crate) fn messages(&self, body: &Value) -> Response {
        self.post("/v1/messages").json(body).send()
    }

    /// A streamed message with this body.
    #[track_caller]
    pub(crate) fn messages_streaming(&self, body: &Value) -> Streaming {
        self.post("/v1/messages").json(body).send_streaming()
    }

    /// Every row of the request log, oldest first, after what is on its way has been written.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.handle.flush();
        rows::read(&self.database())
    }

    /// The only row of the request log; waited for, since a client may see an end before the gateway has noted it.
    #[track_caller]
    pub(crate) fn only_row(&self) -> Row {
        let until = Instant::now() + PATIENCE;
        let mut rows = self.rows();
        while rows.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            rows = self.rows();
        }
        assert_eq!(rows.len(), 1, "rows in the request log: {rows:?}");
        rows.remove(0)
    }

    /// The request log's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("log.db")
    }

    pub(crate) fn config_dir(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    /// Replaces a model's file with this text, valid or not.
    pub(crate) fn write_model(&self, name: &str, text: &str) {
        write_file(&self.config_dir(), "models", name, text);
    }

    /// Replaces a provider's file with this text, valid or not.
    pub(crate) fn write_provider(&self, name: &str, text: &str) {
        write_file(&self.config_dir(), "providers", name, text);
    }

    pub(crate) fn delete_model(&self, name: &str) {
        let path = self.config_dir().join(format!("models/{name}.json"));
        std::fs::remove_file(path).expect("a model file");
    }

    pub(crate) fn delete_provider(&self, name: &str) {
        let path = self.config_dir().join(format!("providers/{name}.json"));
        std::fs::remove_file(path).expect("a provider file");
    }

    /// Asks it to stop as SIGTERM does, and does not wait.
    pub(crate) fn begin_stop(&self) {
        // a second call would end it at once
        if !self.stopping.swap(true, Ordering::AcqRel) {
            self.handle.stop();
        }
    }

    /// Stops it as SIGTERM does, and starts another with the same files and database.
    #[track_caller]
    pub(crate) fn restart(self) -> Self {
        self.stopped().start()
    }

    /// The same, with one setting changed.
    #[track_caller]
    pub(crate) fn restart_with(self, name: &str, value: impl Display) -> Self {
        self.stopped().setting(name, value).start()
    }

    fn stopped(mut self) -> Builder {
        self.join();
        let nothing = tempfile::tempdir().expect("a directory");
        Builder {
            directory: std::mem::replace(&mut self.directory, nothing),
            variables: std::mem::take(&mut self.variables),
        }
    }

    /// Stops it as SIGTERM does, waits until it has ended, and gives the rows it left behind.
    pub(crate) fn stop(mut self) -> Vec<Row> {
        self.join();
        rows::read(&self.database())
    }

    fn join(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.begin_stop();
        let outcome = thread.join();
        if let Some(panic) = outcome.err().filter(|_| !std::thread::panicking()) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.join();
    }
}
