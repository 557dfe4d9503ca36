//! Logs as JSON lines, traces to a collector where one is configured.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::Telemetry;

/// No attribute of a span or of its events is longer, in bytes: an error may quote what a stranger sent.
const MAX_ATTRIBUTE: usize = 512;

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
    if settings.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.otlp_endpoint)
        .build()
        .map_err(TelemetryError::Exporter)?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Bounded(exporter))
        .with_resource(Resource::builder().with_service_name(service).build())
        .build();
    Ok(Some(provider))
}

/// Cuts what is too long before it leaves.
#[derive(Debug)]
struct Bounded<E>(E);

impl<E: SpanExporter> SpanExporter for Bounded<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            span.attributes.iter_mut().for_each(cut);
            for event in &mut span.events.events {
                event.attributes.iter_mut().for_each(cut);
            }
        }
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&mut self, timeout: std::time::Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&mut self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn cut(attribute: &mut KeyValue) {
    if let Value::String(text) = &attribute.value
        && text.as_str().len() > MAX_ATTRIBUTE
    {
        let mut end = MAX_ATTRIBUTE;
        while !text.as_str().is_char_boundary(end) {
            end -= 1;
        }
        attribute.value = Value::String(StringValue::from(format!("{}…", &text.as_str()[..end])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_attribute_is_cut_between_characters() {
        let mut long = KeyValue::new("error", "가".repeat(400));
        cut(&mut long);
        let Value::String(text) = &long.value else {
            panic!("it stays a text");
        };
        assert!(text.as_str().len() <= MAX_ATTRIBUTE + 3 && text.as_str().ends_with("가…"));
        let mut short = KeyValue::new("tenant", "user01");
        cut(&mut short);
        assert_eq!(short.value, Value::from("user01"));
    }
}
