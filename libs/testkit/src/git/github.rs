//! GitHub's API, as far as a GitHub App needs it: written from GitHub's public documentation, since GitHub itself is not to
//! be had in a test.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::server::spawn;

/// One app with one installation.
#[derive(Clone, Debug)]
pub struct App {
    /// Its number.
    pub id: i64,
    /// Its installation's number.
    pub installation: i64,
    /// The public half of its key, PEM.
    pub public_key: String,
    /// The token that the installation gets, and how many seconds it lasts.
    pub token: (String, i64),
}

/// The API, running. It lives as long as its process.
#[derive(Clone, Debug)]
pub struct Github {
    address: SocketAddr,
    given: Arc<AtomicUsize>,
}

impl Github {
    /// Serves one app's installation, as an Enterprise server would.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(app: App) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let this = Self {
            address: listener.local_addr()?,
            given: Arc::default(),
        };
        let (app, given) = (Arc::new(app), Arc::clone(&this.given));
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (app, given) = (Arc::clone(&app), Arc::clone(&given));
                let service = hyper::service::service_fn(move |request| {
                    let (status, body) = answer(&app, &given, &request);
                    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
                    *response.status_mut() = status;
                    async move { Ok::<_, Infallible>(response) }
                });
                spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    drop(
                        connection
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Ok(this)
    }

    /// The address of its API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api/v3", self.address)
    }

    /// How many tokens it has given.
    #[must_use]
    pub fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: i64,
    iss: String,
}

fn answer(app: &App, given: &AtomicUsize, request: &Request<Incoming>) -> (StatusCode, Value) {
    let refused = |status: StatusCode, message: &str| {
        let page = "https://docs.github.com/rest";
        let body =
            json!({"message": message, "documentation_url": page, "status": status.as_str()});
        (status, body)
    };
    let asked = request
        .uri()
        .path()
        .strip_prefix("/api/v3/app/installations/");
    let asked = asked.and_then(|rest| rest.strip_suffix("/access_tokens"));
    let (Some(installation), &Method::POST) = (asked, request.method()) else {
        return refused(StatusCode::NOT_FOUND, "Not Found");
    };
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if header(ACCEPT) != Some("application/vnd.github+json") {
        return refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Unsupported 'Accept' header",
        );
    }
    let undecoded = || {
        refused(
            StatusCode::UNAUTHORIZED,
            "A JSON web token could not be decoded",
        )
    };
    let token = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let key = DecodingKey::from_rsa_pem(app.public_key.as_bytes());
    let (Some(token), Ok(key)) = (token, key) else {
        return undecoded();
    };
    let validation = Validation::new(Algorithm::RS256);
    let Ok(decoded) = jsonwebtoken::decode::<Claims>(token, &key, &validation) else {
        return undecoded();
    };
    let Claims { iat, exp, iss } = decoded.claims;
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap_or(i64::MAX);
    if iat > now || exp > now + 600 {
        return refused(
            StatusCode::UNAUTHORIZED,
            "'Expiration time' claim ('exp') is too far in the future",
        );
    }
    if iss != app.id.to_string() {
        return refused(StatusCode::NOT_FOUND, "Integration not found");
    }
    if installation != app.installation.to_string() {
        return refused(StatusCode::NOT_FOUND, "Not Found");
    }
    given.fetch_add(1, Ordering::SeqCst);
    let (token, lasts) = &app.token;
    let ends = chrono::DateTime::from_timestamp(now + lasts, 0).unwrap_or_default();
    let body = json!({
        "token": token,
        "expires_at": ends.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "permissions": {"contents": "read", "metadata": "read"},
        "repository_selection": "all",
    });
    (StatusCode::CREATED, body)
}
