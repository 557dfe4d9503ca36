//! Requests to chart repositories and registries: bounded, and judged again wherever a redirect leads.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::cause::Cause;
use domain::message;
use futures::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, StatusCode};
use url::Url;

use crate::error::{Error, Kind};
use crate::git::{Access, Clients, Mirrors, Request, send};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// What to ask for.
pub(super) struct Get<'a> {
    pub(super) url: Url,
    /// Whether only the head of the answer is wanted.
    pub(super) head: bool,
    pub(super) headers: Vec<(HeaderName, String)>,
    /// The login, for the host of `url` alone.
    pub(super) authorization: Option<HeaderValue>,
    /// How much may come back, and what it is for people.
    pub(super) limit: usize,
    pub(super) what: &'a str,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Whether it is of the host that was asked, and not of one that it led to.
    pub(super) at_home: bool,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a repository sends with its content: the next request asks for it only if it has changed.
pub(super) const CONDITIONS: [(HeaderName, HeaderName); 2] = [
    (reqwest::header::ETAG, reqwest::header::IF_NONE_MATCH),
    (
        reqwest::header::LAST_MODIFIED,
        reqwest::header::IF_MODIFIED_SINCE,
    ),
];

/// Runs a piece of work against a repository within its time.
pub(super) async fn timed<T>(
    access: &Access,
    deadline: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(deadline, work).await {
        Ok(result) => result,
        Err(_) => {
            let message = message::chart::TIMEOUT
                .with("url", access.shown())
                .with("seconds", deadline.as_secs());
            Err(Error::new(Kind::Unreachable, message))
        }
    }
}

/// A file of a web server: what stands at the address itself.
///
/// # Errors
/// When it cannot be had, or is larger than `limit` bytes.
pub(crate) async fn file(mirrors: &Mirrors, access: &Access, limit: usize) -> Result<Bytes, Error> {
    let asked = Get {
        url: Url::parse(access.url()).map_err(Error::internal)?,
        head: false,
        headers: Vec::new(),
        authorization: access.login_header(),
        limit,
        what: "the file",
    };
    let asking = async {
        let answer = get(mirrors.clients(), access, asked).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(refusal(access, status)),
        }
    };
    let asking = timed(access, mirrors.limits().fetch, asking);
    mirrors.observed(access, Request::Fetch, asking).await
}

/// Asks, and follows redirects: without the login, certificate and trust as soon as they lead to another host, never from
/// TLS to none, and only to addresses that are allowed.
pub(super) async fn get(clients: &Clients, access: &Access, get: Get<'_>) -> Result<Answer, Error> {
    let Get {
        mut url,
        head,
        headers,
        mut authorization,
        limit,
        what,
    } = get;
    let home = url.origin();
    let mut client = client(clients, access, &url)?;
    for _ in 0..=MAX_REDIRECTS {
        let method = if head { Method::HEAD } else { Method::GET };
        let mut request = client.request(method, url.clone());
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = &authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let answer = send(access, request).await;
        let answer = answer.map_err(|error| failed(access, &error))?;
        let status = answer.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let target = answer
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .and_then(|target| url.join(target).ok());
            let Some(target) = target else {
                return Err(redirect(access, "?", "it leads nowhere"));
            };
            let secure =
                target.scheme() == "https" || (target.scheme() == "http" && url.scheme() == "http");
            if !secure {
                return Err(redirect(access, &plain(&target), "it leaves TLS"));
            }
            if target.origin() != home {
                authorization = None;
            }
            client = self::client(clients, access, &target)?;
            url = target;
            continue;
        }
        let headers = answer.headers().clone();
        let mut body = BytesMut::new();
        let mut stream = answer.bytes_stream();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk.map_err(|error| failed(access, &error))?);
            if body.len() > limit {
                let message = message::source::TOO_LARGE
                    .with("what", what)
                    .with("limit", format!("{} MiB", limit.div_ceil(1 << 20)));
                return Err(Error::new(Kind::TooLarge, message));
            }
        }
        return Ok(Answer {
            status,
            at_home: url.origin() == home,
            headers,
            body: body.freeze(),
        });
    }
    Err(redirect(access, &plain(&url), "there are too many"))
}

/// The client for an address: with the repository's certificates only for its own host.
fn client(clients: &Clients, access: &Access, url: &Url) -> Result<Client, Error> {
    let own = Url::parse(access.url()).is_ok_and(|own| own.origin() == url.origin());
    if own {
        clients.get(access)
    } else {
        clients.get(&access.elsewhere(url)?)
    }
}

fn redirect(access: &Access, target: &str, reason: &str) -> Error {
    let message = message::chart::REDIRECT_REFUSED
        .with("url", access.shown())
        .with("target", target)
        .with("reason", reason);
    Error::new(Kind::Invalid, message)
}

/// An address without what may be a secret in it: signed addresses have theirs in the query.
fn plain(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}

fn failed(access: &Access, error: &reqwest::Error) -> Error {
    Clients::failed(access, error, &message::chart::UNREACHABLE, access.shown())
}

/// What an answer means that is none: of the login, of the place, or of the server.
pub(super) fn refusal(access: &Access, status: StatusCode) -> Error {
    let url = access.shown();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let code = if access.login.credentials.is_empty() {
                &message::chart::LOGIN_NEEDED
            } else {
                &message::chart::LOGIN_REFUSED
            };
            Error::new(Kind::Denied, code.with("url", url))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Error::new(
            Kind::NotFound,
            message::chart::REPOSITORY_NOT_FOUND.with("url", url),
        ),
        _ => {
            let cause = Cause::error(message::chart::UNREACHABLE.with("url", url));
            Error::of(Kind::Unreachable, cause.evidence(format!("HTTP {status}")))
        }
    }
}
