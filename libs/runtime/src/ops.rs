//! The port that only the operator sees: `/metrics`, `/healthz`, `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::Lifecycle;
use crate::metrics::Registry;

/// Whether the process can do its work now: whether it has all that it needs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, bool>>>);

/// Something without which the process is not ready. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Need {
    name: &'static str,
    of: Readiness,
}

impl Readiness {
    /// Names something that is needed, and not there yet. All needs are named before the operator's port is served.
    #[must_use]
    pub fn needs(&self, name: &'static str) -> Need {
        let need = Need {
            name,
            of: self.clone(),
        };
        need.set(false);
        need
    }

    /// What is not there; ready when it is nothing.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let needs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        needs
            .iter()
            .filter(|(_, met)| !**met)
            .map(|(name, _)| *name)
            .collect()
    }
}

impl Need {
    /// Says whether it is there.
    pub fn set(&self, met: bool) {
        let mut needs = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        needs.insert(self.name, met);
    }
}

/// Serves the operator's port for as long as the process lives: a stop makes it not ready at once, and it stays alive
/// while it drains. `detail` is added to `/healthz` (the sandbox level, say).
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
    let stop = life.token();
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
                let missing = readiness.missing();
                if stop.is_cancelled() {
                    (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned())
                } else if missing.is_empty() {
                    (StatusCode::OK, "ready\n".to_owned())
                } else {
                    let text = format!("not ready: {}\n", missing.join(", "));
                    (StatusCode::SERVICE_UNAVAILABLE, text)
                }
            }),
        );
    life.spawn_to_the_end(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the operator's port stopped");
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn readiness_is_having_all_that_is_needed_and_ends_with_the_stop_while_life_goes_on() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let (life, readiness) = (Lifecycle::new(), Readiness::default());
        let (database, listening) = (readiness.needs("database"), readiness.needs("listening"));
        serve(
            &life,
            &address,
            Registry::new(),
            readiness,
            "sandbox".to_owned(),
        )
        .await
        .unwrap();
        let answer = ask(&address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.ends_with("not ready: database, listening\n"),
            "{answer}"
        );
        database.set(true);
        listening.set(true);
        assert!(ask(&address, "/readyz").await.starts_with("HTTP/1.1 200"));
        database.set(false);
        assert!(
            ask(&address, "/readyz")
                .await
                .ends_with("not ready: database\n")
        );
        database.set(true);
        life.stop();
        let answer = ask(&address, "/readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("stopping\n"),
            "{answer}"
        );
        assert!(ask(&address, "/healthz").await.ends_with("ok\nsandbox"));
    }
}
