//! What the tasks of the loop come back with. One that panics has failed like any other: its container must
//! not stay busy for ever.

use super::{AWAY_DELAY, AWAY_DELAY_MAX, LOOK_INTERVAL, Worker, keeping::Kept, steps::StepResult};
use crate::{engine::EngineError, state::StateError};
use berth_agent_core::{Failure, Look, Seen, Step};
use berth_events::FailureReason;
use berth_ids::{AllocationId, ApplicationId};
use std::collections::{BTreeMap, BTreeSet};
use tokio::{
    task::{Id, JoinError},
    time::Instant,
};

/// What a task of the loop came back with.
pub(super) enum Done {
    Step(AllocationId, Step, StepResult),
    Look(Look, Result<BTreeMap<AllocationId, Seen>, EngineError>),
    One(Look, AllocationId, Option<Seen>),
    Networks(BTreeMap<String, ApplicationId>),
    Cleaned { volumes: BTreeSet<String>, left: bool },
    Kept(Kept),
}

/// What a task of the loop does.
pub(super) enum Task {
    Step(AllocationId, Step),
    Look,
    One,
    Clean,
    KeepAssignment(u64),
    KeepJournal(u64),
}

impl Worker {
    pub(super) fn spawn(&mut self, task: Task, work: impl Future<Output = Done> + Send + 'static) {
        let id = self.steps.spawn(work).id();
        self.tasks.insert(id, task);
    }

    pub(super) fn spawn_blocking(&mut self, task: Task, work: impl FnOnce() -> Done + Send + 'static) {
        let id = self.steps.spawn_blocking(work).id();
        self.tasks.insert(id, task);
    }

    pub(super) fn take_done(&mut self, done: Result<(Id, Done), JoinError>) {
        let moment = self.moment();
        let done = match done {
            Ok((id, done)) => {
                self.tasks.remove(&id);
                done
            }
            Err(error) => return self.panicked(&error),
        };
        match done {
            Done::Step(id, step, result) => self.step_done(id, &step, result),
            Done::Look(look, result) => self.look_done(look, result),
            Done::One(look, id, Some(seen)) => self.node.looked_one(look, id, seen, moment),
            Done::One(_, _, None) => self.look_soon(),
            Done::Networks(networks) => self.remove_networks(&networks),
            Done::Cleaned { volumes, left } => self.cleaned(volumes, left),
            Done::Kept(kept) => self.kept(kept),
        }
    }

    /// Only a panic ends a task early, or the end of the agent.
    fn panicked(&mut self, error: &JoinError) {
        let Some(task) = self.tasks.remove(&error.id()) else {
            return;
        };
        if error.is_panic() {
            tracing::error!(%error, "a step ended by a fault of the agent; please report it");
        }
        match task {
            Task::Step(id, step) => {
                let outcome = Err(Failure::Passing {
                    reason: reason(&step),
                    message: "the agent failed in the middle of this step; its log says more".to_owned(),
                });
                self.step_done(id, &step, StepResult { outcome, seen: None });
            }
            Task::Look => {
                self.looking = false;
                self.engine_away();
            }
            Task::One => self.look_soon(),
            Task::Clean => self.cleaned(BTreeSet::new(), true),
            Task::KeepAssignment(revision) => self.kept(Kept::Assignment {
                revision,
                result: Err(StateError::Fault),
            }),
            Task::KeepJournal(revision) => self.kept(Kept::Journal {
                revision,
                last: self.on_disk(),
                result: Err(StateError::Fault),
            }),
        }
    }

    fn step_done(&mut self, id: AllocationId, step: &Step, result: StepResult) {
        self.pulls.remove(&id);
        let StepResult { outcome, seen } = result;
        self.check_networks |= *step == Step::Remove;
        if outcome == Err(Failure::EngineAway) {
            self.engine_away();
        } else if seen.is_none() {
            self.look_soon();
        }
        let moment = self.moment();
        self.node.finished(id, step, outcome, seen, moment);
    }

    fn look_done(&mut self, look: Look, result: Result<BTreeMap<AllocationId, Seen>, EngineError>) {
        self.looking = false;
        match result {
            Ok(containers) => {
                if !self.engine_up {
                    tracing::info!(containers = containers.len(), "the engine answers");
                }
                self.engine_up = true;
                self.away_delay = AWAY_DELAY;
                self.node.looked(look, containers, self.moment());
                self.sweep_files();
                // A doorbell during the look asks for another one.
                let next = Instant::now() + LOOK_INTERVAL;
                self.look_at = Some(self.look_at.map_or(next, |at| at.min(next)));
            }
            Err(error) => {
                if self.engine_up || self.away_delay == AWAY_DELAY {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not look at the engine"
                    );
                }
                self.engine_away();
            }
        }
    }

    fn engine_away(&mut self) {
        self.engine_up = false;
        self.look_at = Some(Instant::now() + self.away_delay);
        self.away_delay = (self.away_delay * 2).min(AWAY_DELAY_MAX);
    }
}

fn reason(step: &Step) -> FailureReason {
    match step {
        Step::Pull => FailureReason::Pull,
        Step::Create => FailureReason::Create,
        Step::Start
        | Step::Restart
        | Step::Stop { .. }
        | Step::Kill
        | Step::Remove
        | Step::Settled
        | Step::Blocked
        | Step::WaitUntil(_)
        | Step::GiveUp { .. }
        | Step::Finish(_)
        | Step::Forget => FailureReason::Start,
    }
}
