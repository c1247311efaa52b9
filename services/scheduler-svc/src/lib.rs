//! Applications, placement, allocations: the service shell around its core.
//!
//! It loads, asks the core, appends, and waits for its own writes to come back. It holds no rule.

mod commands;
mod planner;
mod plans;
mod questions;
mod reports;

use berth_scheduler_core::view::SchedulerView;
use berth_service_kit::{ServiceContext, ServiceError, ViewHandle, start_projection};
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

/// The service's name.
pub const SERVICE: &str = "scheduler";
/// Tenant of what the scheduler appends by itself.
const TENANT: &str = "main";
/// Without a notice, the planner looks again after this time.
const PLAN_INTERVAL: Duration = Duration::from_secs(2);

/// Runs the service until shutdown.
///
/// # Errors
/// [`ServiceError`] if its read model cannot be restored.
pub async fn run(context: ServiceContext) -> Result<(), ServiceError> {
    let view: ViewHandle<SchedulerView> = start_projection(&context)
        .await
        .map_err(|error| ServiceError::new(SERVICE, "restore its read model", error))?;
    let tasks = TaskTracker::new();
    let rules = Arc::new(commands::Rules::new(context.log(), view.clone()));
    tasks.spawn(berth_service_kit::serve_decisions(context.clone(), rules));
    tasks.spawn(reports::serve(context.clone(), view.clone()));
    questions::serve(&tasks, &context, &view);
    let planner = planner::Planner::new(context.clone(), view.clone());
    tasks.spawn(berth_reconcile::drive(
        planner,
        view.moves(),
        PLAN_INTERVAL,
        context.shutdown.clone(),
    ));
    tasks.close();
    tasks.wait().await;
    Ok(())
}
