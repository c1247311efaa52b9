//! Every request: a trace of its own or its caller's, a metric, a line in the log if it failed.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use berth_service_kit::{metrics, telemetry};
use std::time::Instant;
use tracing::Instrument;

/// Answer header with the trace of the request.
const TRACE_HEADER: HeaderName = HeaderName::from_static("trace-id");
/// Route of requests that matched none: their paths are without end.
const NO_ROUTE: &str = "none";

/// Wraps every request.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let matched = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let route = matched.unwrap_or_else(|| NO_ROUTE.to_owned());
    let traceparent = request
        .headers()
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    let span = telemetry::continued("http", traceparent);
    let mut response = async {
        let response = next.run(request).await;
        let status = response.status();
        if status.is_server_error() {
            tracing::warn!(%method, route, status = status.as_u16(), "a request failed");
        }
        response
    }
    .instrument(span.clone())
    .await;
    if let Some(trace) = span.in_scope(crate::problem::trace_id)
        && let Ok(value) = HeaderValue::from_str(&trace)
    {
        response.headers_mut().insert(TRACE_HEADER, value);
    }
    metrics::record(|metrics| {
        let status = response.status().as_u16().to_string();
        metrics
            .http_requests_total
            .with_label_values(&[method.as_str(), route.as_str(), &status])
            .inc();
        let seconds = started.elapsed().as_secs_f64();
        metrics
            .http_request_seconds
            .with_label_values(&[route.as_str()])
            .observe(seconds);
    });
    response
}
