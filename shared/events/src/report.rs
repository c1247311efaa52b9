//! What agents send and are told: heartbeats, reports, byte streams, samples. Only transitions become events.

use crate::{FailureReason, NodeFacts, PortBinding, RetryStep};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
        /// Digest of its image in the registry; absent: the image came from none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image_digest: Option<String>,
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
    /// It ended, or a step before its start failed; it is tried again.
    Retrying {
        /// What is tried again.
        step: RetryStep,
        /// What the engine said, or the last output.
        message: String,
        /// Tries of this step in a row that have failed.
        attempt: u32,
        /// How it ended, if it ran.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<ExitStatus>,
        /// When it is tried again, by the agent's clock.
        next_try_at: Timestamp,
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
    /// Images that the node fetches now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pulls: Vec<PullProgress>,
}

/// How far an image is that a node fetches now. Never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullProgress {
    /// The image as the file names it.
    pub image: String,
    /// Bytes that have come.
    pub bytes: u64,
    /// Bytes of the parts whose size is known by now; it grows while the registry tells.
    pub total_bytes: u64,
}

impl PullProgress {
    /// Hundredths that have come; none as long as no size is known.
    pub fn percent(&self) -> Option<u8> {
        let share = self.bytes.min(self.total_bytes).saturating_mul(100);
        u8::try_from(share.checked_div(self.total_bytes)?).ok()
    }
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
