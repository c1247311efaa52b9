//! Events of clusters and nodes; written by cluster-svc.

use crate::{macros::events, spec::Strategy};
use berth_ids::{ClusterId, Name, NodeId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

events! {
    /// What happened to a cluster.
    ClusterEvent in crate::Category::Cluster;
    Created(ClusterCreated) = "cluster.created", v 1;
    Renamed(ClusterRenamed) = "cluster.renamed", v 1;
    SettingsChanged(ClusterSettingsChanged) = "cluster.settings_changed", v 1;
    QuotasChanged(ClusterQuotasChanged) = "cluster.quotas_changed", v 1;
    DeleteRequested(ClusterDeleteRequested) = "cluster.delete_requested", v 1;
    Deleted(ClusterDeleted) = "cluster.deleted", v 1;
}

/// A cluster was created; it is inactive until a node joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterCreated {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Its name, unique in the tenant.
    pub name: Name,
    /// Region name.
    pub region: String,
    /// Zone names; empty: any zone that a node brings.
    #[serde(default)]
    pub zones: BTreeSet<String>,
    /// What deploys may ask of nodes.
    pub policy: SecurityPolicy,
    /// How nodes are preferred unless a service says otherwise.
    pub strategy: Strategy,
}

/// What deploys may ask of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecurityPolicy {
    /// No host path, no added capability.
    Restricted,
    /// No privileged container, host namespace, engine socket or system path.
    #[default]
    Baseline,
    /// Everything.
    Open,
}

/// A cluster has another name; its id and tenant stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterRenamed {
    /// The new name.
    pub name: Name,
    /// The name before.
    pub previous: Name,
}

/// Policy or strategy of a cluster changed; both as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterSettingsChanged {
    /// What deploys may ask of nodes.
    pub policy: SecurityPolicy,
    /// How nodes are preferred.
    pub strategy: Strategy,
}

/// What the applications of a cluster may reserve changed. What is over it already stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterQuotasChanged {
    /// All quotas as they are now.
    pub quotas: Quotas,
}

/// What a cluster lets its applications reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Quotas {
    /// For all applications together.
    #[serde(default, skip_serializing_if = "Quota::is_none")]
    pub cluster: Quota,
    /// For each application.
    #[serde(default, skip_serializing_if = "Quota::is_none")]
    pub application: Quota,
}

/// The most that may be reserved; what is absent has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// Processor time in thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<u64>,
}

impl Quota {
    /// Nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A cluster is being deleted: applications and nodes go first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterDeleteRequested {
    /// Applications are removed with it.
    pub force: bool,
}

/// A cluster is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterDeleted {}

events! {
    /// What happened to a node.
    NodeEvent in crate::Category::Node;
    Joined(NodeJoined) = "node.joined", v 2, from { 1 => v1::NodeJoined };
    FactsChanged(NodeFactsChanged) = "node.facts_changed", v 2, from { 1 => v1::NodeFactsChanged };
    LabelsChanged(NodeLabelsChanged) = "node.labels_changed", v 1;
    ResourcesChanged(NodeResourcesChanged) = "node.resources_changed", v 1;
    Cordoned(NodeCordoned) = "node.cordoned", v 1;
    Uncordoned(NodeUncordoned) = "node.uncordoned", v 1;
    DrainStarted(NodeDrainStarted) = "node.drain_started", v 2, from { 1 => v1::NodeDrainStarted };
    Drained(NodeDrained) = "node.drained", v 1;
    DrainExpired(NodeDrainExpired) = "node.drain_expired", v 1;
    Lost(NodeLost) = "node.lost", v 1;
    Returned(NodeReturned) = "node.returned", v 1;
    Removed(NodeRemoved) = "node.removed", v 1;
}

/// A server became a node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeJoined {
    /// The node.
    pub node_id: NodeId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its name, unique in the cluster.
    pub name: Name,
    /// 1, 2, 3 … in order of joining; never used again (label `aliyun.node_index`).
    pub index: u32,
    /// Zone; `default` if none was named.
    pub zone: String,
    /// Address by which other nodes reach it.
    pub address: String,
    /// Labels given by people.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Countable resources named by people, by kind; they say more than what the engine names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// What the agent measured.
    pub facts: NodeFacts,
}

/// What the agent measured of its server and engine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NodeFacts {
    /// Host name.
    pub hostname: String,
    /// Engine version, such as `20.10.24`.
    pub engine_version: String,
    /// Highest API version that the engine speaks, such as `1.41`.
    pub engine_api_version: String,
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64` …
    pub architecture: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor time in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory.
    pub memory_bytes: u64,
    /// Size of the file system that holds the engine's data.
    pub disk_bytes: u64,
    /// Labels of the engine.
    #[serde(default)]
    pub engine_labels: BTreeMap<String, String>,
    /// Countable resources that the engine names (`node-generic-resources`), by kind in small letters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub generic_resources: BTreeMap<String, u64>,
    /// Version of the agent.
    pub agent_version: String,
}

/// The agent measured something else than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeFactsChanged {
    /// All facts as they are now.
    pub facts: NodeFacts,
    /// Address by which other nodes reach it now.
    pub address: String,
}

/// Labels given by people changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeLabelsChanged {
    /// Set or overwritten.
    pub set: BTreeMap<String, String>,
    /// Taken away.
    pub removed: BTreeSet<String>,
}

/// Countable resources named by people changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeResourcesChanged {
    /// Set or overwritten, by kind.
    pub set: BTreeMap<String, u64>,
    /// Taken away: what the engine names counts again.
    pub removed: BTreeSet<String>,
}

/// Nothing new is placed on the node; what runs stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeCordoned {
    /// Why, in the operator's words.
    pub reason: String,
}

/// The node takes containers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeUncordoned {}

/// Containers are moved away from the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDrainStarted {
    /// When what is left is reported, and stopped if forced.
    pub deadline_at: Timestamp,
    /// At the deadline, stop what could not be moved.
    pub force: bool,
}

/// Shapes of earlier versions, kept for ever (invariant 9).
pub mod v1 {
    use super::*;

    /// Version 1 counted seconds from the event and never forced.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    pub struct NodeDrainStarted {
        /// When what is left is reported.
        pub deadline_at: Timestamp,
    }

    /// Version 1 counted no resources but processor time and memory.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct NodeJoined(pub(super) super::NodeJoined);

    /// Version 1 counted no resources but processor time and memory.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct NodeFactsChanged(pub(super) super::NodeFactsChanged);
}

impl From<v1::NodeJoined> for NodeJoined {
    fn from(old: v1::NodeJoined) -> Self {
        // The node named no others.
        old.0
    }
}

impl From<v1::NodeFactsChanged> for NodeFactsChanged {
    fn from(old: v1::NodeFactsChanged) -> Self {
        // The engine was not asked for others.
        old.0
    }
}

impl From<v1::NodeDrainStarted> for NodeDrainStarted {
    fn from(old: v1::NodeDrainStarted) -> Self {
        // Before version 2 no drain stopped what could not be moved.
        Self {
            deadline_at: old.deadline_at,
            force: false,
        }
    }
}

/// No container that can be moved is left on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDrained {}

/// The deadline passed with containers left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDrainExpired {
    /// How many were left.
    pub remaining: u32,
}

/// The node's heartbeat fell silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeLost {
    /// For how long, when it was decided.
    pub silent_ms: u64,
}

/// The node's heartbeat is heard again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeReturned {}

/// The node no longer belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRemoved {
    /// Removed although containers were on it.
    pub forced: bool,
}

events! {
    /// What happened to a name in a scope.
    NameEvent in crate::Category::Name;
    Claimed(NameClaimed) = "name.claimed", v 1;
    Released(NameReleased) = "name.released", v 1;
}

/// A name belongs to an object now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameClaimed {
    /// Id of the object.
    pub owner: String,
}

/// A name is free again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameReleased {
    /// Id of the object that had it.
    pub owner: String,
}
