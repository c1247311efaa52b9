//! Folds decisions: each is a node's new generation.

use super::{
    AllocationRow, BlockedRow, Home, SchedulerView, SpecRow, allocations::slot_of, blocked_key, kind,
    slot_key,
};
use crate::{allocation::Phase, is_node_local};
use berth_events::{
    Placed, PlacementBlocked, PlacementDecided, PlacementEvent, Recorded, StopOrder, StopReason,
};
use berth_eventsourcing::RowKey;
use berth_ids::{ClusterId, NodeId};
use std::{collections::BTreeSet, sync::Arc};

impl SchedulerView {
    pub(super) fn apply_placement(&mut self, recorded: &Recorded, event: &PlacementEvent) -> Vec<RowKey> {
        let Ok(cluster) = recorded.stream.key().parse::<ClusterId>() else {
            return vec![];
        };
        self.decisions.entry(cluster).or_default().version = recorded.version;
        let mut touched = vec![RowKey::new(kind::DECISIONS, cluster)];
        match event {
            PlacementEvent::Decided(decided) => touched.extend(self.apply_decided(recorded, decided)),
            PlacementEvent::Blocked(blocked) => touched.push(self.apply_blocked(blocked)),
        }
        touched
    }

    fn apply_decided(&mut self, recorded: &Recorded, decided: &PlacementDecided) -> Vec<RowKey> {
        // The stops come first: a slot may be freed and taken in one change.
        let mut touched = Vec::new();
        for order in &decided.stop {
            touched.extend(self.apply_stop(recorded.position, order));
        }
        for placed in &decided.place {
            touched.extend(self.apply_placed(recorded, decided, placed));
        }
        touched.extend(self.note_dropped(decided));
        if self.nodes.contains_key(&decided.node_id) {
            let assigned = self.assigned.entry(decided.node_id).or_default();
            assigned.generation = recorded.position;
            assigned.drop_volumes.extend(decided.drop_volumes.iter().cloned());
            touched.push(RowKey::new(kind::ASSIGNED, decided.node_id));
        }
        touched
    }

    fn apply_stop(&mut self, position: u64, order: &StopOrder) -> Vec<RowKey> {
        let Some(row) = self.allocations.get_mut(&order.allocation_id) else {
            return vec![];
        };
        self.index.uncount(row, &self.specs);
        row.stop = Some(order.reason);
        row.stop_at = position;
        row.stop_by.clone_from(&order.by);
        self.index.count(row, &self.specs);
        let live = row.phase.is_live();
        let slot = slot_of(row);
        let mut touched = vec![RowKey::new(kind::ALLOCATION, order.allocation_id)];
        if live {
            let state = self.slots.entry(slot.clone()).or_default();
            state.cause = Some(cause_after(order.reason).to_owned());
            state.pushed_out_by.clone_from(&order.by);
            touched.push(slot_key(&slot));
        }
        touched
    }

    fn apply_placed(
        &mut self,
        recorded: &Recorded,
        decided: &PlacementDecided,
        placed: &Placed,
    ) -> Vec<RowKey> {
        if let Some(known) = self.allocations.remove(&placed.allocation_id) {
            self.index.remove(&known, &self.specs);
        }
        let row = AllocationRow {
            allocation_id: placed.allocation_id,
            cluster_id: decided.cluster_id,
            node_id: decided.node_id,
            application_id: placed.application_id,
            service: placed.service.clone(),
            slot: placed.slot,
            release_id: placed.release_id,
            spec_hash: placed.spec_hash.clone(),
            image_digest: placed.image_digest.clone(),
            restart: placed.restart,
            placed_at: recorded.position,
            why: placed.why.clone(),
            phase: Phase::Placed,
            healthy: None,
            restarts: 0,
            running_since: None,
            stop: None,
            stop_at: 0,
            stop_by: None,
            ending: None,
            ports: Vec::new(),
        };
        let slot = slot_of(&row);
        let mut touched = vec![
            RowKey::new(kind::ALLOCATION, placed.allocation_id),
            slot_key(&slot),
            RowKey::new(kind::SPEC, &placed.spec_hash),
        ];
        if let Some(container) = decided.containers.get(&placed.spec_hash) {
            let spec = self
                .specs
                .entry(placed.spec_hash.clone())
                .or_insert_with(|| SpecRow {
                    container: Arc::new(container.clone()),
                    users: 0,
                });
            spec.users += 1;
            self.index
                .learn(&placed.spec_hash, &self.specs, &self.allocations);
        }
        touched.extend(self.remember_home(decided, placed, &slot));
        let state = self.slots.entry(slot).or_default();
        // An end that nobody ordered makes this placement one more attempt.
        if state.ended.take().is_some() {
            state.attempts = state.attempts.saturating_add(1);
        }
        state.cause = None;
        state.pushed_out_by = None;
        self.index.insert(&row, &self.specs);
        self.allocations.insert(placed.allocation_id, row);
        touched
    }

    fn remember_home(
        &mut self,
        decided: &PlacementDecided,
        placed: &Placed,
        slot: &super::SlotKey,
    ) -> Option<RowKey> {
        let container = decided.containers.get(&placed.spec_hash)?;
        container.named_volumes().next()?;
        let project = decided.projects.get(&placed.application_id);
        let spec = |name: &str| project.and_then(|project| project.volumes.get(name));
        let local = container.named_volumes().filter(|name| is_node_local(spec(name)));
        let volumes: BTreeSet<String> = local.map(str::to_owned).collect();
        if !volumes.is_empty() {
            self.set_home(decided.node_id, volumes, slot);
        }
        let application = self.applications.get_mut(&placed.application_id)?;
        application.volume_nodes.insert(decided.node_id);
        Some(RowKey::new(kind::APPLICATION, placed.application_id))
    }

    fn set_home(&mut self, node_id: NodeId, volumes: BTreeSet<String>, slot: &super::SlotKey) {
        let node_name = self
            .nodes
            .get(&node_id)
            .map(|node| node.name.to_string())
            .unwrap_or_default();
        let state = self.slots.entry(slot.clone()).or_default();
        let proven = state
            .home
            .as_ref()
            .is_some_and(|home| home.node_id == node_id && home.proven);
        state.home = Some(Home {
            node_id,
            node_name,
            volumes,
            proven,
        });
    }

    /// The volumes of applications that go are ordered to go from this node: that is done once.
    fn note_dropped(&mut self, decided: &PlacementDecided) -> Vec<RowKey> {
        let mut touched = Vec::new();
        if decided.drop_volumes.is_empty() {
            return touched;
        }
        for row in self.applications.values_mut() {
            let names = row.engine_volumes();
            if row.removing == Some(true)
                && row.cluster_id == decided.cluster_id
                && names.iter().any(|name| decided.drop_volumes.contains(name))
                && row.volume_nodes.remove(&decided.node_id)
            {
                touched.push(RowKey::new(kind::APPLICATION, row.application_id));
            }
        }
        touched
    }

    fn apply_blocked(&mut self, blocked: &PlacementBlocked) -> RowKey {
        let key = (blocked.application_id, blocked.service.clone());
        let row_key = blocked_key(&key);
        if blocked.slots.is_empty() {
            self.blocked.remove(&key);
        } else {
            self.blocked.insert(
                key,
                BlockedRow {
                    slots: blocked.slots.clone(),
                    report: blocked.report.clone(),
                },
            );
        }
        row_key
    }
}

/// What the next placement of a slot is caused by, after a stop for this reason.
pub(crate) fn cause_after(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Surplus => "scaled",
        StopReason::Changed => "changed",
        StopReason::Restart => "restarted",
        StopReason::ApplicationStopped | StopReason::ApplicationRemoved => "started",
        StopReason::Drained => "drained",
        StopReason::Ended => "crashed",
        StopReason::Replaced => "node_lost",
        StopReason::Misplaced => "misplaced",
        StopReason::PushedOut => "pushed_out",
    }
}
