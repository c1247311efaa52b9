//! Events of applications, placement and allocations; written by scheduler-svc.

use crate::{
    macros::events,
    spec::{ApplicationSpec, ContainerSpec, NetworkSpec, RestartPolicy, VolumeSpec},
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, Name, NodeId, ReleaseId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

events! {
    /// What happened to an application.
    ApplicationEvent in crate::Category::Application;
    Created(ApplicationCreated) = "application.created", v 1;
    ReleaseStarted(ReleaseStarted) = "application.release_started", v 1;
    ReleaseSettled(ReleaseSettled) = "application.release_settled", v 1;
    Scaled(ApplicationScaled) = "application.scaled", v 1;
    Stopped(ApplicationStopped) = "application.stopped", v 1;
    Started(ApplicationStarted) = "application.started", v 1;
    RestartRequested(RestartRequested) = "application.restart_requested", v 1;
    VolumeAbandoned(VolumeAbandoned) = "application.volume_abandoned", v 1;
    RemoveRequested(RemoveRequested) = "application.remove_requested", v 1;
    Removed(ApplicationRemoved) = "application.removed", v 1;
}

/// An application exists; its first release follows in the same append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationCreated {
    /// The application.
    pub application_id: ApplicationId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its name, unique in the cluster.
    pub name: Name,
}

/// A version of the application goes live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseStarted {
    /// The release.
    pub release_id: ReleaseId,
    /// 1, 2, 3 … within the application.
    pub number: u32,
    /// The whole application as it should be.
    pub spec: ApplicationSpec,
    /// Where it came from.
    pub source: ReleaseSource,
    /// Warnings that were shown at deploy.
    #[serde(default)]
    pub warnings: Vec<StoredWarning>,
}

/// Where a release came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ReleaseSource {
    /// A Compose file.
    Compose {
        /// Its name as the client gave it.
        file_name: String,
        /// SHA-256 of its text, hexadecimal.
        sha256: String,
    },
    /// `berth run IMAGE`.
    Image {
        /// The image.
        image: String,
    },
}

/// A warning of a deploy, kept with the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredWarning {
    /// Stable code, such as `compose.unsupported_key`.
    pub code: String,
    /// Path in the file, such as `services.web.build`.
    pub path: String,
    /// What is the matter and what to do instead.
    pub message: String,
    /// Line in the file, from 1; 0: none.
    pub line: u32,
}

/// A release reached its end, for good or ill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseSettled {
    /// The release.
    pub release_id: ReleaseId,
    /// How it ended.
    pub outcome: ReleaseOutcome,
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseOutcome {
    /// Every slot runs (and is healthy, where a check exists) or has completed.
    Running,
    /// A later release took over first.
    Superseded,
}

/// The wanted number of containers of a service changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationScaled {
    /// The service.
    pub service: String,
    /// Wanted now.
    pub replicas: u32,
    /// Wanted before.
    pub previous: u32,
}

/// All containers are to be stopped; the application stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationStopped {}

/// The containers are to run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationStarted {}

/// Running containers are to be replaced by new ones of the same specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestartRequested {
    /// Which services; empty: all.
    #[serde(default)]
    pub services: BTreeSet<String>,
}

/// An operator lets go of the local volume that holds a slot to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeAbandoned {
    /// The service.
    pub service: String,
    /// Its slots; empty: all of the service.
    #[serde(default)]
    pub slots: BTreeSet<u32>,
}

/// The application is being removed: its containers go first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemoveRequested {
    /// Its named volumes go too.
    pub volumes: bool,
}

/// The application is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationRemoved {}

events! {
    /// What the planner decided.
    PlacementEvent in crate::Category::Placement;
    Decided(PlacementDecided) = "placement.decided", v 1;
    Blocked(PlacementBlocked) = "placement.blocked", v 1;
}

/// The complete change of one node's assignment: everything in it takes effect together.
///
/// The position of this event is the node's new generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacementDecided {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The node whose assignment changes.
    pub node_id: NodeId,
    /// The node's generation before; 0: none. An agent applies the change only if it has this one.
    pub previous: u64,
    /// Containers to run.
    #[serde(default)]
    pub place: Vec<Placed>,
    /// Containers to stop and remove.
    #[serde(default)]
    pub stop: Vec<StopOrder>,
    /// Specifications by hash, each named by at least one of `place`.
    #[serde(default)]
    pub containers: BTreeMap<String, ContainerSpec>,
    /// Volumes and networks of the applications in `place`, by application.
    #[serde(default)]
    pub projects: BTreeMap<ApplicationId, ProjectSpec>,
    /// Engine volumes to be removed once no container uses them.
    #[serde(default)]
    pub drop_volumes: BTreeSet<String>,
}

/// What containers of one application share on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProjectSpec {
    /// Name of the application.
    pub name: String,
    /// Its volumes, by name in the file.
    #[serde(default)]
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Its networks, by name in the file.
    #[serde(default)]
    pub networks: BTreeMap<String, NetworkSpec>,
}

/// One container to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// The allocation; also a label of the container.
    pub allocation_id: AllocationId,
    /// The application.
    pub application_id: ApplicationId,
    /// The release that asked for it.
    pub release_id: ReleaseId,
    /// The service.
    pub service: String,
    /// Number of the replica, from 1; for global services the node's index.
    pub slot: u32,
    /// Hash of the specification in `containers`.
    pub spec_hash: String,
    /// What the agent does when the container ends.
    pub restart: RestartPolicy,
    /// Why this node.
    pub why: PlacementReason,
}

/// Why a node was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlacementReason {
    /// What made a placement necessary: `new`, `scaled`, `changed`, `restarted`, `node_lost`, `drained`, `crashed` …
    pub cause: String,
    /// Nodes that passed every filter.
    pub candidates: u32,
    /// Nodes refused, by filter.
    #[serde(default)]
    pub refused: BTreeMap<String, u32>,
    /// Parts of the chosen node's score, by name; higher is better.
    #[serde(default)]
    pub score: BTreeMap<String, i64>,
}

/// One container to stop and remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopOrder {
    /// The allocation.
    pub allocation_id: AllocationId,
    /// Why.
    pub reason: StopReason,
}

/// Why a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Fewer are wanted, or the service is no longer in the file.
    Surplus,
    /// The specification changed.
    Changed,
    /// Asked by `restart`.
    Restart,
    /// The application was stopped.
    ApplicationStopped,
    /// The application was removed.
    ApplicationRemoved,
    /// The node is drained.
    Drained,
    /// It failed here too often and is tried elsewhere, or it has ended and is cleaned up.
    Ended,
    /// Its slot was replaced while the node was lost.
    Replaced,
    /// A hard rule no longer holds on this node.
    Misplaced,
}

/// Slots of a service that could not be placed, and why. Appended when the answer changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacementBlocked {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The application.
    pub application_id: ApplicationId,
    /// The service.
    pub service: String,
    /// Which slots; empty: none any more.
    pub slots: BTreeSet<u32>,
    /// Why.
    pub report: BlockReport,
}

/// Why slots could not be placed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BlockReport {
    /// One line for people: `pending: no node has 4 GiB of memory free`.
    pub summary: String,
    /// Nodes looked at.
    pub nodes: u32,
    /// Refusals by filter.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
    /// The smallest change that would help, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// One filter's refusals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Filter, such as `memory`.
    pub filter: String,
    /// How many nodes it refused.
    pub nodes: u32,
    /// Nodes by name with what each lacks; at most 20.
    #[serde(default)]
    pub examples: BTreeMap<String, String>,
}

events! {
    /// What an agent saw of its containers.
    AllocationEvent in crate::Category::Allocation;
    Pulling(AllocationPulling) = "allocation.pulling", v 1;
    ContainerCreated(AllocationCreated) = "allocation.created", v 1;
    Running(AllocationRunning) = "allocation.running", v 1;
    Healthy(AllocationHealthy) = "allocation.healthy", v 1;
    Unhealthy(AllocationUnhealthy) = "allocation.unhealthy", v 1;
    Restarted(AllocationRestarted) = "allocation.restarted", v 1;
    Stopping(AllocationStopping) = "allocation.stopping", v 1;
    Exited(AllocationExited) = "allocation.exited", v 1;
    Failed(AllocationFailed) = "allocation.failed", v 1;
    Lost(AllocationLost) = "allocation.lost", v 1;
    Removed(AllocationRemoved) = "allocation.removed", v 1;
    VolumesDropped(VolumesDropped) = "allocation.volumes_dropped", v 1;
}

/// Which report of the agent an observation came in; reports are numbered per node and boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReportMark {
    /// Random number of the agent's start of numbering (one a journal).
    pub journal: u64,
    /// Number of the report, from 1.
    pub number: u64,
    /// When the agent saw it, by its own clock.
    pub seen_at: Timestamp,
}

macro_rules! allocation_event {
    ($(#[$doc:meta])* $name:ident { $( $(#[$fdoc:meta])* $field:ident : $ty:ty, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// The allocation.
            pub allocation_id: AllocationId,
            /// The report that said so.
            pub report: ReportMark,
            $( $(#[$fdoc])* pub $field: $ty, )*
        }
    };
}

allocation_event! {
    /// The image is being pulled.
    AllocationPulling {
        /// The image.
        image: String,
    }
}
allocation_event! {
    /// The engine has the container; it does not run yet.
    AllocationCreated {
        /// Id in the engine.
        container_id: String,
        /// Name in the engine.
        container_name: String,
        /// Id of the image it was made from.
        image_id: String,
    }
}
allocation_event! {
    /// The container runs.
    AllocationRunning {
        /// Id in the engine.
        container_id: String,
        /// Its address on each network of the node, by the network's name in the engine.
        #[serde(default)]
        addresses: BTreeMap<String, String>,
        /// Ports published on the node.
        #[serde(default)]
        ports: Vec<PortBinding>,
    }
}
allocation_event! {
    /// Its check passed.
    AllocationHealthy {}
}
allocation_event! {
    /// Its check failed as often as the file allows.
    AllocationUnhealthy {
        /// Last output of the check, at most 1 KiB.
        output: String,
    }
}
allocation_event! {
    /// It ended and the agent started it again.
    AllocationRestarted {
        /// How often by now.
        restarts: u32,
        /// Code with which it had ended.
        exit_code: i64,
        /// Killed for want of memory.
        #[serde(default)]
        oom_killed: bool,
    }
}
allocation_event! {
    /// It was asked to end.
    AllocationStopping {}
}
allocation_event! {
    /// It ended and stays ended.
    AllocationExited {
        /// Its code.
        exit_code: i64,
        /// Killed for want of memory.
        #[serde(default)]
        oom_killed: bool,
    }
}
allocation_event! {
    /// It could not be run here.
    AllocationFailed {
        /// Which step failed.
        reason: FailureReason,
        /// What the engine said, or the last output; at most 1 KiB.
        message: String,
    }
}
allocation_event! {
    /// Nobody knows what became of it: its node is lost or was removed.
    AllocationLost {}
}
allocation_event! {
    /// The engine has no trace of it any more.
    AllocationRemoved {}
}

/// Which step of a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The image is not to be had.
    Pull,
    /// The engine refused to create it.
    Create,
    /// The engine refused to start it.
    Start,
    /// Its secrets were not to be had.
    Secrets,
    /// It ended again and again.
    CrashLoop,
    /// Its check failed again and again.
    Unhealthy,
    /// The container vanished from the engine.
    Vanished,
}

/// A port of a container on its node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PortBinding {
    /// Port in the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Address on the node.
    pub host_ip: String,
    /// Port on the node.
    pub host_port: u16,
}

/// Engine volumes were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumesDropped {
    /// Their names in the engine.
    pub volumes: BTreeSet<String>,
    /// The report that said so.
    pub report: ReportMark,
}
