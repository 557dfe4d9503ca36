//! The port that only the operator sees: `/metrics`, `/healthz`, `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::Lifecycle;
use crate::metrics::Registry;

/// Whether the process can do its work now. Cheap to clone; starts out not ready.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says so.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Asks.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Serves the operator's port until the stop. `detail` is added to `/healthz` (the sandbox level, say).
///
/// # Errors
/// When the address is taken.
pub async fn serve(
    life: &Lifecycle,
    address: &str,
    registry: Registry,
    readiness: Readiness,
    detail: String,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let router = Router::new()
        .route(
            "/metrics",
            get(async move || {
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, content_type)], registry.encode())
            }),
        )
        .route("/healthz", get(async move || format!("ok\n{detail}")))
        .route(
            "/readyz",
            get(async move || {
                if readiness.get() {
                    (StatusCode::OK, "ready\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
                }
            }),
        );
    let stop = life.token();
    life.spawn("ops", async move {
        if let Err(error) = axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
        {
            tracing::error!(%error, "the operator's port stopped");
        }
    });
    Ok(())
}
