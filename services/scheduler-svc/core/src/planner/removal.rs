//! Ends of containers and applications, and the end of the plan.

use super::{Planner, Settle, block::BACKOFF, plan::Plan, unwanted_reason};
use crate::{
    allocation::Phase,
    view::{AllocationRow, ApplicationRow},
};
use berth_events::{Category, Event, PlacementBlocked, ReleaseMethod, StopOrder, StopReason, StreamName};
use berth_eventsourcing::Guard;

/// What the event of a lost allocation takes, at most, in bytes.
const LOST_BYTES: usize = 300;
/// What the event of a settled thing takes, at most, in bytes.
const SETTLED_BYTES: usize = 300;

/// Filters of reports about slots that wait for something else than a place.
const NO_PLACE_NEEDED: &[&str] = &[BACKOFF, "depends_on", "release", "restart"];

impl<'a> Planner<'a, '_> {
    /// A service that is no longer in the file: all its containers go. While others come in its place, those that
    /// hold nothing back `stay` until these are ready, so that somebody always answers.
    pub(super) fn withdraw(&mut self, application: &'a ApplicationRow, name: &'a str, stay: bool) {
        let reason = unwanted_reason(application);
        for row in self.view.allocations_of(application.application_id, name) {
            let held = stay && row.is_kept() && !self.is_in_the_way(row);
            if !held {
                self.dismiss(row, reason);
            }
        }
    }

    /// A release brings services that were not there before, and all of them have a place.
    pub(super) fn others_come(&self, application: &ApplicationRow) -> bool {
        let goes = application.removing.is_some() || application.stopped || application.settled;
        if goes || application.method != ReleaseMethod::Rolling {
            return false;
        }
        let Some(good) = &application.good else {
            return false;
        };
        let mut names = application.spec.services.keys();
        let new = names.any(|name| !good.spec.services.contains_key(name));
        new && application.spec.services.keys().all(|name| {
            let known = self.view.blocked(application.application_id, name);
            let now = self.blocked.iter().find(|blocked| {
                blocked.application_id == application.application_id && blocked.service == *name
            });
            let report = now
                .map(|blocked| &blocked.report)
                .or(known.map(|row| &row.report));
            let mut refusals = report.into_iter().flat_map(|report| &report.refusals);
            refusals.all(|refusal| NO_PLACE_NEEDED.contains(&refusal.filter.as_str()))
        })
    }

    /// A container that cannot stay beside its successor: two must not write to one volume, and its node is to be
    /// emptied or does not answer.
    fn is_in_the_way(&self, row: &AllocationRow) -> bool {
        let container = self.view.container(&row.spec_hash);
        let writes = container.is_none_or(|container| container.named_volumes().next().is_some());
        let site = self.world.site_of(row.node_id);
        writes || self.world.is_lost(row.node_id) || site.is_none_or(|at| self.world.sites[at].is_draining())
    }

    /// A container that is not wanted goes, whatever its state.
    pub(super) fn dismiss(&mut self, row: &'a AllocationRow, reason: StopReason) {
        let phase = self.world.phase(row);
        if phase == Phase::Lost {
            return;
        }
        if phase.is_live() && self.world.is_lost(row.node_id) {
            self.give_up(row);
        } else if row.stop.is_none() {
            self.order_stop(row, reason);
        }
    }

    pub(super) fn order_stop(&mut self, row: &AllocationRow, reason: StopReason) -> bool {
        let order = StopOrder {
            allocation_id: row.allocation_id,
            reason,
            by: None,
        };
        let ordered = self.orders.stop(row.node_id, order);
        if ordered {
            self.concerned.insert(row.application_id);
        }
        ordered
    }

    /// Declares an allocation of a lost node lost, unless the plan is full.
    pub(super) fn give_up(&mut self, row: &AllocationRow) -> bool {
        let counted = self.orders.count(LOST_BYTES);
        if counted {
            self.world.give_up(row);
        }
        counted
    }

    /// An application that goes: volumes are ordered away, and it is gone when nothing is left.
    pub(super) fn remove(&mut self, application: &'a ApplicationRow) {
        let volumes = application.engine_volumes();
        let with_volumes = application.removing == Some(true) && !volumes.is_empty();
        let mut waits = false;
        if with_volumes {
            for node in &application.volume_nodes {
                if self.world.site_of(*node).is_some() {
                    self.orders.drop_volumes(*node, volumes.clone());
                    waits = true;
                }
            }
            // A lost node is not waited for: the order waits for it.
            waits |= self
                .world
                .sites
                .iter()
                .filter(|site| !site.row.lost)
                .filter_map(|site| site.drop_volumes())
                .any(|going| !going.is_disjoint(&volumes));
        }
        let id = application.application_id;
        let left = self.view.index.has_any(id)
            && self
                .view
                .index
                .services(id)
                .flat_map(|service| self.view.allocations_of(id, service))
                .any(|row| !(row.phase == Phase::Lost && self.world.is_lost(row.node_id)));
        if !waits && !left {
            self.settle.push(Settle::Removed {
                application_id: id,
                name: application.name.clone(),
                version: application.version,
            });
        }
    }

    pub(super) fn finish(mut self) -> Plan {
        let recorded = std::mem::take(&mut self.settle);
        for settle in recorded {
            let drain = matches!(settle, Settle::Drain { .. });
            if drain || self.orders.count(settle_bytes(&settle)) {
                self.settle.push(settle);
            }
        }
        let blocked = std::mem::take(&mut self.blocked);
        let blocked: Vec<PlacementBlocked> = blocked
            .into_iter()
            .filter(|event| {
                let bytes = serde_json::to_vec(event).map_or(0, |text| text.len());
                self.orders.count(bytes)
            })
            .collect();
        let lost = std::mem::take(&mut self.world.lost);
        for (node_id, allocations) in lost {
            self.settle.push(Settle::Lost {
                node_id,
                allocations,
                version: self.view.assigned(node_id).allocations_version,
            });
        }
        let cluster_id = self.cluster.cluster_id;
        let guards = self.guards();
        let view = self.view;
        let more = self.orders.more;
        let (changes, sizes) = self
            .orders
            .into_changes(cluster_id, |node| view.assigned(node).generation);
        Plan {
            cluster_id,
            decisions_version: view.decisions_version(cluster_id),
            blocked,
            settle: self.settle,
            guards,
            wake_at: self.wake_at,
            more,
            changes,
            sizes,
        }
    }

    /// The plan rests on the applications it changes something for, the nodes it chose and those it holds
    /// for lost.
    fn guards(&self) -> Vec<Guard> {
        let lost = self.settle.iter().filter_map(|settle| match settle {
            Settle::Lost { node_id, .. } => Some(*node_id),
            _ => None,
        });
        let nodes: std::collections::BTreeSet<_> = self.chosen.iter().copied().chain(lost).collect();
        let applications = self
            .concerned
            .iter()
            .filter_map(|id| self.view.application(*id))
            .map(|row| Guard {
                stream: StreamName::new(Category::Application, row.application_id),
                at_most: row.version,
            });
        nodes
            .iter()
            .filter_map(|id| self.view.node(*id))
            .map(|row| Guard {
                stream: StreamName::new(Category::Node, row.node_id),
                at_most: row.version,
            })
            .chain(applications)
            .collect()
    }
}

/// What the events of a settled thing take, at most, in bytes; of containers that are given up, each.
pub(super) fn settle_bytes(settle: &Settle) -> usize {
    match settle {
        Settle::ReleaseFailed { events, .. } => events
            .iter()
            .filter_map(|event| Event::from(event.clone()).encode().ok())
            .map(|text| text.len() + SETTLED_BYTES)
            .sum(),
        Settle::ImagesPinned { images, .. } => {
            let bytes = images.iter().map(|(image, digest)| image.len() + digest.len());
            bytes.sum::<usize>() + SETTLED_BYTES
        }
        _ => SETTLED_BYTES,
    }
}
