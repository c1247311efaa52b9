//! Metrics of this process, in Prometheus' text form. Names: `berth_<area>_<what>_<unit>[_total]`.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::LazyLock;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    /// Position up to which a view is, by service and view.
    pub view_position: IntGaugeVec,
    /// Events that a view is behind the last fact seen, by service and view.
    pub view_lag_events: IntGaugeVec,
    /// Commands by service, verb and outcome (`accepted`, `rejected`, `retried`).
    pub commands_total: IntCounterVec,
    /// Time from taking a command to its recorded outcome, by service.
    pub command_seconds: HistogramVec,
    /// Time of one activation of a reconciler, by service and reconciler.
    pub reconcile_seconds: HistogramVec,
    /// Events of one commit of the log-writer.
    pub commit_events: HistogramVec,
    /// Appends waiting before the log-writer.
    pub append_queue: IntGaugeVec,
    /// Invariants found broken (should stay 0), by service and rule.
    pub violations_total: IntCounterVec,
    /// Requests by method, route and status.
    pub http_requests_total: IntCounterVec,
    /// Time of a request by route.
    pub http_request_seconds: HistogramVec,
}

static METRICS: LazyLock<Option<Metrics>> = LazyLock::new(|| match Metrics::new() {
    Ok(metrics) => Some(metrics),
    Err(error) => {
        tracing::error!(%error, "metrics are off: two of them have the same name");
        None
    }
});

const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const EVENTS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_000.0,
];

impl Metrics {
    fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            prometheus::Result::Ok(metric)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            prometheus::Result::Ok(metric)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
            registry.register(Box::new(metric.clone()))?;
            prometheus::Result::Ok(metric)
        };
        Ok(Self {
            view_position: gauge("berth_view_position", "Position of a view", &["service", "view"])?,
            view_lag_events: gauge("berth_view_lag_events", "Events behind", &["service", "view"])?,
            commands_total: counter(
                "berth_commands_total",
                "Commands",
                &["service", "verb", "outcome"],
            )?,
            command_seconds: histogram(
                "berth_command_seconds",
                "Command to outcome",
                SECONDS,
                &["service"],
            )?,
            reconcile_seconds: histogram(
                "berth_reconcile_seconds",
                "One activation",
                SECONDS,
                &["service", "reconciler"],
            )?,
            commit_events: histogram(
                "berth_ledger_commit_events",
                "Events of a commit",
                EVENTS,
                &["log"],
            )?,
            append_queue: gauge("berth_ledger_append_queue", "Appends waiting", &["log"])?,
            violations_total: counter(
                "berth_violations_total",
                "Broken invariants",
                &["service", "rule"],
            )?,
            http_requests_total: counter(
                "berth_http_requests_total",
                "Requests",
                &["method", "route", "status"],
            )?,
            http_request_seconds: histogram("berth_http_request_seconds", "Requests", SECONDS, &["route"])?,
            registry,
        })
    }
}

/// Does something with the metrics of this process.
pub fn record(what: impl FnOnce(&Metrics)) {
    if let Some(metrics) = METRICS.as_ref() {
        what(metrics);
    }
}

/// All metrics in Prometheus' text form.
pub fn render() -> String {
    let mut text = Vec::new();
    record(|metrics| {
        if let Err(error) = TextEncoder::new().encode(&metrics.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics could not be written");
        }
    });
    String::from_utf8_lossy(&text).into_owned()
}
