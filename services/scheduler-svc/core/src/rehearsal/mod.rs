//! What a change would do: decided, planned and carried out on a copy of the view, by the same rules.
//!
//! What the first step decides is exactly what would be recorded at once if the change were asked for and
//! nothing happened in between. The steps after it are what follows if every new container comes up.
//! Nothing is appended anywhere.

mod answer;
mod model;
mod notes;
mod stage;

#[cfg(test)]
mod tests;

use crate::{
    application::{Context, decide},
    limits::{MAX_REHEARSAL_STEPS, MAX_REHEARSAL_WORK, MIN_REHEARSAL_STEPS},
    reject,
    view::{ApplicationRow, SchedulerView},
};
use berth_events::{ChangePlan, PlanQuestion, Rejection, RejectionKind, SchedulerCommand};
use berth_eventsourcing::{Streams, Undecided};
use berth_ids::{AllocationId, ApplicationId, ClusterId, Timestamp};
use notes::Notes;
use stage::Stage;

/// A change that has been decided on a copy of the view.
#[derive(Debug)]
pub struct Rehearsal {
    stage: Stage,
    question: PlanQuestion,
    /// The application as it was; none: it is new.
    before: Option<ApplicationRow>,
    application: ApplicationId,
    changed: bool,
    position: u64,
}

impl Rehearsal {
    /// Decides the commands of a question one after the other, on a copy of what belongs to the cluster.
    /// `position` is the one that the view has reached.
    ///
    /// # Errors
    /// [`Undecided`]: a stream to be loaded first, or the rule that would refuse a command.
    pub fn begin(
        question: PlanQuestion,
        cluster: ClusterId,
        view: &SchedulerView,
        position: u64,
        streams: &Streams,
    ) -> Result<Self, Undecided> {
        // A copy is dear: first whether everything that is needed is there.
        check(&question, view, streams)?;
        let mut stage = Stage::new(view.excerpt(cluster), cluster, question.tenant.clone(), position);
        let mut streams = streams.clone();
        let mut application = None;
        let mut changed = false;
        let mut before = None;
        for command in &question.commands {
            let context = Context {
                tenant: &question.tenant,
                view: &stage.view,
            };
            let decision = decide(command, context, &streams)?;
            let named = decision.result.get("application_id").cloned();
            let id = named.and_then(|id| serde_json::from_value::<ApplicationId>(id).ok());
            if application.is_none() {
                application = id;
                before = id.and_then(|id| view.application(id)).cloned();
            }
            changed |= !decision.changes.is_empty();
            for change in decision.changes {
                streams.extend(&change);
                stage.append(change.stream, change.expected, change.events)?;
            }
        }
        Ok(Self {
            application: application.ok_or_else(nothing_asked)?,
            stage,
            question,
            before,
            changed,
            position,
        })
    }

    /// Plans it to its end, as far as there is one within the limits.
    ///
    /// # Errors
    /// The rule of the log that would refuse what is planned.
    pub fn run(
        mut self,
        now: Timestamp,
        ids: &mut dyn FnMut() -> AllocationId,
    ) -> Result<ChangePlan, Rejection> {
        self.stage.now = now;
        let mut notes = Notes::new(&self.stage.view, self.application);
        let work = self.stage.view.nodes.len() + self.stage.view.allocations.len() + 1;
        let most = (MAX_REHEARSAL_WORK / work).clamp(MIN_REHEARSAL_STEPS, MAX_REHEARSAL_STEPS);
        let mut complete = false;
        for _ in 0..most {
            let plans = self.stage.plan(ids)?;
            notes.step(&self.stage.view, &plans);
            let acted = plans.iter().any(|plan| !plan.is_empty());
            if self.stage.obey()? || acted {
                continue;
            }
            let wake_at = plans.last().and_then(|plan| plan.wake_at);
            match wake_at.filter(|_| self.goes_on()) {
                Some(at) => self.stage.now = at.max(self.stage.now),
                None => {
                    complete = true;
                    break;
                }
            }
        }
        Ok(self.answer(notes, complete))
    }

    /// Time alone may bring the application further.
    fn goes_on(&self) -> bool {
        let row = self.stage.view.application(self.application);
        row.is_some_and(|row| !row.settled && !row.paused)
    }
}

/// Whether the first command can be decided with the streams at hand; later ones need no others.
fn check(question: &PlanQuestion, view: &SchedulerView, streams: &Streams) -> Result<(), Undecided> {
    let tenant = &question.tenant;
    let first = question.commands.first().ok_or_else(nothing_asked)?;
    if question.commands.iter().any(|command| !can_be_rehearsed(command)) {
        return Err(not_planned(first).into());
    }
    decide(first, Context { tenant, view }, streams).map(|_| ())
}

/// Commands that change which containers run where.
fn can_be_rehearsed(command: &SchedulerCommand) -> bool {
    !matches!(
        command,
        SchedulerCommand::SetWeights { .. }
            | SchedulerCommand::RequestBuild { .. }
            | SchedulerCommand::FinishBuild { .. }
            | SchedulerCommand::SaveTemplate { .. }
            | SchedulerCommand::RemoveTemplate { .. }
    )
}

fn nothing_asked() -> Rejection {
    reject(
        RejectionKind::Invalid,
        "plan.nothing",
        "the question names no change".to_owned(),
        "name at least one command",
    )
}

fn not_planned(command: &SchedulerCommand) -> Rejection {
    reject(
        RejectionKind::Invalid,
        "plan.no_containers",
        format!(
            "`{}` moves no containers: there is nothing to plan",
            command.verb()
        ),
        "ask for it directly",
    )
}
