//! An own NATS server with JetStream: configuration written by us, store in the data folder.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::account::dying_command;
use crate::binaries::Binaries;
use crate::child::{Program, Supervised};
use crate::cluster::plain_environment;
use crate::error::{Error, io_error};
use crate::folder;
use crate::output::Output;

const NAME: &str = "nats-server";
const LOCK: &str = "nats.lock";
const CONFIG: &str = "nats.conf";
const READY_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(20);
const RELOAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long one look at the port may take.
const LOOK_PATIENCE: Duration = Duration::from_millis(500);
/// The first line of the protocol is shorter than this.
const INFO_BYTES: u64 = 64 * 1024;
/// A free port may be taken by another between our choice and the server's start.
const PORT_ATTEMPTS: u32 = 5;

/// What JetStream may keep in memory, over all streams.
pub const MAX_MEMORY_BYTES: u64 = 512 * 1024 * 1024;
/// What JetStream may keep on the disk, over all streams. Without it the server takes three quarters of what is
/// free at its start, and on a small disk refuses streams whose own limit is larger.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// What can be chosen about the embedded NATS server.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Where clients connect; port 0 takes a free one and keeps it until the stop.
    pub listen: SocketAddr,
    /// The folder of JetStream; `<data>/nats` if not given.
    pub store_dir: Option<PathBuf>,
    /// More lines of the configuration file: accounts, users, TLS, limits.
    pub extra: String,
    /// Where the monitoring endpoint listens, if at all.
    pub monitor: Option<SocketAddr>,
    /// What JetStream may keep in memory.
    pub max_memory_bytes: u64,
    /// What JetStream may keep on the disk.
    pub max_file_bytes: u64,
    /// Whether JetStream syncs every message to the disk before it acknowledges it.
    pub sync_always: bool,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            store_dir: None,
            extra: String::new(),
            monitor: None,
            max_memory_bytes: MAX_MEMORY_BYTES,
            max_file_bytes: MAX_FILE_BYTES,
            sync_always: true,
        }
    }
}

/// A running, supervised NATS server.
pub struct EmbeddedNats {
    child: Supervised,
    binary: PathBuf,
    config: PathBuf,
    settings: Mutex<Settings>,
    address: SocketAddr,
    _lock: std::fs::File,
}

/// What the configuration file is made of.
#[derive(Debug, Clone)]
struct Settings {
    name: String,
    listen: SocketAddr,
    store: PathBuf,
    options: NatsOptions,
}

impl EmbeddedNats {
    /// Starts the server and waits until it answers. It runs as the account of this process.
    pub fn start_blocking(data: &Path, binaries: &Binaries, options: &NatsOptions) -> Result<Self, Error> {
        let data = folder::passage(data)?;
        let lock = folder::lock(&data, LOCK)?;
        let binary = binaries.find_nats_server()?;
        let config = data.join(CONFIG);
        folder::end_leftovers(NAME, &config, Signal::TERM)?;
        let store = options.store_dir.clone().unwrap_or_else(|| data.join("nats"));
        let name = format!("berth-{:016x}", rand::random::<u64>());
        let mut attempt = 1;
        let (child, settings) = loop {
            let listen = choose_port(options.listen)?;
            let settings = Settings {
                name: name.clone(),
                listen,
                store: store.clone(),
                options: options.clone(),
            };
            folder::write_private(&config, &render(&settings))?;
            let child = Supervised::start(program(&binary, &config), Output::new(data.join("nats.log")))?;
            let reach = reachable(listen);
            match child.wait_ready(READY_PATIENCE, |_| answers_as(reach, &name)) {
                Ok(()) => break (child, settings),
                Err(Error::EndedEarly { .. }) if options.listen.port() == 0 && attempt < PORT_ATTEMPTS => {
                    attempt += 1
                }
                Err(error) => return Err(error),
            }
        };
        let address = reachable(settings.listen);
        Ok(Self {
            child,
            binary,
            config,
            settings: Mutex::new(settings),
            address,
            _lock: lock,
        })
    }

    /// The URL for clients on this machine.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// The address for clients on this machine.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes other `extra` lines into force without a restart. A faulty text changes nothing.
    pub fn reload_blocking(&self, extra: &str) -> Result<(), Error> {
        // Held to the end: one reload at a time.
        let mut current = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settings = current.clone();
        extra.clone_into(&mut settings.options.extra);
        let text = render(&settings);
        let trial = self.config.with_extension("trial");
        folder::write_private(&trial, &text)?;
        let tested = Command::new(&self.binary)
            .arg("-t")
            .arg("-c")
            .arg(&trial)
            .output();
        let _ = std::fs::remove_file(&trial);
        let tested = tested.map_err(io_error("run", &self.binary))?;
        if !tested.status.success() {
            let output = [tested.stdout, tested.stderr].concat();
            return Err(Error::Reload {
                output: String::from_utf8_lossy(&output).trim().to_owned(),
            });
        }
        folder::write_private(&self.config, &text)?;
        let mark = self.child.output().mark();
        self.child.signal(Signal::HUP);
        let answer = self.child.output().wait_for(mark, RELOAD_PATIENCE, reload_answer);
        match answer {
            Some(Ok(())) => {
                *current = settings;
                Ok(())
            }
            Some(Err(output)) => {
                folder::write_private(&self.config, &render(&current))?;
                Err(Error::Reload { output })
            }
            None => Err(Error::Reload {
                output: format!("no answer within {RELOAD_PATIENCE:?}"),
            }),
        }
    }

    /// The process id, unless it is being restarted.
    pub fn pid(&self) -> Option<u32> {
        self.child
            .pid()
            .map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// How often it had to be started again.
    pub fn restarts(&self) -> u32 {
        self.child.restarts()
    }

    /// Stops the server; connections end, JetStream is flushed.
    pub fn stop_blocking(&self) {
        self.child.stop();
    }

    /// Stops within `patience`, by force if need be.
    pub fn stop_within(&self, patience: Duration) {
        self.child.stop_within(patience);
    }
}

fn program(binary: &Path, config: &Path) -> Program {
    let (binary, config) = (binary.to_path_buf(), config.to_path_buf());
    Program {
        name: NAME,
        command: Box::new(move || {
            let mut command = dying_command();
            command.arg("--").arg(&binary).arg("-c").arg(&config);
            command.current_dir("/").env_clear().envs(plain_environment());
            command
        }),
        prepare: Box::new(|| Ok(())),
        polite: Signal::TERM,
        patience: STOP_PATIENCE,
    }
}

fn render(settings: &Settings) -> String {
    let mut text = String::from("# Written by berth at every start; edits are lost.\n");
    let _ = writeln!(text, "server_name: {}", quoted(&settings.name));
    let _ = writeln!(text, "listen: {}", quoted(&settings.listen.to_string()));
    if let Some(monitor) = settings.options.monitor {
        let _ = writeln!(text, "http: {}", quoted(&monitor.to_string()));
    }
    let sync = if settings.options.sync_always {
        "always"
    } else {
        "\"2m\""
    };
    let store = quoted(&settings.store.to_string_lossy());
    let (memory, file) = (settings.options.max_memory_bytes, settings.options.max_file_bytes);
    let _ = writeln!(
        text,
        "jetstream {{\n  store_dir: {store}\n  sync_interval: {sync}"
    );
    let _ = writeln!(text, "  max_memory_store: {memory}\n  max_file_store: {file}\n}}");
    text.push_str(&settings.options.extra);
    text.push('\n');
    text
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn reload_answer(line: &str) -> Option<Result<(), String>> {
    if line.contains("Reloaded server configuration") {
        return Some(Ok(()));
    }
    line.contains("Failed to reload server configuration")
        .then(|| Err(line.to_owned()))
}

fn choose_port(listen: SocketAddr) -> Result<SocketAddr, Error> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let listener =
        TcpListener::bind(listen).map_err(io_error("find a free port on", Path::new(&listen.to_string())))?;
    listener
        .local_addr()
        .map_err(io_error("find a free port on", Path::new(&listen.to_string())))
}

/// Where a client on this machine connects to a server that listens on `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Whether our own server, and not another one on that port, greets there.
fn answers_as(address: SocketAddr, name: &str) -> bool {
    let greeting = TcpStream::connect_timeout(&address, LOOK_PATIENCE).and_then(|stream| {
        stream.set_read_timeout(Some(LOOK_PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream.take(INFO_BYTES)).read_line(&mut line)?;
        Ok(line)
    });
    let Ok(line) = greeting else { return false };
    let info = line
        .strip_prefix("INFO ")
        .and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok());
    info.is_some_and(|info| info.get("server_name").and_then(|value| value.as_str()) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_quotes_paths_and_keeps_the_extra_lines() {
        let settings = Settings {
            name: "berth-1".into(),
            listen: "127.0.0.1:4222".parse().unwrap(),
            store: "/with \"quote\"/nats".into(),
            options: NatsOptions {
                extra: "max_payload: 2MB".into(),
                ..NatsOptions::default()
            },
        };
        let text = render(&settings);
        assert!(text.contains(r#"store_dir: "/with \"quote\"/nats""#), "{text}");
        assert!(
            text.contains("sync_interval: always") && text.ends_with("max_payload: 2MB\n"),
            "{text}"
        );
    }

    #[test]
    fn answers_of_a_reload_are_told_apart() {
        assert_eq!(
            reload_answer("[1] [INF] Reloaded server configuration"),
            Some(Ok(()))
        );
        assert!(matches!(
            reload_answer("[ERR] Failed to reload server configuration: x"),
            Some(Err(_))
        ));
        assert_eq!(reload_answer("[INF] Reloaded: authorization users"), None);
    }

    #[test]
    fn unspecified_addresses_are_reached_over_loopback() {
        assert_eq!(reachable("0.0.0.0:1".parse().unwrap()).to_string(), "127.0.0.1:1");
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()).to_string(), "10.0.0.1:1");
    }
}
