//! Clusters.

use crate::ContainerCounts;
use berth_events::{Quota, Quotas, SecurityPolicy, spec::Strategy};
use berth_ids::{ClusterId, Name, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Makes a cluster: `POST /v1/clusters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCluster {
    /// Name, unique in the account.
    pub name: Name,
    /// Region name; absent: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Zone names that nodes may bring; empty: any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub zones: BTreeSet<String>,
    /// What deploys may ask of nodes; absent: `baseline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<SecurityPolicy>,
    /// How nodes are preferred; absent: `spread`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
}

/// Changes a cluster: `PATCH /v1/clusters/{cluster}`. What is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchCluster {
    /// New name. Not together with the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// New policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<SecurityPolicy>,
    /// New strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// What all applications together may reserve, whole: what is absent in it has no limit then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// What each application may reserve, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_quota: Option<Quota>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// Account that owns it.
    pub tenant: String,
    /// Region name.
    pub region: String,
    /// Zone names that nodes may bring; empty: any.
    pub zones: BTreeSet<String>,
    /// What deploys may ask of nodes.
    pub policy: SecurityPolicy,
    /// How nodes are preferred.
    pub strategy: Strategy,
    /// What its applications may reserve.
    pub quotas: Quotas,
    /// What it is doing.
    pub state: ClusterState,
    /// Its nodes.
    pub nodes: NodeCounts,
    /// How many applications it has.
    pub applications: u32,
    /// Its containers.
    pub containers: ContainerCounts,
    /// Processor time of all nodes, in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory of all nodes.
    pub memory_bytes: u64,
    /// Processor time that containers have reserved.
    pub cpu_reserved_millis: u64,
    /// Memory that containers have reserved.
    pub memory_reserved_bytes: u64,
    /// What its deletion waits for: applications, containers and nodes that are left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its settings last changed.
    pub updated_at: Timestamp,
    /// Version for `If-Match`.
    pub version: u64,
}

/// What a cluster is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClusterState {
    /// It has no node yet.
    Inactive,
    /// It has nodes that are heard.
    Running,
    /// Its agents are of different releases.
    Updating,
    /// None of its nodes is heard.
    Failed,
    /// Applications and nodes are being removed.
    Deleting,
}

/// How many nodes there are, by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NodeCounts {
    /// All.
    pub total: u32,
    /// That take containers.
    pub ready: u32,
    /// That take none, by order.
    pub cordoned: u32,
    /// From which containers are moved away, or were.
    pub draining: u32,
    /// That are not heard.
    pub lost: u32,
}
