//! One observation against what is known: which events are news.

use super::{Phase, Seen, allocation_of, phase_after, phase_of_retry};
use crate::limits::MAX_MESSAGE_BYTES;
use berth_events::{
    AllocationCreated, AllocationEvent, AllocationExited, AllocationFailed, AllocationHealthy,
    AllocationPulling, AllocationRemoved, AllocationRestarted, AllocationRetryScheduled, AllocationRunning,
    AllocationStopping, AllocationUnhealthy, Observed, ReportMark, RetryStep,
};
use berth_ids::AllocationId;
use std::collections::BTreeMap;

/// The events that bring the known state to the observed one; none if it is older or the same.
pub(super) fn news(
    known: Option<&Seen>,
    allocation_id: AllocationId,
    report: ReportMark,
    observed: &Observed,
) -> Vec<AllocationEvent> {
    if matches!(observed, Observed::Removed) {
        // Also for an allocation that was never seen: its order to stop may have come before its start.
        return vec![AllocationEvent::Removed(AllocationRemoved {
            allocation_id,
            report,
        })];
    }
    let before = known.map_or(Phase::Placed, |seen| seen.phase);
    if let Observed::Retrying { .. } = observed {
        return retrying(known, before, allocation_id, report, observed);
    }
    let after = phase_of(observed);
    // What has ended stays ended, and nothing goes back.
    if !before.is_live() || after < before || (after == before && after != Phase::Running) {
        return vec![];
    }
    match observed {
        Observed::Pulling { image } => vec![AllocationEvent::Pulling(AllocationPulling {
            allocation_id,
            report,
            image: image.clone(),
        })],
        Observed::Created {
            container_id,
            container_name,
            image_id,
            image_digest,
        } => vec![AllocationEvent::ContainerCreated(AllocationCreated {
            allocation_id,
            report,
            container_id: container_id.clone(),
            container_name: container_name.clone(),
            image_id: image_id.clone(),
            image_digest: image_digest.clone(),
        })],
        Observed::Running { .. } => running(known, allocation_id, report, observed),
        Observed::Stopping => vec![AllocationEvent::Stopping(AllocationStopping {
            allocation_id,
            report,
        })],
        Observed::Exited(status) => vec![AllocationEvent::Exited(AllocationExited {
            allocation_id,
            report,
            exit_code: status.exit_code,
            oom_killed: status.oom_killed,
        })],
        Observed::Failed { reason, message } => vec![AllocationEvent::Failed(AllocationFailed {
            allocation_id,
            report,
            reason: *reason,
            message: bounded(message),
        })],
        Observed::Retrying { .. } | Observed::Removed => vec![],
    }
}

/// One that ran and ended goes back to being there without running; nothing else goes back.
fn retrying(
    known: Option<&Seen>,
    before: Phase,
    allocation_id: AllocationId,
    report: ReportMark,
    observed: &Observed,
) -> Vec<AllocationEvent> {
    let Observed::Retrying {
        step,
        message,
        attempt,
        exit,
        next_try_at,
    } = observed
    else {
        return vec![];
    };
    let latest = match step {
        RetryStep::Run => Phase::Running,
        RetryStep::Pull | RetryStep::Secrets | RetryStep::Create | RetryStep::Start => phase_of_retry(*step),
    };
    let told = known.is_some_and(|seen| seen.retry == Some((*step, *next_try_at)));
    if before > latest || told {
        return vec![];
    }
    vec![AllocationEvent::RetryScheduled(AllocationRetryScheduled {
        allocation_id,
        report,
        step: *step,
        message: bounded(message),
        attempt: *attempt,
        exit_code: exit.map(|exit| exit.exit_code),
        oom_killed: exit.is_some_and(|exit| exit.oom_killed),
        next_try_at: *next_try_at,
    })]
}

fn running(
    known: Option<&Seen>,
    allocation_id: AllocationId,
    report: ReportMark,
    observed: &Observed,
) -> Vec<AllocationEvent> {
    let Observed::Running {
        container_id,
        addresses,
        ports,
        restarts,
        healthy,
        health_output,
        last_exit,
    } = observed
    else {
        return vec![];
    };
    let mut events = Vec::new();
    let restarted = *restarts > known.map_or(0, |seen| seen.restarts);
    if restarted {
        events.push(AllocationEvent::Restarted(AllocationRestarted {
            allocation_id,
            report,
            restarts: *restarts,
            exit_code: last_exit.map_or(0, |exit| exit.exit_code),
            oom_killed: last_exit.is_some_and(|exit| exit.oom_killed),
        }));
    }
    let same = known.is_some_and(|seen| {
        seen.phase == Phase::Running
            && seen.container_id == *container_id
            && seen.addresses == *addresses
            && seen.ports == *ports
    });
    if restarted || !same {
        events.push(AllocationEvent::Running(AllocationRunning {
            allocation_id,
            report,
            container_id: container_id.clone(),
            addresses: addresses.clone(),
            ports: ports.clone(),
        }));
    }
    let health_before = known.filter(|_| !restarted).and_then(|seen| seen.healthy);
    match healthy {
        Some(true) if health_before != Some(true) => {
            events.push(AllocationEvent::Healthy(AllocationHealthy {
                allocation_id,
                report,
            }));
        }
        Some(false) if health_before != Some(false) => {
            events.push(AllocationEvent::Unhealthy(AllocationUnhealthy {
                allocation_id,
                report,
                output: bounded(health_output),
            }));
        }
        Some(_) | None => {}
    }
    events
}

fn phase_of(observed: &Observed) -> Phase {
    match observed {
        Observed::Pulling { .. } => Phase::Pulling,
        Observed::Created { .. } => Phase::Created,
        Observed::Running { .. } => Phase::Running,
        Observed::Retrying { step, .. } => phase_of_retry(*step),
        Observed::Stopping => Phase::Stopping,
        Observed::Exited(_) => Phase::Exited,
        Observed::Failed { .. } | Observed::Removed => Phase::Failed,
    }
}

/// At most [`MAX_MESSAGE_BYTES`], cut between characters.
fn bounded(text: &str) -> String {
    let mut end = text.len().min(MAX_MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

pub(super) fn evolve(allocations: &mut BTreeMap<AllocationId, Seen>, event: &AllocationEvent) {
    let (Some(id), Some(phase)) = (allocation_of(event), phase_after(event)) else {
        return;
    };
    let seen = allocations.entry(id).or_insert_with(|| Seen {
        phase,
        container_id: String::new(),
        restarts: 0,
        healthy: None,
        addresses: BTreeMap::new(),
        ports: Vec::new(),
        retry: None,
    });
    seen.phase = phase;
    seen.retry = None;
    match event {
        AllocationEvent::ContainerCreated(created) => seen.container_id.clone_from(&created.container_id),
        AllocationEvent::Running(running) => {
            seen.container_id.clone_from(&running.container_id);
            seen.addresses.clone_from(&running.addresses);
            seen.ports.clone_from(&running.ports);
        }
        AllocationEvent::Healthy(_) => seen.healthy = Some(true),
        AllocationEvent::Unhealthy(_) => seen.healthy = Some(false),
        AllocationEvent::Restarted(restarted) => {
            seen.restarts = restarted.restarts;
            seen.healthy = None;
        }
        AllocationEvent::RetryScheduled(retry) => {
            seen.retry = Some((retry.step, retry.next_try_at));
            seen.healthy = None;
        }
        AllocationEvent::Pulling(_)
        | AllocationEvent::Stopping(_)
        | AllocationEvent::Exited(_)
        | AllocationEvent::Failed(_)
        | AllocationEvent::Lost(_)
        | AllocationEvent::Removed(_)
        | AllocationEvent::VolumesDropped(_) => {}
    }
}
