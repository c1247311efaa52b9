//! Containers: allocations as their agents see them.

use berth_events::{FailureReason, PlacementReason, PortBinding, RetryStep, StopReason};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, ReleaseId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// Its id: that of the allocation.
    pub id: AllocationId,
    /// Name in the engine; before it is there, the name that is wished for.
    pub name: String,
    /// Its application.
    pub application_id: ApplicationId,
    /// Name of its application.
    pub application: String,
    /// Its service.
    pub service: String,
    /// Number of the replica.
    pub slot: u32,
    /// Its node.
    pub node_id: NodeId,
    /// Name of its node.
    pub node: String,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Release that asked for it.
    pub release_id: ReleaseId,
    /// Its image.
    pub image: String,
    /// What it is doing.
    pub state: ContainerState,
    /// How much of its image has come, in percent, while that is fetched and its size is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_percent: Option<u8>,
    /// What its check says.
    pub health: ContainerHealth,
    /// Last output of a failed check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_output: Option<String>,
    /// Starts after the first, with the one that is under way.
    pub restarts: u32,
    /// Code with which it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// It was last killed for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// Which step failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureReason>,
    /// What the engine said of a failure: its own, or that of the one before while this one does not run yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its last try failed, and it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// It is to be stopped, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// Id in the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// Id of its image in the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Digest of its image in the registry; absent: not known yet, or the image came from none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// Its address on each network of the node.
    pub addresses: BTreeMap<String, String>,
    /// Ports published on the node.
    pub ports: Vec<PortBinding>,
    /// When its place was decided.
    pub placed_at: Timestamp,
    /// When it last began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why its slot has no other container yet, if this one has ended: what is missing, or when the next attempt is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// Why this node.
    pub why: PlacementReason,
    /// All its states, oldest first; at most 50, the newest kept. Empty in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<StateChange>,
}

/// A try that failed, and the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// What is tried again.
    pub step: RetryStep,
    /// What the engine said, or the last output.
    pub message: String,
    /// Tries in a row that have failed.
    pub attempt: u32,
    /// When it is tried again.
    pub next_try_at: Timestamp,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Its place is decided.
    Placed,
    /// Its image is being pulled.
    Pulling,
    /// The engine has it.
    Created,
    /// It runs.
    Running,
    /// It ended by itself and is started again soon.
    Restarting,
    /// It was asked to end.
    Stopping,
    /// It ended and stays so.
    Exited,
    /// It could not be run here.
    Failed,
    /// Nobody knows what became of it.
    Lost,
    /// The engine has no trace of it any more.
    Removed,
}

impl ContainerState {
    /// It will not run again.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Exited | Self::Failed | Self::Lost | Self::Removed)
    }
}

/// What a container's check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContainerHealth {
    /// There is none, or it has not said yet.
    Unknown,
    /// It passed.
    Healthy,
    /// It failed.
    Unhealthy,
}

/// A state that a container had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateChange {
    /// Wire name of the event, such as `allocation.running`.
    pub event: String,
    /// When it was recorded.
    pub at: Timestamp,
    /// Position of the event.
    pub position: u64,
    /// More about it, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Why a container is where it is, or why it does not run: `GET /v1/containers/{container}/why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerWhy {
    /// The container, with its history.
    pub container: Container,
    /// The answer in words, one sentence a line.
    pub explanation: Vec<String>,
    /// Containers that its slot had before, newest first, at most 10.
    pub predecessors: Vec<Container>,
}

/// One line of `GET /v1/containers/{container}/logs` (`application/x-ndjson`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// `stdout` or `stderr`; `error`: the stream ended before its end, and `text` says why.
    pub stream: String,
    /// The line, without its line break.
    pub text: String,
}
