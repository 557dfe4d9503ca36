//! Names become addresses. Of what a tenant's word leads to, only addresses count that the operator allows.
//!
//! The system answers one question per thread, and a question whose asker has gone is answered to its end. Questions on
//! tenants' words therefore wait for their turn: a name that is answered late, or never, takes few threads from others.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domain::egress::Egress;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::Service;

/// How many questions are asked at the same time on tenants' words, of the threads that all the process's share.
const MOST_QUESTIONS: usize = 64;
/// How many of them are one cluster's.
const QUESTIONS: usize = 4;
/// How long an answer holds: many watches begin at once, and ask the same.
const FRESH: Duration = Duration::from_secs(5);

/// The turns of all.
static TURNS: Semaphore = Semaphore::const_new(MOST_QUESTIONS);

/// A name leads to no address that is allowed.
#[derive(Debug, thiserror::Error)]
#[error("the address is not allowed")]
pub(crate) struct NotAllowed;

/// Asks the system's resolver.
#[derive(Clone, Default)]
pub(crate) struct Resolver {
    /// What counts on a tenant's word; every answer, at once, where nothing is said.
    strange: Option<Arc<Strange>>,
}

/// What is asked on a tenant's word.
struct Strange {
    /// Which of the answers count.
    egress: Arc<Egress>,
    turns: Arc<Semaphore>,
    last: Mutex<Option<Answer>>,
}

/// What a name led to.
struct Answer {
    name: Name,
    at: Instant,
    found: Vec<SocketAddr>,
}

impl Resolver {
    /// One that answers only with what may be connected to on a tenant's word.
    pub(crate) fn within(egress: &Arc<Egress>) -> Self {
        Self {
            strange: Some(Arc::new(Strange {
                egress: Arc::clone(egress),
                turns: Arc::new(Semaphore::new(QUESTIONS)),
                last: Mutex::default(),
            })),
        }
    }

    /// Connections, encrypted or not, to what it answers with. Addresses that are written out are not asked of it.
    pub(crate) fn connector(self) -> HttpConnector<Self> {
        let mut plain = HttpConnector::new_with_resolver(self);
        plain.enforce_http(false);
        plain.set_nodelay(true);
        plain
    }
}

impl Strange {
    /// What may be connected to under a name. It is judged at each use, also where the answer is kept.
    async fn look_up(&self, name: Name) -> std::io::Result<Vec<SocketAddr>> {
        let found = match self.kept(&name) {
            Some(found) => found,
            None => self.ask(name).await?,
        };
        let allowed = found.into_iter();
        let allowed: Vec<SocketAddr> = allowed
            .filter(|address| self.egress.allows(address.ip()))
            .collect();
        match allowed.is_empty() {
            true => Err(std::io::Error::other(NotAllowed)),
            false => Ok(allowed),
        }
    }

    fn kept(&self, name: &Name) -> Option<Vec<SocketAddr>> {
        let last = self.last.lock();
        let answer = last.as_ref()?;
        let holds = answer.name == *name && answer.at.elapsed() < FRESH;
        holds.then(|| answer.found.clone())
    }

    /// Asks when it is its turn, which ends with the question, not with who asked it.
    async fn ask(&self, name: Name) -> std::io::Result<Vec<SocketAddr>> {
        let own = Arc::clone(&self.turns).acquire_owned().await;
        let own = own.map_err(std::io::Error::other)?;
        // Somebody may have asked the same meanwhile.
        if let Some(found) = self.kept(&name) {
            return Ok(found);
        }
        let turn = TURNS.acquire().await.map_err(std::io::Error::other)?;
        let asked = name.clone();
        let answered = tokio::task::spawn_blocking(move || {
            let found = (asked.as_str(), 0_u16).to_socket_addrs();
            drop((own, turn));
            found
        });
        let found: Vec<SocketAddr> = answered.await.map_err(std::io::Error::other)??.collect();
        *self.last.lock() = Some(Answer {
            name,
            at: Instant::now(),
            found: found.clone(),
        });
        Ok(found)
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, std::io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let strange = self.strange.clone();
        async move {
            let found: std::io::Result<Vec<SocketAddr>> = match strange {
                Some(strange) => strange.look_up(name).await,
                None => {
                    let found = tokio::net::lookup_host((name.as_str(), 0)).await;
                    found.map(Iterator::collect)
                }
            };
            found.map(IntoIterator::into_iter)
        }
        .boxed()
    }
}

/// Whether a resolver found no address that is allowed.
pub(crate) fn is_not_allowed(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error.is::<NotAllowed>()
            || error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
                .is_some_and(|inner| inner.is::<NotAllowed>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strange(egress: &Arc<Egress>) -> Arc<Strange> {
        Resolver::within(egress).strange.unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_name_is_asked_in_its_turn_and_an_answer_is_kept() {
        let here = Arc::new(Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
            ..Egress::default()
        });
        let resolver = strange(&here);
        let found = resolver.look_up(name("localhost")).await.unwrap();
        let all = u32::try_from(QUESTIONS).unwrap();
        let taken = resolver.turns.acquire_many(all).await.unwrap();
        let kept = resolver.look_up(name("localhost")).now_or_never();
        assert_eq!(kept.unwrap().unwrap(), found);
        let other = resolver.look_up(name("127.0.0.1"));
        assert!(other.now_or_never().is_none(), "all are asking");
        drop(taken);
        assert!(resolver.look_up(name("127.0.0.1")).await.is_ok());
    }

    #[tokio::test]
    async fn a_kept_answer_is_judged_at_each_use() {
        let resolver = strange(&Arc::default());
        for _ in 0..2 {
            let refused = resolver.look_up(name("localhost")).await.unwrap_err();
            assert!(is_not_allowed(&refused));
            assert!(resolver.kept(&name("localhost")).is_some());
        }
    }
}
