//! Folds what agents reported.

use super::{AllocationRow, Ended, Failure, SchedulerView, SlotKey, SlotRow, kind, slot_key};
use crate::{
    allocation::{Phase, allocation_of, phase_after},
    limits::{MAX_FAILURES, STABLE_AFTER},
};
use berth_events::{AllocationEvent, FailureReason, Recorded};
use berth_eventsourcing::RowKey;
use berth_ids::{AllocationId, NodeId};

pub(super) fn slot_of(row: &AllocationRow) -> SlotKey {
    SlotKey {
        application_id: row.application_id,
        service: row.service.clone(),
        slot: row.slot,
    }
}

impl SchedulerView {
    pub(super) fn apply_allocation(&mut self, recorded: &Recorded, event: &AllocationEvent) -> Vec<RowKey> {
        let Ok(node) = recorded.stream.key().parse::<NodeId>() else {
            return vec![];
        };
        if !self.nodes.contains_key(&node) {
            return vec![];
        }
        let assigned = self.assigned.entry(node).or_default();
        assigned.allocations_version = recorded.version;
        let mut touched = vec![RowKey::new(kind::ASSIGNED, node)];
        if let AllocationEvent::VolumesDropped(dropped) = event {
            for volume in &dropped.volumes {
                assigned.drop_volumes.remove(volume);
            }
            return touched;
        }
        let Some(id) = allocation_of(event) else {
            return touched;
        };
        // A word about a container of another node, or one that is long gone, changes nothing.
        if self.allocations.get(&id).is_some_and(|row| row.node_id == node) {
            touched.extend(self.observe(recorded, id, event));
        }
        touched
    }

    fn observe(&mut self, recorded: &Recorded, id: AllocationId, event: &AllocationEvent) -> Vec<RowKey> {
        let Some(row) = self.allocations.get_mut(&id) else {
            return vec![];
        };
        self.index.uncount(row, &self.specs);
        let slot = slot_of(row);
        let mut touched = vec![RowKey::new(kind::ALLOCATION, id), slot_key(&slot)];
        let state = self.slots.entry(slot).or_default();
        match event {
            AllocationEvent::ContainerCreated(created) => {
                if created.image_digest.is_some() {
                    row.image_digest.clone_from(&created.image_digest);
                }
                prove_home(state, row.node_id);
            }
            AllocationEvent::Running(running) => {
                row.ports.clone_from(&running.ports);
                if row.phase != Phase::Running || row.running_since.is_none() {
                    row.running_since = Some(recorded.recorded_at);
                }
                state.ran_at = recorded.position;
                prove_home(state, row.node_id);
            }
            AllocationEvent::Healthy(_) => row.healthy = Some(true),
            AllocationEvent::Unhealthy(_) => row.healthy = Some(false),
            AllocationEvent::Restarted(restarted) => {
                let more = restarted.restarts.saturating_sub(row.restarts);
                state.attempts = state.attempts.saturating_add(more);
                row.restarts = restarted.restarts;
                row.healthy = None;
                row.running_since = Some(recorded.recorded_at);
            }
            AllocationEvent::RetryScheduled(_) => row.healthy = None,
            AllocationEvent::Exited(exited) => {
                row.ending = Some(format!("exited with code {}", exited.exit_code));
                end(state, row, recorded, Some(exited.exit_code), false);
            }
            AllocationEvent::Failed(failed) => {
                row.ending = Some(ending(failed.reason, &failed.message));
                let taken_away = failed.reason == FailureReason::Vanished;
                end(state, row, recorded, None, taken_away);
                release_unproven_home(state, row, failed.reason);
            }
            AllocationEvent::Lost(_) => {
                if row.phase.is_live() && row.stop.is_none() {
                    state.cause = Some("node_lost".to_owned());
                }
            }
            AllocationEvent::Removed(_) => {
                if row.phase.is_live() && row.stop.is_none() {
                    row.ending = Some("removed from the engine by somebody else".to_owned());
                    end(state, row, recorded, None, true);
                }
            }
            AllocationEvent::Pulling(_)
            | AllocationEvent::Stopping(_)
            | AllocationEvent::VolumesDropped(_) => {}
        }
        let after = phase_after(event);
        row.phase = after.unwrap_or(row.phase);
        self.index.count(row, &self.specs);
        if after.is_none() {
            touched.extend(self.forget_allocation(id));
        }
        touched
    }

    /// Nothing of it is left anywhere.
    pub(super) fn forget_allocation(&mut self, id: AllocationId) -> Vec<RowKey> {
        let Some(row) = self.allocations.remove(&id) else {
            return vec![];
        };
        self.index.remove(&row, &self.specs);
        let mut touched = vec![RowKey::new(kind::ALLOCATION, id)];
        if let Some(spec) = self.specs.get_mut(&row.spec_hash) {
            spec.users = spec.users.saturating_sub(1);
            if spec.users == 0 {
                self.specs.remove(&row.spec_hash);
            }
            touched.push(RowKey::new(kind::SPEC, &row.spec_hash));
        }
        touched
    }
}

fn prove_home(state: &mut SlotRow, node: NodeId) {
    if let Some(home) = &mut state.home
        && home.node_id == node
    {
        home.proven = true;
    }
}

/// It never came to a container there: no data can be there.
fn release_unproven_home(state: &mut SlotRow, row: &AllocationRow, reason: FailureReason) {
    let early = matches!(
        reason,
        FailureReason::Pull | FailureReason::Secrets | FailureReason::Create
    );
    if early
        && state
            .home
            .as_ref()
            .is_some_and(|home| home.node_id == row.node_id && !home.proven)
    {
        state.home = None;
    }
}

/// An allocation ended. By order: nothing to remember. By itself: the slot counts.
fn end(
    state: &mut SlotRow,
    row: &AllocationRow,
    recorded: &Recorded,
    exit_code: Option<i64>,
    taken_away: bool,
) {
    if row.stop.is_some() {
        return;
    }
    let changed = state
        .ended
        .as_ref()
        .map(|ended| &ended.spec_hash)
        .or(state.failures.last().map(|failure| &failure.spec_hash))
        .is_some_and(|hash| *hash != row.spec_hash);
    if changed {
        state.attempts = 0;
        state.failures.clear();
    }
    let stable = row
        .running_since
        .is_some_and(|since| recorded.recorded_at.since(since) >= STABLE_AFTER);
    if stable {
        state.failures.clear();
    }
    state.ended = Some(Ended {
        exit_code,
        position: recorded.position,
        spec_hash: row.spec_hash.clone(),
        ran: row.running_since.is_some(),
    });
    state.cause = Some("crashed".to_owned());
    state.failures.push(Failure {
        node_id: row.node_id,
        at: recorded.recorded_at,
        spec_hash: row.spec_hash.clone(),
        text: row.ending.clone().unwrap_or_default(),
        taken_away,
    });
    if state.failures.len() > MAX_FAILURES {
        state.failures.remove(0);
    }
}

fn ending(reason: FailureReason, message: &str) -> String {
    let step = match reason {
        FailureReason::Pull => "its image could not be pulled",
        FailureReason::Create => "the engine could not create it",
        FailureReason::Start => "the engine could not start it",
        FailureReason::Secrets => "its secrets could not be had",
        FailureReason::CrashLoop => "it ended again and again",
        FailureReason::Unhealthy => "its check failed again and again",
        FailureReason::Vanished => "its container vanished",
    };
    if message.is_empty() {
        step.to_owned()
    } else {
        format!("{step}: {message}")
    }
}
