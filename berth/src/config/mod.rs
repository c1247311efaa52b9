//! Settings of `berth server`: file, then environment, then options; checked all at once.
//!
//! Pure: the caller reads the file and the environment.

mod check;
mod gather;

pub use gather::{Gathered, Origin, Source, gather};

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

/// The services, in the order in which they start; they stop in the other.
pub const SERVICES: [&str; 8] = [
    "ledger",
    "access",
    "cluster",
    "scheduler",
    "lb",
    "monitor",
    "log",
    "gateway",
];

/// One setting: its name in the file; `BERTH_<NAME>` in the environment; `--<name>` as an option.
#[derive(Debug)]
pub struct Key {
    /// Name in the file.
    pub name: &'static str,
    /// What it is if nobody says anything; empty: not set.
    pub default: &'static str,
}

/// All settings, in the order in which they are shown.
pub const KEYS: [Key; 16] = [
    Key {
        name: "data",
        default: "/var/lib/berth",
    },
    Key {
        name: "listen",
        default: "0.0.0.0:7443",
    },
    Key {
        name: "http",
        default: "127.0.0.1:7080",
    },
    Key {
        name: "nats",
        default: "0.0.0.0:7422",
    },
    Key {
        name: "advertise",
        default: "",
    },
    Key {
        name: "metrics",
        default: "127.0.0.1:9464",
    },
    Key {
        name: "only",
        default: "",
    },
    Key {
        name: "embedded_only",
        default: "false",
    },
    Key {
        name: "attach",
        default: "false",
    },
    Key {
        name: "postgres_url",
        default: "",
    },
    Key {
        name: "nats_url",
        default: "",
    },
    Key {
        name: "creds_dir",
        default: "",
    },
    Key {
        name: "otlp",
        default: "",
    },
    Key {
        name: "log_format",
        default: "text",
    },
    Key {
        name: "stop_timeout",
        default: "20s",
    },
    Key {
        name: "durability",
        default: "full",
    },
];

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of all data.
    pub data: PathBuf,
    /// Where the API listens with TLS.
    pub listen: SocketAddr,
    /// Where the API listens without TLS.
    pub http: Option<SocketAddr>,
    /// Where the own NATS listens.
    pub nats: SocketAddr,
    /// Names under which others reach this server; empty: found out.
    pub advertise: Vec<String>,
    /// Where metrics and health are served.
    pub metrics: Option<SocketAddr>,
    /// Which services run; empty with `embedded_only`.
    pub services: BTreeSet<&'static str>,
    /// Only NATS and Postgres.
    pub embedded_only: bool,
    /// Another process runs NATS and Postgres of the folder: wait for it, never start them.
    pub attach: bool,
    /// Another process may run NATS and Postgres of the folder: start them only if none does.
    pub may_attach: bool,
    /// Administrator's URL of a foreign Postgres.
    pub postgres_url: Option<String>,
    /// URL of a foreign NATS.
    pub nats_url: Option<String>,
    /// Folder of bus credentials.
    pub creds_dir: PathBuf,
    /// Collector of traces.
    pub otlp: Option<String>,
    /// Log lines as JSON.
    pub json_logs: bool,
    /// How long services may take to end.
    pub stop_timeout: Duration,
    /// Commits are synced to the disk.
    pub durable: bool,
}

/// Something wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it was said: `--listen`, `BERTH_LISTEN`, `listen in berth.toml`.
    pub place: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
