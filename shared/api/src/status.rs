//! The platform itself: services, commands, usage, and everything known of one object.

use crate::Event;
use berth_events::{CommandOutcome, HealthState, LogHead};
use berth_ids::{AllocationId, ApplicationId, ClusterId, CommandId, NodeId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the platform is: `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Every service answers and none is red.
    pub healthy: bool,
    /// Version of the gateway.
    pub version: String,
    /// End of the log; absent: the log does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogHead>,
    /// Instances that answered, by service and instance.
    pub services: Vec<ServiceInstance>,
    /// Services of which no instance answered.
    pub silent: Vec<String>,
}

/// An instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceInstance {
    /// Service, such as `scheduler`.
    pub service: String,
    /// One a process.
    pub instance: String,
    /// Version of the binary.
    pub version: String,
    /// Well, or what is the matter.
    pub health: HealthState,
    /// Position up to which its read model is, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Events that it is behind the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// When the process started.
    pub started_at: Timestamp,
}

/// What is used now: `GET /v1/top`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Top {
    /// Nodes, by name.
    pub nodes: Vec<NodeTop>,
    /// Containers, those that use most processor time first.
    pub containers: Vec<ContainerTop>,
}

/// What a node uses now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeTop {
    /// The node.
    pub node_id: NodeId,
    /// Its name.
    pub node: String,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// By the agent's clock.
    pub taken_at: Timestamp,
    /// Processor time used in thousandths of a core.
    pub cpu_millis: u64,
    /// Processor time that it has.
    pub cpu_total_millis: u64,
    /// Memory in use.
    pub memory_bytes: u64,
    /// Memory that it has.
    pub memory_total_bytes: u64,
    /// Containers that it reported.
    pub containers: u32,
}

/// What a container uses now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerTop {
    /// The container.
    pub id: AllocationId,
    /// Name in the engine.
    pub name: String,
    /// Its application.
    pub application_id: ApplicationId,
    /// Name of its application.
    pub application: String,
    /// Its node.
    pub node: String,
    /// Processor time used in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory in use, without the page cache.
    pub memory_bytes: u64,
    /// Its limit; 0: none.
    pub memory_limit_bytes: u64,
    /// Processes.
    pub pids: u64,
}

/// What came of a command: `GET /v1/commands/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandReport {
    /// The command.
    pub command_id: CommandId,
    /// Its outcome; absent: it is not known (yet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CommandOutcome>,
}

/// Everything known of an object: `GET /v1/inspect/{object}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Inspection {
    /// `cluster`, `node`, `application`, `container` or `token`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// As its own route answers it.
    pub object: serde_json::Value,
    /// Of an application: its last release's whole specification, secrets as references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<serde_json::Value>,
    /// Its last events, newest first, at most 50.
    pub events: Vec<Event>,
}
