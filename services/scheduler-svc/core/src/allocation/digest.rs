//! A digest is everything a node holds: what differs from what is known is corrected.

use super::{NodeAllocations, Phase, Stopping, observe};
use berth_events::{
    AllocationEvent, AllocationFailed, AllocationRemoved, Digest, FailureReason, Observed, ReportMark,
};

/// The events that bring the known states to those of the digest.
pub(super) fn differences(
    state: &NodeAllocations,
    digest: &Digest,
    mark: ReportMark,
) -> Vec<AllocationEvent> {
    let mut events = Vec::new();
    for (id, observed) in &digest.allocations {
        let known = state.allocations.get(id);
        // What is not known and not there any more needs no word.
        if known.is_none() && matches!(observed, Observed::Removed) {
            continue;
        }
        events.extend(observe::news(known, *id, mark, observed));
    }
    for (id, seen) in &state.allocations {
        if digest.allocations.contains_key(id) {
            continue;
        }
        match seen.phase {
            // The engine had it and has it no longer, and nobody asked for that.
            Phase::Created | Phase::Running => {
                events.push(AllocationEvent::Failed(AllocationFailed {
                    allocation_id: *id,
                    report: mark,
                    reason: FailureReason::Vanished,
                    message: "the container is not on the node any more".to_owned(),
                }));
                events.push(removed(*id, mark));
            }
            Phase::Stopping | Phase::Exited | Phase::Failed | Phase::Lost => events.push(removed(*id, mark)),
            // Nothing is in the engine yet: the agent will begin anew.
            Phase::Placed | Phase::Pulling => {}
        }
    }
    events
}

/// What was told to stop before its agent ever heard of it: the agent obeys a later generation and has no
/// trace of it, so there is none.
pub(super) fn never_there(
    state: &NodeAllocations,
    digest: &Digest,
    stopping: &Stopping,
    mark: ReportMark,
) -> Vec<AllocationEvent> {
    stopping
        .iter()
        .filter(|(id, ordered_at)| {
            **ordered_at <= digest.generation
                && !digest.allocations.contains_key(id)
                && !state.allocations.contains_key(id)
        })
        .map(|(id, _)| removed(*id, mark))
        .collect()
}

fn removed(allocation_id: berth_ids::AllocationId, report: ReportMark) -> AllocationEvent {
    AllocationEvent::Removed(AllocationRemoved {
        allocation_id,
        report,
    })
}
