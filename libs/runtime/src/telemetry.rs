//! Logs as JSON lines, traces to a collector where one is configured.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::Telemetry;

/// Sends what is left of the traces when dropped.
#[must_use]
#[derive(Debug)]
pub struct Guard(Option<SdkTracerProvider>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `NARU_TELEMETRY__LOG` is not a filter.
    #[error("NARU_TELEMETRY__LOG is not a filter such as `info,store=debug`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// The exporter refused its settings.
    #[error("NARU_TELEMETRY__OTLP_ENDPOINT cannot be used")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// Logging was set up before.
    #[error("logging is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sets up logs and traces for the process named `service`. Logs go to standard error.
///
/// # Errors
/// When the filter or the endpoint cannot be used.
pub fn init(service: &'static str, settings: &Telemetry) -> Result<Guard, TelemetryError> {
    let directives = if settings.log.is_empty() {
        "info"
    } else {
        &settings.log
    };
    let filter = EnvFilter::try_new(directives).map_err(TelemetryError::Filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if settings.log_format == "text" {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    let provider = tracer(service, settings)?;
    let spans = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(spans)
        .try_init()
        .map_err(TelemetryError::Twice)?;
    Ok(Guard(provider))
}

fn tracer(
    service: &'static str,
    settings: &Telemetry,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    if settings.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.otlp_endpoint)
        .build()
        .map_err(TelemetryError::Exporter)?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(service).build())
        .build();
    Ok(Some(provider))
}
