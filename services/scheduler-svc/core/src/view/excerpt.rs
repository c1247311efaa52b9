//! A copy of what belongs to one cluster, to try things out on.

use super::{SchedulerView, index::Index};
use berth_ids::{ApplicationId, ClusterId, NodeId};
use std::collections::BTreeSet;

impl SchedulerView {
    /// Everything that a plan of the cluster looks at. Plans of it are those of the whole view.
    pub(crate) fn excerpt(&self, cluster: ClusterId) -> Self {
        let nodes: BTreeSet<NodeId> = self.nodes_of(cluster).map(|row| row.node_id).collect();
        let rows = self.allocations.iter();
        let allocations = rows.filter(|(_, row)| row.cluster_id == cluster);
        let allocations: std::collections::BTreeMap<_, _> =
            allocations.map(|(id, row)| (*id, row.clone())).collect();
        let applications: BTreeSet<ApplicationId> = self
            .applications_of(cluster)
            .map(|row| row.application_id)
            // Containers may outlive their application.
            .chain(allocations.values().map(|row| row.application_id))
            .collect();
        let mut index = Index::default();
        for row in allocations.values() {
            index.insert(row, &self.specs);
        }
        Self {
            clusters: only(&self.clusters, |id| *id == cluster),
            decisions: only(&self.decisions, |id| *id == cluster),
            nodes: only(&self.nodes, |id| nodes.contains(id)),
            assigned: only(&self.assigned, |id| nodes.contains(id)),
            applications: only(&self.applications, |id| applications.contains(id)),
            slots: only(&self.slots, |key| applications.contains(&key.application_id)),
            blocked: only(&self.blocked, |key| applications.contains(&key.0)),
            specs: self.specs.clone(),
            allocations,
            index,
        }
    }
}

fn only<K: Ord + Clone, T: Clone>(
    rows: &std::collections::BTreeMap<K, T>,
    wanted: impl Fn(&K) -> bool,
) -> std::collections::BTreeMap<K, T> {
    let rows = rows.iter().filter(|(key, _)| wanted(key));
    rows.map(|(key, row)| (key.clone(), row.clone())).collect()
}
