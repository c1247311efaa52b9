//! What cluster-svc knows of all clusters: its own events and, as facts for its rules, others'.

use crate::{
    Lifecycle,
    rows::{
        AllocationRow, ApplicationRow, ClusterRow, ClusterState, NodeRow, change_node, new_cluster, new_node,
    },
};
use berth_events::{
    AllocationEvent, ApplicationEvent, ClusterEvent, Event, NodeEvent, NodeJoined, PlacementEvent, Recorded,
};
use berth_eventsourcing::{Index, RowError, RowKey, Rows, View};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use std::collections::BTreeSet;

const CLUSTER: &str = "cluster";
const NODE: &str = "node";
const APPLICATION: &str = "application";
const ALLOCATION: &str = "allocation";

/// All clusters and nodes, and what others have on them.
#[derive(Debug, Clone, Default)]
pub struct ClusterView {
    clusters: Rows<ClusterId, ClusterRow>,
    nodes: Rows<NodeId, NodeRow>,
    applications: Rows<ApplicationId, ApplicationRow>,
    allocations: Rows<AllocationId, AllocationRow>,
    nodes_of: Index<ClusterId, NodeId>,
    applications_of: Index<ClusterId, ApplicationId>,
    allocations_of: Index<NodeId, AllocationId>,
}

impl ClusterView {
    /// A cluster, if it is there.
    pub fn cluster(&self, id: ClusterId) -> Option<&ClusterRow> {
        self.clusters.get(&id)
    }
    /// All clusters that are there.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterRow> {
        self.clusters.values()
    }
    /// A node, if it is there.
    pub fn node(&self, id: NodeId) -> Option<&NodeRow> {
        self.nodes.get(&id)
    }
    /// The nodes of a cluster.
    pub fn nodes(&self, cluster: ClusterId) -> impl Iterator<Item = &NodeRow> {
        self.nodes_of.of(&cluster).filter_map(|id| self.nodes.get(id))
    }
    /// Names of a cluster's nodes, in lower case: names are compared without case.
    pub fn node_names(&self, cluster: ClusterId) -> BTreeSet<String> {
        self.nodes(cluster)
            .map(|node| node.name.as_str().to_lowercase())
            .collect()
    }
    /// The lowest index that no node of the cluster is known to have had.
    pub fn next_index(&self, cluster: ClusterId) -> u32 {
        self.clusters
            .get(&cluster)
            .map_or(1, |row| row.last_index.saturating_add(1))
    }
    /// Applications that a cluster has.
    pub fn applications(&self, cluster: ClusterId) -> BTreeSet<ApplicationId> {
        self.applications_of.of(&cluster).copied().collect()
    }
    /// How many containers a node has that have not ended.
    pub fn containers(&self, node: NodeId) -> usize {
        self.allocations_of.count(&node)
    }
    /// State of a cluster, as people see it.
    pub fn state(&self, id: ClusterId) -> ClusterState {
        let Some(cluster) = self.clusters.get(&id) else {
            return ClusterState::Deleted;
        };
        if let Lifecycle::Deleting { .. } = cluster.lifecycle {
            return ClusterState::Deleting;
        }
        let heard: Vec<&NodeRow> = self.nodes(id).filter(|node| node.lost_at.is_none()).collect();
        let releases: BTreeSet<&str> = heard
            .iter()
            .map(|node| node.facts.agent_version.as_str())
            .collect();
        match (self.nodes(id).next(), heard.len(), releases.len()) {
            (None, ..) => ClusterState::Inactive,
            (Some(_), 0, _) => ClusterState::Failed,
            (Some(_), _, 0 | 1) => ClusterState::Running,
            (Some(_), ..) => ClusterState::Updating,
        }
    }
    /// Clusters that are being deleted.
    pub fn deleting(&self) -> impl Iterator<Item = &ClusterRow> {
        self.clusters
            .values()
            .filter(|row| matches!(row.lifecycle, Lifecycle::Deleting { .. }))
    }

    fn on_cluster(&mut self, recorded: &Recorded, event: &ClusterEvent) -> Vec<RowKey> {
        if let ClusterEvent::Created(created) = event {
            self.clusters
                .insert(created.cluster_id, new_cluster(recorded, created));
            return vec![RowKey::new(CLUSTER, created.cluster_id)];
        }
        let Ok(id) = recorded.stream.key().parse::<ClusterId>() else {
            return vec![];
        };
        let Some(row) = self.clusters.get_mut(&id) else {
            return vec![];
        };
        row.version = recorded.version;
        match event {
            ClusterEvent::Created(_) => {}
            ClusterEvent::Renamed(renamed) => row.name = renamed.name.clone(),
            // Quotas are the scheduler's to keep.
            ClusterEvent::QuotasChanged(_) => {}
            ClusterEvent::SettingsChanged(changed) => {
                row.policy = changed.policy;
                row.strategy = changed.strategy;
            }
            ClusterEvent::DeleteRequested(request) => {
                row.lifecycle = Lifecycle::Deleting { force: request.force };
            }
            ClusterEvent::Deleted(_) => {
                self.clusters.remove(&id);
            }
        }
        vec![RowKey::new(CLUSTER, id)]
    }

    fn on_node(&mut self, recorded: &Recorded, event: &NodeEvent) -> Vec<RowKey> {
        if let NodeEvent::Joined(joined) = event {
            return self.on_joined(recorded, joined);
        }
        let Ok(id) = recorded.stream.key().parse::<NodeId>() else {
            return vec![];
        };
        let Some(row) = self.nodes.get_mut(&id) else {
            return vec![];
        };
        row.version = recorded.version;
        let gone = change_node(row, recorded, event);
        let cluster = row.cluster_id;
        if gone {
            self.nodes.remove(&id);
            self.nodes_of.take(&cluster, &id);
        }
        vec![RowKey::new(NODE, id)]
    }

    fn on_joined(&mut self, recorded: &Recorded, joined: &NodeJoined) -> Vec<RowKey> {
        let (id, cluster) = (joined.node_id, joined.cluster_id);
        self.nodes.insert(id, new_node(recorded, joined));
        self.nodes_of.add(cluster, id);
        if let Some(row) = self.clusters.get_mut(&cluster) {
            row.last_index = row.last_index.max(joined.index);
        }
        vec![RowKey::new(NODE, id), RowKey::new(CLUSTER, cluster)]
    }

    fn on_application(&mut self, recorded: &Recorded, event: &ApplicationEvent) -> Vec<RowKey> {
        match event {
            ApplicationEvent::Created(created) => {
                let (id, cluster_id) = (created.application_id, created.cluster_id);
                self.applications.insert(id, ApplicationRow { cluster_id });
                self.applications_of.add(cluster_id, id);
                vec![RowKey::new(APPLICATION, id)]
            }
            ApplicationEvent::Removed(_) => {
                let Ok(id) = recorded.stream.key().parse::<ApplicationId>() else {
                    return vec![];
                };
                let Some(row) = self.applications.remove(&id) else {
                    return vec![];
                };
                self.applications_of.take(&row.cluster_id, &id);
                vec![RowKey::new(APPLICATION, id)]
            }
            ApplicationEvent::ReleaseStarted(_)
            | ApplicationEvent::ReleaseSettled(_)
            | ApplicationEvent::ImagesPinned(_)
            | ApplicationEvent::ReleasePaused(_)
            | ApplicationEvent::ReleaseResumed(_)
            | ApplicationEvent::WeightsChanged(_)
            | ApplicationEvent::Scaled(_)
            | ApplicationEvent::Stopped(_)
            | ApplicationEvent::Started(_)
            | ApplicationEvent::RestartRequested(_)
            | ApplicationEvent::VolumeAbandoned(_)
            | ApplicationEvent::RemoveRequested(_) => vec![],
        }
    }

    fn on_placement(&mut self, event: &PlacementEvent) -> Vec<RowKey> {
        let PlacementEvent::Decided(decided) = event else {
            return vec![];
        };
        let node_id = decided.node_id;
        let mut keys = Vec::new();
        for placed in &decided.place {
            self.allocations_of.add(node_id, placed.allocation_id);
            self.allocations
                .insert(placed.allocation_id, AllocationRow { node_id });
            keys.push(RowKey::new(ALLOCATION, placed.allocation_id));
        }
        keys
    }

    fn on_allocation(&mut self, event: &AllocationEvent) -> Vec<RowKey> {
        let id = match event {
            AllocationEvent::Exited(event) => event.allocation_id,
            AllocationEvent::Failed(event) => event.allocation_id,
            AllocationEvent::Lost(event) => event.allocation_id,
            AllocationEvent::Removed(event) => event.allocation_id,
            AllocationEvent::Pulling(_)
            | AllocationEvent::ContainerCreated(_)
            | AllocationEvent::Running(_)
            | AllocationEvent::Healthy(_)
            | AllocationEvent::Unhealthy(_)
            | AllocationEvent::Restarted(_)
            | AllocationEvent::RetryScheduled(_)
            | AllocationEvent::Stopping(_)
            | AllocationEvent::VolumesDropped(_) => return vec![],
        };
        let Some(row) = self.allocations.remove(&id) else {
            return vec![];
        };
        self.allocations_of.take(&row.node_id, &id);
        vec![RowKey::new(ALLOCATION, id)]
    }
}

impl View for ClusterView {
    const NAME: &'static str = "clusters";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<RowKey> {
        match event {
            Event::Cluster(event) => self.on_cluster(recorded, event),
            Event::Node(event) => self.on_node(recorded, event),
            Event::Application(event) => self.on_application(recorded, event),
            Event::Placement(event) => self.on_placement(event),
            Event::Allocation(event) => self.on_allocation(event),
            Event::Name(_)
            | Event::Account(_)
            | Event::Token(_)
            | Event::Credential(_)
            | Event::Secret(_)
            | Event::Template(_)
            | Event::Build(_)
            | Event::Platform(_) => vec![],
        }
    }

    fn row(&self, key: &RowKey) -> Option<String> {
        match key.kind.as_str() {
            CLUSTER => self.clusters.text(&key.key),
            NODE => self.nodes.text(&key.key),
            APPLICATION => self.applications.text(&key.key),
            ALLOCATION => self.allocations.text(&key.key),
            _ => None,
        }
    }

    fn restore(&mut self, key: RowKey, json: &str) -> Result<(), RowError> {
        match key.kind.as_str() {
            CLUSTER => {
                self.clusters.restore(Self::NAME, &key, json)?;
            }
            NODE => {
                let (id, row) = self.nodes.restore(Self::NAME, &key, json)?;
                self.nodes_of.add(row.cluster_id, id);
            }
            APPLICATION => {
                let (id, row) = self.applications.restore(Self::NAME, &key, json)?;
                self.applications_of.add(row.cluster_id, id);
            }
            ALLOCATION => {
                let (id, row) = self.allocations.restore(Self::NAME, &key, json)?;
                self.allocations_of.add(row.node_id, id);
            }
            _ => return Err(RowError::of(Self::NAME, &key, None)),
        }
        Ok(())
    }
}
