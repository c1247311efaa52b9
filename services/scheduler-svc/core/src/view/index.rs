//! Which allocations are where, and what they come to; computed from the rows.

use super::{
    AllocationRow, SpecRow,
    tally::{NodeTally, ServiceTally},
};
use berth_ids::{AllocationId, ApplicationId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Ways to find allocations.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Index {
    by_node: BTreeMap<NodeId, OnNode>,
    by_service: BTreeMap<ApplicationId, BTreeMap<String, OfService>>,
    /// Allocations whose specification is not known yet, by its hash: nothing is counted of them on their nodes.
    unknown: BTreeMap<String, BTreeSet<AllocationId>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct OnNode {
    ids: BTreeSet<AllocationId>,
    tally: NodeTally,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct OfService {
    ids: BTreeSet<AllocationId>,
    tally: ServiceTally,
}

/// Specifications by hash.
pub(super) type Specs = BTreeMap<String, SpecRow>;

impl Index {
    /// An allocation is there now.
    pub(super) fn insert(&mut self, row: &AllocationRow, specs: &Specs) {
        let id = row.allocation_id;
        self.by_node.entry(row.node_id).or_default().ids.insert(id);
        let services = self.by_service.entry(row.application_id).or_default();
        match services.get_mut(&row.service) {
            Some(service) => service.ids.insert(id),
            None => services.entry(row.service.clone()).or_default().ids.insert(id),
        };
        if !specs.contains_key(&row.spec_hash) {
            self.unknown.entry(row.spec_hash.clone()).or_default().insert(id);
        }
        self.count(row, specs);
    }

    /// An allocation is there no more.
    pub(super) fn remove(&mut self, row: &AllocationRow, specs: &Specs) {
        self.uncount(row, specs);
        let id = row.allocation_id;
        if let Some(ids) = self.unknown.get_mut(&row.spec_hash) {
            ids.remove(&id);
            if ids.is_empty() {
                self.unknown.remove(&row.spec_hash);
            }
        }
        if let Some(node) = self.by_node.get_mut(&row.node_id) {
            node.ids.remove(&id);
            if node.ids.is_empty() {
                self.by_node.remove(&row.node_id);
            }
        }
        if let Some(services) = self.by_service.get_mut(&row.application_id) {
            if let Some(service) = services.get_mut(&row.service) {
                service.ids.remove(&id);
                if service.ids.is_empty() {
                    services.remove(&row.service);
                }
            }
            if services.is_empty() {
                self.by_service.remove(&row.application_id);
            }
        }
    }

    /// Counts an allocation that is there, as its row is now.
    pub(super) fn count(&mut self, row: &AllocationRow, specs: &Specs) {
        if let Some(service) = self.service_mut(row) {
            service.tally.add(row);
        }
        if let Some(container) = self.known(row, specs)
            && let Some(node) = self.by_node.get_mut(&row.node_id)
        {
            node.tally.add(row, &container.container);
        }
    }

    /// Takes away what was counted of it, before its row changes.
    pub(super) fn uncount(&mut self, row: &AllocationRow, specs: &Specs) {
        if let Some(service) = self.service_mut(row) {
            service.tally.subtract(row);
        }
        if let Some(container) = self.known(row, specs)
            && let Some(node) = self.by_node.get_mut(&row.node_id)
        {
            node.tally.subtract(row, &container.container);
        }
    }

    /// A specification has become known: its allocations count on their nodes from now on.
    pub(super) fn learn(&mut self, hash: &str, specs: &Specs, rows: &BTreeMap<AllocationId, AllocationRow>) {
        let Some(ids) = self.unknown.remove(hash) else {
            return;
        };
        for row in ids.iter().filter_map(|id| rows.get(id)) {
            if let Some(spec) = specs.get(hash)
                && let Some(node) = self.by_node.get_mut(&row.node_id)
            {
                node.tally.add(row, &spec.container);
            }
        }
    }

    fn known<'a>(&self, row: &AllocationRow, specs: &'a Specs) -> Option<&'a SpecRow> {
        let unknown = self.unknown.get(&row.spec_hash);
        let counts = unknown.is_none_or(|ids| !ids.contains(&row.allocation_id));
        specs.get(&row.spec_hash).filter(|_| counts)
    }

    fn service_mut(&mut self, row: &AllocationRow) -> Option<&mut OfService> {
        self.by_service
            .get_mut(&row.application_id)?
            .get_mut(&row.service)
    }

    pub(crate) fn of_node(&self, node: NodeId) -> impl Iterator<Item = AllocationId> {
        self.by_node
            .get(&node)
            .into_iter()
            .flat_map(|node| &node.ids)
            .copied()
    }

    /// What is on a node; none if nothing is.
    pub(crate) fn node(&self, node: NodeId) -> Option<&NodeTally> {
        self.by_node.get(&node).map(|node| &node.tally)
    }

    /// Applications that have allocations, also those that are gone.
    pub(crate) fn applications(&self) -> impl Iterator<Item = ApplicationId> {
        self.by_service.keys().copied()
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
            .flat_map(|service| &service.ids)
            .copied()
    }

    /// What the allocations of a service come to; none if it has none.
    pub(crate) fn service(&self, application: ApplicationId, service: &str) -> Option<&ServiceTally> {
        let services = self.by_service.get(&application)?;
        services.get(service).map(|service| &service.tally)
    }

    pub(crate) fn has_any(&self, application: ApplicationId) -> bool {
        self.by_service.contains_key(&application)
    }
}
