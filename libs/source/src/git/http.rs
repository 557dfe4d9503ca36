//! Listing refs over HTTP in process, on connections that are kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crowd::fair::{Fair, Turn};
use domain::cause::Cause;
use domain::message;
use futures::StreamExt;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Identity, RequestBuilder, Response, StatusCode, redirect};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::access::Access;
use super::egress::{self, Names, NotAllowed, Resolver};
use super::pkt::{Packet, first, line};
use super::places::{self, late};
use super::pool::Pool;
use super::refs::{Listing, Refs, Refused, is_commit};
use crate::error::{Error, Kind};

/// The most that a server may answer: more than is taken of it, for old ones tell of refs that nobody asked for.
const MAX_ANSWER: usize = 64 << 20;
/// From how many bytes of refs on a listing is a large one.
const LARGE: usize = 1 << 20;
/// How many large ones are read at once, of all and of one tenant, which leaves as many as it has: there is a listing's whole size for
/// each.
const PLACES: (usize, usize) = (8, 2);
/// A connection of HTTP/2 serves all requests to a host at once, and one that leads nowhere all of the next ones: each has only its own
/// time, and takes it for the server's silence. So after so long without a word it is asked for a sign of life, and ended where none
/// comes; also while nobody uses it, so that whoever comes next has another one.
const PING: Duration = Duration::from_secs(15);
const PONG: Duration = Duration::from_secs(15);

/// HTTP clients by their TLS settings; almost all repositories share one.
#[derive(Debug)]
pub(crate) struct Clients {
    names: Arc<Names>,
    known: Mutex<Pool<Client>>,
    large: Fair,
}

impl Clients {
    /// Clients that connect only where these lead.
    pub(super) fn new(names: Arc<Names>) -> Self {
        Self {
            names,
            known: Mutex::default(),
            large: Fair::sparing(PLACES.0, PLACES.1),
        }
    }

    /// The client for a repository; an address that is written out is judged here.
    pub(crate) fn get(&self, access: &Access) -> Result<Client, Error> {
        // An address that is written out is asked of no resolver.
        if let Some((host, _)) = access.connects_to()
            && let Ok(address) = host.parse::<IpAddr>()
            && !self.names.allows(address)
        {
            return Err(not_allowed(access));
        }
        let login = &access.login;
        let mut key = Sha256::new();
        key.update([u8::from(login.insecure)]);
        key.update(&login.tls_ca);
        key.update([0]);
        key.update(&login.credentials.tls_client_cert);
        if let Some(secret) = &login.credentials.tls_client_key {
            key.update(secret.expose());
        }
        key.update([0]);
        if let Some(proxy) = &access.through {
            key.update(proxy.url.expose());
        }
        let key = key.finalize().into();
        let known = self.known.lock().get(&key);
        if let Some(client) = known {
            return Ok(client);
        }
        let client = build(access, &self.names)?;
        // What differs in this is as much as somebody writes.
        let own = access.through.is_some()
            || !login.tls_ca.is_empty()
            || !login.credentials.tls_client_cert.is_empty()
            || login.credentials.tls_client_key.is_some();
        let owner = own.then(|| access.tenant());
        let gone = self.known.lock().put(key, owner, client.clone());
        // Only now: others wait for the list.
        drop(gone);
        Ok(client)
    }
}

fn not_allowed(access: &Access) -> Error {
    let message = message::source::ADDRESS_NOT_ALLOWED.with("url", access.url());
    Error::new(Kind::Invalid, message)
}

fn build(access: &Access, names: &Arc<Names>) -> Result<Client, Error> {
    let login = &access.login;
    let unusable = |error: reqwest::Error| {
        let cause = Cause::error(message::source::CERTIFICATE_REFUSED.with("url", access.url()));
        Error::of(Kind::Invalid, cause.evidence(tail(&error)))
    };
    // Only the first call of a process does anything; the provider is the same everywhere.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = || {
        Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(Resolver(Arc::clone(names))))
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .pool_idle_timeout(Duration::from_secs(300))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PONG)
            .http2_keep_alive_while_idle(true)
            .user_agent("git/naru")
    };
    let mut builder = base();
    if let Some(proxy) = &access.through {
        let unusable = |_| {
            let message = message::source::PROXY_UNUSABLE.with("url", access.url());
            Error::new(Kind::Invalid, message)
        };
        // The login in the address goes to the proxy with each request.
        let proxy = reqwest::Proxy::all(proxy.url.expose_str()).map_err(unusable)?;
        builder = builder.proxy(proxy);
    }
    if login.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if !login.tls_ca.is_empty() {
        builder = builder.tls_certs_merge(
            Certificate::from_pem_bundle(login.tls_ca.as_bytes()).map_err(unusable)?,
        );
    }
    if let Some(secret) = &login.credentials.tls_client_key {
        let mut pem = login.credentials.tls_client_cert.clone().into_bytes();
        pem.push(b'\n');
        pem.extend_from_slice(secret.expose());
        builder = builder.identity(Identity::from_pem(&pem).map_err(unusable)?);
    }
    // A machine without any certificate authority can still reach plain HTTP.
    let through = access.through.is_some();
    builder
        .build()
        .or_else(|error| match through {
            true => Err(error),
            false => base().tls_certs_only([]).build(),
        })
        .map_err(unusable)
}

/// Lists the branches, tags and HEAD, and what begins with `more`.
///
/// `version2` remembers that the server speaks protocol 2, which saves asking it first.
pub(super) async fn list(
    clients: &Clients,
    access: &Access,
    more: Option<&str>,
    version2: &AtomicBool,
    deadline: Duration,
) -> Result<Refs, Error> {
    let client = clients.get(access)?;
    let mut time = Time::of(access, deadline);
    if !version2.load(Ordering::Relaxed) {
        let url = format!(
            "{}/info/refs?service=git-upload-pack",
            access.url().trim_end_matches('/')
        );
        let answer: Advertised = send(clients, &mut time, client.get(url)).await?;
        match answer {
            Advertised { version2: true, .. } => version2.store(true, Ordering::Relaxed),
            Advertised {
                seen: true, taken, ..
            } => return Ok(taken.refs),
            Advertised { .. } => return Err(malformed(access)),
        }
    }
    let mut body = line("command=ls-refs");
    body.push_str("0001");
    body.push_str(&line("peel"));
    body.push_str(&line("symrefs"));
    for prefix in ["HEAD", "refs/heads/", "refs/tags/"]
        .into_iter()
        .chain(more)
    {
        body.push_str(&line(&format!("ref-prefix {prefix}")));
    }
    body.push_str("0000");
    let request = question(&client, access, body);
    let answer: Result<Listed, Error> = send(clients, &mut time, request).await;
    let Listed(taken) = answer.inspect_err(|_| version2.store(false, Ordering::Relaxed))?;
    Ok(taken.refs)
}

/// A request of protocol 2.
pub(super) fn question(client: &Client, access: &Access, body: String) -> RequestBuilder {
    let url = format!("{}/git-upload-pack", access.url().trim_end_matches('/'));
    client
        .post(url)
        .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
        .header("accept", "application/x-git-upload-pack-result")
        .body(body)
}

/// The time that a server has for an answer. What is waited for others is not of it: a server that answers is not one that
/// does not because there are many.
pub(super) struct Time<'a> {
    access: &'a Access,
    most: Duration,
    ends: Instant,
}

impl<'a> Time<'a> {
    pub(super) fn of(access: &'a Access, most: Duration) -> Self {
        let ends = Instant::now() + most;
        Self { access, most, ends }
    }

    /// What the server does, unless its time ends before.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let done = tokio::time::timeout_at(self.ends, work).await;
        done.map_err(|_| late(self.access, self.most))
    }

    /// What is waited for besides.
    async fn besides<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = waiting.await;
        self.ends += begun.elapsed();
        done
    }
}

fn malformed(access: &Access) -> Error {
    let cause = Cause::error(message::source::REPOSITORY_NOT_FOUND.with("url", access.url()));
    Error::of(
        Kind::NotFound,
        cause.evidence("the answer is not a Git server's"),
    )
}

/// Asks with the login, and takes no answer but one that says that it is one.
pub(super) async fn ask(time: &Time<'_>, request: RequestBuilder) -> Result<Response, Error> {
    let access = time.access;
    let credentials = &access.login.credentials;
    let mut request = request.header("git-protocol", "version=2");
    let authorization = if let Some(token) = &credentials.bearer_token {
        Some(format!("Bearer {}", token.expose_str()))
    } else if credentials.password.is_some() || !credentials.username.is_empty() {
        let password = credentials
            .password
            .as_ref()
            .map_or("", |password| password.expose_str());
        Some(format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{}:{password}", credentials.username))
        ))
    } else {
        None
    };
    let refused = || Error::new(Kind::Denied, access.not_let_in().with("url", access.url()));
    if let Some(authorization) = authorization {
        let mut value = HeaderValue::from_str(&authorization).map_err(|_| refused())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let answer = time.within(egress::send(access, request)).await?;
    let answer = answer.map_err(|error| failed(access, &error))?;
    let status = answer.status();
    match status {
        StatusCode::OK => Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(refused()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Error::new(
            Kind::NotFound,
            message::source::REPOSITORY_NOT_FOUND.with("url", access.url()),
        )),
        _ if status.is_redirection() => {
            let target = answer
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .unwrap_or("?");
            let target = target.split("/info/refs").next().unwrap_or(target);
            let message = message::source::MOVED
                .with("url", access.url())
                .with("target", target);
            Err(Error::new(Kind::Invalid, message))
        }
        _ => {
            let cause = Cause::error(message::source::UNREACHABLE.with("url", access.url()));
            let cause = cause.evidence(format!("HTTP {status}"));
            let error = Error::of(Kind::Unreachable, cause);
            Err(match lasts(status) {
                true => error.lasting(),
                false => error,
            })
        }
    }
}

/// Whether a status is what a server makes of a request. Others pass, or come from what stands before it.
fn lasts(status: StatusCode) -> bool {
    match status.as_u16() {
        408 | 425 | 429 => false,
        501 | 505 => true,
        code => (400..500).contains(&code),
    }
}

/// Asks, and reads the answer as it comes.
async fn send<L: Lines>(
    clients: &Clients,
    time: &mut Time<'_>,
    request: RequestBuilder,
) -> Result<L, Error> {
    let access = time.access;
    let answer = ask(time, request).await?;
    let refused = |refused: Refused| refused.or(|| malformed(access));
    let mut reading = Reading::<L>::default();
    let (mut came, mut place) = (0_usize, None::<Turn>);
    let mut stream = answer.bytes_stream();
    while let Some(piece) = time.within(stream.next()).await? {
        let piece = piece.map_err(|error| failed(access, &error))?;
        came = came.saturating_add(piece.len());
        if came > MAX_ANSWER {
            let limit = format!("{} MiB", MAX_ANSWER >> 20);
            return Err(refused(Refused::TooLarge(limit)));
        }
        reading.take(&piece).map_err(refused)?;
        // Whoever sends one that is large waits for others that are, and not for those of whom there are many.
        if place.is_none() && reading.lines.taken().weight() > LARGE {
            place = Some(time.besides(places::place(&clients.large, access)).await?);
        }
    }
    reading.end().map_err(refused)
}

pub(super) fn failed(access: &Access, error: &reqwest::Error) -> Error {
    Clients::failed(access, error, &message::source::UNREACHABLE, access.url())
}

impl Clients {
    /// Why a request could not be sent; `unreachable` where it is for no reason of its own.
    pub(crate) fn failed(
        access: &Access,
        error: &reqwest::Error,
        unreachable: &message::Code,
        shown: &str,
    ) -> Error {
        if innermost(error).is::<NotAllowed>() {
            return not_allowed(access);
        }
        let said = access.redactor().redact(&tail(error));
        let lower = said.to_lowercase();
        if lower.contains("certificate") || lower.contains("unknownissuer") {
            let cause = Cause::error(message::source::CERTIFICATE_REFUSED.with("url", shown));
            return Error::of(Kind::Invalid, cause.evidence(said));
        }
        let cause = Cause::error(unreachable.with("url", shown));
        Error::of(Kind::Unreachable, cause.evidence(said))
    }
}

/// The innermost reason, which says what happened; the outer ones repeat the address.
fn tail(error: &reqwest::Error) -> String {
    innermost(error).to_string()
}

fn innermost(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut inner: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner
}

/// The lines of an answer, read one after the other.
trait Lines: Default {
    fn line(&mut self, content: &[u8]) -> Result<(), Refused>;

    /// What was taken of them so far.
    fn taken(&self) -> &Listing;
}

/// An answer that is read as it comes: no more of it is held than is taken, and a packet.
#[derive(Default)]
struct Reading<L> {
    left: Vec<u8>,
    lines: L,
}

impl<L: Lines> Reading<L> {
    fn take(&mut self, piece: &[u8]) -> Result<(), Refused> {
        self.left.extend_from_slice(piece);
        let mut rest = self.left.as_slice();
        while let Some((packet, after)) = first(rest)? {
            if let Packet::Line(content) = packet {
                self.lines.line(content)?;
            }
            rest = after;
        }
        let done = self.left.len() - rest.len();
        self.left.drain(..done);
        Ok(())
    }

    fn end(self) -> Result<L, Refused> {
        match self.left.is_empty() {
            true => Ok(self.lines),
            false => Err(Refused::Malformed),
        }
    }
}

/// The answer to `info/refs`: a server of version 2 names its abilities, an older one the refs themselves.
#[derive(Default)]
struct Advertised {
    version2: bool,
    /// Whether it says that it is an answer at all.
    seen: bool,
    taken: Listing,
}

impl Lines for Advertised {
    fn taken(&self) -> &Listing {
        &self.taken
    }

    fn line(&mut self, content: &[u8]) -> Result<(), Refused> {
        if content.starts_with(b"# service=") {
            self.seen = true;
            return Ok(());
        }
        if self.version2 || content == b"version 2" {
            self.version2 = true;
            return Ok(());
        }
        // Else a server that says no would be one without a branch.
        if content.starts_with(b"ERR ") {
            return Err(Refused::Malformed);
        }
        let (entry, abilities) = match content.iter().position(|b| *b == 0) {
            Some(cut) => (&content[..cut], &content[cut + 1..]),
            None => (content, &b""[..]),
        };
        let taken = &mut self.taken;
        for ability in abilities.split(|b| *b == b' ') {
            if let Some(target) = ability.strip_prefix(b"symref=HEAD:") {
                taken.refs.head = String::from_utf8_lossy(target).into_owned();
            }
        }
        let Some((commit, name)) = std::str::from_utf8(entry)
            .ok()
            .and_then(|text| text.split_once(' '))
        else {
            return Ok(());
        };
        // A peeled tag follows its tag and replaces it.
        let name = name.strip_suffix("^{}").unwrap_or(name);
        if name == "HEAD" && taken.refs.head.is_empty() && is_commit(commit) {
            taken.detached(commit)?;
        }
        if (name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) && is_commit(commit)
        {
            taken.put(name, commit)?;
        }
        Ok(())
    }
}

/// The answer to `ls-refs`: `commit name [symref-target:…] [peeled:…]`.
#[derive(Default)]
struct Listed(Listing);

impl Lines for Listed {
    fn taken(&self) -> &Listing {
        &self.0
    }

    fn line(&mut self, content: &[u8]) -> Result<(), Refused> {
        let Self(taken) = self;
        let Ok(text) = std::str::from_utf8(content) else {
            return Ok(());
        };
        if text.starts_with("ERR ") {
            return Err(Refused::Malformed);
        }
        let mut words = text.split(' ');
        let (Some(mut commit), Some(name)) = (words.next(), words.next()) else {
            return Err(Refused::Malformed);
        };
        for attribute in words {
            if let Some(target) = attribute.strip_prefix("symref-target:") {
                if name == "HEAD" {
                    taken.refs.head = target.to_owned();
                }
            } else if let Some(peeled) = attribute.strip_prefix("peeled:") {
                commit = peeled;
            }
        }
        if name == "HEAD" && taken.refs.head.is_empty() && is_commit(commit) {
            taken.detached(commit)?;
        }
        if name.starts_with("refs/") && is_commit(commit) {
            taken.put(name, commit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::egress::Egress;

    use super::super::refs::MAX_REFS;
    use super::*;
    use crate::git::{Login, Rules};

    async fn time_passes() {
        loop {
            tokio::time::advance(Duration::from_millis(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_asked_for_in_the_turn_of_whose_request_it_is() {
        let here = Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
            ..Egress::default()
        };
        let names = Arc::new(Names::new(Arc::new(here)));
        let clients = Clients::new(Arc::clone(&names));
        let answer = egress::tests::hanging(&names, "t").await;
        let said = async |tenant: &str| {
            // Nobody is there, which is said at once.
            let url = "http://localhost:1/a.git";
            let access = Access::new(tenant, "", url, Login::default(), Rules::default()).unwrap();
            let version2 = AtomicBool::new(false);
            let limit = Duration::from_secs(60);
            let listed = list(&clients, &access, None, &version2, limit).await;
            let error = listed.err().unwrap();
            assert_eq!(error.cause().message.code, "source.unreachable");
            error.cause().evidence.clone().unwrap()
        };
        let late = "the name was not resolved within 9 s";
        assert_ne!(said("other").await, late);
        tokio::select! {
            own = said("t") => assert_eq!(own, late),
            () = time_passes() => {}
        }
        drop(answer);
        tokio::time::resume();
        assert_ne!(said("t").await, late);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_others_is_none_of_a_servers_time() {
        let url = "https://git.example/a.git";
        let access = Access::new("t", "", url, Login::default(), Rules::default()).unwrap();
        let after = |seconds: u64| tokio::time::sleep(Duration::from_secs(seconds));
        let mut time = Time::of(&access, Duration::from_secs(15));
        time.within(after(10)).await.unwrap();
        time.besides(after(40)).await;
        time.within(after(4)).await.unwrap();
        let error = time.within(after(2)).await.unwrap_err();
        assert_eq!(error.cause().message.code, "source.timeout");
        assert!(error.to_string().contains("15"), "{error}");
    }

    #[test]
    fn what_stands_before_a_server_says_nothing_of_what_it_can_do() {
        let lasting = |code: u16| lasts(StatusCode::from_u16(code).unwrap());
        for code in [408, 425, 429, 500, 502, 503, 504, 520] {
            assert!(!lasting(code), "{code}");
        }
        for code in [400, 405, 406, 413, 415, 501, 505] {
            assert!(lasting(code), "{code}");
        }
    }

    /// What an answer says that comes in small pieces.
    fn read<L: Lines>(bytes: &[u8]) -> Result<L, Refused> {
        let mut reading = Reading::<L>::default();
        for piece in bytes.chunks(7) {
            reading.take(piece)?;
        }
        reading.end()
    }

    fn advertised(bytes: &[u8]) -> Option<Advertised> {
        let answer = read::<Advertised>(bytes).ok();
        answer.filter(|answer| answer.seen || answer.version2)
    }

    fn listed(bytes: &[u8]) -> Option<Refs> {
        read::<Listed>(bytes).ok().map(|answer| answer.0.refs)
    }

    #[test]
    fn s02_an_answer_without_end_is_refused_before_it_is_held() {
        let commit = "a".repeat(40);
        let mut reading = Reading::<Listed>::default();
        let mut number = 0_usize;
        let refused = loop {
            let piece = line(&format!("{commit} refs/heads/{number}"));
            if let Err(refused) = reading.take(piece.as_bytes()) {
                break refused;
            }
            assert!(reading.left.is_empty());
            number += 1;
        };
        assert!(matches!(refused, Refused::TooLarge(_)), "{refused:?}");
        assert_eq!(number, MAX_REFS);
        // Nor is what is only begun, or of no use.
        let whole = line(&format!("{commit} refs/heads/a"));
        assert!(read::<Listed>(whole.as_bytes()).is_ok());
        let begun = read::<Listed>(format!("{whole}0fff{commit}").as_bytes());
        assert_eq!(begun.err(), Some(Refused::Malformed));
        let mut reading = Reading::<Advertised>::default();
        let piece = line(&format!("{commit} refs/pull/1/head"));
        for _ in 0..100_000 {
            reading.take(piece.as_bytes()).unwrap();
        }
        assert_eq!(reading.lines.taken().weight(), 0);
        assert!(reading.left.capacity() < 1 << 16);
    }

    #[test]
    fn both_protocols_give_the_same_refs() {
        let (a, b, t) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let v2 = [
            line(&format!("{a} HEAD symref-target:refs/heads/main")),
            line(&format!("{a} refs/heads/main")),
            line(&format!("{t} refs/tags/v1 peeled:{b}")),
            "0000".to_owned(),
        ]
        .concat();
        let v0 = [
            line("# service=git-upload-pack"),
            "0000".to_owned(),
            line(&format!(
                "{a} HEAD\0multi_ack symref=HEAD:refs/heads/main agent=git"
            )),
            line(&format!("{a} refs/heads/main")),
            line(&format!("{a} refs/pull/1/head")),
            line(&format!("{t} refs/tags/v1")),
            line(&format!("{b} refs/tags/v1^{{}}")),
            "0000".to_owned(),
        ]
        .concat();
        let old = advertised(v0.as_bytes()).unwrap();
        assert!(!old.version2);
        assert_eq!(Some(old.taken.refs), listed(v2.as_bytes()));
        let new = [line("# service=git-upload-pack"), line("version 2")].concat();
        assert!(advertised(new.as_bytes()).unwrap().version2);
        assert!(advertised(b"<html>").is_none());
        assert!(advertised(line("a b").as_bytes()).is_none());
        let no = [line("# service=git-upload-pack"), line("ERR go away")].concat();
        assert!(advertised(no.as_bytes()).is_none());
    }

    #[test]
    fn s13_whatever_a_server_lists_is_read_or_refused() {
        use rand::rngs::StdRng;
        use rand::seq::IndexedRandom;
        use rand::{Rng, SeedableRng};

        let commit = "a".repeat(40);
        let pieces = [
            line(&format!("{commit} HEAD symref-target:refs/heads/main")),
            line(&format!("{commit} refs/heads/main")),
            line(&format!("{commit} refs/heads/../../x peeled:-x")),
            line(&format!("{commit} refs/tags/v1 peeled:{commit}")),
            line(&format!("{commit} refs/tags/v1^{{}}")),
            line(&format!("{commit} --upload-pack=x")),
            line("# service=git-upload-pack"),
            line("version 2"),
            line("ERR go away"),
            line(""),
            "0000".to_owned(),
            "0001".to_owned(),
            "0004".to_owned(),
            "ffff".to_owned(),
            "fffg".to_owned(),
            "-001".to_owned(),
            "\u{feff}".to_owned(),
            "\0".to_owned(),
        ];
        let mut random = StdRng::seed_from_u64(130);
        for _ in 0..30_000 {
            let mut bytes = Vec::new();
            for _ in 0..random.random_range(0..8) {
                bytes.extend(pieces.choose(&mut random).unwrap().bytes());
            }
            for _ in 0..random.random_range(0..3) {
                if !bytes.is_empty() {
                    let at = random.random_range(0..bytes.len());
                    bytes[at] = random.random();
                }
            }
            let old = advertised(&bytes).map(|answer| answer.taken.refs);
            for refs in old.into_iter().chain(listed(&bytes)) {
                for (name, commit) in &refs.refs {
                    assert!(name.starts_with("refs/") || name == "HEAD", "{name:?}");
                    assert!(is_commit(commit), "{name:?}: {commit:?}");
                }
            }
        }
    }
}
