//! What an application should be: the normalised form of a Compose file, as events store it.
//!
//! Everything here is already interpolated, merged and checked. Environment values are references into
//! the vault unless the file marked them public, so that no secret enters the log (invariant 10).

use berth_ids::SecretId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod countable;
mod engine;
mod image;
mod labels;
mod limits;
mod mounts;
mod network;
mod parameter;
mod policy;
pub use countable::*;
pub use engine::*;
pub use image::*;
pub use labels::*;
pub use limits::*;
pub use mounts::*;
pub use network::*;
pub use parameter::*;
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
    /// It is a batch job (`aliyun.project_type: batch`); absent: it runs until it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSpec>,
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
    /// How its containers are replaced by those of a new release; absent: half of them at a time, and a
    /// failing one holds the rest back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdatePolicy>,
    /// The same for a rollback; absent: as `update`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<UpdatePolicy>,
    /// Services that start before this one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, DependencyCondition>,
    /// Labels of the service itself (`deploy.labels`), shown but not set on containers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_labels: BTreeMap<String, String>,
    /// What its labels ask of the platform (`aliyun.*`, `berth.*`), read and checked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: ServiceLabels,
    /// Services of other applications that it wants to reach: name in its containers → name there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub external_links: BTreeMap<String, String>,
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
    /// Countable resources of the node that it reserves, by kind in small letters (`generic_resources`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub generic_resources: BTreeMap<String, u64>,
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
    /// How the node's agent checks health (`aliyun.probe.*`); absent: always healthy, or as `healthcheck` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSpec>,
    /// Files put into the container before it starts (Compose `secrets` and `configs`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSpec>,
    /// What is handed to the engine as it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub engine: EngineSpec,
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
    /// If the node has no image of that name, or took it under that name longer ago than this.
    Every {
        /// How long an image is taken for new.
        seconds: u64,
    },
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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ContainerSpec {
    /// A check decides when it is well: one of the engine or one of the agent.
    pub fn has_check(&self) -> bool {
        self.has_healthcheck() || self.probe.is_some()
    }

    /// The engine checks it.
    pub fn has_healthcheck(&self) -> bool {
        let check = self.healthcheck.as_ref();
        check.is_some_and(|check| check.test.first().is_some_and(|word| word != "NONE"))
    }

    /// The names of the volumes in the file that live on one node only (driver `local` or absent).
    pub fn named_volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { name } => Some(name.as_str()),
            MountSource::Anonymous | MountSource::Bind { .. } | MountSource::Tmpfs { .. } => None,
        })
    }

    /// Every secret version that the container needs.
    pub fn secrets(&self) -> BTreeSet<(SecretId, u64)> {
        let files = self.files.iter().map(|file| &file.content);
        self.environment
            .values()
            .chain(files)
            .filter_map(|value| match value {
                EnvironmentValue::Secret(secret) => Some((secret.secret_id, secret.version)),
                EnvironmentValue::Plain(_) => None,
            })
            .collect()
    }
}
