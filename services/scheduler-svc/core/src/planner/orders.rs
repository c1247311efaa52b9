//! Collects orders by node and keeps a plan within the log's limits.

use crate::limits::{MAX_CHANGE_BYTES, MAX_ORDERS_PER_CHANGE, MAX_PLAN_BYTES, MAX_PLAN_EVENTS};
use berth_events::{Placed, PlacementDecided, ProjectSpec, StopOrder, spec::ContainerSpec};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What one placed container takes in an event beside its specification, at most, in bytes.
const PLACED_BYTES: usize = 1_500;
/// What one takes without its texts, at most, in bytes: names of fields, ids, numbers, two hashes.
const PLACED_FRAME_BYTES: usize = 700;
/// What an entry of a map of numbers takes without its name, at most, in bytes.
const ENTRY_BYTES: usize = 24;
/// With less room than this, a plan is taken for full.
const FULL_BYTES: usize = FRAME_BYTES + PLACED_BYTES;
/// What one stop order takes, at most, in bytes.
const STOP_BYTES: usize = 120;
/// What the frame of a change takes, at most, in bytes.
const FRAME_BYTES: usize = 400;

/// Orders of a plan.
#[derive(Debug, Default)]
pub(super) struct Orders<'a> {
    changes: HashMap<NodeId, Change<'a>>,
    events: usize,
    bytes: usize,
    /// A limit was met.
    pub(super) more: bool,
}

#[derive(Debug, Default)]
struct Change<'a> {
    place: Vec<Placed>,
    stop: Vec<StopOrder>,
    stopped: BTreeSet<AllocationId>,
    containers: BTreeMap<&'a str, &'a ContainerSpec>,
    projects: BTreeMap<ApplicationId, ProjectSpec>,
    drop_volumes: BTreeSet<String>,
    bytes: usize,
}

/// A container to place with what must stand beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parcel<'a> {
    pub(super) hash: &'a str,
    pub(super) container: &'a ContainerSpec,
    /// Size of the specification, of the project too.
    pub(super) bytes: usize,
}

impl<'a> Orders<'a> {
    /// Whether a container can still be placed on a node in this plan; if not, more is to come.
    pub(super) fn has_room(&mut self, node: NodeId, parcel: &Parcel<'a>) -> bool {
        let more = PLACED_BYTES + parcel.bytes;
        self.admits(node, more)
    }

    /// Nothing more of what is to be placed fits into this plan.
    pub(super) fn is_full(&self) -> bool {
        self.more && (self.events >= MAX_PLAN_EVENTS || self.bytes + FULL_BYTES > MAX_PLAN_BYTES)
    }

    /// Events, bytes, and whether there is more to come.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize, bool) {
        (self.events, self.bytes, self.more)
    }

    fn admits(&mut self, node: NodeId, bytes: usize) -> bool {
        let change = self.changes.get(&node);
        let (orders, used) = change.map_or((0, 0), |change| {
            (change.place.len() + change.stop.len(), change.bytes)
        });
        let fresh = change.is_none();
        let node_ok = fresh || (orders < MAX_ORDERS_PER_CHANGE && used + bytes <= MAX_CHANGE_BYTES);
        let plan_ok = self.bytes == 0
            || (self.bytes + bytes + FRAME_BYTES <= MAX_PLAN_BYTES
                && self.events + usize::from(fresh) <= MAX_PLAN_EVENTS);
        let admitted = node_ok && plan_ok;
        self.more |= !admitted;
        admitted
    }

    fn change(&mut self, node: NodeId, bytes: usize) -> &mut Change<'a> {
        if !self.changes.contains_key(&node) {
            self.events += 1;
            self.bytes += FRAME_BYTES;
        }
        self.bytes += bytes;
        let change = self.changes.entry(node).or_default();
        change.bytes += bytes;
        change
    }

    /// Places a container; [`Self::has_room`] was asked before.
    pub(super) fn place(
        &mut self,
        node: NodeId,
        placed: Placed,
        parcel: &Parcel<'a>,
        project: impl FnOnce() -> ProjectSpec,
    ) {
        let change = self.change(node, placed_bytes(&placed));
        let mut more = 0;
        if change.containers.insert(parcel.hash, parcel.container).is_none() {
            change.bytes += parcel.bytes;
            more = parcel.bytes;
        }
        change
            .projects
            .entry(placed.application_id)
            .or_insert_with(project);
        change.place.push(placed);
        self.bytes += more;
    }

    /// Stops a container, unless the plan is full.
    pub(super) fn stop(&mut self, node: NodeId, order: StopOrder) -> bool {
        // The first reason stands.
        let known = self.changes.get(&node);
        if known.is_some_and(|change| change.stopped.contains(&order.allocation_id)) {
            return true;
        }
        if !self.admits(node, STOP_BYTES) {
            return false;
        }
        let change = self.change(node, STOP_BYTES);
        change.stopped.insert(order.allocation_id);
        change.stop.push(order);
        true
    }

    /// Removes volumes, unless the plan is full.
    pub(super) fn drop_volumes(&mut self, node: NodeId, volumes: BTreeSet<String>) -> bool {
        let bytes = volumes.iter().map(|name| name.len() + 8).sum();
        if !self.admits(node, bytes) {
            return false;
        }
        self.change(node, bytes).drop_volumes.extend(volumes);
        true
    }

    /// Counts an event that is no change of a node, unless the plan is full.
    pub(super) fn count(&mut self, bytes: usize) -> bool {
        let fits = self.bytes == 0 || (self.events < MAX_PLAN_EVENTS && self.bytes + bytes <= MAX_PLAN_BYTES);
        if fits {
            self.events += 1;
            self.bytes += bytes;
        }
        self.more |= !fits;
        fits
    }

    /// The changes by node, each from the generation that its node has, with their sizes in bytes, at most.
    pub(super) fn into_changes(
        self,
        cluster_id: ClusterId,
        generation: impl Fn(NodeId) -> u64,
    ) -> (Vec<PlacementDecided>, Vec<usize>) {
        let mut changes: Vec<_> = self.changes.into_iter().collect();
        changes.sort_unstable_by_key(|(node_id, _)| *node_id);
        let decided = |(node_id, change): (NodeId, Change<'a>)| {
            let decided = PlacementDecided {
                cluster_id,
                node_id,
                previous: generation(node_id),
                place: change.place,
                stop: change.stop,
                containers: change
                    .containers
                    .into_iter()
                    .map(|(hash, container)| (hash.to_owned(), container.clone()))
                    .collect(),
                projects: change.projects,
                drop_volumes: change.drop_volumes,
            };
            (decided, change.bytes + FRAME_BYTES)
        };
        changes.into_iter().map(decided).unzip()
    }
}

/// What a placed container takes in an event beside its specification, at most, in bytes.
fn placed_bytes(placed: &Placed) -> usize {
    let why = &placed.why;
    let names = why.refused.keys().chain(why.score.keys());
    let entries: usize = names.map(|name| name.len() + ENTRY_BYTES).sum();
    PLACED_FRAME_BYTES + placed.service.len() + why.cause.len() + entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::{
        PlacementReason,
        spec::{RestartCondition, RestartPolicy},
    };
    use berth_ids::ReleaseId;

    #[test]
    fn a_placed_container_takes_no_more_than_is_counted() {
        let placed = Placed {
            allocation_id: AllocationId::from_u128(1),
            application_id: ApplicationId::from_u128(1),
            release_id: ReleaseId::from_u128(1),
            service: "web".into(),
            slot: u32::MAX,
            spec_hash: "0".repeat(64),
            restart: RestartPolicy {
                condition: RestartCondition::OnFailure,
                max_attempts: u32::MAX,
                delay_ms: u64::MAX,
            },
            why: PlacementReason {
                cause: "node_lost".into(),
                candidates: u32::MAX,
                refused: [("max_replicas_per_node".to_owned(), u32::MAX)].into(),
                score: [("spread zone".to_owned(), i64::MIN)].into(),
            },
            image_digest: Some(format!("sha256:{}", "0".repeat(64))),
        };
        let text = serde_json::to_string(&placed).unwrap();
        let counted = placed_bytes(&placed);
        assert!(text.len() <= counted, "{} of {counted}: {text}", text.len());
        assert!(counted <= PLACED_BYTES);
    }
}
