//! Heartbeats and samples: who is lost, who is back, and what nodes and containers use now.
//!
//! Several instances may watch: the command that a verdict leads to has the same id from each.

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
    let samples = usage::Samples::default();
    tokio::join!(
        watch::run(context.clone(), view),
        usage::take(context.clone(), samples.clone()),
        usage::answer(context.clone(), samples),
        answer_health(context),
    );
    Ok(())
}

/// Milliseconds since the process started to look; monotonic.
fn monotonic_ms(since: std::time::Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
