//! Nodes, and how a server becomes one.

use crate::ContainerCounts;
use berth_events::NodeFacts;
use berth_ids::{ClusterId, Name, NodeId, Timestamp, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Makes a server a node: `POST /v1/join`, without a bearer token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// Id of the join token.
    pub token_id: TokenId,
    /// Its secret part.
    pub secret: String,
    /// Public nkey of the agent's bus user (`U…`); the agent keeps the seed.
    pub user_key: String,
    /// Public curve key to which secrets are sealed (`X…`).
    pub sealing_key: String,
    /// Id of the node, made by the agent; the same again is harmless.
    pub node_id: NodeId,
    /// Name, unique in the cluster; absent: the host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Zone; absent: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Address by which other nodes reach it.
    pub address: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Countable resources, by kind in small letters; they say more than what the engine names.
    #[serde(default)]
    pub resources: BTreeMap<String, u64>,
    /// What the agent measured.
    pub facts: NodeFacts,
}

impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinRequest")
            .field("token_id", &self.token_id)
            .field("node_id", &self.node_id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a new node needs to run: answer to [`JoinRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinAnswer {
    /// The node.
    pub node_id: NodeId,
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Account that owns the cluster.
    pub tenant: String,
    /// Signed bus user; worthless without the agent's seed.
    pub user_jwt: String,
    /// Where the bus is.
    pub nats_urls: Vec<String>,
    /// Certificate of the platform's CA, PEM.
    pub ca_pem: String,
    /// Position that a read must reach to show the node.
    pub position: u64,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Name of its cluster.
    pub cluster: String,
    /// 1, 2, 3 … in order of joining.
    pub index: u32,
    /// Zone.
    pub zone: String,
    /// Address by which other nodes reach it.
    pub address: String,
    /// What it is doing.
    pub status: NodeStatus,
    /// Since when.
    pub status_since: Timestamp,
    /// It takes nothing new; also while it is lost.
    pub cordoned: bool,
    /// Why it was cordoned, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A drain that was started and not taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Labels given by people.
    pub labels: BTreeMap<String, String>,
    /// What the agent measured.
    pub facts: NodeFacts,
    /// Its containers.
    pub containers: ContainerCounts,
    /// Processor time that its containers have reserved.
    pub cpu_reserved_millis: u64,
    /// Memory that its containers have reserved.
    pub memory_reserved_bytes: u64,
    /// Countable resources, such as GPUs, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, CountedResource>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Version for `If-Match`.
    pub version: u64,
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// It takes containers.
    Ready,
    /// It takes nothing new; what runs stays.
    Cordoned,
    /// Its containers are moved away.
    Draining,
    /// They were moved away.
    Drained,
    /// It is not heard.
    Lost,
}

/// A drain of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {
    /// When what is left is reported.
    pub deadline_at: Timestamp,
    /// At the deadline, what could not be moved is stopped.
    pub force: bool,
    /// How far it is.
    pub state: DrainState,
    /// Containers left.
    pub remaining: u32,
}

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrainState {
    /// Containers are being moved.
    Running,
    /// None that can be moved is left.
    Done,
    /// The deadline passed with containers left.
    Expired,
}

/// Changes a node's labels: `PATCH /v1/nodes/{node}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchNode {
    /// Set or overwrite.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Take away.
    #[serde(default)]
    pub remove: BTreeSet<String>,
}

/// A countable resource of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CountedResource {
    /// How many there are.
    pub total: u64,
    /// How many its containers have reserved.
    pub reserved: u64,
    /// People have named it; else its engine has.
    pub named: bool,
}

/// Changes the countable resources that people have named: `PATCH /v1/nodes/{node}/resources`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchResources {
    /// Set or overwrite, by kind in small letters.
    #[serde(default)]
    pub set: BTreeMap<String, u64>,
    /// Take away: what the engine names counts again.
    #[serde(default)]
    pub remove: BTreeSet<String>,
}

/// Cordons a node: `POST /v1/nodes/{node}/cordon`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CordonNode {
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Drains a node: `POST /v1/nodes/{node}/drain`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainNode {
    /// Time to move containers; absent: 10 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// At the deadline, stop what could not be moved.
    #[serde(default)]
    pub force: bool,
}
