//! What the node reports, until its owner has it.

use super::{Moment, Node};
use crate::{
    reports::{is_news, observed, urgency},
    seen::Seen,
};
use berth_events::{AllocationReport, Digest, ObservationKind, RecordedUpTo, RetryStep};
use berth_ids::AllocationId;

impl Node {
    /// Takes note of what is new of a container.
    pub(super) fn report(&mut self, id: AllocationId, moment: Moment) {
        let (Some(desired), Some(seen), Some(track)) =
            (self.desired(id), self.shown(id), self.tracks.get(&id))
        else {
            return;
        };
        let Some(state) = observed(desired, &seen, track) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        if is_news(track.reported.as_ref(), &state) {
            let urgency = urgency(track.reported.as_ref(), &state);
            track.reported = Some(state.clone());
            self.revision += 1;
            let what = ObservationKind::Allocation {
                allocation_id: id,
                state,
            };
            self.journal.record(what, urgency, moment.wall);
        }
    }

    /// A container that ended and waits for its restart is told of at once, with its last words.
    pub(super) fn tell_end(&mut self, id: AllocationId, moment: Moment) {
        let is_wanted = self.assignment.wanted().contains_key(&id);
        let (Some(Seen::Ended { exit, output, .. }), Some(track)) =
            (self.seen.get(&id), self.tracks.get_mut(&id))
        else {
            return;
        };
        if is_wanted && track.setback.is_none() {
            track.set_back(RetryStep::Run, output, track.in_a_row, Some(*exit), moment);
            self.revision += 1;
            self.report(id, moment);
        }
    }

    /// The owner has recorded reports.
    pub fn recorded_up_to(&mut self, recorded: &RecordedUpTo) {
        self.journal.recorded_up_to(recorded);
        self.revision += 1;
    }

    /// Reports with everything above `number` that is not known to be recorded.
    pub fn reports_after(&self, number: u64) -> Vec<AllocationReport> {
        self.journal
            .reports_after(number, self.node_id, self.cluster_id, |id| {
                self.traceparent(id).map(str::to_owned)
            })
    }

    /// A report of everything that the node holds.
    pub fn digest(&self) -> AllocationReport {
        let allocations = self
            .tracks
            .iter()
            .filter_map(|(id, track)| Some((*id, track.reported.clone()?)))
            .collect();
        AllocationReport {
            node_id: self.node_id,
            cluster_id: self.cluster_id,
            journal: self.journal.id(),
            items: Vec::new(),
            digest: Some(Digest {
                generation: self.assignment.generation(),
                last_number: self.journal.last_number(),
                allocations,
            }),
            traceparent: None,
        }
    }
}
