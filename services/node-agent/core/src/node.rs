//! The whole agent without its engine and bus: what it must run, what it saw, what it does next, what it
//! reports. The shell and the simulation drive this one value.

mod health;
mod holds;
mod peers;
mod reporting;

pub use health::{Probing, Verdict};
pub use peers::joined_services;

use crate::{
    assignment::{Applied, ApplyError, Assignment},
    journal::{Journal, Urgency},
    seen::Seen,
    step::{Desired, Failure, Situation, Step, next_step},
    track::Track,
};
use berth_events::{ObservationKind, PlacementDecided, spec::RestartPolicy};
use berth_ids::{AllocationId, ClusterId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most steps without effect (take note, forget) that one plan takes for one container.
const MAX_NOTES: usize = 4;

/// One moment on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// A clock that never jumps: for waits.
    pub now: Timestamp,
    /// The clock on the wall: for reports.
    pub wall: Timestamp,
}

/// Names the moment at which a look at the engine began: what happened since is newer than the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look(u64);

/// What to do now. Everything in it may be done at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// One step for each container that needs one.
    pub steps: Vec<(AllocationId, Step)>,
    /// Engine volumes to remove.
    pub drop_volumes: BTreeSet<String>,
    /// When to plan again at the latest, even if nothing happens.
    pub wake_at: Option<Timestamp>,
}

/// What the agent keeps on disk beside its assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredNode {
    /// What it remembers of each allocation.
    pub tracks: BTreeMap<AllocationId, Track>,
    /// Reports that are not known to be recorded.
    pub journal: Journal,
}

/// One node.
#[derive(Debug, Clone)]
pub struct Node {
    node_id: NodeId,
    cluster_id: ClusterId,
    assignment: Assignment,
    tracks: BTreeMap<AllocationId, Track>,
    journal: Journal,
    /// The last look at each container; none: nobody knows until the next look.
    seen: BTreeMap<AllocationId, Seen>,
    /// When each container was last known better than by a look.
    touched: BTreeMap<AllocationId, u64>,
    ticks: u64,
    busy: BTreeSet<AllocationId>,
    /// What probes said last.
    probes: BTreeMap<AllocationId, Verdict>,
    looked: bool,
    revision: u64,
    assignment_revision: u64,
}

impl Node {
    /// A node with what its disk holds. `journal_id` is random: numbers run anew from each start, because
    /// the disk may be behind what was sent. It may also be behind the assignment.
    ///
    /// # Errors
    /// [`ApplyError`] if the stored assignment is not complete.
    pub fn new(
        node_id: NodeId,
        cluster_id: ClusterId,
        assignment: Option<&berth_events::Assignment>,
        stored: Option<StoredNode>,
        journal_id: u64,
    ) -> Result<Self, ApplyError> {
        let (mut tracks, journal) = match stored {
            Some(stored) => (stored.tracks, stored.journal.renumbered(journal_id)),
            None => (BTreeMap::new(), Journal::new(journal_id)),
        };
        let assignment = assignment.map(Assignment::load).transpose()?.unwrap_or_default();
        for id in assignment.wanted().keys() {
            tracks.entry(*id).or_default();
        }
        Ok(Self {
            node_id,
            cluster_id,
            assignment,
            tracks,
            journal,
            seen: BTreeMap::new(),
            touched: BTreeMap::new(),
            ticks: 0,
            busy: BTreeSet::new(),
            probes: BTreeMap::new(),
            looked: false,
            revision: 0,
            assignment_revision: 0,
        })
    }

    /// What it must run.
    pub const fn assignment(&self) -> &Assignment {
        &self.assignment
    }
    /// Its reports.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }
    /// The last look at each container.
    pub const fn seen(&self) -> &BTreeMap<AllocationId, Seen> {
        &self.seen
    }
    /// Rises with each change that [`Self::store`] would show.
    pub const fn revision(&self) -> u64 {
        self.revision
    }
    /// Rises with each change of the assignment.
    pub const fn assignment_revision(&self) -> u64 {
        self.assignment_revision
    }
    /// No step is under way.
    pub fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }
    /// The assignment for the disk, if there is one.
    pub fn stored_assignment(&self) -> Option<berth_events::Assignment> {
        self.assignment.store(self.cluster_id, self.node_id)
    }
    /// Everything else for the disk.
    pub fn store(&self) -> StoredNode {
        StoredNode {
            tracks: self.tracks.clone(),
            journal: self.journal.clone(),
        }
    }
    /// Trace context of the newest order about an allocation.
    pub fn traceparent(&self, id: AllocationId) -> Option<&str> {
        self.tracks.get(&id)?.traceparent.as_deref()
    }

    /// Applies a change of the assignment.
    ///
    /// # Errors
    /// [`ApplyError`]: ask for the complete assignment. Nothing has changed.
    pub fn apply(
        &mut self,
        change: &PlacementDecided,
        position: u64,
        traceparent: Option<&str>,
    ) -> Result<Applied, ApplyError> {
        let applied = self.assignment.apply(change, position)?;
        if applied == Applied::Changed {
            self.revision += 1;
            self.assignment_revision += 1;
            let placed = change.place.iter().map(|placed| placed.allocation_id);
            let stopped = change.stop.iter().map(|order| order.allocation_id);
            for id in placed.chain(stopped) {
                self.track(id).traceparent = traceparent.map(str::to_owned);
            }
        }
        Ok(applied)
    }

    /// Takes a complete assignment.
    ///
    /// # Errors
    /// [`ApplyError`] if it is not complete. Nothing has changed.
    pub fn replace(&mut self, whole: &berth_events::Assignment) -> Result<Applied, ApplyError> {
        let applied = self.assignment.replace(whole)?;
        if applied == Applied::Changed {
            self.revision += 1;
            self.assignment_revision += 1;
            for placed in &whole.change.place {
                self.track(placed.allocation_id);
            }
        }
        Ok(applied)
    }

    /// A look at the engine begins.
    pub fn begin_look(&mut self) -> Look {
        self.ticks += 1;
        Look(self.ticks)
    }

    /// A look at the whole engine ended: every container with our labels of this node.
    pub fn looked(&mut self, look: Look, mut containers: BTreeMap<AllocationId, Seen>, moment: Moment) {
        self.looked = true;
        let ids: BTreeSet<AllocationId> = self.tracks.keys().chain(containers.keys()).copied().collect();
        for id in ids {
            let seen = containers.remove(&id).unwrap_or(Seen::Absent);
            self.looked_one(look, id, seen, moment);
        }
    }

    /// A look at one container ended. It says nothing if a step began or ended since the look began.
    pub fn looked_one(&mut self, look: Look, id: AllocationId, seen: Seen, moment: Moment) {
        let newer = self.touched.get(&id).is_some_and(|touched| *touched > look.0);
        // What is gone and forgotten stays forgotten: the engine tells of a removal late.
        let forgotten = seen == Seen::Absent && !self.tracks.contains_key(&id);
        if !self.busy.contains(&id) && !newer && !forgotten {
            self.see(id, seen, moment);
        }
    }

    /// The engine fetches the image of an allocation.
    pub fn pulling(&mut self, id: AllocationId, image: &str, moment: Moment) {
        self.track(id).pulling = Some(image.to_owned());
        self.report(id, moment);
    }

    /// A step begins; no other is planned for the container until [`Self::finished`].
    pub fn begin(&mut self, id: AllocationId, moment: Moment) {
        self.busy.insert(id);
        self.report(id, moment);
    }

    /// A step ended. `seen` is a look at the container after it, if the engine answered.
    pub fn finished(
        &mut self,
        id: AllocationId,
        step: &Step,
        outcome: Result<(), Failure>,
        seen: Option<Seen>,
        moment: Moment,
    ) {
        let policy = self.policy(id);
        self.busy.remove(&id);
        self.ticks += 1;
        self.touched.insert(id, self.ticks);
        self.revision += 1;
        let track = self.tracks.entry(id).or_default();
        match outcome {
            Ok(()) => track.succeeded(step),
            Err(failure) => track.failed(step, failure, policy, moment),
        }
        match seen {
            Some(seen) => self.see(id, seen, moment),
            None => {
                self.seen.remove(&id);
                self.report(id, moment);
            }
        }
    }

    /// What to do now; takes note of what needs no engine.
    pub fn plan(&mut self, moment: Moment, bus_up: bool) -> Plan {
        let mut plan = Plan::default();
        if !self.looked {
            return plan;
        }
        let ids: Vec<AllocationId> = self.tracks.keys().copied().collect();
        for id in ids {
            // The assignment may have become known since the last look.
            self.report(id, moment);
            match self.step(id, moment, bus_up) {
                Step::Settled | Step::Blocked => {}
                Step::WaitUntil(at) => plan.wake_at = Some(plan.wake_at.map_or(at, |first| first.min(at))),
                step => plan.steps.push((id, step)),
            }
        }
        plan.drop_volumes = self.droppable_volumes();
        plan
    }

    /// These volumes are gone.
    pub fn volumes_dropped(&mut self, volumes: BTreeSet<String>, moment: Moment) {
        if volumes.is_empty() {
            return;
        }
        self.revision += 1;
        self.assignment_revision += 1;
        self.assignment.volumes_dropped(&volumes);
        self.journal.record(
            ObservationKind::VolumesDropped { volumes },
            Urgency::KeptFirst,
            moment.wall,
        );
    }

    fn track(&mut self, id: AllocationId) -> &mut Track {
        if self.looked && !self.tracks.contains_key(&id) {
            // The last look was complete: what it did not show is not there.
            self.seen.entry(id).or_insert(Seen::Absent);
        }
        self.tracks.entry(id).or_default()
    }

    fn policy(&self, id: AllocationId) -> RestartPolicy {
        let wanted = self.assignment.wanted().get(&id);
        wanted.map(|w| w.placed.restart).unwrap_or_default()
    }

    /// `None`: the node has never been told, so it leaves alone what it finds.
    fn desired(&self, id: AllocationId) -> Option<Desired> {
        match self.assignment.wanted().get(&id) {
            Some(wanted) => Some(Desired::Run(wanted.placed.restart)),
            None if self.assignment.is_known() => Some(Desired::Gone),
            None => None,
        }
    }

    fn see(&mut self, id: AllocationId, seen: Seen, moment: Moment) {
        let policy = self.policy(id);
        let track = self.tracks.entry(id).or_default();
        let before = track.clone();
        track.see(&seen, policy, moment.now);
        if *track != before {
            self.revision += 1;
        }
        self.seen.insert(id, seen);
        self.note_health(id, moment);
        self.report(id, moment);
    }

    /// The next step with an effect, after all without one have been taken.
    fn step(&mut self, id: AllocationId, moment: Moment, bus_up: bool) -> Step {
        for _ in 0..MAX_NOTES {
            let (Some(desired), Some(seen), Some(track)) =
                (self.desired(id), self.shown(id), self.tracks.get(&id))
            else {
                return Step::Settled;
            };
            if self.busy.contains(&id) {
                return Step::Settled;
            }
            let situation = Situation {
                now: moment.now,
                bus_up,
                blocked: self.is_blocked(id),
                replace_at: self.replace_at(id),
                lost_peer: self.has_lost_peer(id),
            };
            let step = next_step(desired, &seen, track, situation);
            match step {
                Step::GiveUp { .. } | Step::Finish(_) => {
                    if let Some(track) = self.tracks.get_mut(&id) {
                        track.succeeded(&step);
                    }
                    self.revision += 1;
                    self.report(id, moment);
                }
                Step::Forget => {
                    self.report(id, moment);
                    self.tracks.remove(&id);
                    self.seen.remove(&id);
                    self.touched.remove(&id);
                    self.revision += 1;
                    return Step::Settled;
                }
                Step::Create if self.awaits_drop(id) => return Step::Blocked,
                Step::WaitUntil(_) => {
                    self.tell_end(id, moment);
                    return step;
                }
                step => return step,
            }
        }
        Step::Settled
    }
}
