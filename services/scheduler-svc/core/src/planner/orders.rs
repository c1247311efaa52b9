//! Collects orders by node and keeps a plan within the log's limits.

use crate::limits::{MAX_CHANGE_BYTES, MAX_ORDERS_PER_CHANGE, MAX_PLAN_BYTES, MAX_PLAN_EVENTS};
use berth_events::{Placed, PlacementDecided, ProjectSpec, StopOrder, spec::ContainerSpec};
use berth_ids::{ApplicationId, ClusterId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// What one placed container takes in an event beside its specification, at most, in bytes.
const PLACED_BYTES: usize = 1_500;
/// With less room than this, a plan is taken for full.
const FULL_BYTES: usize = FRAME_BYTES + PLACED_BYTES;
/// What one stop order takes, at most, in bytes.
const STOP_BYTES: usize = 120;
/// What the frame of a change takes, at most, in bytes.
const FRAME_BYTES: usize = 400;

/// Orders of a plan.
#[derive(Debug, Default)]
pub(super) struct Orders<'a> {
    changes: BTreeMap<NodeId, Change<'a>>,
    events: usize,
    bytes: usize,
    /// A limit was met.
    pub(super) more: bool,
}

#[derive(Debug, Default)]
struct Change<'a> {
    place: Vec<Placed>,
    stop: Vec<StopOrder>,
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
    pub(super) fn place(&mut self, node: NodeId, placed: Placed, parcel: &Parcel<'a>, project: ProjectSpec) {
        let known = self
            .changes
            .get(&node)
            .is_some_and(|change| change.containers.contains_key(parcel.hash));
        let bytes = PLACED_BYTES + if known { 0 } else { parcel.bytes };
        let change = self.change(node, bytes);
        change.containers.insert(parcel.hash, parcel.container);
        change.projects.insert(placed.application_id, project);
        change.place.push(placed);
    }

    /// Stops a container, unless the plan is full.
    pub(super) fn stop(&mut self, node: NodeId, order: StopOrder) -> bool {
        // The first reason stands.
        let known = self
            .changes
            .get(&node)
            .map(|change| change.stop.as_slice())
            .unwrap_or_default();
        if known
            .iter()
            .any(|known| known.allocation_id == order.allocation_id)
        {
            return true;
        }
        if !self.admits(node, STOP_BYTES) {
            return false;
        }
        self.change(node, STOP_BYTES).stop.push(order);
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

    /// The changes, each from the generation that its node has.
    pub(super) fn into_changes(
        self,
        cluster_id: ClusterId,
        generation: impl Fn(NodeId) -> u64,
    ) -> Vec<PlacementDecided> {
        self.changes
            .into_iter()
            .map(|(node_id, change)| PlacementDecided {
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
            })
            .collect()
    }
}
