//! How events change an allocation's row.

use crate::{AllocationRow, MAX_HISTORY, countable::reserved_countables};
use berth_api::{ContainerHealth, ContainerState, Retry, StateChange};
use berth_events::{
    AllocationEvent, AllocationRetryScheduled, Placed, PlacementDecided, Recorded, RetryStep,
};
use berth_ids::AllocationId;

/// The row of an allocation whose place was just decided.
pub(crate) fn placed(
    recorded: &Recorded,
    decided: &PlacementDecided,
    placed: &Placed,
    node_name: String,
) -> AllocationRow {
    let container = decided.containers.get(&placed.spec_hash);
    let mut row = AllocationRow {
        id: placed.allocation_id,
        cluster_id: decided.cluster_id,
        application_id: placed.application_id,
        node_id: decided.node_id,
        node_name,
        release_id: placed.release_id,
        service: placed.service.clone(),
        slot: placed.slot,
        image: container
            .map(|container| container.image.clone())
            .unwrap_or_default(),
        has_healthcheck: container.is_some_and(|container| {
            container
                .healthcheck
                .as_ref()
                .is_some_and(|check| check.test != ["NONE"])
        }),
        cpu_millis: container.map_or(0, |container| container.resources.cpu_reserved_millis),
        memory_bytes: container.map_or(0, |container| container.resources.memory_reserved_bytes),
        countables: container.map(reserved_countables).unwrap_or_default(),
        restart: placed.restart,
        why: placed.why.clone(),
        placed_at: recorded.recorded_at,
        placed_position: recorded.position,
        stop_reason: None,
        state: ContainerState::Placed,
        health: ContainerHealth::Unknown,
        health_output: None,
        restarts: 0,
        exit_code: None,
        oom_killed: false,
        failure: None,
        message: None,
        retry: None,
        output: String::new(),
        container_id: None,
        container_name: None,
        image_id: None,
        image_digest: placed.image_digest.clone(),
        addresses: Default::default(),
        ports: Vec::new(),
        started_at: None,
        ended_at: None,
        history: Vec::new(),
    };
    remember(&mut row, recorded, placed.why.cause.clone());
    row
}

/// The allocation that an event is about.
pub(crate) fn of(event: &AllocationEvent) -> Option<AllocationId> {
    Some(match event {
        AllocationEvent::Pulling(event) => event.allocation_id,
        AllocationEvent::ContainerCreated(event) => event.allocation_id,
        AllocationEvent::Running(event) => event.allocation_id,
        AllocationEvent::Healthy(event) => event.allocation_id,
        AllocationEvent::Unhealthy(event) => event.allocation_id,
        AllocationEvent::Restarted(event) => event.allocation_id,
        AllocationEvent::RetryScheduled(event) => event.allocation_id,
        AllocationEvent::Stopping(event) => event.allocation_id,
        AllocationEvent::Exited(event) => event.allocation_id,
        AllocationEvent::Failed(event) => event.allocation_id,
        AllocationEvent::Lost(event) => event.allocation_id,
        AllocationEvent::Removed(event) => event.allocation_id,
        AllocationEvent::VolumesDropped(_) => return None,
    })
}

/// Takes what an agent saw into the row.
pub(crate) fn change(row: &mut AllocationRow, recorded: &Recorded, event: &AllocationEvent) {
    let at = recorded.recorded_at;
    row.retry = None;
    let detail = match event {
        AllocationEvent::Pulling(pulling) => {
            row.state = ContainerState::Pulling;
            pulling.image.clone()
        }
        AllocationEvent::ContainerCreated(created) => {
            row.state = ContainerState::Created;
            row.container_id = Some(created.container_id.clone());
            row.container_name = Some(created.container_name.clone());
            row.image_id = Some(created.image_id.clone());
            if created.image_digest.is_some() {
                row.image_digest.clone_from(&created.image_digest);
            }
            created.container_name.clone()
        }
        AllocationEvent::Running(running) => {
            row.state = ContainerState::Running;
            row.container_id = Some(running.container_id.clone());
            row.addresses = running.addresses.clone();
            row.ports = running.ports.clone();
            row.started_at = Some(at);
            String::new()
        }
        AllocationEvent::Healthy(_) => {
            row.health = ContainerHealth::Healthy;
            row.health_output = None;
            String::new()
        }
        AllocationEvent::Unhealthy(unhealthy) => {
            row.health = ContainerHealth::Unhealthy;
            row.health_output = Some(unhealthy.output.clone());
            unhealthy.output.clone()
        }
        AllocationEvent::Restarted(restarted) => {
            row.state = ContainerState::Running;
            row.health = ContainerHealth::Unknown;
            row.restarts = restarted.restarts;
            row.exit_code = Some(restarted.exit_code);
            row.oom_killed = restarted.oom_killed;
            row.started_at = Some(at);
            ending(restarted.exit_code, restarted.oom_killed)
        }
        AllocationEvent::RetryScheduled(retry) => retrying(row, retry),
        AllocationEvent::Stopping(_) => {
            row.state = ContainerState::Stopping;
            String::new()
        }
        AllocationEvent::Exited(exited) => {
            row.exit_code = Some(exited.exit_code);
            row.oom_killed = exited.oom_killed;
            if exited.exit_code != 0 && !row.output.is_empty() {
                row.message = Some(format!("it said before a restart: {}", row.output));
            }
            end(row, ContainerState::Exited, recorded);
            ending(exited.exit_code, exited.oom_killed)
        }
        AllocationEvent::Failed(failed) => {
            row.failure = Some(failed.reason);
            row.message = Some(failed.message.clone());
            end(row, ContainerState::Failed, recorded);
            failed.message.clone()
        }
        AllocationEvent::Lost(_) => {
            end(row, ContainerState::Lost, recorded);
            String::new()
        }
        AllocationEvent::Removed(_) => {
            end(row, ContainerState::Removed, recorded);
            String::new()
        }
        AllocationEvent::VolumesDropped(_) => return,
    };
    remember(row, recorded, detail);
}

fn retrying(row: &mut AllocationRow, retry: &AllocationRetryScheduled) -> String {
    let how = match retry.step {
        RetryStep::Run => {
            // The restart that is under way counts, as with the engine itself; it is told once it has worked.
            if row.state != ContainerState::Restarting {
                row.restarts = row.restarts.saturating_add(1);
            }
            row.restarts = row.restarts.max(retry.attempt);
            row.state = ContainerState::Restarting;
            row.exit_code = retry.exit_code;
            row.oom_killed = retry.oom_killed;
            row.health = ContainerHealth::Unknown;
            row.output = retry.message.trim().to_owned();
            format!("{}: ", ending(retry.exit_code.unwrap_or(0), retry.oom_killed))
        }
        RetryStep::Pull | RetryStep::Secrets | RetryStep::Create | RetryStep::Start => String::new(),
    };
    row.retry = Some(Retry {
        step: retry.step,
        message: retry.message.clone(),
        attempt: retry.attempt,
        next_try_at: retry.next_try_at,
    });
    format!("{how}{}", retry.message)
}

fn end(row: &mut AllocationRow, state: ContainerState, recorded: &Recorded) {
    row.state = state;
    row.health = ContainerHealth::Unknown;
    if row.ended_at.is_none() {
        row.ended_at = Some(recorded.recorded_at);
    }
}

/// How a container ended, in words.
pub(crate) fn ending(exit_code: i64, oom_killed: bool) -> String {
    if oom_killed {
        format!("code {exit_code}, killed for want of memory")
    } else {
        format!("code {exit_code}")
    }
}

fn remember(row: &mut AllocationRow, recorded: &Recorded, detail: String) {
    row.history.push(StateChange {
        event: recorded.type_name.to_string(),
        at: recorded.recorded_at,
        position: recorded.position,
        detail,
    });
    let surplus = row.history.len().saturating_sub(MAX_HISTORY);
    row.history.drain(..surplus);
}
