//! What labels ask of the platform (`aliyun.*` and `berth.*`, `docs/labels.md`), read and checked.
//!
//! `scale`, `global`, `depends`, `rolling_updates` and `gpu` have no field here: they are the same as keys
//! of Compose, and stand where those do.

use super::is_default;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The labels of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceLabels {
    /// How important its containers are, 0–1000: those of less importance give way when there is no room.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: u32,
    /// The image is pulled at every deploy (`latest_image`).
    #[serde(skip_serializing_if = "is_default")]
    pub latest_image: bool,
    /// Addresses under which the service is reached (`routing.port_N`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteSpec>,
    /// A client stays with its container (`routing.session_sticky`); absent: it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_sticky: Option<bool>,
    /// Other `routing.*` labels, by what follows the prefix; for the balancer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routing: BTreeMap<String, String>,
    /// Listeners of load balancers (`lb.port_N`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerSpec>,
    /// When containers are added and taken away (`auto_scaling.*`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_scaling: Option<AutoScalingSpec>,
    /// What is kept of its logs (`log_store_*`, `log_ttl_*`, `logs`, `log.*`).
    #[serde(skip_serializing_if = "is_default")]
    pub logs: LogSpec,
    /// Own measurements (`monitoring.*`), by what follows the prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub monitoring: BTreeMap<String, String>,
    /// How a run of a batch job is treated (`retry_count`, `remove_containers`).
    #[serde(skip_serializing_if = "is_default")]
    pub task: TaskSpec,
}

/// One address of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RouteSpec {
    /// Port in the container.
    pub port: u16,
    /// How clients speak.
    pub scheme: RouteScheme,
    /// A domain; without a dot a prefix of the cluster's own domain; `*.local` only inside the cluster.
    pub host: String,
    /// Beginning of the paths, such as `/shop`; empty: all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub context: String,
}

impl RouteSpec {
    /// The host is a prefix of the cluster's own domain.
    pub fn is_prefix(&self) -> bool {
        !self.host.contains('.')
    }

    /// Only containers of the cluster reach it.
    pub fn is_internal(&self) -> bool {
        self.host.ends_with(".local")
    }
}

/// How clients speak to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteScheme {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// A stream of bytes.
    Tcp,
}

/// A listener of a load balancer for a port of the containers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ListenerSpec {
    /// Port in the container.
    pub port: u16,
    /// `http`, `https`, `tcp` or `udp`.
    pub scheme: String,
    /// Name or id of the load balancer.
    pub balancer: String,
    /// Port on which it listens.
    pub front_port: u16,
}

/// When containers are added and taken away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AutoScalingSpec {
    /// Use of the processor in percent of what a container may use.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu: Band,
    /// Use of memory in percent.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: Band,
    /// Bytes received in a second.
    #[serde(skip_serializing_if = "is_default")]
    pub internet_in_rate: Band,
    /// Bytes sent in a second.
    #[serde(skip_serializing_if = "is_default")]
    pub internet_out_rate: Band,
    /// How many containers are added or taken away at a time; absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Never fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_instances: Option<u32>,
    /// Never more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u32>,
    /// Minutes in a row that a bound must be passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
}

/// Fewer containers below `min`, more above `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Band {
    /// Lower bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// Upper bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// What is kept of a service's logs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogSpec {
    /// Stores by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stores: BTreeMap<String, LogStore>,
    /// Files of the container that are logs (`logs`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Lines get a time (`log.timestamp`); absent: they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<bool>,
    /// Project of the log service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// A store of log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogStore {
    /// `stdout`, or an absolute path in the container, with `*` in the file's name.
    pub source: String,
    /// Days after which lines are dropped, 1 to 365.
    pub ttl_days: u32,
}

/// An application that runs to its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BatchSpec {
    /// When it runs: second, minute, hour, day, month, weekday; absent: once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// How a run of a batch job is treated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskSpec {
    /// How often a container that failed is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<u32>,
    /// Which containers are removed after a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_containers: Option<RemoveContainers>,
}

/// Which containers are removed after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RemoveContainers {
    /// Those that ended with code 0.
    RemoveFinished,
    /// Those that failed.
    RemoveFailed,
    /// All.
    RemoveAll,
    /// None.
    RemoveNone,
}

/// How the node's agent checks health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeSpec {
    /// What is tried.
    pub check: ProbeCheck,
    /// Longest time of one check.
    pub timeout_ms: u64,
    /// Time after the start before the first check.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initial_delay_ms: u64,
}

impl ProbeSpec {
    /// Time between two checks.
    pub const INTERVAL_MS: u64 = 2_000;
    /// Longest time of one check unless the file says another.
    pub const TIMEOUT_MS: u64 = 5_000;
}

/// What a probe tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ProbeCheck {
    /// A GET to the container's address; 2xx and 3xx are good.
    Http {
        /// Port in the container.
        port: u16,
        /// Path and query, from `/`.
        path: String,
    },
    /// A connection to the container's address.
    Tcp {
        /// Port in the container.
        port: u16,
    },
    /// A line for the container's shell; exit code 0 is good.
    Command {
        /// The line.
        line: String,
    },
}
