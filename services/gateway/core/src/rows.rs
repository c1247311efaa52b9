//! Rows of the view: one an object.

use berth_api::{ContainerHealth, ContainerState, Retry, StateChange};
use berth_events::{
    BlockReport, FailureReason, NodeFacts, PlacementReason, PortBinding, Quotas, ReleaseFailure,
    ReleaseMethod, ReleaseOutcome, ReleaseSource, SecurityPolicy, StopReason, StoredWarning, TokenGrant,
    spec::{ApplicationSpec, RestartPolicy, Strategy},
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, Name, NodeId, ReleaseId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// The cluster.
    pub id: ClusterId,
    /// Account that owns it.
    pub tenant: String,
    /// Its name.
    pub name: Name,
    /// Region name.
    pub region: String,
    /// Zone names; empty: any.
    pub zones: BTreeSet<String>,
    /// What deploys may ask of nodes.
    pub policy: SecurityPolicy,
    /// How nodes are preferred.
    pub strategy: Strategy,
    /// What its applications may reserve.
    pub quotas: Quotas,
    /// It is being deleted.
    pub deleting: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Version of its stream.
    pub version: u64,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// The node.
    pub id: NodeId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its name.
    pub name: Name,
    /// Order of joining.
    pub index: u32,
    /// Zone.
    pub zone: String,
    /// Address.
    pub address: String,
    /// Labels given by people.
    pub labels: BTreeMap<String, String>,
    /// Countable resources named by people, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// What the agent measured.
    pub facts: NodeFacts,
    /// Cordoned, with the operator's reason.
    pub cordoned: Option<String>,
    /// A drain that was not taken back.
    pub drain: Option<DrainRow>,
    /// Not heard.
    pub lost: bool,
    /// Since when it has the status that it has.
    pub status_since: Timestamp,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Version of its stream.
    pub version: u64,
}

/// A drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRow {
    /// Its deadline.
    pub deadline_at: Timestamp,
    /// Stop the rest then.
    pub force: bool,
    /// Everything that can be moved was.
    pub done: bool,
    /// The deadline passed with so many left.
    pub expired: Option<u32>,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRow {
    /// The application.
    pub id: ApplicationId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its name.
    pub name: Name,
    /// What it is meant to do.
    pub lifecycle: Lifecycle,
    /// As it should be: the last release with later scalings.
    pub spec: ApplicationSpec,
    /// Warnings of the last release.
    pub warnings: Vec<StoredWarning>,
    /// Releases, oldest first.
    pub releases: Vec<ReleaseRow>,
    /// Share of the traffic of a service, 0–100; not named: 100.
    pub weights: BTreeMap<String, u8>,
    /// Where in the log a restart was last asked for, by service.
    pub restarts: BTreeMap<String, u64>,
    /// Slots that wait, by service.
    pub blocks: BTreeMap<String, Block>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
    /// Version of its stream.
    pub version: u64,
}

/// What an application is meant to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// Run.
    Live,
    /// Stay, without containers.
    Stopped,
    /// Go.
    Removing,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// The release.
    pub id: ReleaseId,
    /// Its number.
    pub number: u32,
    /// Where it came from.
    pub source: ReleaseSource,
    /// How it goes live.
    pub method: ReleaseMethod,
    /// What it is, with the counts of `scale` while it is the newest.
    pub spec: ApplicationSpec,
    /// Digests of its images, as far as they are known.
    pub digests: BTreeMap<String, String>,
    /// Who started it.
    pub actor: String,
    /// When.
    pub started_at: Timestamp,
    /// It replaces nothing more for now.
    pub paused: bool,
    /// Why it has failed.
    pub failure: Option<ReleaseFailure>,
    /// How it ended, and when.
    pub settled: Option<(ReleaseOutcome, Timestamp)>,
    /// Share of the traffic of its services when the next one took over.
    pub weights: BTreeMap<String, u8>,
    /// What happened to it, oldest first.
    pub steps: Vec<StepRow>,
}

/// Something that happened to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRow {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What, in words.
    pub what: String,
}

/// Slots of a service that wait for a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Which.
    pub slots: BTreeSet<u32>,
    /// Why.
    pub report: BlockReport,
}

/// An allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationRow {
    /// The allocation.
    pub id: AllocationId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Its node.
    pub node_id: NodeId,
    /// Name of its node, also after that is gone.
    pub node_name: String,
    /// Release that asked for it.
    pub release_id: ReleaseId,
    /// Its service.
    pub service: String,
    /// Its slot.
    pub slot: u32,
    /// Its image.
    pub image: String,
    /// It has a check.
    pub has_healthcheck: bool,
    /// Reserved processor time.
    pub cpu_millis: u64,
    /// Reserved memory.
    pub memory_bytes: u64,
    /// Reserved countable resources, by kind; absent number: all of the node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub countables: BTreeMap<String, Option<u64>>,
    /// What happens when it ends.
    pub restart: RestartPolicy,
    /// Why this node.
    pub why: PlacementReason,
    /// When that was decided.
    pub placed_at: Timestamp,
    /// And where in the log.
    pub placed_position: u64,
    /// To be stopped, and why.
    pub stop_reason: Option<StopReason>,
    /// What it is doing.
    pub state: ContainerState,
    /// What its check says.
    pub health: ContainerHealth,
    /// Last output of a failed check.
    pub health_output: Option<String>,
    /// Starts after the first.
    pub restarts: u32,
    /// How it last ended.
    pub exit_code: Option<i64>,
    /// It was last killed for want of memory.
    pub oom_killed: bool,
    /// Which step failed.
    pub failure: Option<FailureReason>,
    /// What the engine said.
    pub message: Option<String>,
    /// Its last try failed, and it is tried again.
    pub retry: Option<Retry>,
    /// The last lines that it said before a restart.
    #[serde(default)]
    pub output: String,
    /// Id in the engine.
    pub container_id: Option<String>,
    /// Name in the engine.
    pub container_name: Option<String>,
    /// Id of the image.
    pub image_id: Option<String>,
    /// Digest of its image in the registry.
    pub image_digest: Option<String>,
    /// Addresses by network.
    pub addresses: BTreeMap<String, String>,
    /// Published ports.
    pub ports: Vec<PortBinding>,
    /// When it last began to run.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its states.
    pub history: Vec<StateChange>,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// The token.
    pub id: TokenId,
    /// Account.
    pub tenant: String,
    /// What it opens.
    pub grant: TokenGrant,
    /// A word for people.
    pub label: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// How often it was used.
    pub uses: u32,
    /// It was revoked.
    pub revoked: bool,
}
