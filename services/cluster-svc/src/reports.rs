//! What agents measured of their servers: recorded if it is news.

use berth_bus::{Delivered, Handled, subject};
use berth_cluster_core::{ClusterView, report};
use berth_events::NodeReport;
use berth_eventsourcing::AppendError;
use berth_service_kit::{Decision, ServiceContext, ViewHandle, append_events, decide_over_streams, own_meta};
use std::sync::Arc;

/// Tries of one report against a stream that changes.
const MAX_CONFLICTS: u32 = 5;

/// Takes reports until shutdown.
pub(crate) async fn take(context: ServiceContext, view: ViewHandle<ClusterView>) {
    let (bus, shutdown) = (context.bus.clone(), context.shutdown.clone());
    let handler = Arc::new(move |delivered: Delivered| {
        let (context, view) = (context.clone(), view.clone());
        async move { handle(&context, &view, &delivered).await }
    });
    bus.serve_queue(subject::RPT, "rpt.node.*", "cluster", shutdown, handler)
        .await;
}

async fn handle(context: &ServiceContext, view: &ViewHandle<ClusterView>, delivered: &Delivered) -> Handled {
    let item: NodeReport = match serde_json::from_slice(&delivered.payload) {
        Ok(item) => item,
        Err(error) => {
            tracing::warn!(%error, "a report on `{}` does not have its shape", delivered.subject);
            return Handled::Drop;
        }
    };
    // An agent can publish only below its own node: the subject is what it may say.
    if delivered.subject != subject::report("node", item.node_id) {
        tracing::warn!(node.id = %item.node_id, "a report on `{}` speaks for another node", delivered.subject);
        return Handled::Drop;
    }
    let Some(tenant) = view.read(|view| view.node(item.node_id).map(|node| node.tenant.clone())) else {
        // Not joined yet, or gone: an agent reports again when it connects.
        return Handled::Done;
    };
    for _ in 0..MAX_CONFLICTS {
        match record(context, &tenant, &item).await {
            Ok(()) => return Handled::Done,
            Err(Fault::Conflict) => {}
            Err(Fault::Away(reason)) => {
                tracing::warn!(node.id = %item.node_id, reason, "could not record a report now");
                return Handled::Retry;
            }
        }
    }
    Handled::Retry
}

enum Fault {
    Conflict,
    Away(String),
}

async fn record(context: &ServiceContext, tenant: &str, item: &NodeReport) -> Result<(), Fault> {
    let decided = decide_over_streams(&context.log(), |streams| report(item, streams)).await;
    let (streams, guards) = match decided.map_err(|error| Fault::Away(error.to_string()))? {
        Decision::Append { streams, guards, .. } => (streams, guards),
        Decision::Reject(rejection) => {
            tracing::warn!(node.id = %item.node_id, code = rejection.code, "a report is refused");
            return Ok(());
        }
    };
    if streams.is_empty() {
        return Ok(());
    }
    match append_events(context, tenant, own_meta(context), streams, guards).await {
        Ok(_) => Ok(()),
        Err(AppendError::Conflict { .. } | AppendError::Guarded { .. }) => Err(Fault::Conflict),
        Err(error) => Err(Fault::Away(error.to_string())),
    }
}
