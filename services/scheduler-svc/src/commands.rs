//! Commands to applications: load the streams that the rules ask for, ask them.

use async_trait::async_trait;
use berth_events::{Command, CommandBody, SchedulerCommand};
use berth_scheduler_core::{
    application::{Context, decide},
    view::SchedulerView,
};
use berth_service_kit::{Decide, DecideError, Decision, Log, ViewHandle, decide_over_streams, misdirected};

pub(crate) struct Rules {
    log: Log,
    view: ViewHandle<SchedulerView>,
}

impl Rules {
    pub(crate) fn new(log: Log, view: ViewHandle<SchedulerView>) -> Self {
        Self { log, view }
    }

    /// What grows looks at its cluster and its quotas, and a confirmation at containers, which may have been made
    /// a moment ago: everything committed counts.
    async fn catch_up(&self) -> Result<(), DecideError> {
        let head = self.log.head().await?;
        let reached = self.view.at_least(head).await;
        reached
            .map(|_| ())
            .map_err(|error| DecideError::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Decide for Rules {
    async fn decide(&self, command: &Command) -> Result<Decision, DecideError> {
        let CommandBody::Scheduler(asked) = &command.body else {
            return Ok(Decision::Reject(misdirected(command, "scheduler")));
        };
        let looks_around = matches!(
            asked,
            SchedulerCommand::Deploy { .. }
                | SchedulerCommand::Scale { .. }
                | SchedulerCommand::Rollback { .. }
                | SchedulerCommand::Start { .. }
                | SchedulerCommand::ConfirmRelease { force: false, .. }
        );
        if looks_around {
            self.catch_up().await?;
        }
        decide_over_streams(&self.log, |streams| {
            self.view.read(|view| {
                decide(
                    asked,
                    Context {
                        tenant: &command.tenant,
                        view,
                    },
                    streams,
                )
            })
        })
        .await
    }
}
