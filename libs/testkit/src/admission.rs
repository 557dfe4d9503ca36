//! An admission webhook: over TLS, the apiserver asks it about objects, and it changes each of them in one way, or refuses it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::certs::Authority;
use crate::git::server::{acceptor, spawn};

/// The webhook, running. It lives as long as its process.
#[derive(Debug)]
pub struct Admission {
    address: SocketAddr,
    authority: Vec<u8>,
    asked: Arc<AtomicUsize>,
}

impl Admission {
    /// One that has each object changed by this JSON patch.
    ///
    /// # Errors
    /// When no port is free, or its certificate cannot be made.
    pub async fn start(patch: &Value) -> Result<Self> {
        let patch = STANDARD.encode(patch.to_string());
        Self::answering(json!({"allowed": true, "patchType": "JSONPatch", "patch": patch})).await
    }

    /// One that refuses each object in these words.
    ///
    /// # Errors
    /// As [`Admission::start`].
    pub async fn refusing(words: &str) -> Result<Self> {
        let status = json!({"code": 403, "message": words});
        Self::answering(json!({"allowed": false, "status": status})).await
    }

    async fn answering(response: Value) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("admission-").tempdir()?;
        let identity = Authority::open(folder.path())?.server("admission", &["127.0.0.1"])?;
        let tls = acceptor(&identity.cert, &identity.key, None)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let this = Self {
            address: listener.local_addr()?,
            authority: std::fs::read(&identity.ca)?,
            asked: Arc::default(),
        };
        let response = Arc::new(response);
        let asked = Arc::clone(&this.asked);
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, asked) = (tls.clone(), Arc::clone(&asked));
                let response = Arc::clone(&response);
                spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else {
                        return;
                    };
                    let service = hyper::service::service_fn(move |request| {
                        asked.fetch_add(1, Ordering::SeqCst);
                        let response = Arc::clone(&response);
                        async move { answer(request, &response).await }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    // Who breaks off is nobody's concern.
                    drop(connection.await);
                });
            }
        });
        Ok(this)
    }

    /// What a `webhooks` entry says in `clientConfig` to have it asked.
    #[must_use]
    pub fn client_config(&self) -> Value {
        json!({"url": format!("https://{}/", self.address), "caBundle": STANDARD.encode(&self.authority)})
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(
    request: Request<Incoming>,
    response: &Value,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut answer = json!({
        "apiVersion": review["apiVersion"], "kind": review["kind"], "response": response,
    });
    answer["response"]["uid"] = review["request"]["uid"].clone();
    let mut sent = Response::new(Full::new(Bytes::from(answer.to_string())));
    let json = HeaderValue::from_static("application/json");
    sent.headers_mut().insert(CONTENT_TYPE, json);
    Ok(sent)
}
