//! Answers about containers.

use crate::{
    AllocationRow, ApiView, Block, MAX_ENDED_OF_SLOT,
    explain::{self, explain, makes_room},
};
use berth_api::{Container, ContainerState, ContainerWhy, NodeStatus};

/// Cause of a placement whose slot's container failed.
const CRASHED: &str = "crashed";

impl ApiView {
    /// The answer about a container, as lists hold it: without its history.
    pub fn container(&self, row: &AllocationRow) -> Container {
        Container {
            id: row.id,
            name: self.container_name(row),
            application_id: row.application_id,
            application: self.application_name(row.application_id),
            service: row.service.clone(),
            slot: row.slot,
            node_id: row.node_id,
            node: row.node_name.clone(),
            cluster_id: row.cluster_id,
            release_id: row.release_id,
            image: row.image.clone(),
            state: self.shown_state(row),
            pull_percent: None,
            health: row.health,
            health_output: row.health_output.clone(),
            restarts: row.restarts,
            exit_code: row.exit_code,
            oom_killed: row.oom_killed,
            failure: row.failure,
            message: row.message.clone().or_else(|| self.failed_before(row)),
            retry: row.retry.clone(),
            stop_reason: row.stop_reason,
            container_id: row.container_id.clone(),
            image_id: row.image_id.clone(),
            image_digest: row.image_digest.clone(),
            addresses: row.addresses.clone(),
            ports: row.ports.clone(),
            placed_at: row.placed_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            pending: self.waiting(row).map(|block| block.report.summary.clone()),
            why: row.why.clone(),
            history: Vec::new(),
        }
    }

    /// Why the slot of an ended container has no other one yet, if it should.
    pub(crate) fn waiting(&self, row: &AllocationRow) -> Option<&Block> {
        let application = self.applications.get(&row.application_id)?;
        let block = application.blocks.get(&row.service)?;
        let waits = row.state.ended() && block.slots.contains(&row.slot) && self.is_newest(row);
        waits.then_some(block)
    }

    /// Its slot had no other container after it.
    fn is_newest(&self, row: &AllocationRow) -> bool {
        !self.allocations_of(row.application_id).any(|other| {
            other.service == row.service
                && other.slot == row.slot
                && (other.placed_position, other.id) > (row.placed_position, row.id)
        })
    }

    /// What a container does, as far as anybody knows: nothing is known of a lost node.
    pub(crate) fn shown_state(&self, row: &AllocationRow) -> ContainerState {
        let is_lost = |node: &crate::NodeRow| node.status() == NodeStatus::Lost;
        if !row.state.ended() && self.nodes.get(&row.node_id).is_some_and(is_lost) {
            ContainerState::Lost
        } else {
            row.state
        }
    }

    /// How the slot's container before this one failed, while this one does not run yet.
    fn failed_before(&self, row: &AllocationRow) -> Option<String> {
        let starts = matches!(
            row.state,
            ContainerState::Placed | ContainerState::Pulling | ContainerState::Created
        );
        if !starts || row.why.cause != CRASHED {
            return None;
        }
        self.allocations_of(row.application_id)
            .filter(|other| other.service == row.service && other.slot == row.slot)
            .filter(|other| (other.placed_position, other.id) < (row.placed_position, row.id))
            .max_by_key(|other| (other.placed_position, other.id))
            .and_then(explain::failed)
            .map(|how| format!("the one before failed {how}"))
    }

    /// The answer about a container, with its history.
    pub fn container_in_full(&self, row: &AllocationRow) -> Container {
        Container {
            history: row.history.clone(),
            ..self.container(row)
        }
    }

    /// Why a container is where it is, or why it does not run.
    pub fn container_why(&self, row: &AllocationRow) -> ContainerWhy {
        let same_slot = |other: &&AllocationRow| {
            other.service == row.service && other.slot == row.slot && other.id != row.id
        };
        let newest = !self
            .allocations_of(row.application_id)
            .filter(same_slot)
            .any(|other| other.placed_position > row.placed_position);
        let waits = newest && !row.state.ended() && row.stop_reason.is_some_and(makes_room);
        let mut before: Vec<&AllocationRow> = self
            .allocations_of(row.application_id)
            .filter(same_slot)
            .filter(|other| (other.placed_position, other.id) < (row.placed_position, row.id))
            .collect();
        before.sort_by_key(|other| std::cmp::Reverse((other.placed_position, other.id)));
        before.truncate(MAX_ENDED_OF_SLOT);
        let block = self
            .applications
            .get(&row.application_id)
            .and_then(|application| application.blocks.get(&row.service))
            .filter(|block| block.slots.contains(&row.slot));
        ContainerWhy {
            container: self.container_in_full(row),
            explanation: explain(
                row,
                self.nodes.get(&row.node_id),
                block,
                waits,
                self.failed_before(row),
            ),
            predecessors: before.into_iter().map(|other| self.container(other)).collect(),
        }
    }
}
