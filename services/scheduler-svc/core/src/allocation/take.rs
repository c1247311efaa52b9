//! Takes a report: numbers first, then what is in it.

use crate::limits::MAX_HOLE_DIGESTS;

use super::{AllocationAggregate, Hole, NodeAllocations, Stopping, digest, observe};
use berth_events::{
    AllocationEvent, AllocationReport, Digest, Observation, ObservationKind, RecordedUpTo, ReportMark,
    VolumesDropped,
};
use berth_eventsourcing::Aggregate;
use berth_ids::Timestamp;

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
/// the agent is asked to send again. A digest that is not older than what was taken is the whole truth and
/// corrects every difference; it does not stand for missing items, unless [`MAX_HOLE_DIGESTS`] in a row find
/// the same hole: then nobody has them any more (a log restored from a backup) and counting goes on.
///
/// `stopping` comes from the view ([`SchedulerView::stopping_on`]).
///
/// [`SchedulerView::stopping_on`]: crate::view::SchedulerView::stopping_on
///
/// The answer names the highest number with an event, so that a number that brought no news stays with the
/// agent until news follow, and a scheduler that starts anew never finds a hole that cannot be filled.
pub fn take(known: &NodeAllocations, report: &AllocationReport, stopping: &Stopping) -> Taken {
    let mut taken = Taken {
        events: Vec::new(),
        recorded: RecordedUpTo {
            journal: report.journal,
            number: u64::MAX,
            resend: false,
        },
        state: known.clone(),
    };
    if known.past_journals.contains(&report.journal) {
        return taken;
    }
    let mut number = known.taken_of(report.journal);
    for item in &report.items {
        if item.number <= number {
            continue;
        }
        if item.number > number + 1 {
            taken.recorded.resend = true;
            break;
        }
        number = item.number;
        let mark = mark(report, number, item.seen_at);
        let found = item_news(known_of(&taken.state, item), item, mark);
        apply(&mut taken, found);
        taken.state.note(mark);
    }
    if let Some(digest) = &report.digest
        && digest.last_number >= number
    {
        let mark = mark(report, number, newest(&taken.state, report));
        let mut found = digest::differences(&taken.state, digest, mark);
        found.extend(digest::never_there(&taken.state, digest, stopping, mark));
        apply(&mut taken, found);
        look_for_hole(&mut taken, report, digest, number);
    }
    taken.recorded.number = taken.state.recorded_of(report.journal);
    taken
}

fn newest(state: &NodeAllocations, report: &AllocationReport) -> Timestamp {
    report
        .items
        .last()
        .map_or(state.mark.seen_at, |item| item.seen_at)
}

fn look_for_hole(taken: &mut Taken, report: &AllocationReport, digest: &Digest, number: u64) {
    let seen_at = newest(&taken.state, report);
    let same = |hole: &Hole| hole.journal == report.journal && hole.after == number;
    let before = taken.state.hole.filter(same).map_or(0, |hole| hole.digests);
    taken.state.hole = None;
    if digest.last_number <= number {
        return;
    }
    let digests = before + 1;
    if digests >= MAX_HOLE_DIGESTS {
        taken.state.note(mark(report, digest.last_number, seen_at));
        return;
    }
    taken.recorded.resend = true;
    taken.state.hole = Some(Hole {
        journal: report.journal,
        after: number,
        digests,
    });
}

fn mark(report: &AllocationReport, number: u64, seen_at: Timestamp) -> ReportMark {
    ReportMark {
        journal: report.journal,
        number,
        seen_at,
    }
}

fn apply(taken: &mut Taken, found: Vec<AllocationEvent>) {
    for event in found {
        taken.state = AllocationAggregate::evolve(std::mem::take(&mut taken.state), &event);
        taken.events.push(event);
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
