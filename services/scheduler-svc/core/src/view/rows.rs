//! The rows of the view: its whole state.

use crate::{allocation::Phase, engine_volume_name};
use berth_events::{
    BlockReport, NodeFacts, PlacementReason, PortBinding, ProjectSpec, PushedOutBy, Quotas, ReleaseMethod,
    SecurityPolicy, StopReason,
    spec::{ApplicationSpec, ContainerSpec, RestartPolicy, ServiceMode, Strategy},
};
use berth_ids::{
    AllocationId, ApplicationId, ClusterId, CorrelationId, EventId, Name, NodeId, ReleaseId, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// Id.
    pub cluster_id: ClusterId,
    /// Name.
    pub name: Name,
    /// Tenant, as in the envelope.
    pub tenant: String,
    /// What deploys may ask of nodes.
    pub policy: SecurityPolicy,
    /// How nodes are preferred.
    pub strategy: Strategy,
    /// What its applications may reserve.
    pub quotas: Quotas,
    /// It is being deleted; `true`: its applications go with it.
    pub deleting: Option<bool>,
    /// Version of its turn to grow: how often something took more of its quota.
    pub turns: u64,
    /// Version of `cluster/<id>`.
    pub version: u64,
}

/// How far the decisions of a cluster have come; apart from [`ClusterRow`] because it changes often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DecisionsRow {
    /// Version of `placement/<cluster>`.
    pub version: u64,
}

/// What may be placed on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Availability {
    /// Everything.
    Active,
    /// Nothing new.
    Cordoned,
    /// Nothing new, and what is there moves away.
    Draining {
        /// When what is left is reported.
        deadline_at: Timestamp,
        /// At the deadline, stop what is left.
        force: bool,
        /// Position of the event that began it: one a drain.
        position: u64,
    },
    /// Nothing new; a drain has ended.
    Drained,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Id.
    pub node_id: NodeId,
    /// Cluster.
    pub cluster_id: ClusterId,
    /// Name.
    pub name: Name,
    /// 1, 2, 3 … in order of joining.
    pub index: u32,
    /// Zone.
    pub zone: String,
    /// Labels given by people.
    pub labels: BTreeMap<String, String>,
    /// Countable resources named by people, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// What the agent measured.
    pub facts: NodeFacts,
    /// What may be placed on it.
    pub availability: Availability,
    /// Its heartbeat is silent.
    pub lost: bool,
    /// Version of `node/<id>`.
    pub version: u64,
}

impl NodeRow {
    /// How many of a countable resource it has: what people say, else what its engine says.
    pub fn resource(&self, kind: &str) -> u64 {
        let measured = || self.facts.generic_resources.get(kind);
        self.resources.get(kind).or_else(measured).copied().unwrap_or(0)
    }
}

/// What a node has been told and has said; apart from [`NodeRow`] because it changes often.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AssignedRow {
    /// Generation: position of the last change addressed to the node.
    pub generation: u64,
    /// Version of `allocation/<node>`.
    pub allocations_version: u64,
    /// Engine volumes that are to go and have not been reported gone.
    pub drop_volumes: BTreeSet<String>,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRow {
    /// Id.
    pub application_id: ApplicationId,
    /// Cluster.
    pub cluster_id: ClusterId,
    /// Name.
    pub name: Name,
    /// Version of `application/<id>`.
    pub version: u64,
    /// The release that is live or going live.
    pub release_id: ReleaseId,
    /// Its number.
    pub release_number: u32,
    /// It has reached its end.
    pub settled: bool,
    /// How it goes live.
    pub method: ReleaseMethod,
    /// It replaces nothing more for now.
    pub paused: bool,
    /// It brings an earlier one back.
    pub rolling_back: bool,
    /// Failures before this moment do not count against it: its start, or its last resumption.
    pub judged_from: Timestamp,
    /// The last release that ran.
    pub good: Option<GoodRelease>,
    /// What it should be, with the counts of `scale`.
    pub spec: Arc<ApplicationSpec>,
    /// Hash of each service's container.
    pub hashes: BTreeMap<String, String>,
    /// Digests of the release's images, as far as they are known.
    pub images: BTreeMap<String, String>,
    /// Share of the traffic of its services; not named: all of it.
    pub weights: BTreeMap<String, u8>,
    /// Volumes and networks of all its releases: older containers may still use those of older ones.
    pub project: ProjectSpec,
    /// All containers are stopped on purpose.
    pub stopped: bool,
    /// Position of the last start on purpose: containers that completed before it run again.
    pub started_at: u64,
    /// Position of the last restart asked of each service: containers placed before it are replaced.
    pub restarts: BTreeMap<String, u64>,
    /// Services whose count was changed by `scale` since the last release.
    pub scaled: BTreeSet<String>,
    /// It is going; `true`: its volumes too.
    pub removing: Option<bool>,
    /// Nodes that have had containers with its named volumes.
    pub volume_nodes: BTreeSet<NodeId>,
    /// The request behind its newest change.
    #[serde(default)]
    pub cause: Cause,
}

/// A release that came to run: what a failing one is rolled back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodRelease {
    /// Its number.
    pub number: u32,
    /// What it was, with the counts of `scale`.
    pub spec: Arc<ApplicationSpec>,
    /// Digests of its images.
    pub images: BTreeMap<String, String>,
    /// Share of the traffic of its services.
    pub weights: BTreeMap<String, u8>,
}

/// The request behind a change: what follows from it carries it on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cause {
    /// The event of the change.
    pub event_id: EventId,
    /// One a request from outside.
    pub correlation_id: CorrelationId,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl ApplicationRow {
    /// How many containers of a service are wanted; none for global services and unknown ones.
    pub fn replicas(&self, service: &str) -> Option<u32> {
        match self.spec.services.get(service)?.mode {
            ServiceMode::Replicated { replicas } => Some(replicas),
            ServiceMode::Global => None,
        }
    }

    /// Names on the engine of its volumes that go with it.
    pub fn engine_volumes(&self) -> BTreeSet<String> {
        self.project
            .volumes
            .iter()
            .filter(|(_, spec)| !spec.external)
            .map(|(name, spec)| engine_volume_name(self.name.as_str(), name, Some(spec)))
            .collect()
    }
}

/// A container specification that an allocation uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecRow {
    /// What a container runs.
    pub container: Arc<ContainerSpec>,
    /// How many allocations use it.
    pub users: u32,
}

/// An allocation, from its placement until its engine has no trace of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationRow {
    /// Id.
    pub allocation_id: AllocationId,
    /// Cluster.
    pub cluster_id: ClusterId,
    /// Node.
    pub node_id: NodeId,
    /// Application.
    pub application_id: ApplicationId,
    /// Service.
    pub service: String,
    /// Number of the replica.
    pub slot: u32,
    /// Release that asked for it.
    pub release_id: ReleaseId,
    /// Hash of what it runs.
    pub spec_hash: String,
    /// Digest of its image, as ordered or else as its engine says; absent: not known, or from no registry.
    pub image_digest: Option<String>,
    /// What the agent does when it ends.
    pub restart: RestartPolicy,
    /// Position of its placement.
    pub placed_at: u64,
    /// Why it is there.
    pub why: PlacementReason,
    /// How far it has come.
    pub phase: Phase,
    /// What its check said last.
    pub healthy: Option<bool>,
    /// Starts after the first.
    pub restarts: u32,
    /// Since when it has been running without a restart.
    pub running_since: Option<Timestamp>,
    /// It is to be stopped, and why.
    pub stop: Option<StopReason>,
    /// Position of that order; 0: none.
    pub stop_at: u64,
    /// For whom it is pushed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_by: Option<PushedOutBy>,
    /// How it ended, in words.
    pub ending: Option<String>,
    /// Ports published on the node.
    pub ports: Vec<PortBinding>,
}

impl AllocationRow {
    /// It runs, nobody told it to stop, and its check, if it has one, says well.
    pub fn is_well(&self, container: &ContainerSpec) -> bool {
        let well = if container.has_check() {
            self.healthy == Some(true)
        } else {
            self.healthy != Some(false)
        };
        self.phase == Phase::Running && self.stop.is_none() && well
    }

    /// It runs or will, and nobody told it to stop.
    pub fn is_kept(&self) -> bool {
        self.phase.is_live() && self.stop.is_none()
    }
}

/// A numbered place of a replica.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotKey {
    /// Application.
    pub application_id: ApplicationId,
    /// Service.
    pub service: String,
    /// Number.
    pub slot: u32,
}

impl std::fmt::Display for SlotKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.application_id, self.service, self.slot)
    }
}

impl std::str::FromStr for SlotKey {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (application, rest) = text.split_once('/').ok_or(())?;
        let (service, slot) = rest.rsplit_once('/').ok_or(())?;
        Ok(Self {
            application_id: application.parse().map_err(|_| ())?,
            service: service.to_owned(),
            slot: slot.parse().map_err(|_| ())?,
        })
    }
}

/// What is remembered of a slot beyond its allocations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlotRow {
    /// The node that holds its data.
    pub home: Option<Home>,
    /// Failures in a row, oldest first.
    pub failures: Vec<Failure>,
    /// Restarts and new attempts after failures, with the specification at hand.
    pub attempts: u32,
    /// How its last allocation ended by itself.
    pub ended: Option<Ended>,
    /// Position at which an allocation of it last began to run; 0: never.
    pub ran_at: u64,
    /// What makes the next placement necessary; absent: it is new.
    pub cause: Option<String>,
    /// Who pushed its last container out, until it has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_out_by: Option<PushedOutBy>,
}

/// The node that holds the local volumes of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Node.
    pub node_id: NodeId,
    /// Its name, for when the node is gone.
    pub node_name: String,
    /// Volumes, by name in the file.
    pub volumes: BTreeSet<String>,
    /// A container has been made there: there may be data.
    pub proven: bool,
}

/// A container of a slot failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where.
    pub node_id: NodeId,
    /// When it was recorded.
    pub at: Timestamp,
    /// What ran.
    pub spec_hash: String,
    /// What happened, in words.
    pub text: String,
    /// It was taken away from it, by somebody or with the container whose network it shares: no fault of what ran.
    pub taken_away: bool,
}

/// The end of an allocation that nobody had ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its code; absent: it failed in another way.
    pub exit_code: Option<i64>,
    /// Position of the event.
    pub position: u64,
    /// What ran.
    pub spec_hash: String,
    /// It had begun to run.
    pub ran: bool,
}

/// Slots of a service that could not be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedRow {
    /// Which.
    pub slots: BTreeSet<u32>,
    /// Why.
    pub report: BlockReport,
}
