//! Logs as JSON lines, traces to a collector where one is configured.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::{Context, Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::Telemetry;

/// No attribute of a span or of its events is longer, in bytes: an error may quote what a stranger sent.
const MAX_ATTRIBUTE: usize = 512;

/// The spans that say whose a line is, or of which application, wherever they are made. What is done for these, step by step, has spans
/// of its own: they are for traces.
const TELLING: [&str; 8] = [
    "reconcile",
    "render",
    "renders.get",
    "rpc",
    "source.details",
    "source.render_local",
    "terminal",
    "webhook",
];

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
    let sparing = sparing(&filter, provider.is_some());
    tracing_subscriber::registry()
        .with(filter)
        .with(sparing)
        .with(lines)
        .with(spans)
        .try_init()
        .map_err(TelemetryError::Twice)?;
    Ok(Guard(provider))
}

/// What comes past the filter.
type Filtered = Layered<EnvFilter, Registry>;

/// Keeps spans from being made that no line needs, and each of which is written out: where no traces are sent, those within another
/// one that say nothing of whose it is, or what is said around them. Whoever asks for more than `info`, or for what is in some spans,
/// is to see all.
fn sparing(filter: &EnvFilter, traced: bool) -> Option<impl Layer<Filtered> + use<>> {
    let by_spans = filter.to_string().contains('[');
    let brief = filter.max_level_hint() <= Some(LevelFilter::INFO) && !by_spans;
    (brief && !traced).then(|| {
        dynamic_filter_fn(|metadata: &Metadata<'_>, context: &Context<'_, Filtered>| {
            is_told(metadata) || is_first(metadata, context)
        })
        .with_callsite_filter(|metadata| match is_told(metadata) {
            true => Interest::always(),
            false => Interest::sometimes(),
        })
    })
}

fn is_told(metadata: &Metadata<'_>) -> bool {
    !metadata.is_span() || TELLING.contains(&metadata.name())
}

/// Whether a span is within no other one, or the first of those around it that names a tenant: what calls us from within names none.
fn is_first(metadata: &Metadata<'_>, context: &Context<'_, Filtered>) -> bool {
    if !names_tenant(metadata) {
        return context.current_span().id().is_none();
    }
    let around = context.lookup_current();
    around.is_none_or(|around| !around.scope().any(|span| names_tenant(span.metadata())))
}

fn names_tenant(metadata: &Metadata<'_>) -> bool {
    metadata.fields().field("tenant").is_some()
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
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that something logs amid the spans of its work, that it logs in one alone, and for who calls without a tenant.
    fn lines(directives: &str, traced: bool) -> String {
        let written = Written::default();
        let writer = written.clone();
        let filter = EnvFilter::new(directives);
        let sparing = sparing(&filter, traced);
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry()
            .with(filter)
            .with(sparing)
            .with(lines.json().flatten_event(true));
        tracing::subscriber::with_default(subscriber, || {
            let look = tracing::info_span!("reconcile", tenant = "user01", app = "hello");
            look.in_scope(|| {
                tracing::info_span!("db.work", tenant = "user01").in_scope(|| {
                    tracing::info_span!("renders.get", app = "other").in_scope(|| {
                        tracing::info_span!("cache.get").in_scope(|| tracing::warn!("within"));
                    });
                });
            });
            tracing::info_span!("db.alone", tenant = "user02")
                .in_scope(|| tracing::warn!("by itself"));
            tracing::info_span!("rpc", peer = "api").in_scope(|| {
                tracing::info_span!("db.called", tenant = "user03").in_scope(|| {
                    tracing::info_span!("db.step", tenant = "user03")
                        .in_scope(|| tracing::warn!("for another"));
                });
            });
        });
        let written = written.0.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn without_traces_lines_tell_whose_they_are_and_no_other_span_is_made() {
        let told = lines("info", false);
        let told_lines: Vec<&str> = told.lines().collect();
        let [within, alone, called] = told_lines.as_slice() else {
            panic!("{told}");
        };
        for part in ["reconcile", "user01", "hello", "renders.get", "other"] {
            assert!(within.contains(part), "{part}: {within}");
        }
        assert!(!within.contains("db.work") && !within.contains("cache.get"));
        assert!(alone.contains("db.alone") && alone.contains("user02"));
        assert!(called.contains("rpc") && called.contains("user03"));
        assert!(called.contains("db.called") && !called.contains("db.step"));
        for (directives, traced) in [
            ("info", true),
            ("debug", false),
            ("info,store=debug", false),
            ("info,[db.work]=info", false),
        ] {
            let told = lines(directives, traced);
            for part in ["db.work", "cache.get", "db.step"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
    }

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
