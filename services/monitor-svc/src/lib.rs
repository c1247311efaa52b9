//! Heartbeats and samples: says who is lost and who is back, answers what is used now.
//!
//! It owns no stream of the log: it commands cluster-svc, which does. Every instance watches; a verdict
//! has an id that follows from what it rests on, so that two that say the same are one.

mod usage;
mod watch;

use berth_monitor_core::MonitorView;
use berth_service_kit::{ServiceContext, ServiceError, answer_health, start_projection};

/// Runs the service until shutdown.
///
/// # Errors
/// [`ServiceError`] if the database cannot be used at start; later outages heal.
pub async fn run(context: ServiceContext) -> Result<(), ServiceError> {
    let view = start_projection::<MonitorView>(&context)
        .await
        .map_err(|error| ServiceError::new(context.service, "follow the log", error))?;
    tokio::join!(
        watch::keep(context.clone(), view),
        usage::keep(context.clone()),
        answer_health(context),
    );
    Ok(())
}
