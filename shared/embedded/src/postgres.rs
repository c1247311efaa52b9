//! An own Postgres: data in one folder, unix socket only (unless a port is asked for), password generated.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::account::Account;
use crate::binaries::{Binaries, PostgresBinaries};
use crate::child::{Program, Supervised};
use crate::cluster::{self, PASSWORD, plain_environment};
use crate::error::{Error, io_error};
use crate::folder;
use crate::output::Output;

/// The superuser of an embedded Postgres.
pub const SUPERUSER: &str = "berth";

const NAME: &str = "postgres";
const LOCK: &str = "postgres.lock";
/// Names the socket file; nothing listens on this port unless one is asked for.
const SOCKET_PORT: u16 = 5432;
/// A socket path must fit into 107 bytes; the rest is for `/.s.PGSQL.5432`.
const LONGEST_SOCKET_FOLDER: usize = 88;
/// How often a start is tried: the one before may still be dying.
const START_ATTEMPTS: u32 = 5;
/// Wait before the next.
const START_PAUSE: Duration = Duration::from_secs(1);
/// Crash recovery of a large log takes its time.
const READY_PATIENCE: Duration = Duration::from_secs(120);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const MAX_CONNECTIONS: u32 = 200;
/// The line of postmaster.pid that says whether connections are accepted.
const STATUS_LINE: usize = 7;

/// How safe commits are when the machine itself dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// `fsync` on: a commit survives everything.
    #[default]
    Full,
    /// `fsync` off: a commit survives a killed Postgres, not a dead machine. For tests.
    ProcessOnly,
}

/// What can be chosen about the embedded Postgres.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Listen on this loopback port too.
    pub loopback_port: Option<u16>,
    /// Whether commits are synced to the disk.
    pub durability: Durability,
    /// A database that is created together with the data folder.
    pub database: Option<String>,
    /// A folder in which a freshly made data folder is kept for the next one: a copy is made sooner. All copies
    /// have the same password. For tests.
    pub template_folder: Option<PathBuf>,
}

/// A running, supervised Postgres.
pub struct EmbeddedPostgres {
    child: Supervised,
    socket_folder: PathBuf,
    port: u16,
    /// The socket folder lies outside of the data folder and goes when we go.
    borrowed_socket_folder: bool,
    password: String,
    _lock: fs::File,
}

impl EmbeddedPostgres {
    /// Starts Postgres on `<data>/postgres`, made anew if there is none, and waits until it accepts connections.
    pub fn start_blocking(
        data: &Path,
        binaries: &Binaries,
        options: &PostgresOptions,
    ) -> Result<Self, Error> {
        let data = folder::passage(data)?;
        let lock = folder::lock(&data, LOCK)?;
        let programs = binaries.find_postgres()?;
        let account = Account::for_postgres()?;
        account.check_traversable(&data)?;
        let cluster = data.join("postgres");
        folder::end_leftovers(NAME, &cluster, Signal::INT)?;
        if !cluster.join("PG_VERSION").is_file() {
            cluster::initialise(&data, &cluster, &programs, &account, options)?;
        }
        cluster::check_version(&cluster, &programs)?;
        let password_file = data.join(PASSWORD);
        let password = fs::read_to_string(&password_file).map_err(io_error("read", &password_file))?;
        let (socket_folder, borrowed) = socket_folder(&data, &account)?;
        let port = options.loopback_port.unwrap_or(SOCKET_PORT);
        let mut attempt = 1;
        let child = loop {
            drop_socket_lock(&socket_folder, port)?;
            let program = program(&cluster, &socket_folder, &programs, &account, options);
            let child = Supervised::start(program, Output::new(data.join("postgres.log")))?;
            match child.wait_ready(READY_PATIENCE, |pid| is_ready(&cluster, pid)) {
                Ok(()) => break child,
                // One that was killed a moment ago is still in the list of processes until it is reaped.
                Err(error @ Error::EndedEarly { .. }) if attempt < START_ATTEMPTS => {
                    tracing::warn!(%error, attempt, "Postgres did not start; trying again");
                    attempt += 1;
                    drop(child);
                    std::thread::sleep(START_PAUSE);
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            child,
            socket_folder,
            port,
            borrowed_socket_folder: borrowed,
            password,
            _lock: lock,
        })
    }

    /// The URL of a database; it holds the password.
    pub fn url(&self, database: &str) -> String {
        self.url_as(SUPERUSER, &self.password, database)
    }

    /// The URL of a database for another role.
    pub fn url_as(&self, role: &str, password: &str, database: &str) -> String {
        let (role, password, database) = (percent(role), percent(password), percent(database));
        let host = percent(&self.socket_folder.to_string_lossy());
        let port = self.port;
        format!("postgres://{role}:{password}@localhost/{database}?host={host}&port={port}&sslmode=disable")
    }

    /// The folder of the unix socket.
    pub fn socket_folder(&self) -> &Path {
        &self.socket_folder
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

    /// Fast shutdown: sessions are ended, a checkpoint is written.
    pub fn stop_blocking(&self) {
        self.child.stop();
    }

    /// Stops within `patience`, by force if need be; the next start then replays the log.
    pub fn stop_within(&self, patience: Duration) {
        self.child.stop_within(patience);
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.child.stop();
        if self.borrowed_socket_folder {
            let _ = fs::remove_dir_all(&self.socket_folder);
        }
    }
}

/// The folder of the socket: with the data, or in a short place when that path is too long for a socket.
fn socket_folder(data: &Path, account: &Account) -> Result<(PathBuf, bool), Error> {
    let near = data.join("socket");
    if near.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
        account.private_folder(&near)?;
        return Ok((near, false));
    }
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let short = PathBuf::from(if account.switch { "/run" } else { "/tmp" });
    let short = short.join(format!("berth-{:016x}", hasher.finish()));
    account.private_folder(&short)?;
    Ok((short, true))
}

fn program(
    cluster: &Path,
    socket_folder: &Path,
    programs: &PostgresBinaries,
    account: &Account,
    options: &PostgresOptions,
) -> Program {
    let settings = settings(socket_folder, options);
    let (account, binary) = (account.clone(), programs.folder.join("postgres"));
    let (data, prepared) = (cluster.to_path_buf(), cluster.to_path_buf());
    Program {
        name: NAME,
        command: Box::new(move || {
            let mut command = account.command(&binary);
            command.arg("-D").arg(&data);
            for setting in &settings {
                command.arg("-c").arg(setting);
            }
            command.current_dir("/").env_clear().envs(plain_environment());
            command
        }),
        prepare: Box::new(move || {
            // Sessions of a killed server end by themselves, but not at once.
            folder::end_leftovers(NAME, &prepared, Signal::QUIT)?;
            // Nobody works on the data now, so the file names a dead process, or a stranger with its number.
            let _ = fs::remove_file(prepared.join("postmaster.pid"));
            Ok(())
        }),
        polite: Signal::INT,
        patience: STOP_PATIENCE,
    }
}

fn settings(socket_folder: &Path, options: &PostgresOptions) -> Vec<String> {
    let (listen, port) = match options.loopback_port {
        Some(port) => ("127.0.0.1", port),
        None => ("", SOCKET_PORT),
    };
    let fsync = if options.durability == Durability::Full {
        "on"
    } else {
        "off"
    };
    vec![
        format!("listen_addresses={listen}"),
        format!("port={port}"),
        format!("unix_socket_directories={}", socket_folder.display()),
        "unix_socket_permissions=0700".into(),
        format!("max_connections={MAX_CONNECTIONS}"),
        format!("fsync={fsync}"),
        format!("full_page_writes={fsync}"),
        "synchronous_commit=on".into(),
        "shared_buffers=64MB".into(),
        "wal_compression=on".into(),
        "max_wal_size=512MB".into(),
        "logging_collector=off".into(),
        "log_min_messages=warning".into(),
        "log_line_prefix=%m [%p] %q%u@%d ".into(),
        "timezone=UTC".into(),
    ]
}

/// Takes away the lock beside the socket that a killed one left. The lock inside the data stays: it is the
/// one that guards the data, and ours on the folder says that nobody else is here.
fn drop_socket_lock(folder: &Path, port: u16) -> Result<(), Error> {
    let lock = folder.join(format!(".s.PGSQL.{port}.lock"));
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", &lock)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Postgres itself writes into postmaster.pid whether it accepts connections.
fn is_ready(cluster: &Path, pid: Pid) -> bool {
    let Ok(text) = fs::read_to_string(cluster.join("postmaster.pid")) else {
        return false;
    };
    let mut lines = text.lines();
    let ours = lines.next().is_some_and(|line| line.trim() == pid.to_string());
    ours && lines
        .nth(STATUS_LINE - 1)
        .is_some_and(|status| status.trim() == "ready")
}

/// Percent-encodes what is not plain in a URL.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
