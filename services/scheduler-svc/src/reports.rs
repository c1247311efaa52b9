//! Reports of agents: only news becomes events; the agent hears what was committed.

use berth_bus::{Delivered, Handled, subject};
use berth_events::{AllocationEvent, AllocationReport, Category, Event, Meta, StreamName};
use berth_eventsourcing::{Aggregate, AppendError, Expected};
use berth_ids::{AllocationId, CorrelationId, NodeId};
use berth_scheduler_core::{
    allocation::{AllocationAggregate, NodeAllocations, allocation_of, take},
    view::SchedulerView,
};
use berth_service_kit::{LogError, ServiceContext, ViewHandle, append_events, new_id, telemetry};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};
use tokio::sync::Mutex;
use tracing::Instrument;

/// Tries of one report against a changing stream before it goes back to the queue.
const MAX_CONFLICTS: u32 = 10;

/// What is remembered of a node between two of its reports; dropped after a conflict.
type Remembered = Arc<Mutex<Option<NodeAllocations>>>;

struct Reports {
    context: ServiceContext,
    view: ViewHandle<SchedulerView>,
    nodes: std::sync::Mutex<HashMap<NodeId, Remembered>>,
}

#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("too many conflicts on the stream of the node")]
    Conflicts,
}

/// Takes reports off the queue until shutdown.
pub(crate) async fn serve(context: ServiceContext, view: ViewHandle<SchedulerView>) {
    let (bus, shutdown) = (context.bus.clone(), context.shutdown.clone());
    let reports = Arc::new(Reports {
        context,
        view,
        nodes: std::sync::Mutex::new(HashMap::new()),
    });
    let handler = Arc::new(move |delivered: Delivered| {
        let reports = reports.clone();
        async move { reports.handle(delivered).await }
    });
    bus.serve_queue(subject::RPT, "rpt.alloc.*", "scheduler-alloc", shutdown, handler)
        .await;
}

impl Reports {
    async fn handle(&self, delivered: Delivered) -> Handled {
        let report = match serde_json::from_slice::<AllocationReport>(&delivered.payload) {
            Ok(report) => report,
            Err(error) => {
                tracing::error!(%error, "a report on `{}` does not have its shape", delivered.subject);
                return Handled::Drop;
            }
        };
        // The subject is what the bus has checked: a node can only speak for itself.
        if !delivered.subject.ends_with(&report.node_id.to_string()) {
            tracing::error!(node.id = %report.node_id, "a report for another node came on `{}`", delivered.subject);
            return Handled::Drop;
        }
        let span = telemetry::continued("report", report.traceparent.as_deref());
        match self.record(&report).instrument(span).await {
            Ok(()) => Handled::Done,
            Err(error) => {
                tracing::warn!(node.id = %report.node_id, %error, "could not record a report now");
                Handled::Retry
            }
        }
    }

    async fn record(&self, report: &AllocationReport) -> Result<(), ReportError> {
        let remembered = self.remembered(report.node_id);
        let mut remembered = remembered.lock().await;
        for _ in 0..MAX_CONFLICTS {
            let known = match remembered.take() {
                Some(known) => known,
                None => self.load(report.node_id).await?,
            };
            let version = known.version;
            // A view that is behind knows fewer orders to stop: the next digest makes up for it.
            let stopping = self.view.read(|view| view.stopping_on(report.node_id));
            let taken = take(&known, report, &stopping);
            if !taken.events.is_empty() {
                match self.append(report, version, taken.events).await {
                    Ok(()) => {}
                    Err(AppendError::Conflict { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            *remembered = Some(taken.state);
            let told = self
                .context
                .bus
                .tell(subject::control(report.node_id, "recorded"), &taken.recorded)
                .await;
            if let Err(error) = told {
                tracing::debug!(node.id = %report.node_id, %error, "the agent will send again");
            }
            return Ok(());
        }
        Err(ReportError::Conflicts)
    }

    async fn append(
        &self,
        report: &AllocationReport,
        version: u64,
        events: Vec<AllocationEvent>,
    ) -> Result<(), AppendError> {
        let known = events.iter().find_map(allocation_of);
        let correlation = known.and_then(|id| self.view.read(|view| correlation_of(view, id)));
        let meta = Meta {
            actor: format!("node:{}", report.node_id),
            command_id: None,
            correlation_id: correlation.unwrap_or_else(new_id),
            causation_id: None,
            traceparent: telemetry::current_traceparent().or_else(|| report.traceparent.clone()),
        };
        let events = events.into_iter().map(Event::from).collect();
        let streams = vec![(stream(report.node_id), Expected::Version(version), events)];
        append_events(&self.context, crate::TENANT, meta, streams, Vec::new()).await?;
        Ok(())
    }

    async fn load(&self, node: NodeId) -> Result<NodeAllocations, LogError> {
        let mut state = NodeAllocations::default();
        for recorded in self.context.log().stream(&stream(node)).await? {
            let event = recorded.event().map_err(|error| LogError::Shape {
                position: recorded.position.cast_signed(),
                reason: error.to_string(),
            })?;
            if let Event::Allocation(event) = event {
                state = AllocationAggregate::evolve(state, &event);
            }
        }
        Ok(state)
    }

    fn remembered(&self, node: NodeId) -> Remembered {
        self.nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(node)
            .or_default()
            .clone()
    }
}

/// The stream of what was seen on a node.
fn stream(node: NodeId) -> StreamName {
    StreamName::new(Category::Allocation, node)
}

/// The request behind the application of an allocation.
fn correlation_of(view: &SchedulerView, id: AllocationId) -> Option<CorrelationId> {
    let application = view.allocation(id)?.application_id;
    Some(view.application(application)?.cause.correlation_id)
}
