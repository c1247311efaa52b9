//! Takes a report: numbers first, then what is in it.

use super::{AllocationAggregate, NodeAllocations, digest, observe};
use berth_events::{
    AllocationEvent, AllocationReport, Observation, ObservationKind, RecordedUpTo, ReportMark, VolumesDropped,
};
use berth_eventsourcing::Aggregate;

/// What a report comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What is news, in order.
    pub events: Vec<AllocationEvent>,
    /// What the agent is told once the events are committed.
    pub recorded: RecordedUpTo,
    /// The state after the events, with the numbers of those that brought none.
    pub state: NodeAllocations,
}

/// Takes a report.
///
/// Items up to the highest number taken are ignored; the first one beyond a hole and all after it too, and
/// the agent is asked to send again. A digest that is not older than what was taken is the whole truth: it
/// closes a hole and corrects every difference.
pub fn take(known: &NodeAllocations, report: &AllocationReport) -> Taken {
    let mut state = known.clone();
    if state.past_journals.contains(&report.journal) {
        return answer(state, vec![], report.journal, u64::MAX, false);
    }
    let mut number = if state.mark.journal == report.journal {
        state.mark.number
    } else {
        0
    };
    let mut events = Vec::new();
    let mut hole = false;
    for item in &report.items {
        if item.number <= number {
            continue;
        }
        if item.number > number + 1 {
            hole = true;
            break;
        }
        number = item.number;
        let mark = ReportMark {
            journal: report.journal,
            number,
            seen_at: item.seen_at,
        };
        let found = item_news(known_of(&state, item), item, mark);
        apply(&mut state, &mut events, found);
        state.note(mark);
    }
    if let Some(digest) = &report.digest
        && digest.last_number >= number
    {
        number = digest.last_number;
        // After the digest there is no hole before its number; items beyond it come again.
        hole = report.items.last().is_some_and(|item| item.number > number);
        let mark = ReportMark {
            journal: report.journal,
            number,
            seen_at: report
                .items
                .last()
                .map_or(state.mark.seen_at, |item| item.seen_at),
        };
        let found = digest::differences(&state, digest, mark);
        apply(&mut state, &mut events, found);
        state.note(mark);
    }
    answer(state, events, report.journal, number, hole)
}

fn answer(
    state: NodeAllocations,
    events: Vec<AllocationEvent>,
    journal: u64,
    number: u64,
    resend: bool,
) -> Taken {
    Taken {
        events,
        recorded: RecordedUpTo {
            journal,
            number,
            resend,
        },
        state,
    }
}

fn apply(state: &mut NodeAllocations, events: &mut Vec<AllocationEvent>, found: Vec<AllocationEvent>) {
    for event in found {
        *state = AllocationAggregate::evolve(std::mem::take(state), &event);
        events.push(event);
    }
}

fn known_of<'a>(state: &'a NodeAllocations, item: &Observation) -> Option<&'a super::Seen> {
    match &item.what {
        ObservationKind::Allocation { allocation_id, .. } => state.allocations.get(allocation_id),
        ObservationKind::VolumesDropped { .. } => None,
    }
}

fn item_news(known: Option<&super::Seen>, item: &Observation, mark: ReportMark) -> Vec<AllocationEvent> {
    match &item.what {
        ObservationKind::Allocation { allocation_id, state } => {
            observe::news(known, *allocation_id, mark, state)
        }
        ObservationKind::VolumesDropped { volumes } => {
            vec![AllocationEvent::VolumesDropped(VolumesDropped {
                volumes: volumes.clone(),
                report: mark,
            })]
        }
    }
}
