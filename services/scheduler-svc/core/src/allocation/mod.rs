//! The aggregate `allocation/<node>`: what one node's agent has seen of its containers.
//!
//! States go forward only. A report is numbered; what was taken is ignored when it comes again, and after a
//! hole nothing is taken until the hole is filled or a digest tells the whole truth.

mod digest;
mod observe;
mod take;

#[cfg(test)]
mod tests;

pub use take::{Taken, take};

use crate::limits::MAX_PAST_JOURNALS;
use berth_events::{AllocationEvent, AllocationLost, AllocationReport, PortBinding, ReportMark, RetryStep};
use berth_eventsourcing::Aggregate;
use berth_ids::{AllocationId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
};

/// Rules of the observed states of one node.
#[derive(Debug, Clone, Copy)]
pub struct AllocationAggregate;

/// What the events of a node's allocations add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeAllocations {
    /// Events folded: the version of the stream.
    pub version: u64,
    /// The journal whose numbers run now and the highest number taken; journal 0: none yet.
    pub mark: ReportMark,
    /// The highest number of that journal with an event in the log.
    pub recorded: u64,
    /// The hole that the last digest found, if it found one.
    pub hole: Option<Hole>,
    /// Journals before it: their late reports are ignored.
    pub past_journals: VecDeque<u64>,
    /// What the engine has, as far as is known.
    pub allocations: BTreeMap<AllocationId, Seen>,
}

/// Numbers that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The journal.
    pub journal: u64,
    /// The last number before it.
    pub after: u64,
    /// How many digests in a row have found it.
    pub digests: u32,
}

/// What was last seen of an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How far it has come.
    pub phase: Phase,
    /// Id in the engine, once it has one.
    pub container_id: String,
    /// Starts after the first.
    pub restarts: u32,
    /// What its check said last.
    pub healthy: Option<bool>,
    /// Where it can be reached.
    pub addresses: BTreeMap<String, String>,
    /// Ports published on the node.
    pub ports: Vec<PortBinding>,
    /// The failed try that it waits after: which step, and when it is tried again.
    pub retry: Option<(RetryStep, Timestamp)>,
}

/// How far an allocation has come; only forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Ordered; its agent has said nothing yet.
    Placed,
    /// Its image is being pulled.
    Pulling,
    /// The engine has it.
    Created,
    /// It runs.
    Running,
    /// It was asked to end.
    Stopping,
    /// It ended.
    Exited,
    /// It could not be run.
    Failed,
    /// Nobody knows.
    Lost,
}

impl Phase {
    /// It may run, now or later: it holds its slot and its node's resources.
    pub const fn is_live(self) -> bool {
        match self {
            Self::Placed | Self::Pulling | Self::Created | Self::Running | Self::Stopping => true,
            Self::Exited | Self::Failed | Self::Lost => false,
        }
    }

    /// It ended and its container may still be there.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Exited | Self::Failed)
    }

    /// Word for people and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Pulling => "pulling",
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// Allocations of a node that were told to stop, with the position of the order.
pub type Stopping = BTreeMap<AllocationId, u64>;

/// What is told to the aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllocationCommand {
    /// What an agent saw, and what was told to stop there.
    Report(AllocationReport, Stopping),
    /// The reconciler gives up allocations of a lost node.
    Lose(BTreeSet<AllocationId>),
}

impl Aggregate for AllocationAggregate {
    type State = NodeAllocations;
    type Command = AllocationCommand;
    type Event = AllocationEvent;
    type Error = Infallible;

    fn decide(
        state: &NodeAllocations,
        command: &AllocationCommand,
    ) -> Result<Vec<AllocationEvent>, Infallible> {
        Ok(match command {
            AllocationCommand::Report(report, stopping) => take(state, report, stopping).events,
            AllocationCommand::Lose(lost) => lost
                .iter()
                .filter(|id| state.allocations.get(id).is_none_or(|seen| seen.phase.is_live()))
                .map(|id| {
                    AllocationEvent::Lost(AllocationLost {
                        allocation_id: *id,
                        report: state.mark,
                    })
                })
                .collect(),
        })
    }

    fn evolve(mut state: NodeAllocations, event: &AllocationEvent) -> NodeAllocations {
        state.version += 1;
        let mark = mark_of(event);
        state.note(mark);
        if mark.journal == state.mark.journal {
            state.recorded = state.recorded.max(mark.number);
        }
        match event {
            AllocationEvent::Removed(removed) => {
                state.allocations.remove(&removed.allocation_id);
            }
            AllocationEvent::VolumesDropped(_) => {}
            other => observe::evolve(&mut state.allocations, other),
        }
        state
    }
}

impl NodeAllocations {
    /// Remembers that reports up to this number are taken, also those that brought no news.
    pub(crate) fn note(&mut self, mark: ReportMark) {
        let other = mark.journal != self.mark.journal;
        if self.past_journals.contains(&mark.journal) || (mark.number == 0 && mark.journal == 0) {
            return;
        }
        if other && self.mark.journal != 0 {
            self.past_journals.push_back(self.mark.journal);
            if self.past_journals.len() > MAX_PAST_JOURNALS {
                self.past_journals.pop_front();
            }
        }
        if other {
            self.recorded = 0;
        }
        if other || mark.number > self.mark.number {
            self.mark = mark;
        }
    }

    fn taken_of(&self, journal: u64) -> u64 {
        if self.mark.journal == journal {
            self.mark.number
        } else {
            0
        }
    }

    fn recorded_of(&self, journal: u64) -> u64 {
        if self.mark.journal == journal {
            self.recorded
        } else {
            0
        }
    }
}

/// The report behind an event.
pub fn mark_of(event: &AllocationEvent) -> ReportMark {
    match event {
        AllocationEvent::Pulling(e) => e.report,
        AllocationEvent::ContainerCreated(e) => e.report,
        AllocationEvent::Running(e) => e.report,
        AllocationEvent::Healthy(e) => e.report,
        AllocationEvent::Unhealthy(e) => e.report,
        AllocationEvent::Restarted(e) => e.report,
        AllocationEvent::RetryScheduled(e) => e.report,
        AllocationEvent::Stopping(e) => e.report,
        AllocationEvent::Exited(e) => e.report,
        AllocationEvent::Failed(e) => e.report,
        AllocationEvent::Lost(e) => e.report,
        AllocationEvent::Removed(e) => e.report,
        AllocationEvent::VolumesDropped(e) => e.report,
    }
}

/// The allocation that an event speaks of; none for dropped volumes.
pub fn allocation_of(event: &AllocationEvent) -> Option<AllocationId> {
    Some(match event {
        AllocationEvent::Pulling(e) => e.allocation_id,
        AllocationEvent::ContainerCreated(e) => e.allocation_id,
        AllocationEvent::Running(e) => e.allocation_id,
        AllocationEvent::Healthy(e) => e.allocation_id,
        AllocationEvent::Unhealthy(e) => e.allocation_id,
        AllocationEvent::Restarted(e) => e.allocation_id,
        AllocationEvent::RetryScheduled(e) => e.allocation_id,
        AllocationEvent::Stopping(e) => e.allocation_id,
        AllocationEvent::Exited(e) => e.allocation_id,
        AllocationEvent::Failed(e) => e.allocation_id,
        AllocationEvent::Lost(e) => e.allocation_id,
        AllocationEvent::Removed(e) => e.allocation_id,
        AllocationEvent::VolumesDropped(_) => return None,
    })
}

/// How far an allocation is that waits for its next try: one that ended is there, but does not run.
pub(crate) const fn phase_of_retry(step: RetryStep) -> Phase {
    match step {
        RetryStep::Pull | RetryStep::Secrets | RetryStep::Create => Phase::Pulling,
        RetryStep::Start | RetryStep::Run => Phase::Created,
    }
}

/// Folds what an event says into an allocation's phase and health.
pub(crate) fn phase_after(event: &AllocationEvent) -> Option<Phase> {
    Some(match event {
        AllocationEvent::Pulling(_) => Phase::Pulling,
        AllocationEvent::ContainerCreated(_) => Phase::Created,
        AllocationEvent::Running(_)
        | AllocationEvent::Healthy(_)
        | AllocationEvent::Unhealthy(_)
        | AllocationEvent::Restarted(_) => Phase::Running,
        AllocationEvent::RetryScheduled(e) => phase_of_retry(e.step),
        AllocationEvent::Stopping(_) => Phase::Stopping,
        AllocationEvent::Exited(_) => Phase::Exited,
        AllocationEvent::Failed(_) => Phase::Failed,
        AllocationEvent::Lost(_) => Phase::Lost,
        AllocationEvent::Removed(_) | AllocationEvent::VolumesDropped(_) => return None,
    })
}
