//! What is seen while a change is tried out: who was there, who came, who went, and how few were ready.

use crate::{
    planner::{Plan, Settle},
    view::{AllocationRow, SchedulerView, SlotKey},
};
use berth_events::{Placed, StopReason, spec::PullPolicy};
use berth_ids::{AllocationId, ApplicationId, Name, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// A container that was there at the beginning and was to stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Old {
    pub(super) allocation_id: AllocationId,
    pub(super) node_id: NodeId,
}

/// A container that came.
#[derive(Debug, Clone)]
pub(super) struct New {
    pub(super) node_id: NodeId,
    pub(super) step: u32,
    pub(super) placed: Placed,
}

/// A container that went: in which step, and why; without a reason it was given up with its node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    pub(super) step: u32,
    pub(super) reason: Option<StopReason>,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Notes {
    application: ApplicationId,
    /// The last step in which a container came or went; 0: none did.
    pub(super) steps: u32,
    looked_at: u32,
    /// Containers of each slot that were there, newest last: a slot has two while one takes over from the other.
    pub(super) old: BTreeMap<SlotKey, Vec<Old>>,
    pub(super) new: BTreeMap<SlotKey, New>,
    pub(super) gone: BTreeMap<AllocationId, Gone>,
    pub(super) pulls: BTreeMap<String, BTreeSet<Name>>,
    pub(super) ready: BTreeMap<String, u32>,
    pub(super) least_ready: BTreeMap<String, u32>,
    images: BTreeSet<(NodeId, String)>,
}

impl Notes {
    pub(super) fn new(view: &SchedulerView, application: ApplicationId) -> Self {
        let kept = view.allocations().filter(|row| row.is_kept());
        let ran = view
            .allocations()
            .filter(|row| row.running_since.is_some() || row.phase == crate::allocation::Phase::Created);
        let images = ran.filter_map(|row| Some((row.node_id, view.container(&row.spec_hash)?.image.clone())));
        let mut notes = Self {
            application,
            images: images.collect(),
            ..Self::default()
        };
        for row in kept {
            notes.old.entry(slot_of(row)).or_default().push(old(row));
        }
        notes.ready = notes.ready_now(view);
        notes.least_ready = notes.ready.clone();
        notes
    }

    /// One step: its plans, and the view after them, before any agent has done anything.
    pub(super) fn step(&mut self, view: &SchedulerView, plans: &[Plan]) {
        // The first one is what happens at once, also if that is nothing.
        let step = self.looked_at + 1;
        let (news, losses) = (self.new.len(), self.gone.len());
        let mut acted = false;
        for plan in plans {
            for change in &plan.changes {
                acted |= !change.place.is_empty() || !change.stop.is_empty();
                for order in &change.stop {
                    let reason = Some(order.reason);
                    self.gone
                        .entry(order.allocation_id)
                        .or_insert(Gone { step, reason });
                }
                for placed in &change.place {
                    let container = change.containers.get(&placed.spec_hash);
                    if let Some(container) = container {
                        self.note_image(view, change.node_id, &container.image, container.pull_policy);
                    }
                    let key = SlotKey {
                        application_id: placed.application_id,
                        service: placed.service.clone(),
                        slot: placed.slot,
                    };
                    let (node_id, placed) = (change.node_id, placed.clone());
                    // The first is what is said for sure; another of the same slot would follow from it.
                    self.new.entry(key).or_insert(New {
                        node_id,
                        step,
                        placed,
                    });
                }
            }
            self.note_lost(step, &plan.settle);
        }
        acted |= news != self.new.len() || losses != self.gone.len();
        if acted {
            self.steps = step;
        }
        self.looked_at = self.steps.max(1);
        for (service, ready) in self.ready_now(view) {
            let least = self.least_ready.entry(service).or_insert(ready);
            *least = ready.min(*least);
        }
    }

    fn note_lost(&mut self, step: u32, settled: &[Settle]) {
        for settle in settled {
            if let Settle::Lost { allocations, .. } = settle {
                for id in allocations {
                    self.gone.entry(*id).or_insert(Gone { step, reason: None });
                }
            }
        }
    }

    fn note_image(&mut self, view: &SchedulerView, node_id: NodeId, image: &str, policy: PullPolicy) {
        let known = !self.images.insert((node_id, image.to_owned()));
        let pulled = match policy {
            PullPolicy::Always => true,
            // When a node took an image is its agent's to know.
            PullPolicy::Missing | PullPolicy::Every { .. } => !known,
            PullPolicy::Never => false,
        };
        if let Some(node) = view.node(node_id).filter(|_| pulled) {
            self.pulls
                .entry(image.to_owned())
                .or_default()
                .insert(node.name.clone());
        }
    }

    /// The newest container that a slot had.
    pub(super) fn last_of(&self, slot: &SlotKey) -> Option<Old> {
        self.old.get(slot)?.last().copied()
    }

    /// Ready containers of each service of the application; 0 for services without one.
    fn ready_now(&self, view: &SchedulerView) -> BTreeMap<String, u32> {
        let mut ready: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        let services = view
            .application(self.application)
            .map(|row| row.spec.services.keys());
        for name in services.into_iter().flatten() {
            ready.entry(name.clone()).or_default();
        }
        let names: Vec<String> = view.index.services(self.application).map(str::to_owned).collect();
        for name in names {
            let slots = ready.entry(name.clone()).or_default();
            for row in view.allocations_of(self.application, &name) {
                let answers = view.node(row.node_id).is_some_and(|node| !node.lost);
                let spec = view.container(&row.spec_hash);
                if answers && spec.is_some_and(|spec| row.is_well(spec)) {
                    slots.insert(row.slot);
                }
            }
        }
        let count = |slots: BTreeSet<u32>| u32::try_from(slots.len()).unwrap_or(u32::MAX);
        ready
            .into_iter()
            .map(|(name, slots)| (name, count(slots)))
            .collect()
    }
}

fn old(row: &AllocationRow) -> Old {
    Old {
        allocation_id: row.allocation_id,
        node_id: row.node_id,
    }
}

fn slot_of(row: &AllocationRow) -> SlotKey {
    SlotKey {
        application_id: row.application_id,
        service: row.service.clone(),
        slot: row.slot,
    }
}
