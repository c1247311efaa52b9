//! Clusters and nodes: takes commands and reports, finishes deletions, answers how it is.
//!
//! Every rule is in `berth-cluster-core`; this crate loads, appends and sends.

mod commands;
mod deletions;
mod reports;

use berth_cluster_core::ClusterView;
use berth_service_kit::{ServiceContext, ServiceError, answer_health, serve_decisions, start_projection};
use std::sync::Arc;

/// Runs the service until shutdown.
///
/// # Errors
/// [`ServiceError`] if the database cannot be used at start; later outages heal.
pub async fn run(context: ServiceContext) -> Result<(), ServiceError> {
    let view = start_projection::<ClusterView>(&context)
        .await
        .map_err(|error| ServiceError::new(context.service, "follow the log", error))?;
    let rules = Arc::new(commands::Rules::new(context.log(), view.clone()));
    tokio::join!(
        serve_decisions(context.clone(), rules),
        reports::take(context.clone(), view.clone()),
        deletions::finish(context.clone(), view),
        answer_health(context),
    );
    Ok(())
}
