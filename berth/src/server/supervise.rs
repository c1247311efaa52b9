//! One service in this process: started again with backoff when it fails, red meanwhile, the others go on.

use berth_events::HealthState;
use berth_service_kit::{ServiceContext, ServiceError};
use futures::future::BoxFuture;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Wait before the first restart; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait before a restart.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// A service that ran so long has recovered: the next restart waits the shortest time again.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);
/// A restarted service that has not ended by then is no longer shown as down.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Starts a service once; called again after a failure.
pub type Start = Arc<dyn Fn(ServiceContext) -> BoxFuture<'static, Result<(), ServiceError>> + Send + Sync>;

/// Keeps a service running until shutdown.
pub async fn supervise(context: ServiceContext, start: Start) {
    let mut backoff = FIRST_BACKOFF;
    while !context.shutdown.is_cancelled() {
        let begun = Instant::now();
        let task = tokio::spawn(start(context.clone()));
        let reason = watch(&context, task).await;
        if context.shutdown.is_cancelled() {
            return;
        }
        if begun.elapsed() > RECOVERED_AFTER {
            backoff = FIRST_BACKOFF;
        }
        context
            .health
            .set(HealthState::Red(format!("{reason}; starting again")));
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            () = context.shutdown.cancelled() => return,
        }
        backoff = backoff.saturating_mul(2).min(MAX_BACKOFF);
    }
}

/// Waits for the end of a run and says why it ended.
async fn watch(
    context: &ServiceContext,
    mut task: tokio::task::JoinHandle<Result<(), ServiceError>>,
) -> String {
    let down = context.health.get().state;
    let ended = match tokio::time::timeout(SETTLED_AFTER, &mut task).await {
        Ok(ended) => ended,
        Err(_) => {
            // What it said of itself meanwhile stands.
            if context.health.get().state == down && matches!(down, HealthState::Red(_)) {
                context.health.set(HealthState::Green);
            }
            task.await
        }
    };
    match ended {
        Ok(Ok(())) => "it ended by itself".to_owned(),
        Ok(Err(error)) => crate::exit::chain(&error),
        Err(panic) => format!("it broke down: {panic}"),
    }
}
