//! The read model of the scheduler: one fold of clusters, nodes, applications, decisions and reports.
//!
//! Rows hold the whole state; the indexes beside them are computed from the rows.

mod allocations;
mod applications;
mod excerpt;
mod index;
mod nodes;
mod placements;
mod questions;
mod rows;
mod tally;

#[cfg(test)]
mod tests;

pub(crate) use placements::cause_after;
pub use rows::{
    AllocationRow, ApplicationRow, AssignedRow, Availability, BlockedRow, Cause, ClusterRow, DecisionsRow,
    Ended, Failure, GoodRelease, Home, NodeRow, SlotKey, SlotRow, SpecRow,
};
pub(crate) use tally::{NodeTally, ServiceTally, is_resident};

use berth_events::{Event, Recorded};
use berth_eventsourcing::{RowError, RowKey, View};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use index::Index;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// Slots of a service: application and service.
pub type ServiceKey = (ApplicationId, String);

/// Everything the planner and the questions need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SchedulerView {
    pub(crate) clusters: BTreeMap<ClusterId, ClusterRow>,
    pub(crate) decisions: BTreeMap<ClusterId, DecisionsRow>,
    pub(crate) nodes: BTreeMap<NodeId, NodeRow>,
    pub(crate) assigned: BTreeMap<NodeId, AssignedRow>,
    pub(crate) applications: BTreeMap<ApplicationId, ApplicationRow>,
    pub(crate) allocations: BTreeMap<AllocationId, AllocationRow>,
    pub(crate) slots: BTreeMap<SlotKey, SlotRow>,
    pub(crate) blocked: BTreeMap<ServiceKey, BlockedRow>,
    pub(crate) specs: BTreeMap<String, SpecRow>,
    pub(crate) index: Index,
}

/// Kinds of rows.
mod kind {
    pub(super) const CLUSTER: &str = "cluster";
    pub(super) const DECISIONS: &str = "decisions";
    pub(super) const NODE: &str = "node";
    pub(super) const ASSIGNED: &str = "assigned";
    pub(super) const APPLICATION: &str = "application";
    pub(super) const ALLOCATION: &str = "allocation";
    pub(super) const SLOT: &str = "slot";
    pub(super) const BLOCKED: &str = "blocked";
    pub(super) const SPEC: &str = "spec";
}

impl View for SchedulerView {
    const NAME: &'static str = "scheduler";
    const VERSION: u32 = 8;

    fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<RowKey> {
        let mut touched = match event {
            Event::Cluster(event) => self.apply_cluster(recorded, event),
            Event::Node(event) => self.apply_node(recorded, event),
            Event::Application(event) => self.apply_application(recorded, event),
            Event::Placement(event) => self.apply_placement(recorded, event),
            Event::Allocation(event) => self.apply_allocation(recorded, event),
            Event::Name(_) => self.apply_name(recorded),
            Event::Template(_)
            | Event::Build(_)
            | Event::Account(_)
            | Event::Token(_)
            | Event::Credential(_)
            | Event::Secret(_)
            | Event::Platform(_) => vec![],
        };
        touched.sort();
        touched.dedup();
        touched
    }

    fn row(&self, key: &RowKey) -> Option<String> {
        let id = key.key.as_str();
        match key.kind.as_str() {
            kind::CLUSTER => encode(self.clusters.get(&id.parse().ok()?)),
            kind::DECISIONS => encode(self.decisions.get(&id.parse().ok()?)),
            kind::NODE => encode(self.nodes.get(&id.parse().ok()?)),
            kind::ASSIGNED => encode(self.assigned.get(&id.parse().ok()?)),
            kind::APPLICATION => encode(self.applications.get(&id.parse().ok()?)),
            kind::ALLOCATION => encode(self.allocations.get(&id.parse().ok()?)),
            kind::SLOT => encode(self.slots.get(&id.parse().ok()?)),
            kind::BLOCKED => encode(self.blocked.get(&service_key(id)?)),
            kind::SPEC => encode(self.specs.get(id)),
            _ => None,
        }
    }

    fn restore(&mut self, key: RowKey, json: &str) -> Result<(), RowError> {
        let id = key.key.as_str();
        match key.kind.as_str() {
            kind::CLUSTER => put(&mut self.clusters, id.parse().ok(), &key, json),
            kind::DECISIONS => put(&mut self.decisions, id.parse().ok(), &key, json),
            kind::NODE => put(&mut self.nodes, id.parse().ok(), &key, json),
            kind::ASSIGNED => put(&mut self.assigned, id.parse().ok(), &key, json),
            kind::APPLICATION => put(&mut self.applications, id.parse().ok(), &key, json),
            kind::ALLOCATION => {
                put(&mut self.allocations, id.parse().ok(), &key, json)?;
                if let Some(row) = id.parse().ok().and_then(|id| self.allocations.get(&id)) {
                    self.index.insert(row, &self.specs);
                }
                Ok(())
            }
            kind::SLOT => put(&mut self.slots, id.parse().ok(), &key, json),
            kind::BLOCKED => put(&mut self.blocked, service_key(id), &key, json),
            kind::SPEC => {
                put(&mut self.specs, Some(id.to_owned()), &key, json)?;
                self.index.learn(id, &self.specs, &self.allocations);
                Ok(())
            }
            _ => Err(row_error(&key, None)),
        }
    }
}

fn encode<T: Serialize>(row: Option<&T>) -> Option<String> {
    row.and_then(|row| serde_json::to_string(row).ok())
}

fn put<K: Ord, T: DeserializeOwned>(
    map: &mut BTreeMap<K, T>,
    id: Option<K>,
    key: &RowKey,
    json: &str,
) -> Result<(), RowError> {
    let id = id.ok_or_else(|| row_error(key, None))?;
    let row = serde_json::from_str(json).map_err(|source| row_error(key, Some(source)))?;
    map.insert(id, row);
    Ok(())
}

fn row_error(key: &RowKey, source: Option<serde_json::Error>) -> RowError {
    RowError {
        view: SchedulerView::NAME,
        kind: key.kind.clone(),
        key: key.key.clone(),
        source,
    }
}

fn service_key(text: &str) -> Option<ServiceKey> {
    let (application, service) = text.split_once('/')?;
    Some((application.parse().ok()?, service.to_owned()))
}

fn blocked_key(key: &ServiceKey) -> RowKey {
    RowKey::new(kind::BLOCKED, format_args!("{}/{}", key.0, key.1))
}

fn slot_key(key: &SlotKey) -> RowKey {
    RowKey::new(kind::SLOT, key)
}
