//! One HTTP connection pool per cluster; whom a request acts as is a matter of its headers.
//!
//! HTTP/1.1 on purpose: an apiserver allows 100 concurrent streams on an HTTP/2 connection, which the watches of all
//! kinds and one burst of applies exceed; each watch has a connection of its own here, and requests share a pool. That has as many
//! connections as there are requests under way, which is bounded for writes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crowd::fair::{Fair, Turn};
use domain::secret::Redactor;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::error::{Error, Refusal, cut};
use crate::gate::WriteGate;

/// What is read of a refusal.
const MAX_REFUSAL: usize = 64 << 10;
/// The largest piece of a websocket.
const MAX_PIECE: usize = 4 << 20;
/// A longer path and query is sent to no server: names come from manifests, and addresses of documents from strangers' clusters. One
/// that fits into an address alone, and not behind the path of a cluster's own address, would be a panic of the client's.
const LONGEST_PATH: usize = 32 << 10;
/// How many writes are under way to a cluster at once: of one tenant, whatever accounts it has, and in all. An apiserver of few cores
/// does no more of them at a time however many it is sent; what it has not finished soon is given up, and one that many send much to
/// answers with refusals (200 writes at once, by its own default). Behind an object there may be a webhook that takes as long as a write
/// may: each tenant leaves as many as it has, so that a few with such ones have not all of them.
const WRITES: (usize, usize) = (32, 128);
/// What Kubernetes speaks over websockets, the one preferred first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");

/// Whom requests act as: the headers that say so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity(Arc<HeaderMap>);

impl Identity {
    /// A service account by its name alone, as Argo CD has it. Not with its groups: the server adds those that the account has (each
    /// that is named costs it a look whether we may act as that group), and whoever may act as the account need not have the right to
    /// act as groups besides.
    pub(crate) fn service_account(namespace: &str, name: &str) -> Result<Self, Error> {
        let user = HeaderValue::try_from(format!("system:serviceaccount:{namespace}:{name}"))
            .map_err(|_| Error::NotUnderstood("a service account's name".into()))?;
        let mut headers = HeaderMap::new();
        headers.insert(IMPERSONATE_USER, user);
        Ok(Self(Arc::new(headers)))
    }

    /// Whom it names; empty where that is whoever the credentials are of.
    pub(crate) fn name(&self) -> &str {
        let named = self.0.get(IMPERSONATE_USER);
        named.and_then(|name| name.to_str().ok()).unwrap_or("")
    }
}

/// A connection that speaks one of [`PROTOCOLS`].
pub(crate) type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// An answer whose end is the server's.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes, Error>>;

/// The connections to a cluster, with whatever lets them in.
pub(crate) struct Way {
    pub(crate) client: kube::Client,
    /// Takes out of what a tenant's own cluster says what that was told. The platform's cluster repeats nothing.
    pub(crate) redactor: Option<Redactor>,
}

/// What a request was sent with, and what is to be hidden of the answer to it, whatever requests are sent with by then.
#[derive(Clone)]
pub(crate) struct Sent {
    way: Arc<Way>,
    cluster: Arc<str>,
}

impl Sent {
    /// The other end's words without what it was told, and no more of them than are kept.
    pub(crate) fn clean(&self, words: impl ToString) -> String {
        let words = words.to_string();
        cut(match &self.way.redactor {
            Some(redactor) => redactor.redact(&words),
            None => words,
        })
    }

    pub(crate) fn unreachable(&self, why: impl ToString) -> Error {
        Error::Unreachable {
            cluster: self.cluster.as_ref().to_owned(),
            why: self.clean(why),
        }
    }

    pub(crate) fn refusal(&self, code: u16, body: &[u8]) -> Refusal {
        Refusal::read(code, body, self.way.redactor.as_ref())
    }
}

/// The shared pool. Clones share the way, also after it was replaced.
#[derive(Clone)]
pub(crate) struct Transport {
    way: Arc<RwLock<Arc<Way>>>,
    cluster: Arc<str>,
    limits: Limits,
    gate: Arc<dyn WriteGate>,
    writes: Fair,
}

/// How long requests may take, and how much they may bring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) read: Duration,
    pub(crate) write: Duration,
    /// The most that is read of an answer, in bytes.
    pub(crate) answer: usize,
}

/// A request's answer, read to its end.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// The server's `Warning` headers.
    pub(crate) warnings: Vec<String>,
    pub(crate) code: u16,
    /// Whether it comes from a tenant's own cluster, or whatever is at its address: it is not quoted then.
    strange: bool,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::NotUnderstood(match self.strange {
                true => "the answer is none that a Kubernetes API server gives".to_owned(),
                false => error.to_string(),
            })
        })
    }
}

impl Transport {
    pub(crate) fn new(way: Way, cluster: &str, limits: Limits, gate: Arc<dyn WriteGate>) -> Self {
        Self {
            way: Arc::new(RwLock::new(Arc::new(way))),
            cluster: cluster.into(),
            limits,
            gate,
            writes: Fair::sparing(WRITES.1, WRITES.0),
        }
    }

    /// Waits for a turn to write on behalf of somebody, one after the other. That counts in none of the limits: neither here nor there
    /// has it begun.
    pub(crate) async fn turn(&self, on_behalf_of: &str) -> Turn {
        self.writes.turn(on_behalf_of).await
    }

    /// Replaces what lets requests in. Those under way, and open watches, end as they began.
    pub(crate) fn replace(&self, way: Way) {
        *self.way.write() = Arc::new(way);
    }

    /// The most that is read of an answer, in bytes.
    pub(crate) fn largest_answer(&self) -> usize {
        self.limits.answer
    }

    /// What a request that begins now is sent with.
    fn begin(&self) -> Sent {
        Sent {
            way: Arc::clone(&self.way.read()),
            cluster: Arc::clone(&self.cluster),
        }
    }

    pub(crate) async fn get(
        &self,
        identity: &Identity,
        path: &str,
        accept: &'static str,
    ) -> Result<Answer, Error> {
        let request = self.request(identity, Method::GET, path, accept, None);
        within(self.limits.read, request).await
    }

    /// Sends a write, if this process still may. It is never repeated by itself. The turn is over when it has ended.
    pub(crate) async fn write(
        &self,
        _turn: Turn,
        identity: &Identity,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<Answer, Error> {
        // The server's clock starts when the request arrives, ours before the gate is asked: together they end what was
        // begun within twice this time of the look at the gate.
        let limit = self.limits.write;
        let path = crate::url::Query::new(path)
            .set("timeout", &format!("{}ms", limit.as_millis()))
            .build();
        let request = async {
            if !self.gate.may_write() {
                return Err(Error::NotHolder);
            }
            self.request(
                identity,
                method,
                &path,
                "application/json",
                Some((content_type, body)),
            )
            .await
        };
        within(limit, request).await
    }

    /// Opens a stream whose end is the server's; only its beginning is bounded in time.
    pub(crate) async fn stream(
        &self,
        identity: &Identity,
        path: &str,
        accept: &'static str,
    ) -> Result<(Sent, Pieces), Error> {
        let opened = self.send(identity, Method::GET, path, accept, None);
        let (sent, response) = within(self.limits.read, opened).await?;
        let pieces = response.into_body().into_data_stream();
        let told = sent.clone();
        let pieces = pieces.map_err(move |error| told.unreachable(error));
        Ok((sent, Box::pin(pieces)))
    }

    /// Opens a websocket; only its beginning is bounded in time. It takes a connection of the pool for itself.
    pub(crate) async fn websocket(
        &self,
        identity: &Identity,
        path: &str,
    ) -> Result<(Sent, WebSocket), Error> {
        within(self.limits.read, self.upgrade(identity, path)).await
    }

    async fn upgrade(&self, identity: &Identity, path: &str) -> Result<(Sent, WebSocket), Error> {
        if !self.gate.may_write() {
            return Err(Error::NotHolder);
        }
        let key = generate_key();
        let broken = |error: http::Error| Error::NotUnderstood(error.to_string());
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(sane_path(path)?)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key)
            .header(SEC_WEBSOCKET_PROTOCOL, PROTOCOLS.join(", "))
            .body(Body::from(Vec::new()))
            .map_err(broken)?;
        request.headers_mut().extend(identity.0.as_ref().clone());
        let (sent, response) = self.dispatch(request).await?;
        if !agrees(&response, &key) {
            let status = response.status();
            let what = format!("no websocket was opened, the answer was {status}");
            return Err(Error::NotUnderstood(what));
        }
        let upgraded = hyper::upgrade::on(response).await;
        let upgraded = TokioIo::new(upgraded.map_err(|error| sent.unreachable(error))?);
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_PIECE))
            .max_frame_size(Some(MAX_PIECE));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        Ok((sent, socket))
    }

    async fn request(
        &self,
        identity: &Identity,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Answer, Error> {
        let (sent, response) = self.send(identity, method, path, accept, body).await?;
        let warnings = response
            .headers()
            .get_all("warning")
            .iter()
            .filter_map(|value| warning(value.to_str().ok()?))
            .map(|said| sent.clean(said));
        let warnings = warnings.take(32).collect();
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), self.limits.answer)
            .collect()
            .await;
        let body = body.map_err(|error| sent.unreachable(error))?.to_bytes();
        Ok(Answer {
            body,
            warnings,
            code,
            strange: sent.way.redactor.is_some(),
        })
    }

    async fn send(
        &self,
        identity: &Identity,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<(Sent, Response<Body>), Error> {
        let (content_type, body) = body.unzip();
        let mut request = Request::builder()
            .method(method)
            .uri(sane_path(path)?)
            .body(Body::from(body.unwrap_or_default()))
            .map_err(|error| Error::NotUnderstood(error.to_string()))?;
        let headers = request.headers_mut();
        headers.extend(identity.0.as_ref().clone());
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        self.dispatch(request).await
    }

    /// Sends a request; a refusal is an error.
    async fn dispatch(&self, request: Request<Body>) -> Result<(Sent, Response<Body>), Error> {
        let sent = self.begin();
        let answered = sent.way.client.send(request).await;
        let response = answered.map_err(|error| match crate::gated::closed(&error) {
            true => Error::NotHolder,
            false => sent.unreachable(chain(&error)),
        })?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok((sent, response));
        }
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_REFUSAL)
            .collect()
            .await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Err(Error::Refused(Box::new(sent.refusal(code, &body))))
    }
}

/// A path, if it is one and as short as one is.
fn sane_path(path: &str) -> Result<&str, Error> {
    match path.starts_with('/') && path.len() <= LONGEST_PATH {
        true => Ok(path),
        false => Err(Error::NotUnderstood(format!(
            "`{}` is no path of an API, or too long for one",
            path.chars().take(200).collect::<String>()
        ))),
    }
}

/// Whether an answer opens the websocket that was asked for with that key.
fn agrees(response: &Response<Body>, key: &str) -> bool {
    let said = |name: HeaderName| response.headers().get(name)?.to_str().ok();
    response.status() == StatusCode::SWITCHING_PROTOCOLS
        && said(SEC_WEBSOCKET_ACCEPT) == Some(derive_accept_key(key.as_bytes()).as_str())
        && said(SEC_WEBSOCKET_PROTOCOL).is_some_and(|said| PROTOCOLS.contains(&said))
}

async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = Error::TimedOut {
        seconds: limit.as_secs_f64().ceil() as u64,
    };
    tokio::time::timeout(limit, request)
        .await
        .unwrap_or(Err(late))
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        below = cause.source();
    }
    text
}

/// The text of a warning header: `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let quoted = header.splitn(3, ' ').nth(2)?.trim();
    let text = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(quoted);
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::gate::AlwaysMayWrite;
    use crate::resolver::Resolver;

    #[test]
    fn warnings_are_unquoted() {
        let header = r#"299 - "unknown field \"spec.nmaespace\"""#;
        assert_eq!(
            warning(header).unwrap(),
            r#"unknown field "spec.nmaespace""#
        );
    }

    #[test]
    fn a_path_is_one_and_as_short_as_one_is() {
        let longest = format!("/{}", "x".repeat(LONGEST_PATH - 1));
        assert!(sane_path(&longest).is_ok() && sane_path(&format!("{longest}x")).is_err());
        for none in ["", "*", "api/v1", "http://elsewhere/api"] {
            assert!(sane_path(none).is_err(), "{none}");
        }
    }

    /// Connections into a cluster that does not answer.
    fn nowhere() -> Transport {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        let gate: Arc<dyn WriteGate> = Arc::new(AlwaysMayWrite);
        let client = crate::gated::client(&config, Resolver::default(), Arc::clone(&gate)).unwrap();
        let way = Way {
            client,
            redactor: None,
        };
        let limits = Limits {
            read: Duration::from_secs(10),
            write: Duration::from_secs(10),
            answer: 1 << 20,
        };
        Transport::new(way, "nowhere", limits, gate)
    }

    #[tokio::test]
    async fn so_many_writes_of_a_tenant_are_under_way_and_others_do_not_wait_for_them() {
        let transport = nowhere();
        let now = |tenant: &str| transport.turn(tenant).now_or_never();
        let mut held: Vec<Turn> = std::iter::from_fn(|| now("many")).take(WRITES.1).collect();
        assert_eq!(held.len(), WRITES.0);
        assert!(now("few").is_some(), "another tenant");
        // A write gives its turn back, whatever becomes of it.
        let (turn, nobody) = (held.pop().unwrap(), Identity::default());
        let write = transport.write(turn, &nobody, Method::PUT, "/", "text/plain", Vec::new());
        assert!(write.await.is_err(), "nobody is there");
        held.extend(now("many"));
        assert_eq!(held.len(), WRITES.0);
    }

    #[tokio::test]
    async fn several_tenants_whose_writes_hang_leave_turns_to_the_next() {
        let transport = nowhere();
        let now = |tenant: &str| transport.turn(tenant).now_or_never();
        let mut held = Vec::new();
        for tenant in ["a", "b", "c", "d", "e"] {
            let before = held.len();
            held.extend(std::iter::from_fn(|| now(tenant)).take(WRITES.1));
            assert!(held.len() > before + 4, "{tenant}");
        }
        assert!(held.len() < WRITES.1);
    }

    #[tokio::test]
    async fn so_many_writes_are_under_way_in_all() {
        let transport = nowhere();
        let mut held = Vec::new();
        for number in 0..=WRITES.1 {
            let turn = transport.turn(&number.to_string()).now_or_never();
            assert_eq!(turn.is_some(), number < WRITES.1, "{number}");
            held.extend(turn);
        }
    }

    #[test]
    fn a_hostile_account_name_is_refused() {
        let hostile = "a\r\nImpersonate-Group: system:masters";
        assert!(Identity::service_account(hostile, "b").is_err());
        assert!(Identity::service_account("a", hostile).is_err());
    }

    #[test]
    fn an_account_is_said_by_its_name_alone() {
        let Identity(headers) = Identity::service_account("web", "deployer").unwrap();
        assert_eq!(headers.len(), 1);
        assert_eq!(
            headers[IMPERSONATE_USER],
            "system:serviceaccount:web:deployer"
        );
    }
}
