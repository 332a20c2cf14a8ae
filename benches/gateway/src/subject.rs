//! What is measured: nginx and gateways as processes of their own, and the upstream asked directly.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::load::Job;
use crate::payload::{Protocol, Script};

/// The client key of every gateway that is measured.
pub const CLIENT_KEY: &str = "sk-bench-client";
/// No start takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a gateway is set up beyond its shipped defaults.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Models beside those that the scenarios ask for.
    pub more_models: usize,
    /// Keys of each provider, beside the first.
    pub more_keys: usize,
    /// Clients beside the one that asks.
    pub more_clients: usize,
    /// Settings.
    pub settings: Vec<(&'static str, String)>,
}

/// Something that answers requests.
pub struct Subject {
    pub address: SocketAddr,
    process: Option<Child>,
    folder: Option<TempDir>,
    is_gateway: bool,
    started: Instant,
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // a signal that lets nginx' master end its workers
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let asked = Instant::now();
            while matches!(process.try_wait(), Ok(None)) {
                if asked.elapsed() > Duration::from_secs(5) {
                    let _ = process.kill();
                }
                sleep(Duration::from_millis(10));
            }
        }
    }
}

impl Subject {
    /// The upstream itself.
    pub fn direct(upstream: SocketAddr) -> Self {
        let started = Instant::now();
        Self {
            address: upstream,
            process: None,
            folder: None,
            is_gateway: false,
            started,
        }
    }

    /// nginx before the upstream, with as many workers as there are cores.
    pub fn nginx(binary: &Path, upstream: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let text = include_str!("../nginx.conf")
            .replace("@workers@", &workers.to_string())
            .replace("@folder@", &folder.path().display().to_string())
            .replace("@upstream@", &upstream.to_string())
            .replace("@address@", &address.to_string());
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text)?;
        let mut command = Command::new(binary);
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
        Self::start(command, folder, address, false)
    }

    /// A gateway before the upstream.
    pub fn gateway(binary: &Path, upstream: SocketAddr, shape: &Shape) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        write_configuration(folder.path(), upstream, shape)?;
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .current_dir(folder.path())
            .env_clear()
            .env("PORT", address.port().to_string())
            // limits are counted, and not reached
            .env("RATE_LIMIT_REQUESTS_PER_MINUTE", "1000000000")
            .env("RATE_LIMIT_TOKENS_PER_MINUTE", "1000000000000");
        for (name, value) in &shape.settings {
            command.env(name, value);
        }
        Self::start(command, folder, address, true)
    }

    /// Starts a process that works in this folder and writes its standard error there.
    fn start(
        mut command: Command,
        folder: TempDir,
        address: SocketAddr,
        is_gateway: bool,
    ) -> Result<Self> {
        let log = fs::File::create(folder.path().join("stderr"))?;
        command.stdout(Stdio::null()).stderr(log);
        let started = Instant::now();
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        Ok(Self {
            address,
            process: Some(process),
            folder: Some(folder),
            is_gateway,
            started,
        })
    }

    /// Waits until a plain request is answered, and gives the time since the start of the process.
    pub fn ready(&mut self) -> Result<Duration> {
        let job = self.job(Protocol::OpenAi, Protocol::OpenAi, Script::Plain, 200);
        loop {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                bail!("it ended at its start with {status}: {}", self.log());
            }
            if let Ok(mut stream) = TcpStream::connect(job.address) {
                stream.write_all(&job.request)?;
                let mut answer = [0; 12];
                if stream.read_exact(&mut answer).is_ok() {
                    ensure!(
                        &answer == b"HTTP/1.1 200",
                        "{:?}: {}",
                        String::from_utf8_lossy(&answer),
                        self.log()
                    );
                    return Ok(self.started.elapsed());
                }
            }
            ensure!(
                self.started.elapsed() < PATIENCE,
                "not ready after {PATIENCE:?}: {}",
                self.log()
            );
            sleep(Duration::from_micros(200));
        }
    }

    /// What it wrote to its standard error.
    pub fn log(&self) -> String {
        let file = self
            .folder
            .as_ref()
            .map(|folder| folder.path().join("stderr"));
        file.and_then(|file| fs::read_to_string(file).ok())
            .unwrap_or_default()
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Its models' folder.
    pub fn models(&self) -> Result<PathBuf> {
        let folder = self.folder.as_ref().context("has no models")?;
        Ok(folder.path().join("config/models"))
    }

    /// A request of a client of `client`'s protocol, answered by a route of `route`'s. What is no gateway cannot convert: it
    /// is asked in the route's protocol.
    pub fn job(&self, client: Protocol, route: Protocol, script: Script, prompt: usize) -> Job {
        let protocol = if self.is_gateway { client } else { route };
        let model = if self.is_gateway {
            logical(route, script)
        } else {
            script.name()
        };
        let host = self.address.to_string();
        Job {
            address: self.address,
            request: Rc::new(protocol.request(&host, CLIENT_KEY, &model, script, prompt)),
            protocol,
            script,
        }
    }
}

fn logical(route: Protocol, script: Script) -> String {
    let prefix = match route {
        Protocol::OpenAi => "o",
        Protocol::Anthropic => "a",
    };
    format!("{prefix}-{}", script.name())
}

/// A port that is free now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The scripts that scenarios ask for.
pub const SCRIPTS: [Script; 5] = [
    Script::Plain,
    Script::Stream {
        chunks: 64,
        pause: 0,
    },
    Script::Stream {
        chunks: 100,
        pause: 10,
    },
    Script::Held,
    Script::Flood { mebibytes: 16 },
];

fn write_configuration(folder: &Path, upstream: SocketAddr, shape: &Shape) -> Result<()> {
    let (providers, models) = (
        folder.join("config/providers"),
        folder.join("config/models"),
    );
    fs::create_dir_all(&providers)?;
    fs::create_dir_all(&models)?;
    for (route, name, format, header, value) in [
        (
            Protocol::OpenAi,
            "bench-openai",
            "openai",
            "Authorization",
            "Bearer {api_key}",
        ),
        (
            Protocol::Anthropic,
            "bench-anthropic",
            "anthropic",
            "x-api-key",
            "{api_key}",
        ),
    ] {
        let provider = json!({
            "name": name, "display_name": name, "enabled": true,
            "api_keys": {"env_var_patterns": ["BENCH_API_KEY", "BENCH_API_KEY_{INDEX}"]},
            "endpoints": {"base_url": format!("http://{upstream}/v1"), "completions": &route.path()[3..], "compatible_format": format},
            "authentication": {"header_name": header, "header_format": value},
        });
        fs::write(providers.join(format!("{name}.json")), provider.to_string())?;
        for script in SCRIPTS {
            let model = json!({"logical_name": logical(route, script),
                "model_routings": [{"provider": name, "model": script.name()}]});
            fs::write(
                models.join(format!("{}.json", logical(route, script))),
                model.to_string(),
            )?;
        }
    }
    for number in 0..shape.more_models {
        fs::write(
            models.join(format!("{}.json", more_model(number))),
            more_model_text(number, "plain"),
        )?;
    }
    let mut variables = format!("CLIENT_API_KEY={CLIENT_KEY}");
    for number in 0..shape.more_clients {
        variables.push_str(&format!(",sk-other-client-{number:06}"));
    }
    variables.push_str("\nBENCH_API_KEY=sk-bench-upstream\n");
    for number in 1..=shape.more_keys {
        variables.push_str(&format!(
            "BENCH_API_KEY_{number}=sk-bench-upstream-{number}\n"
        ));
    }
    fs::write(folder.join(".env"), variables)?;
    Ok(())
}

/// Name of the model that makes a configuration large.
pub fn more_model(number: usize) -> String {
    format!("more-{number:05}")
}

/// Its file.
pub fn more_model_text(number: usize, route_model: &str) -> String {
    json!({"logical_name": more_model(number), "fallback_model_routings": ["o-plain"],
        "model_routings": [
            {"id": "first", "provider": "bench-openai", "model": route_model},
            {"id": "second", "provider": "bench-anthropic", "model": "plain", "cooldown_seconds": 30}]})
    .to_string()
}
