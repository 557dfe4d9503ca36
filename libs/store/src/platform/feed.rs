//! The change feed: what was written, told within milliseconds. A hint, never the truth: its readers look again.

use std::time::Duration;

use domain::tenant::TenantId;
use domain::trace::TraceParent;
use futures::Stream;
use sqlx::postgres::{PgListener, PgPoolOptions};

use super::PlatformScope;
use crate::connect::Store;
use crate::error::Result;

const CHANNEL: &str = "naru";
/// How long a silent connection is trusted before it is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose; `None` with [`ChangeKind::Resync`].
    pub tenant: Option<TenantId>,
    /// What.
    pub kind: ChangeKind,
    /// Whether it was a controller's own [`PlatformScope::publish`], which a controller need not look at again.
    pub published: bool,
    /// From which place in a trace it was changed, where somebody keeps one.
    pub trace: Option<TraceParent>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// An application was made, changed or deleted.
    App(String),
    /// A repository (its normalised address) was pushed to, connected or disconnected.
    Repo(String),
    /// A project was made, changed or deleted.
    Project(String),
    /// A login, a trusted certificate or an added cluster is another now.
    Access,
    /// The tenant was made, or its settings, hosts or namespaces changed.
    Tenant,
    /// An account, a token or a session of the tenant was changed or ended.
    Identity,
    /// Anything may have changed: the feed begins, or was interrupted.
    Resync,
}

impl Change {
    const RESYNC: Self = Self {
        tenant: None,
        kind: ChangeKind::Resync,
        published: false,
        trace: None,
    };

    /// Reads a notification: `<tenant>[@<traceparent>] <kind> [<name>]`.
    fn parse(payload: &str) -> Option<Self> {
        let (whose, rest) = payload.split_once(' ')?;
        let (tenant, place) = whose.split_once('@').unwrap_or((whose, ""));
        let (kind, name) = rest.split_once(' ').unwrap_or((rest, ""));
        let kind_of_change = match kind {
            "app" | "status" => ChangeKind::App(name.to_owned()),
            "repo" => ChangeKind::Repo(name.to_owned()),
            "project" => ChangeKind::Project(name.to_owned()),
            "access" => ChangeKind::Access,
            "tenant" => ChangeKind::Tenant,
            "identity" => ChangeKind::Identity,
            _ => return None,
        };
        Some(Self {
            tenant: Some(TenantId(tenant.parse().ok()?)),
            kind: kind_of_change,
            published: kind == "status",
            trace: TraceParent::parse(place),
        })
    }
}

impl PlatformScope {
    /// What changes from now on. It begins with [`ChangeKind::Resync`] as soon as it listens, so that a reader who then
    /// looks misses nothing, and says so again after every interruption. It ends only when it is dropped.
    pub fn listen(&self) -> impl Stream<Item = Change> + Send + use<> {
        futures::stream::unfold(
            Feed {
                store: self.store.clone(),
                listener: None,
            },
            |mut feed| async move {
                let change = feed.next().await;
                Some((change, feed))
            },
        )
    }
}

struct Feed {
    store: Store,
    listener: Option<PgListener>,
}

impl Feed {
    async fn next(&mut self) -> Change {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(listener) = &mut self.listener else {
                match self.connect().await {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        return Change::RESYNC;
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "the change feed cannot connect"
                        );
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                }
            };
            match tokio::time::timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => match Change::parse(notification.payload()) {
                    Some(change) => return change,
                    None => tracing::debug!("a notification of another program was passed over"),
                },
                Ok(Ok(None) | Err(_)) => {
                    tracing::warn!("the change feed was interrupted");
                    self.listener = None;
                }
                // Silence: a peer that vanished without a word looks the same as one with nothing to say.
                Err(_) => {
                    let asked =
                        tokio::time::timeout(ANSWER, sqlx::query("SELECT 1").execute(listener))
                            .await;
                    if !matches!(asked, Ok(Ok(_))) {
                        tracing::warn!("the change feed's connection is dead");
                        self.listener = None;
                    }
                }
            }
        }
    }

    /// A connection of its own, beside the pool: listeners live as long as the process.
    async fn connect(&self) -> Result<PgListener> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ANSWER)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(self.store.inner.connect.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_read_and_strange_ones_passed_over() {
        let id = "00000000-0000-0000-0000-000000000007";
        let read = |rest: &str| Change::parse(&format!("{id} {rest}"));
        assert_eq!(
            read("app hello").unwrap().kind,
            ChangeKind::App("hello".into())
        );
        assert!(!read("app hello").unwrap().published);
        assert!(read("status hello").unwrap().published);
        assert_eq!(
            read("repo https://a/b c").unwrap().kind,
            ChangeKind::Repo("https://a/b c".into())
        );
        assert_eq!(read("access").unwrap().kind, ChangeKind::Access);
        assert_eq!(read("tenant").unwrap().kind, ChangeKind::Tenant);
        assert_eq!(read("identity").unwrap().kind, ChangeKind::Identity);
        let place = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let traced = |place: &str| Change::parse(&format!("{id}@{place} repo r")).unwrap();
        assert_eq!(traced(place).trace.unwrap().as_str(), place);
        assert_eq!(traced(place).kind, ChangeKind::Repo("r".into()));
        let strange = traced("00-x");
        assert_eq!(
            (strange.trace, strange.kind),
            (None, ChangeKind::Repo("r".into())),
            "what is no traceparent is passed over, not the change"
        );
        assert_eq!(read("app hello").unwrap().trace, None);
        assert_eq!(Change::parse("x app hello"), None);
        assert_eq!(read("other"), None);
        assert_eq!(Change::parse(""), None);
    }
}
