//! The ledger as a service of a process: its context in, its health and its metrics out.

use crate::{
    options::LedgerOptions,
    run::{Ledger, LedgerView},
    writer::LOG,
};
use berth_service_kit::{ServiceContext, ServiceError, metrics};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often health and counters are handed on.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// Runs an instance until shutdown. The schema must be there ([`crate::setup`]).
///
/// # Errors
/// [`ServiceError`] if the bus cannot carry what the log can hold; everything else heals, or is shown in the
/// health until somebody acts.
pub async fn run(context: ServiceContext) -> Result<(), ServiceError> {
    run_replicated(context, LedgerOptions::default().replicas).await
}

/// As [`run`], with so many copies of each stream in a cluster of NATS servers: 1 or 3.
///
/// # Errors
/// See [`run`].
pub async fn run_replicated(context: ServiceContext, replicas: usize) -> Result<(), ServiceError> {
    let options = LedgerOptions {
        instance: context.instance.clone(),
        replicas,
        ..LedgerOptions::default()
    };
    run_with(context, options).await
}

/// As [`run`], with choices.
///
/// # Errors
/// See [`run`].
pub async fn run_with(context: ServiceContext, options: LedgerOptions) -> Result<(), ServiceError> {
    let ledger = Ledger::new(context.bus.clone(), context.db.clone(), options);
    let ended = CancellationToken::new();
    let report = tokio::spawn(report(ledger.view(), context.clone(), ended.clone()));
    let result = ledger.run(context.shutdown.clone()).await;
    ended.cancel();
    // It only reports; what it says last does not matter any more.
    let _ = report.await;
    result.map_err(|error| ServiceError::new(context.service, "run the log", error))
}

async fn report(view: LedgerView, context: ServiceContext, ended: CancellationToken) {
    while !ended.is_cancelled() {
        let health = view.health();
        context.health.set(health.state);
        if let Some(position) = health.position {
            context.health.reached(position);
        }
        let counters = view.metrics();
        metrics::record(|metrics| {
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            metrics
                .append_queue
                .with_label_values(&[LOG])
                .set(number(counters.queue_length));
            let labels = [context.service, "EVT"];
            metrics
                .view_position
                .with_label_values(&labels)
                .set(number(counters.relayed));
            metrics
                .view_lag_events
                .with_label_values(&labels)
                .set(number(counters.relay_lag));
        });
        tokio::select! {
            () = tokio::time::sleep(REPORT_EVERY) => {}
            () = ended.cancelled() => {}
        }
    }
}
