//! Questions and their answers (`q.<service>.<question>.<key>`), reports of agents, and the bus messages
//! that are never stored: heartbeats, samples, control.

use crate::{CommandOutcome, FailureReason, NodeFacts, PlacementDecided, PortBinding, spec::SecretRef};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, SecretId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Every answer: the value, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// The value.
    Ok(T),
    /// Why not.
    Refused(crate::Rejection),
}

/// `q.scheduler.assignment.<node>` answers the complete assignment of a node.
///
/// `change.previous` is 0 and `change.place` holds everything that should run; `stop` is empty: the agent
/// removes whatever it runs of ours that is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Position of the last placement event addressed to the node.
    pub generation: u64,
    /// Its content, as one change from nothing.
    pub change: PlacementDecided,
}

/// `q.access.secret.<node>`: values for a container that is about to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRequest {
    /// The allocation that needs them.
    pub allocation_id: AllocationId,
    /// Which values.
    pub wanted: BTreeSet<SecretRef>,
}

/// Answer: a JSON object `{"<secret>@<version>/<key>": "value"}` sealed to the node's curve key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecrets {
    /// Public curve key of the sender.
    pub sender_key: String,
    /// Sealed bytes, base64.
    pub sealed: String,
}

/// `q.access.put_secret.<cluster>`: the gateway stores values before a command goes out.
///
/// The same values as in the newest version of the scope give that version again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutSecret {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Tenant.
    pub tenant: String,
    /// What they belong to, such as `shop/web`.
    pub scope: String,
    /// The values.
    pub values: BTreeMap<String, String>,
    /// Who stores them.
    pub actor: String,
}

impl std::fmt::Debug for PutSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PutSecret")
            .field("scope", &self.scope)
            .field("keys", &self.values.keys())
            .finish()
    }
}

/// Answer to [`PutSecret`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSecret {
    /// The secret.
    pub secret_id: SecretId,
    /// Its version that holds these values.
    pub version: u64,
}

/// `q.access.reveal.<cluster>`: values for a principal who may see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealSecrets {
    /// Which values.
    pub wanted: BTreeSet<SecretRef>,
    /// Who asks.
    pub actor: String,
}

/// `q.access.authenticate.-`: who is the bearer of a token with this hash?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticate {
    /// SHA-256 of the secret part, hexadecimal.
    pub hash: String,
}

/// `q.ledger.command.<id>`: what came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandStatus {
    /// Its outcome; absent: not known (yet).
    pub outcome: Option<CommandOutcome>,
    /// SHA-256 of the request behind it, hexadecimal; the same key with another hash is refused.
    pub request_hash: Option<String>,
}

/// `q.ledger.head.-`: the end of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogHead {
    /// Id of the log.
    pub log_id: String,
    /// How often an operator accepted that a tail was lost.
    pub incarnation: u64,
    /// Position of the last event; 0: none.
    pub position: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// `q.<service>.health.-`: every instance answers; also served as `/health` beside `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceHealth {
    /// Service, such as `scheduler`.
    pub service: String,
    /// One a process.
    pub instance: String,
    /// Version of the binary.
    pub version: String,
    /// Well, or what is the matter.
    pub state: HealthState,
    /// Position up to which its read model is, if it has one.
    pub position: Option<u64>,
    /// When the process started.
    pub started_at: Timestamp,
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum HealthState {
    /// Works.
    Green,
    /// Works, with a fault that heals by itself.
    Yellow(String),
    /// Does not work until somebody acts.
    Red(String),
}

/// `hb.<node>`, every 500 ms, core NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The node.
    pub node_id: NodeId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Random at each start of the agent.
    pub boot: u64,
    /// Generation that it obeys.
    pub generation: u64,
    /// The engine answers.
    pub engine_up: bool,
}

/// `rpt.alloc.<node>`: what an agent saw, numbered without holes per journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationReport {
    /// The node.
    pub node_id: NodeId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Random number of the journal in which the numbers run.
    pub journal: u64,
    /// What was seen, in order; numbers consecutive.
    pub items: Vec<Observation>,
    /// Everything that the node holds of ours, sent on connect and once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// W3C trace context of the assignment behind the newest item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Everything that a node holds of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Generation that the agent obeys.
    pub generation: u64,
    /// Number of the last report it has sent.
    pub last_number: u64,
    /// Each allocation with its last state.
    pub allocations: BTreeMap<AllocationId, Observed>,
}

/// One thing that an agent saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Number in the journal, from 1.
    pub number: u64,
    /// By the agent's clock.
    pub seen_at: Timestamp,
    /// What.
    pub what: ObservationKind,
}

/// What an agent saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ObservationKind {
    /// A container has another state.
    Allocation {
        /// The allocation.
        allocation_id: AllocationId,
        /// Its state now.
        state: Observed,
    },
    /// Engine volumes were removed.
    VolumesDropped {
        /// Their names in the engine.
        volumes: BTreeSet<String>,
    },
}

/// State of an allocation as its agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Observed {
    /// Its image is being pulled.
    Pulling {
        /// The image.
        image: String,
    },
    /// The engine has it.
    Created {
        /// Id in the engine.
        container_id: String,
        /// Name in the engine.
        container_name: String,
        /// Id of its image.
        image_id: String,
    },
    /// It runs.
    Running {
        /// Id in the engine.
        container_id: String,
        /// Addresses by network.
        addresses: BTreeMap<String, String>,
        /// Published ports.
        ports: Vec<PortBinding>,
        /// Starts after the first.
        restarts: u32,
        /// What the engine's check says; absent: there is none or it has not said.
        healthy: Option<bool>,
        /// Last output of a failed check.
        #[serde(default)]
        health_output: String,
        /// How it ended before the last restart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_exit: Option<ExitStatus>,
    },
    /// It was asked to end.
    Stopping,
    /// It ended and stays so.
    Exited(ExitStatus),
    /// It could not be run here.
    Failed {
        /// Which step failed.
        reason: FailureReason,
        /// What the engine said.
        message: String,
    },
    /// The engine has no trace of it.
    Removed,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Its code.
    pub exit_code: i64,
    /// Killed for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
}

/// `rpt.node.<node>`: facts of a server, sent on connect and when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The node.
    pub node_id: NodeId,
    /// Facts.
    pub facts: NodeFacts,
    /// Address by which other nodes reach it.
    pub address: String,
}

/// `ctl.<node>.recorded`: the owner has committed reports up to a number; the agent trims its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedUpTo {
    /// The journal.
    pub journal: u64,
    /// Number of the last report taken.
    pub number: u64,
    /// Numbers after it are missing: send them again.
    pub resend: bool,
}

/// `ctl.<node>.logs`: open a log stream. Frames go to `term.<node>.<session>.out`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLogs {
    /// Session: names the subjects.
    pub session: String,
    /// The allocation.
    pub allocation_id: AllocationId,
    /// Go on when the end is reached.
    pub follow: bool,
    /// Lines from the end; absent: all.
    pub tail: Option<u32>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Put the engine's time before each line.
    pub timestamps: bool,
}

/// A frame of a byte stream on `term.<node>.<session>.out`; the receiver grants credit on `….in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// From 1, without holes; a hole ends the session.
    pub number: u64,
    /// What it carries.
    pub body: FrameBody,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FrameBody {
    /// Bytes of an output.
    Data {
        /// `stdout` or `stderr`.
        stream: String,
        /// Base64, at most 32 KiB decoded.
        bytes: String,
    },
    /// The end.
    End {
        /// Why, if it did not end by itself.
        error: Option<String>,
    },
}

/// The receiver of a byte stream allows more, on `term.<node>.<session>.in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Credit {
    /// Frames up to this number may be sent.
    UpTo {
        /// Number of a frame.
        number: u64,
    },
    /// Send no more.
    Close,
}

/// `met.<cluster>.<node>`: what a node and its containers use now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageSample {
    /// The node.
    pub node_id: NodeId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// By the agent's clock.
    pub taken_at: Timestamp,
    /// Processor time used in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory in use.
    pub memory_bytes: u64,
    /// Memory of the machine.
    pub memory_total_bytes: u64,
    /// Each container.
    pub containers: Vec<ContainerUsage>,
}

/// What a container uses now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerUsage {
    /// The allocation.
    pub allocation_id: AllocationId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Name in the engine.
    pub name: String,
    /// Processor time used in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory in use, without the page cache.
    pub memory_bytes: u64,
    /// Its limit; 0: none.
    pub memory_limit_bytes: u64,
    /// Processes.
    pub pids: u64,
}
