//! The planner's shell: looks at the view, plans (pure), appends the plan under its guards, looks again.
//!
//! Several planners at once are harmless: a plan is appended only at the version of the placement stream
//! that it rests on.

use crate::SERVICE;
use async_trait::async_trait;
use berth_events::{ClusterCommand, CommandBody, Meta};
use berth_eventsourcing::AppendError;
use berth_ids::{ClusterId, CommandId, NodeId, Timestamp};
use berth_reconcile::{Next, Reconciler};
use berth_scheduler_core::{
    planner::{Plan, plan},
    view::SchedulerView,
};
use berth_service_kit::{
    Clock, Lagging, ServiceContext, ViewHandle, append_events, derived_id, metrics, new_id, own_command,
    own_meta,
};
use std::{collections::HashSet, time::Duration};

/// Wait after a conflict: another planner was faster, and its plan is on its way.
const CONFLICT_DELAY: Duration = Duration::from_millis(20);
/// Causes of placements that follow from a request (`PlacementReason::cause`).
const CAUSES_OF_REQUESTS: &[&str] = &["new", "scaled", "changed", "restarted", "started"];
/// Drains whose end was told and is not in the view yet; a bound on memory, not on drains.
const MAX_REMEMBERED_DRAINS: usize = 10_000;

pub(crate) struct Planner {
    context: ServiceContext,
    view: ViewHandle<SchedulerView>,
    /// Position of our last write: a plan that has not seen it would decide twice.
    last_written: u64,
    /// Drains whose end has been told, by the position of their beginning.
    told: HashSet<u64>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PlannerError {
    #[error(transparent)]
    Lagging(#[from] Lagging),
    #[error("could not record a plan of cluster {cluster}")]
    Append {
        cluster: ClusterId,
        #[source]
        source: AppendError,
    },
}

impl Planner {
    pub(crate) fn new(context: ServiceContext, view: ViewHandle<SchedulerView>) -> Self {
        Self {
            context,
            view,
            last_written: 0,
            told: HashSet::new(),
        }
    }

    async fn plan_cluster(&mut self, cluster: ClusterId, now: Timestamp) -> Result<Next, PlannerError> {
        let (plan, tenant) = self.view.read(|view| {
            let tenant = view.cluster(cluster).map(|row| row.tenant.clone());
            (
                plan(view, cluster, now, &mut new_id),
                tenant.unwrap_or_else(|| crate::TENANT.to_owned()),
            )
        });
        self.tell_drains(cluster, &tenant, &plan).await;
        if plan.is_empty() {
            return Ok(plan
                .wake_at
                .map_or(Next::Notice, |at| Next::Within(at.since(now))));
        }
        let meta = self
            .view
            .read(|view| meta_of(&plan, view, own_meta(&self.context)));
        let told = Summary::of(&plan);
        for part in plan.into_decisions() {
            let changes = part.changes.into_iter();
            let streams = changes.map(|change| (change.stream, change.expected, change.events));
            let streams = streams.collect();
            match append_events(&self.context, &tenant, meta.clone(), streams, part.guards).await {
                Ok(appended) => self.last_written = appended.last_position,
                // What was recorded of the plan stands; the rest is planned again.
                Err(AppendError::Conflict { .. } | AppendError::Guarded { .. }) => {
                    return Ok(Next::Within(CONFLICT_DELAY));
                }
                Err(source) => return Err(PlannerError::Append { cluster, source }),
            }
        }
        told.log(cluster, self.last_written);
        Ok(Next::Now)
    }

    /// Tells cluster-svc of drains that have ended. Not waited for: a lost command is sent again.
    async fn tell_drains(&mut self, cluster: ClusterId, tenant: &str, plan: &Plan) {
        if self.told.len() > MAX_REMEMBERED_DRAINS {
            self.told.clear();
        }
        for (node_id, remaining, position) in plan.drains() {
            if !self.told.insert(position) {
                continue;
            }
            let body = CommandBody::Cluster(ClusterCommand::SettleDrain { node_id, remaining });
            let command = own_command(
                &self.context,
                tenant,
                settle_drain_id(node_id, remaining, position),
                body,
            );
            if let Err(error) = self.context.bus.submit(&command, Some(cluster)).await {
                tracing::warn!(node.id = %node_id, %error, "could not tell that a drain has ended; telling again");
                self.told.remove(&position);
            }
        }
    }
}

#[async_trait]
impl Reconciler for Planner {
    type Error = PlannerError;

    fn name(&self) -> &'static str {
        "planner"
    }

    async fn activate(&mut self) -> Result<Next, PlannerError> {
        self.view.at_least(self.last_written).await?;
        let now = Clock::now();
        let clusters: Vec<ClusterId> = self
            .view
            .read(|view| view.clusters().map(|cluster| cluster.cluster_id).collect());
        let mut next = Next::Notice;
        for cluster in clusters {
            next = sooner(next, self.plan_cluster(cluster, now).await?);
        }
        Ok(next)
    }

    fn measured(&self, took: Duration, _failed: bool) {
        metrics::record(|metrics| {
            let labels = [SERVICE, "planner"];
            metrics
                .reconcile_seconds
                .with_label_values(&labels)
                .observe(took.as_secs_f64());
        });
    }
}

/// What follows from a request carries its correlation and its trace on; what the planner does by itself (a
/// node was lost, a container failed) begins its own.
fn meta_of(plan: &Plan, view: &SchedulerView, own: Meta) -> Meta {
    let asked = |cause: &str| CAUSES_OF_REQUESTS.contains(&cause);
    let placed = plan.changes.iter().flat_map(|change| &change.place);
    let placed = placed
        .filter(|placed| asked(&placed.why.cause))
        .map(|placed| placed.application_id);
    let blocked = plan.blocked.iter().map(|blocked| blocked.application_id);
    let cause = placed
        .chain(blocked)
        .find_map(|id| view.application(id))
        .map(|row| row.cause.clone());
    match cause {
        Some(cause) => Meta {
            correlation_id: cause.correlation_id,
            causation_id: Some(cause.event_id),
            traceparent: cause.traceparent,
            ..own
        },
        None => own,
    }
}

/// The same drain with the same end is the same command, however often it is told.
fn settle_drain_id(node_id: NodeId, remaining: u32, position: u64) -> CommandId {
    derived_id(node_id.as_uuid(), &format!("settle_drain/{position}/{remaining}"))
}

/// What a plan does, for the log.
struct Summary {
    placed: usize,
    stopped: usize,
    blocked: usize,
}

impl Summary {
    fn of(plan: &Plan) -> Self {
        Self {
            placed: plan.changes.iter().map(|change| change.place.len()).sum(),
            stopped: plan.changes.iter().map(|change| change.stop.len()).sum(),
            blocked: plan
                .blocked
                .iter()
                .filter(|blocked| !blocked.slots.is_empty())
                .count(),
        }
    }

    fn log(&self, cluster: ClusterId, position: u64) {
        let Self {
            placed,
            stopped,
            blocked,
        } = self;
        tracing::info!(
            cluster.id = %cluster,
            position,
            "planned cluster {cluster}: {placed} placed, {stopped} stopped, {blocked} services blocked"
        );
    }
}

fn sooner(a: Next, b: Next) -> Next {
    match (a, b) {
        (Next::Now, _) | (_, Next::Now) => Next::Now,
        (Next::Within(a), Next::Within(b)) => Next::Within(a.min(b)),
        (Next::Within(wait), Next::Notice) | (Next::Notice, Next::Within(wait)) => Next::Within(wait),
        (Next::Notice, Next::Notice) => Next::Notice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_clusters_the_soonest_counts() {
        let second = Next::Within(Duration::from_secs(1));
        assert_eq!(sooner(Next::Notice, second), second);
        assert_eq!(sooner(second, Next::Within(Duration::from_secs(2))), second);
        assert_eq!(sooner(Next::Now, second), Next::Now);
    }

    #[test]
    fn the_end_of_a_drain_is_one_command_however_often_it_is_told() {
        let node = NodeId::from_u128(7);
        assert_eq!(settle_drain_id(node, 0, 12), settle_drain_id(node, 0, 12));
        assert_ne!(settle_drain_id(node, 0, 12), settle_drain_id(node, 0, 13));
    }
}
