//! Plans a cluster: which containers run where, and a reason for each that does not.
//!
//! A plan is plain data and valid alone; whoever appends it plans again until the plan is empty. The same
//! view, moment and ids give the same plan, and planning after a plan's own events gives an empty one
//! (commands to cluster-svc aside: its answer is its own event).
//!
//! A replacement is stop first, unless the service's update policy says otherwise: the old container ends,
//! then its slot is placed anew. At most half of a service's containers (at least one) are out for drains at
//! a time, and for changes and restarts without a policy.

mod block;
mod calm;
mod candidates;
mod choose;
mod countable;
mod domains;
mod fill;
mod filters;
mod images;
mod orders;
mod parts;
mod pattern;
mod plan;
mod rejection;
mod release;
mod removal;
mod request;
mod room;
mod service;
mod site;
mod slots;
mod succession;
mod world;

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) mod variants;

#[cfg(test)]
pub(crate) use parts::PartLimit;
pub use pattern::Pattern;
pub use plan::{Plan, Settle};
pub use rejection::Filter;
pub(crate) use rejection::{bytes, cores};

use crate::view::{ApplicationRow, Availability, ClusterRow, SchedulerView};
use berth_events::{
    PlacementBlocked, ReleaseFailure, StopReason,
    spec::{Operator, UpdatePolicy},
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, Timestamp};
use orders::Orders;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use world::World;

/// Plans a cluster. Ids of new allocations come from `ids`.
pub fn plan(
    view: &SchedulerView,
    cluster: ClusterId,
    now: Timestamp,
    ids: &mut dyn FnMut() -> AllocationId,
) -> Plan {
    let Some(row) = view.cluster(cluster) else {
        return Plan::empty(cluster);
    };
    let mut planner = Planner {
        view,
        cluster: row,
        now,
        world: World::new(view, cluster),
        ids,
        orders: Orders::default(),
        blocked: Vec::new(),
        settle: Vec::new(),
        chosen: HashSet::new(),
        concerned: BTreeSet::new(),
        pushed_out: BTreeSet::new(),
        failure: None,
        pins: BTreeMap::new(),
        wake_at: None,
    };
    planner.applications();
    planner.sites();
    planner.finish()
}

/// A plan in the making.
struct Planner<'a, 'i> {
    view: &'a SchedulerView,
    cluster: &'a ClusterRow,
    now: Timestamp,
    world: World<'a>,
    ids: &'i mut dyn FnMut() -> AllocationId,
    orders: Orders<'a>,
    blocked: Vec<PlacementBlocked>,
    settle: Vec<Settle>,
    /// Nodes that got a container: the plan rests on what is known of them.
    chosen: HashSet<NodeId>,
    /// Applications that the plan changes something for.
    concerned: BTreeSet<ApplicationId>,
    /// Containers that make way in this plan for more important ones.
    pushed_out: BTreeSet<AllocationId>,
    /// Why the release of the application at hand has failed, and the policy that says what then.
    failure: Option<(UpdatePolicy, ReleaseFailure)>,
    /// Digests of the images of the application at hand.
    pins: BTreeMap<String, String>,
    wake_at: Option<Timestamp>,
}

impl<'a> Planner<'a, '_> {
    /// All services from the most important down; those as important as each other by application, in order.
    fn applications(&mut self) {
        let all: Vec<&'a ApplicationRow> = self.view.applications_of(self.cluster.cluster_id).collect();
        let going = |row: &ApplicationRow| self.cluster.deleting == Some(true) && row.removing.is_none();
        let (going, staying): (Vec<_>, Vec<_>) = all.into_iter().partition(|row| going(row));
        for row in going {
            self.settle.push(Settle::RemoveRequested {
                application_id: row.application_id,
                version: row.version,
            });
        }
        let mut services = Vec::new();
        for (at, application) in staying.iter().enumerate() {
            for name in in_order(application) {
                if let Some(spec) = application.spec.services.get(name) {
                    services.push((spec.labels.priority, at, name, spec));
                }
            }
        }
        services.sort_by_key(|(priority, ..)| std::cmp::Reverse(*priority));
        let mut pins: Vec<_> = staying.iter().map(|row| self.pin(row)).collect();
        let mut ends: Vec<_> = staying.iter().map(|row| (row.release_number > 0, None)).collect();
        for (_, at, name, spec) in services {
            std::mem::swap(&mut self.pins, &mut pins[at]);
            ends[at].0 &= self.service(staying[at], name, spec);
            std::mem::swap(&mut self.pins, &mut pins[at]);
            if let Some(failure) = self.failure.take() {
                ends[at].1 = Some(failure);
            }
        }
        for (application, (settled, failure)) in staying.into_iter().zip(ends) {
            self.finish_application(application, settled, failure);
        }
    }

    /// What an application comes to after all its services.
    fn finish_application(
        &mut self,
        application: &'a ApplicationRow,
        settled: bool,
        failure: Option<(UpdatePolicy, ReleaseFailure)>,
    ) {
        let id = application.application_id;
        let gone: Vec<&str> = self
            .view
            .index
            .services(id)
            .filter(|name| !application.spec.services.contains_key(*name))
            .collect();
        let stay = !settled && self.others_come(application);
        for name in gone {
            self.withdraw(application, name, stay);
        }
        if application.removing.is_some() {
            self.remove(application);
        } else if let Some((policy, failure)) = failure {
            self.settle.push(Settle::ReleaseFailed {
                application_id: id,
                version: application.version,
                events: release::failed(application, &policy, failure),
            });
        } else if settled && !application.stopped && !application.settled && !release::is_held(application) {
            self.settle.push(Settle::Release {
                application_id: id,
                release_id: application.release_id,
                version: application.version,
            });
        }
    }

    /// What concerns nodes rather than services: leftovers of lost times, and drains that have ended.
    fn sites(&mut self) {
        // Containers may outlive their application.
        let mut known = self.view.index.applications();
        let orphans = known.any(|id| self.view.application(id).is_none());
        for at in 0..self.world.sites.len() {
            let site = &self.world.sites[at];
            let node = site.row;
            if node.lost {
                continue;
            }
            let left = orphans || site.has_lost();
            let rows = left.then(|| self.view.allocations_on(node.node_id));
            for row in rows.into_iter().flatten() {
                let orphan = self.view.application(row.application_id).is_none();
                if row.stop.is_none() && (orphan || row.phase == crate::allocation::Phase::Lost) {
                    let reason = if orphan {
                        StopReason::ApplicationRemoved
                    } else {
                        StopReason::Replaced
                    };
                    self.order_stop(row, reason);
                }
            }
            if let Availability::Draining {
                deadline_at,
                force,
                position,
            } = node.availability
            {
                self.drain(at, deadline_at, force, position);
            }
        }
    }

    fn drain(&mut self, at: usize, deadline_at: Timestamp, force: bool, position: u64) {
        let node_id = self.world.sites[at].row.node_id;
        let live = || {
            self.view
                .allocations_on(node_id)
                .filter(|row| self.world.phase(row).is_live())
        };
        let left = live().count();
        let movable = live().filter(|row| !self.is_held(row)).count();
        let over = self.now >= deadline_at;
        let remaining = match (left, movable, over) {
            (0, _, _) => Some(0),
            // Only what a volume holds is left, and nobody will stop it.
            (_, 0, _) if !force => Some(0),
            (left, _, true) if !force => Some(left),
            (_, _, true) => None,
            (_, _, false) => {
                self.wake(deadline_at);
                None
            }
        };
        if let Some(remaining) = remaining {
            self.settle.push(Settle::Drain {
                node_id,
                remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
                position,
            });
        }
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
    }
}

/// Why containers go that are not wanted.
fn unwanted_reason(application: &ApplicationRow) -> StopReason {
    if application.removing.is_some() {
        StopReason::ApplicationRemoved
    } else if application.stopped {
        StopReason::ApplicationStopped
    } else {
        StopReason::Surplus
    }
}

/// Services in the order in which they are placed: after those that they depend on or want to be near.
fn in_order(application: &ApplicationRow) -> Vec<&str> {
    let services = &application.spec.services;
    let mut open: BTreeMap<&str, BTreeSet<&str>> = services
        .iter()
        .map(|(name, spec)| {
            let near = spec
                .placement
                .affinities
                .iter()
                .filter(|rule| rule.subject == "service" && rule.operator == Operator::Equal)
                .map(|rule| rule.pattern.as_str());
            let before = spec.depends_on.keys().map(String::as_str).chain(near);
            (
                name.as_str(),
                before
                    .filter(|other| services.contains_key(*other) && other != name)
                    .collect(),
            )
        })
        .collect();
    let mut order = Vec::with_capacity(open.len());
    while !open.is_empty() {
        let free = open
            .iter()
            .find(|(_, before)| before.iter().all(|other| !open.contains_key(other)));
        // In a circle (of wishes, since `depends_on` has none) the first by name goes first.
        let Some(next) = free.or_else(|| open.iter().next()).map(|(name, _)| *name) else {
            break;
        };
        open.remove(next);
        order.push(next);
    }
    order
}
