//! Which allocations are where; computed from the rows.

use super::AllocationRow;
use berth_ids::{AllocationId, ApplicationId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Ways to find allocations.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Index {
    by_node: BTreeMap<NodeId, BTreeSet<AllocationId>>,
    by_service: BTreeMap<ApplicationId, BTreeMap<String, BTreeSet<AllocationId>>>,
}

impl Index {
    pub(super) fn insert(&mut self, row: &AllocationRow) {
        self.by_node
            .entry(row.node_id)
            .or_default()
            .insert(row.allocation_id);
        self.by_service
            .entry(row.application_id)
            .or_default()
            .entry(row.service.clone())
            .or_default()
            .insert(row.allocation_id);
    }

    pub(super) fn remove(&mut self, row: &AllocationRow) {
        if let Some(set) = self.by_node.get_mut(&row.node_id) {
            set.remove(&row.allocation_id);
            if set.is_empty() {
                self.by_node.remove(&row.node_id);
            }
        }
        if let Some(services) = self.by_service.get_mut(&row.application_id) {
            if let Some(set) = services.get_mut(&row.service) {
                set.remove(&row.allocation_id);
                if set.is_empty() {
                    services.remove(&row.service);
                }
            }
            if services.is_empty() {
                self.by_service.remove(&row.application_id);
            }
        }
    }

    pub(crate) fn of_node(&self, node: NodeId) -> impl Iterator<Item = AllocationId> {
        self.by_node.get(&node).into_iter().flatten().copied()
    }

    /// Services of an application that have allocations, also those no longer in its file.
    pub(crate) fn services(&self, application: ApplicationId) -> impl Iterator<Item = &str> {
        self.by_service
            .get(&application)
            .into_iter()
            .flat_map(|services| services.keys().map(String::as_str))
    }

    pub(crate) fn of_service(
        &self,
        application: ApplicationId,
        service: &str,
    ) -> impl Iterator<Item = AllocationId> {
        self.by_service
            .get(&application)
            .and_then(|services| services.get(service))
            .into_iter()
            .flatten()
            .copied()
    }

    pub(crate) fn has_any(&self, application: ApplicationId) -> bool {
        self.by_service.contains_key(&application)
    }
}
