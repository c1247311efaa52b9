//! What an application should be: the normalised form of a Compose file, as events store it.
//!
//! Everything here is already interpolated, merged and checked. Environment values are references into
//! the vault unless the file marked them public, so that no secret enters the log (invariant 10).

use berth_ids::SecretId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod policy;
pub use policy::*;

/// A whole application.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationSpec {
    /// Its services, by name.
    pub services: BTreeMap<String, ServiceSpec>,
    /// Named volumes, by their name in the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Networks, by their name in the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, NetworkSpec>,
}

/// A group of identical containers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSpec {
    /// How many containers, or one a node.
    pub mode: ServiceMode,
    /// What a container runs.
    pub container: ContainerSpec,
    /// Where containers may and should run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub placement: PlacementSpec,
    /// What to do when a container ends.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: RestartPolicy,
    /// What happens to the containers of a lost node.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reschedule: ReschedulePolicy,
    /// Services that start before this one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, DependencyCondition>,
    /// Labels of the service itself (`deploy.labels`), shown but not set on containers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_labels: BTreeMap<String, String>,
}

/// How many containers a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ServiceMode {
    /// A fixed number.
    Replicated {
        /// The wanted number of containers.
        replicas: u32,
    },
    /// One on every node that passes the filters.
    Global,
}

impl Default for ServiceMode {
    fn default() -> Self {
        Self::Replicated { replicas: 1 }
    }
}

/// What one container runs. Two containers are the same exactly if these are equal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ContainerSpec {
    /// Image reference, as written in the file.
    pub image: String,
    /// Replaces the image's entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Environment, by variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// Labels set on the container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Published ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
    /// Ports that are only told, not published: `80/tcp`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub expose: BTreeSet<String>,
    /// Volumes, binds and tmpfs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountSpec>,
    /// Networks joined, by name in the file, with aliases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, NetworkAttachment>,
    /// `host`, `none`, or absent for the networks above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<String>,
    /// Limits and reservations.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: ResourceSpec,
    /// `UID[:GID]` or a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Directory in which the command starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Host name inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// How the engine checks health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthcheckSpec>,
    /// Signal that asks the command to end, such as `SIGTERM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Time between that signal and the kill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace_period_ms: Option<u64>,
    /// Kernel capabilities added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Kernel capabilities dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Root file system is read-only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Limits of the shell kind, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Kernel parameters of the container's namespaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Extra lines of the hosts file: `name:address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// Log driver of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<LoggingSpec>,
    /// All capabilities and devices. Needs a cluster policy that allows it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// Process id namespace (`host`). Needs a cluster policy that allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_mode: Option<String>,
    /// IPC namespace (`host`, `shareable`, `private`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipc_mode: Option<String>,
    /// An init process reaps children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// A terminal is allotted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Standard input stays open.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stdin_open: bool,
    /// Wanted platform, such as `linux/amd64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// When an image is pulled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull_policy: PullPolicy,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Only if the node has no image of that name.
    #[default]
    Missing,
    /// Before every create.
    Always,
    /// Never; an absent image is an error.
    Never,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentValue {
    /// Marked public by `x-berth-public`; stored as it is.
    Plain(String),
    /// In the vault.
    Secret(SecretRef),
}

/// Names one value of one version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// The secret.
    pub secret_id: SecretId,
    /// Its version, from 1.
    pub version: u64,
    /// The value inside that version.
    pub key: String,
}

/// A port of the container made reachable on the node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PortSpec {
    /// Port inside the container, 1–65535.
    pub target: u16,
    /// Port on the node; absent: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<u16>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Address of the node on which it listens; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MountSpec {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path inside the container.
    pub target: String,
    /// The container cannot write.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum MountSource {
    /// A volume named in the file.
    Volume {
        /// Its name in the file.
        name: String,
    },
    /// A volume without a name that lives and dies with the container.
    Anonymous,
    /// A path of the node.
    Bind {
        /// Absolute path on the node.
        path: String,
        /// Make the directory if it is not there.
        #[serde(default)]
        create: bool,
    },
    /// Memory.
    Tmpfs {
        /// Size limit in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
        /// Permissions of the mount, as a number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
    },
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct VolumeSpec {
    /// Name on the engine; absent: `<application>_<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Exists already and is not removed with the application.
    #[serde(default, skip_serializing_if = "is_default")]
    pub external: bool,
    /// Volume driver; absent: `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels of the volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A network. In this release: a bridge on each node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NetworkSpec {
    /// Name on the engine; absent: `<application>_<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Exists already and is not removed with the application.
    #[serde(default, skip_serializing_if = "is_default")]
    pub external: bool,
    /// No way out of the network.
    #[serde(default, skip_serializing_if = "is_default")]
    pub internal: bool,
    /// Labels of the network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How a container joins a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NetworkAttachment {
    /// Further names of the container there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// Limits (enforced by the engine) and reservations (counted by the scheduler).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ResourceSpec {
    /// Reserved processor time in thousandths of a core.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cpu_reserved_millis: u64,
    /// Reserved memory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_reserved_bytes: u64,
    /// Most processor time in thousandths of a core; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cpu_limit_millis: u64,
    /// Most memory; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_limit_bytes: u64,
    /// Most processes; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pids_limit: u64,
    /// Size of `/dev/shm`; 0: the engine's default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shm_bytes: u64,
}

/// A limit of the shell kind; -1 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ulimit {
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// How the engine checks health (Compose `healthcheck`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HealthcheckSpec {
    /// `["CMD", …]`, `["CMD-SHELL", line]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Time between checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// Longest time of one check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Failures in this time after the start do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period_ms: Option<u64>,
}

/// Log driver of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LoggingSpec {
    /// Driver, such as `json-file`.
    pub driver: String,
    /// Its options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ContainerSpec {
    /// The names of the volumes in the file that live on one node only (driver `local` or absent).
    pub fn named_volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { name } => Some(name.as_str()),
            MountSource::Anonymous | MountSource::Bind { .. } | MountSource::Tmpfs { .. } => None,
        })
    }

    /// Every secret version that the container needs.
    pub fn secrets(&self) -> BTreeSet<(SecretId, u64)> {
        self.environment
            .values()
            .filter_map(|value| match value {
                EnvironmentValue::Secret(secret) => Some((secret.secret_id, secret.version)),
                EnvironmentValue::Plain(_) => None,
            })
            .collect()
    }
}
