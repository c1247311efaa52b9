//! Logs and traces of this process. One trace runs from a REST call through bus and services to a container.

use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use std::{collections::HashMap, io::IsTerminal as _};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged unless `BERTH_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info,async_nats=warn,sqlx=warn,hyper=warn,h2=warn,tower=warn";
/// What is traced: our own spans, never the exporter's.
const TRACE_FILTER: &str = "info,async_nats=off,sqlx=off,hyper=off,h2=off,tonic=off,reqwest=off";

/// How a process logs and traces.
#[derive(Debug, Clone, Default)]
pub struct TelemetryOptions {
    /// Name of the process, such as `berth-server`.
    pub process: String,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Base URL of an OTLP/HTTP collector, such as `http://127.0.0.1:4318`; absent: no export.
    pub otlp_endpoint: Option<String>,
}

/// Keeps export alive; call [`Telemetry::shutdown`] before the process ends.
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Sends what is still held. Blocks for a few seconds at most.
    pub fn shutdown(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(%error, "traces were not all exported");
        }
    }
}

/// Sets logs and traces up for the whole process, once.
///
/// # Errors
/// The exporter could not be built, or logs were set up before.
pub fn init(options: &TelemetryOptions) -> Result<Telemetry, Box<dyn std::error::Error + Send + Sync>> {
    let resource = Resource::builder()
        .with_service_name(options.process.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let mut provider = SdkTracerProvider::builder().with_resource(resource);
    if let Some(endpoint) = &options.otlp_endpoint {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()?;
        provider = provider.with_batch_exporter(exporter);
    }
    let provider = provider.build();
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("berth"))
        .with_filter(EnvFilter::new(TRACE_FILTER));
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(traces);
    if options.json {
        let lines = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(std::io::stderr)
            .with_filter(filter);
        registry.with(lines).try_init()?;
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(colours)
            .with_writer(std::io::stderr)
            .with_filter(filter);
        registry.with(lines).try_init()?;
    }
    Ok(Telemetry { provider })
}

/// A span that continues a trace begun elsewhere, or begins one.
pub fn continued(what: &'static str, traceparent: Option<&str>) -> Span {
    let span = tracing::info_span!("work", otel.name = what, trace.id = tracing::field::Empty);
    if let Some(parent) = traceparent.and_then(context_of)
        && let Err(error) = span.set_parent(parent)
    {
        tracing::debug!(%error, "a trace could not be continued");
    }
    let id = span.context().span().span_context().trace_id();
    span.record("trace.id", tracing::field::display(id));
    span
}

/// W3C trace context of the current span, to be sent along.
pub fn current_traceparent() -> Option<String> {
    let mut carrier = Carrier::default();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.0.remove("traceparent")
}

fn context_of(traceparent: &str) -> Option<Context> {
    let carrier = Carrier(HashMap::from([(
        "traceparent".to_owned(),
        traceparent.to_owned(),
    )]));
    let context = TraceContextPropagator::new().extract(&carrier);
    context.span().span_context().is_valid().then_some(context)
}

#[derive(Default)]
struct Carrier(HashMap<String, String>);

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
