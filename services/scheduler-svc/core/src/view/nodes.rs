//! Folds clusters and nodes.

use super::{Availability, ClusterRow, NodeRow, SchedulerView, kind};
use crate::application::cluster_of_turn;
use berth_events::{ClusterEvent, NodeEvent, NodeJoined, Quotas, Recorded};
use berth_eventsourcing::RowKey;
use berth_ids::NodeId;

impl SchedulerView {
    pub(super) fn apply_cluster(&mut self, recorded: &Recorded, event: &ClusterEvent) -> Vec<RowKey> {
        let Ok(id) = recorded.stream.key().parse() else {
            return vec![];
        };
        let key = RowKey::new(kind::CLUSTER, id);
        if let ClusterEvent::Created(created) = event {
            self.clusters.insert(
                id,
                ClusterRow {
                    cluster_id: id,
                    name: created.name.clone(),
                    tenant: recorded.tenant.to_string(),
                    policy: created.policy,
                    strategy: created.strategy,
                    quotas: Quotas::default(),
                    deleting: None,
                    turns: 0,
                    version: recorded.version,
                },
            );
            return vec![key];
        }
        if matches!(event, ClusterEvent::Deleted(_)) {
            self.clusters.remove(&id);
            self.decisions.remove(&id);
            return vec![key, RowKey::new(kind::DECISIONS, id)];
        }
        let Some(cluster) = self.clusters.get_mut(&id) else {
            return vec![];
        };
        cluster.version = recorded.version;
        match event {
            ClusterEvent::Renamed(renamed) => cluster.name = renamed.name.clone(),
            ClusterEvent::SettingsChanged(settings) => {
                cluster.policy = settings.policy;
                cluster.strategy = settings.strategy;
            }
            ClusterEvent::QuotasChanged(changed) => cluster.quotas = changed.quotas,
            ClusterEvent::DeleteRequested(requested) => cluster.deleting = Some(requested.force),
            ClusterEvent::Created(_) | ClusterEvent::Deleted(_) => {}
        }
        vec![key]
    }

    /// Something took more of a cluster's quota.
    pub(super) fn apply_name(&mut self, recorded: &Recorded) -> Vec<RowKey> {
        let Some(id) = cluster_of_turn(&recorded.stream) else {
            return vec![];
        };
        let Some(cluster) = self.clusters.get_mut(&id) else {
            return vec![];
        };
        cluster.turns = recorded.version;
        vec![RowKey::new(kind::CLUSTER, id)]
    }

    pub(super) fn apply_node(&mut self, recorded: &Recorded, event: &NodeEvent) -> Vec<RowKey> {
        let Ok(id) = recorded.stream.key().parse::<NodeId>() else {
            return vec![];
        };
        let key = RowKey::new(kind::NODE, id);
        if let NodeEvent::Joined(joined) = event {
            self.nodes.insert(id, node_row(joined, recorded.version));
            return vec![key];
        }
        if matches!(event, NodeEvent::Removed(_)) {
            self.nodes.remove(&id);
            self.assigned.remove(&id);
            let mut touched = vec![key, RowKey::new(kind::ASSIGNED, id)];
            touched.extend(self.forget_allocations_of(id));
            return touched;
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            return vec![];
        };
        node.version = recorded.version;
        match event {
            NodeEvent::FactsChanged(changed) => node.facts = changed.facts.clone(),
            NodeEvent::LabelsChanged(changed) => {
                for label in &changed.removed {
                    node.labels.remove(label);
                }
                node.labels.extend(changed.set.clone());
            }
            NodeEvent::ResourcesChanged(changed) => {
                node.resources.retain(|kind, _| !changed.removed.contains(kind));
                node.resources.extend(changed.set.clone());
            }
            NodeEvent::Cordoned(_) => {
                if node.availability == Availability::Active {
                    node.availability = Availability::Cordoned;
                }
            }
            NodeEvent::Uncordoned(_) => node.availability = Availability::Active,
            NodeEvent::DrainStarted(drain) => {
                node.availability = Availability::Draining {
                    deadline_at: drain.deadline_at,
                    force: drain.force,
                    position: recorded.position,
                };
            }
            NodeEvent::Drained(_) | NodeEvent::DrainExpired(_) => node.availability = Availability::Drained,
            NodeEvent::Lost(_) => node.lost = true,
            NodeEvent::Returned(_) => node.lost = false,
            NodeEvent::Joined(_) | NodeEvent::Removed(_) => {}
        }
        vec![key]
    }

    /// A node was removed: nobody will hear of its containers again.
    fn forget_allocations_of(&mut self, node: NodeId) -> Vec<RowKey> {
        let ids: Vec<_> = self.index.of_node(node).collect();
        let mut touched = Vec::new();
        for id in ids {
            if let Some(row) = self.allocations.get(&id)
                && row.phase.is_live()
                && row.stop.is_none()
            {
                let slot = super::allocations::slot_of(row);
                self.slots.entry(slot.clone()).or_default().cause = Some("node_removed".to_owned());
                touched.push(super::slot_key(&slot));
            }
            touched.extend(self.forget_allocation(id));
        }
        touched
    }
}

fn node_row(joined: &NodeJoined, version: u64) -> NodeRow {
    NodeRow {
        node_id: joined.node_id,
        cluster_id: joined.cluster_id,
        name: joined.name.clone(),
        index: joined.index,
        zone: joined.zone.clone(),
        labels: joined.labels.clone(),
        resources: joined.resources.clone(),
        facts: joined.facts.clone(),
        availability: Availability::Active,
        lost: false,
        version,
    }
}
