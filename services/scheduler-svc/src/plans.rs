//! The question what a change would do: loads the streams that its rules ask for, and tries it out.

use berth_events::{ChangePlan, PlanQuestion, Rejection, RejectionKind};
use berth_eventsourcing::{MAX_DECISION_STREAMS, Streams, Undecided};
use berth_ids::ClusterId;
use berth_scheduler_core::{rehearsal::Rehearsal, view::SchedulerView};
use berth_service_kit::{Clock, Log, ViewHandle, load_stream, new_id};

/// Answers `q.scheduler.plan.<cluster>`. Nothing is appended.
#[derive(Clone)]
pub(crate) struct Plans {
    log: Log,
    view: ViewHandle<SchedulerView>,
}

impl Plans {
    pub(crate) fn new(log: Log, view: ViewHandle<SchedulerView>) -> Self {
        Self { log, view }
    }

    pub(crate) async fn answer(
        &self,
        cluster: &str,
        question: PlanQuestion,
    ) -> Result<ChangePlan, Rejection> {
        let cluster: ClusterId = cluster.parse().map_err(|_| Rejection {
            kind: RejectionKind::Invalid,
            code: "plan.no_cluster".into(),
            message: "the subject names no cluster".into(),
            cure: None,
        })?;
        let rehearsal = self.begin(cluster, question).await?;
        // Trying it out takes time in a large cluster: not among the tasks that answer others.
        let run = tokio::task::spawn_blocking(move || rehearsal.run(Clock::now(), &mut new_id));
        run.await.map_err(|error| unavailable(&error))?
    }

    async fn begin(&self, cluster: ClusterId, question: PlanQuestion) -> Result<Rehearsal, Rejection> {
        // It rests on everything that is committed, as the command itself would.
        let head = self.log.head().await.map_err(|error| unavailable(&error))?;
        let caught_up = self.view.at_least(head).await;
        caught_up.map_err(|error| unavailable(&error))?;
        let mut streams = Streams::default();
        while streams.len() <= MAX_DECISION_STREAMS {
            let begun = self.view.read(|view| {
                let position = self.view.position();
                Rehearsal::begin(question.clone(), cluster, view, position, &streams)
            });
            match begun {
                Ok(rehearsal) => return Ok(rehearsal),
                Err(Undecided::Refused(rejection)) => return Err(rejection),
                Err(Undecided::Needs(name)) => {
                    let loaded = load_stream(&self.log, &name).await;
                    streams.insert(name, loaded.map_err(|error| unavailable(&error))?);
                }
            }
        }
        Err(unavailable(&format!(
            "the decision needs more than {MAX_DECISION_STREAMS} streams"
        )))
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> Rejection {
    Rejection {
        kind: RejectionKind::Unavailable,
        code: "plan.unavailable".into(),
        message: format!("the plan could not be made now: {error}"),
        cure: Some("ask again".into()),
    }
}
