//! Commands to clusters and nodes.

use async_trait::async_trait;
use berth_cluster_core::{ClusterView, Context, decide};
use berth_events::{ClusterCommand, Command, CommandBody};
use berth_service_kit::{Decide, DecideError, Decision, Log, ViewHandle, decide_over_streams, misdirected};

pub(crate) struct Rules {
    log: Log,
    view: ViewHandle<ClusterView>,
}

impl Rules {
    pub(crate) fn new(log: Log, view: ViewHandle<ClusterView>) -> Self {
        Self { log, view }
    }

    /// Rules about what others have on a cluster or node look at everything that is committed.
    async fn catch_up(&self, command: &ClusterCommand) -> Result<(), DecideError> {
        match command {
            ClusterCommand::DeleteCluster { .. }
            | ClusterCommand::FinishDelete { .. }
            | ClusterCommand::RemoveNode { .. } => {
                let head = self.log.head().await?;
                let reached = self.view.at_least(head).await;
                reached
                    .map(|_| ())
                    .map_err(|error| DecideError::Unavailable(error.to_string()))
            }
            ClusterCommand::CreateCluster { .. }
            | ClusterCommand::RenameCluster { .. }
            | ClusterCommand::ChangeSettings { .. }
            | ClusterCommand::JoinNode { .. }
            | ClusterCommand::LabelNode { .. }
            | ClusterCommand::SetResources { .. }
            | ClusterCommand::CordonNode { .. }
            | ClusterCommand::UncordonNode { .. }
            | ClusterCommand::DrainNode { .. }
            | ClusterCommand::SettleDrain { .. }
            | ClusterCommand::MarkLost { .. }
            | ClusterCommand::MarkReturned { .. } => Ok(()),
        }
    }
}

#[async_trait]
impl Decide for Rules {
    async fn decide(&self, command: &Command) -> Result<Decision, DecideError> {
        let CommandBody::Cluster(asked) = &command.body else {
            return Ok(Decision::Reject(misdirected(command, "cluster")));
        };
        self.catch_up(asked).await?;
        decide_over_streams(&self.log, |streams| {
            self.view.read(|view| {
                let context = Context {
                    tenant: &command.tenant,
                    now: command.issued_at,
                    view,
                };
                decide(asked, context, streams)
            })
        })
        .await
    }
}
