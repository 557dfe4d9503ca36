//! One trace across the services: the span under way travels as a `traceparent`, in the metadata of gRPC requests and
//! in the store's notifications. Nothing else of it travels: no baggage, no vendor's state.

use domain::trace::TraceParent;
use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header and the metadata key.
const TRACEPARENT: &str = "traceparent";

/// The span under way; `None` where no traces are sent.
#[must_use]
pub fn current() -> Option<TraceParent> {
    let context = Span::current().context();
    let place = context.span().span_context().clone();
    if !place.is_valid() {
        return None;
    }
    TraceParent::parse(&format!(
        "00-{:032x}-{:016x}-{:02x}",
        place.trace_id(),
        place.span_id(),
        place.trace_flags()
    ))
}

/// Writes the span under way into a request; in the form of an interceptor.
///
/// # Errors
/// Never.
pub fn carry(mut request: Request<()>) -> Result<Request<()>, Status> {
    if let Some(place) = current()
        && let Ok(value) = MetadataValue::try_from(place.as_str())
    {
        request.metadata_mut().insert(TRACEPARENT, value);
    }
    Ok(request)
}

/// Makes a span, not entered yet, part of the trace that a request came with; does nothing where it came with none.
pub fn adopt(span: &Span, headers: &HeaderMap) {
    let place = headers
        .get(TRACEPARENT)
        .and_then(|value| TraceParent::parse(value.to_str().ok()?));
    join(span, place.as_slice());
}

/// Makes a span, not entered yet, part of the first of these traces, and links it to the others.
pub fn join(span: &Span, places: &[TraceParent]) {
    let Some((first, others)) = places.split_first() else {
        return;
    };
    if let Some(place) = span_context(first) {
        // A span that no exporter wants has no parent either; nothing is lost.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(place));
    }
    for place in others.iter().filter_map(span_context) {
        span.add_link(place);
    }
}

fn span_context(place: &TraceParent) -> Option<SpanContext> {
    let flags = if place.sampled() {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    Some(SpanContext::new(
        TraceId::from_hex(place.trace_id()).ok()?,
        SpanId::from_hex(place.span_id()).ok()?,
        flags,
        true,
        TraceState::default(),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    #[test]
    fn a_trace_goes_on_where_it_is_adopted_and_is_linked_where_it_is_not() {
        let exporter = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
            assert_eq!(current(), None, "outside of every span");
            let places: Vec<TraceParent> = ["webhook", "other"]
                .map(|name| {
                    tracing::info_span!("root", which = name).in_scope(|| current().unwrap())
                })
                .into();
            let span = tracing::info_span!("reconcile");
            join(&span, &places);
            let carried = span.in_scope(|| carry(Request::new(())).unwrap());
            let served = tracing::info_span!("rpc");
            adopt(&served, &carried.into_parts().0.into_headers());
            served.in_scope(|| {});
            drop((span, served));

            let done = exporter.0.lock().unwrap();
            let find = |name: &str| done.iter().find(|span| span.name == name).unwrap();
            let (reconcile, rpc) = (find("reconcile"), find("rpc"));
            let hex = |id: TraceId| format!("{id:032x}");
            assert_eq!(hex(reconcile.span_context.trace_id()), places[0].trace_id());
            assert_eq!(
                format!("{:016x}", reconcile.parent_span_id),
                places[0].span_id()
            );
            assert_eq!(
                hex(reconcile.links.links[0].span_context.trace_id()),
                places[1].trace_id()
            );
            assert_eq!(rpc.parent_span_id, reconcile.span_context.span_id());
            assert_eq!(
                rpc.span_context.trace_id(),
                reconcile.span_context.trace_id()
            );
        });
    }

    #[test]
    fn without_an_exporter_nothing_travels() {
        let carried = carry(Request::new(())).unwrap();
        assert!(carried.metadata().is_empty());
        adopt(&tracing::info_span!("rpc"), &HeaderMap::new());
    }
}
