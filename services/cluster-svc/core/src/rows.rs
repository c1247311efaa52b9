//! Rows of the view, and how events change them.

use crate::{Availability, Lifecycle};
use berth_events::{
    ClusterCreated, NodeEvent, NodeFacts, NodeJoined, Recorded, SecurityPolicy, spec::Strategy,
};
use berth_ids::{ClusterId, Name, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Account that owns it.
    pub tenant: String,
    /// Its name.
    pub name: Name,
    /// Region name.
    pub region: String,
    /// Zones that nodes may name; empty: any.
    pub zones: BTreeSet<String>,
    /// What deploys may ask of nodes.
    pub policy: SecurityPolicy,
    /// How nodes are preferred.
    pub strategy: Strategy,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// The highest index that a node of it ever had.
    pub last_index: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// Version of its stream.
    pub version: u64,
}

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// The node.
    pub node_id: NodeId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Account that owns the cluster.
    pub tenant: String,
    /// Its name.
    pub name: Name,
    /// Its number in the cluster.
    pub index: u32,
    /// Its zone.
    pub zone: String,
    /// Address by which other nodes reach it.
    pub address: String,
    /// Labels given by people.
    pub labels: BTreeMap<String, String>,
    /// What the agent measured.
    pub facts: NodeFacts,
    /// Whether containers may be placed on it.
    pub availability: Availability,
    /// Since when its heartbeat is not heard.
    pub lost_at: Option<Timestamp>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Version of its stream.
    pub version: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApplicationRow {
    pub(crate) cluster_id: ClusterId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AllocationRow {
    pub(crate) node_id: NodeId,
}

/// State of a cluster, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterState {
    /// No node.
    Inactive,
    /// At least one node is heard.
    Running,
    /// Agents of several releases: an upgrade is under way.
    Updating,
    /// Every node is lost.
    Failed,
    /// Being deleted.
    Deleting,
    /// Gone.
    Deleted,
}

pub(crate) fn new_cluster(recorded: &Recorded, created: &ClusterCreated) -> ClusterRow {
    ClusterRow {
        cluster_id: created.cluster_id,
        tenant: recorded.tenant.to_string(),
        name: created.name.clone(),
        region: created.region.clone(),
        zones: created.zones.clone(),
        policy: created.policy,
        strategy: created.strategy,
        lifecycle: Lifecycle::Active,
        last_index: 0,
        created_at: recorded.recorded_at,
        version: recorded.version,
    }
}

pub(crate) fn new_node(recorded: &Recorded, joined: &NodeJoined) -> NodeRow {
    NodeRow {
        node_id: joined.node_id,
        cluster_id: joined.cluster_id,
        tenant: recorded.tenant.to_string(),
        name: joined.name.clone(),
        index: joined.index,
        zone: joined.zone.clone(),
        address: joined.address.clone(),
        labels: joined.labels.clone(),
        facts: joined.facts.clone(),
        availability: Availability::Active,
        lost_at: None,
        joined_at: recorded.recorded_at,
        version: recorded.version,
    }
}

/// Changes a node's row; true if the node is gone.
pub(crate) fn change_node(row: &mut NodeRow, recorded: &Recorded, event: &NodeEvent) -> bool {
    match event {
        NodeEvent::Joined(_) => {}
        NodeEvent::FactsChanged(changed) => {
            row.facts = changed.facts.clone();
            row.address = changed.address.clone();
        }
        NodeEvent::LabelsChanged(changed) => {
            row.labels.retain(|key, _| !changed.removed.contains(key));
            row.labels.extend(changed.set.clone());
        }
        // Resources are the scheduler's to count.
        NodeEvent::ResourcesChanged(_) => {}
        NodeEvent::Cordoned(_) => row.availability = Availability::Cordoned,
        NodeEvent::Uncordoned(_) => row.availability = Availability::Active,
        NodeEvent::DrainStarted(drain) => {
            row.availability = Availability::Draining {
                deadline_at: drain.deadline_at,
                force: drain.force,
            };
        }
        NodeEvent::Drained(_) => row.availability = Availability::Drained,
        NodeEvent::DrainExpired(_) => row.availability = Availability::DrainExpired,
        NodeEvent::Lost(_) => row.lost_at = Some(recorded.recorded_at),
        NodeEvent::Returned(_) => row.lost_at = None,
        NodeEvent::Removed(_) => return true,
    }
    false
}
