//! Connections to repositories go only to addresses that [`Egress`] allows. Redirects are not followed at all.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use crowd::fair::Fair;
use domain::cause::Cause;
use domain::egress::Egress;
use domain::message;
use reqwest::{RequestBuilder, Response};

use super::access::{Access, Scheme};
use crate::error::{Error, Kind};

/// How many names are asked for at once, of all and of one tenant, which leaves as many as it has. The system answers each on a thread of
/// its own, of those that all who block share, and to its end though whoever asked has gone.
const QUESTIONS: (usize, usize) = (64, 8);
/// How long whoever asks waits, for its turn and for the answer: less than for a connection, so that what was waited for is told.
const ANSWERS: Duration = Duration::from_secs(9);

tokio::task_local! {
    /// Whose request it is that a name is asked for: clients are everybody's, and are told no more than the name.
    static ASKING: String;
}

/// Sends a request of a tenant's. The names of its hosts are asked for in the tenant's turns.
pub(crate) async fn send(access: &Access, request: RequestBuilder) -> reqwest::Result<Response> {
    let asking = access.tenant().to_owned();
    ASKING.scope(asking, request.send()).await
}

/// The one door to the system's resolver, and to which of its answers count.
#[derive(Debug)]
pub(super) struct Names {
    egress: Arc<Egress>,
    turns: Fair,
}

/// What the resolver did not say in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name was not resolved within {} s", ANSWERS.as_secs())]
struct Late;

impl Names {
    /// Names that lead where this allows.
    pub(super) fn new(egress: Arc<Egress>) -> Self {
        Self {
            egress,
            turns: Fair::sparing(QUESTIONS.0, QUESTIONS.1),
        }
    }

    /// Whether an address may be connected to.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.egress.allows(address)
    }

    /// All addresses of a host, allowed or not.
    async fn look_up(&self, tenant: &str, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // One that is written out is nobody's to answer.
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let host = host.to_owned();
        let question = move || -> io::Result<Vec<SocketAddr>> {
            Ok((host.as_str(), port).to_socket_addrs()?.collect())
        };
        self.ask(tenant, question).await
    }

    /// What a question comes to that takes a thread until it is answered, in a turn that ends with the thread.
    pub(super) async fn ask(
        &self,
        tenant: &str,
        question: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let answered = async {
            let turn = self.turns.turn(tenant).await;
            let asking = tokio::task::spawn_blocking(move || {
                let found = question();
                drop(turn);
                found
            });
            asking.await.map_err(io::Error::other)?
        };
        let in_time = tokio::time::timeout(ANSWERS, answered).await;
        in_time.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, Late))?
    }

    /// Those that are allowed; none where nothing was found.
    fn allowed(&self, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let found = found.into_iter();
        found.filter(|address| self.allows(address.ip())).collect()
    }
}

/// The addresses of a repository's host that may be connected to; none for a file.
pub(super) async fn addresses(names: &Names, access: &Access) -> Result<Vec<SocketAddr>, Error> {
    let Some((host, port)) = access.connects_to() else {
        return Ok(Vec::new());
    };
    let unreachable = || Cause::error(message::source::UNREACHABLE.with("url", access.url()));
    let found = names.look_up(access.tenant(), &host, port).await;
    let found = found.map_err(|error| {
        let cause = match error.kind() {
            io::ErrorKind::TimedOut => unreachable().evidence(error.to_string()),
            _ => unreachable(),
        };
        Error::of(Kind::Unreachable, cause)
    })?;
    if found.is_empty() {
        return Err(Error::of(Kind::Unreachable, unreachable()));
    }
    let allowed = names.allowed(found);
    if allowed.is_empty() {
        return Err(Error::new(
            Kind::Invalid,
            message::source::ADDRESS_NOT_ALLOWED.with("url", access.url()),
        ));
    }
    Ok(allowed)
}

/// Resolves names for connections made in process, to allowed addresses only.
pub(super) struct Resolver(pub(super) Arc<Names>);

/// What the resolver says when a name leads nowhere that is allowed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the address is not allowed")]
pub(super) struct NotAllowed;

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(…)")
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let names = Arc::clone(&self.0);
        // Here: a connection is begun by the request that wants it, and may be finished by nobody's. One that nobody is known for is
        // its host's.
        let tenant = ASKING.try_with(String::clone);
        Box::pin(async move {
            let tenant = tenant.unwrap_or_else(|_| name.as_str().to_owned());
            let found = names.look_up(&tenant, name.as_str(), 0).await?;
            let allowed = names.allowed(found);
            if allowed.is_empty() {
                return Err(NotAllowed.into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

impl Access {
    /// Host and port that are connected to: the proxy's where there is one; none for a file.
    pub(super) fn connects_to(&self) -> Option<(String, u16)> {
        match &self.through {
            Some(proxy) => Some((proxy.host.clone(), proxy.port)),
            None => self.target(),
        }
    }

    /// Host and port of the repository; none for a file.
    pub(super) fn target(&self) -> Option<(String, u16)> {
        let usual = match self.scheme {
            Scheme::File => return None,
            Scheme::Http => 443,
            Scheme::Ssh => 22,
        };
        if let Ok(url) = url::Url::parse(&self.url)
            && self.url.contains("://")
        {
            let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
            return Some((host, url.port_or_known_default().unwrap_or(usual)));
        }
        // user@host:path
        let (host, _) = self.url.split_once(':')?;
        let (_, host) = host.split_once('@')?;
        Some((host.to_owned(), usual))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::mpsc;

    use parking_lot::Mutex;

    use super::*;
    use crate::git::{Login, Rules};

    /// A tenant takes all turns that it may have, and goes. They are taken until this is dropped.
    pub(in crate::git) async fn hanging(names: &Names, tenant: &str) -> mpsc::Sender<()> {
        let (answer, waits) = mpsc::channel::<()>();
        let waits = Arc::new(Mutex::new(waits));
        for _ in 0..QUESTIONS.1 {
            let waits = Arc::clone(&waits);
            let asked = names.ask(tenant, move || {
                // It ends with the other side.
                let _ = waits.lock().recv();
                Ok(Vec::new())
            });
            assert!(futures::poll!(Box::pin(asked)).is_pending());
        }
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn s02_names_that_nobody_answers_take_few_threads_and_nobody_elses() {
        let names = Names::new(Arc::default());
        let answer = hanging(&names, "t").await;
        let asked = || Ok(vec![SocketAddr::from(([127, 0, 0, 1], 80))]);
        let mut waiting = Box::pin(names.ask("t", asked));
        assert!(futures::poll!(&mut waiting).is_pending());
        let found = names.ask("other", asked).await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(futures::poll!(&mut waiting).is_pending());
        tokio::time::advance(ANSWERS + Duration::from_millis(1)).await;
        let late = waiting.await.unwrap_err();
        assert_eq!(late.to_string(), "the name was not resolved within 9 s");
        drop(answer);
        assert_eq!(names.ask("t", asked).await.unwrap(), found);
    }

    #[tokio::test]
    async fn s13_however_an_address_is_written_it_is_the_resolved_one_that_counts() {
        let access = |url: &str| Access::new("t", "", url, Login::default(), Rules::default());
        for url in [
            "http://127.1/a",
            "http://2130706433/a",
            "http://0x7f.0.0.1/a",
        ] {
            let refused = access(url).unwrap_err();
            assert_eq!(
                refused.cause().message.code,
                "source.address-refused",
                "{url}"
            );
        }
        for url in [
            "http://[::ffff:7f00:1]:8080/a",
            "http://localhost/a",
            "ssh://git@127.0.0.1:2222/a",
            "git@localhost:a/b.git",
        ] {
            let access = access(url).unwrap();
            let refused = addresses(&Names::new(Arc::default()), &access)
                .await
                .unwrap_err();
            assert_eq!(
                refused.cause().message.code,
                "source.address-not-allowed",
                "{url}"
            );
        }
        let here = Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..Egress::default()
        };
        let access = access("ssh://git@127.0.0.1:2222/a").unwrap();
        let here = Names::new(Arc::new(here));
        let found = addresses(&here, &access).await.unwrap();
        assert_eq!(found, ["127.0.0.1:2222".parse().unwrap()]);
    }
}
