//! Finishes deletions: applications go first (if forced), then nodes, then the cluster itself.
//!
//! An activation sends what is due now; what it sent shows in the view, and the next one goes on from there.

use async_trait::async_trait;
use berth_bus::SubmitError;
use berth_cluster_core::{ClusterRow, ClusterView, Lifecycle};
use berth_events::{ClusterCommand, CommandBody, CommandOutcome, SchedulerCommand};
use berth_ids::{ApplicationId, ClusterId, CommandId, NodeId, Uuid};
use berth_reconcile::{Next, Reconciler, drive};
use berth_service_kit::{Clock, ServiceContext, ViewHandle, derived_id, own_command};
use std::time::Duration;

/// Looked at this often even if nothing moves.
const INTERVAL: Duration = Duration::from_secs(10);
/// Commands sent in one activation.
const MAX_COMMANDS: usize = 32;
/// A refused command is tried anew after this time; before, its repeat is the same command.
const RETRY_MILLIS: i64 = 30_000;

/// Finishes deletions until shutdown.
pub(crate) async fn finish(context: ServiceContext, view: ViewHandle<ClusterView>) {
    let (moves, shutdown) = (view.moves(), context.shutdown.clone());
    drive(Deletions { context, view }, moves, INTERVAL, shutdown).await;
}

struct Deletions {
    context: ServiceContext,
    view: ViewHandle<ClusterView>,
}

/// What is due for one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    RemoveApplication(ApplicationId),
    RemoveNode(NodeId),
    Finish,
}

/// What is due now, and nothing that must come later.
fn due(view: &ClusterView, cluster: &ClusterRow) -> Vec<Due> {
    let applications = view.applications(cluster.cluster_id);
    if !applications.is_empty() {
        // Without force an application came in just before the deletion: it stays, and so does the cluster.
        let forced = cluster.lifecycle == Lifecycle::Deleting { force: true };
        let remove = applications.into_iter().map(Due::RemoveApplication);
        return remove.filter(|_| forced).collect();
    }
    let nodes: Vec<Due> = view
        .nodes(cluster.cluster_id)
        .map(|node| Due::RemoveNode(node.node_id))
        .collect();
    if nodes.is_empty() {
        vec![Due::Finish]
    } else {
        nodes
    }
}

impl Deletions {
    async fn send(&self, cluster: ClusterId, tenant: &str, due: Due) -> Result<(), SubmitError> {
        let (about, body): (Uuid, CommandBody) = match due {
            Due::RemoveApplication(application_id) => {
                let command = SchedulerCommand::Remove {
                    application_id,
                    volumes: false,
                };
                (application_id.as_uuid(), CommandBody::Scheduler(command))
            }
            Due::RemoveNode(node_id) => {
                let command = ClusterCommand::RemoveNode { node_id, force: true };
                (node_id.as_uuid(), CommandBody::Cluster(command))
            }
            Due::Finish => {
                let command = ClusterCommand::FinishDelete { cluster_id: cluster };
                (cluster.as_uuid(), CommandBody::Cluster(command))
            }
        };
        let period = Clock::now().as_millis().div_euclid(RETRY_MILLIS);
        let id: CommandId = derived_id(about, &format!("cluster deletion/{period}"));
        let command = own_command(&self.context, tenant, id, body);
        if let CommandOutcome::Rejected(rejection) = self.context.bus.submit(&command, Some(cluster)).await? {
            tracing::warn!(
                cluster.id = %cluster,
                code = rejection.code,
                "a step of the deletion is refused: {}",
                rejection.message
            );
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for Deletions {
    type Error = SubmitError;

    fn name(&self) -> &'static str {
        "deletions"
    }

    async fn activate(&mut self) -> Result<Next, SubmitError> {
        let work: Vec<(ClusterId, String, Due)> = self.view.read(|view| {
            view.deleting()
                .flat_map(|row| {
                    let due = due(view, row).into_iter();
                    due.map(|due| (row.cluster_id, row.tenant.clone(), due))
                })
                .take(MAX_COMMANDS)
                .collect()
        });
        for (cluster, tenant, due) in work {
            self.send(cluster, &tenant, due).await?;
        }
        Ok(Next::Notice)
    }
}
