//! The connection to the database, and the refusal to work with one that could see too much.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::tenant::TenantId;
use domain::trace::TraceParent;
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Row};
use tracing::log::LevelFilter;

use crate::applications::read;
use crate::applications::seen::Seen;
use crate::applications::together::Together;
use crate::audit;
use crate::data_keys::DataKeys;
use crate::error::{Code, Error, Result};
use crate::held::Alone;
use crate::key_file::KeyFile;
use crate::manifest_sets;
use crate::migrate;
use crate::platform::PlatformScope;
use crate::scope::TenantScope;
use crate::together::{self, Lines};
use crate::transaction::Transaction;

/// How long a server has for its first answers.
const ANSWERS: Duration = Duration::from_secs(10);
/// Between tries while a database is waited for: at first,
const SHORTEST: Duration = Duration::from_millis(500);
/// and in the end.
const LONGEST: Duration = Duration::from_secs(4);

/// As which service a process works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `naru_api`.
    Api,
    /// `naru_controller`.
    Controller,
}

impl Role {
    /// The database role.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "naru_api",
            Self::Controller => "naru_controller",
        }
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most connections of the pool (one more is used per [`PlatformScope::listen`]).
    pub max_connections: u32,
    /// How long a call waits for a free connection, or for a database that is restarting.
    pub acquire_timeout: Duration,
    /// How long changes of applications that share a transaction wait for it to end. It has several statements, of which the
    /// database lets each take half a minute; what lasts longer than this is mostly never answered, as of a machine that is gone
    /// without a word, and all changes of the tenant would wait until the network says so.
    pub longest: Duration,
    /// How long the answer to a statement that nobody waits for any more keeps its connection from everybody else: longer than the
    /// database lets a statement take.
    pub answer: Duration,
    /// The place in a trace that notifications carry, asked when they are sent.
    pub trace: fn() -> Option<TraceParent>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            longest: Duration::from_secs(90),
            answer: together::LONGEST,
            trace: || None,
        }
    }
}

/// The database, as one service sees it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pool: PgPool,
    answer: Duration,
    /// For connections beside the pool.
    pub(crate) connect: PgConnectOptions,
    pub(crate) key_file: KeyFile,
    pub(crate) longest: Duration,
    pub(crate) trace: fn() -> Option<TraceParent>,
    pub(crate) tenant_keys: Mutex<HashMap<TenantId, (Instant, Arc<DataKeys>)>>,
    pub(crate) together: Together,
    pub(crate) seen: Seen,
    pub(crate) at_work: Lines<read::AtWork>,
    pub(crate) project_of: Lines<read::ProjectOf>,
    pub(crate) in_project: Lines<read::InProject>,
    pub(crate) audit: Lines<audit::append::Row>,
    pub(crate) sets: Lines<manifest_sets::SealedSet>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store(…)")
    }
}

impl Store {
    /// Connects with the usual pool.
    ///
    /// # Errors
    /// As [`Store::connect_with`].
    pub async fn connect(url: &str, role: Role, key_file: KeyFile) -> Result<Self> {
        Self::connect_with(url, role, key_file, Options::default()).await
    }

    /// Connects, and checks the role and the schema before anything else.
    ///
    /// # Errors
    /// When the database cannot be reached, its schema is another than this program's, or the URL's role is not the
    /// service's own or could get around row-level security.
    pub async fn connect_with(
        url: &str,
        role: Role,
        key_file: KeyFile,
        options: Options,
    ) -> Result<Self> {
        let connect = PgConnectOptions::from_str(url)?
            .application_name(role.name())
            // A process that is stopped in the middle of a transaction must not hold a tenant's counter for long.
            .options([
                ("idle_in_transaction_session_timeout", "5s"),
                ("lock_timeout", "10s"),
                ("statement_timeout", "30s"),
                // Every statement goes by a key. A plan that was made and kept while a table was small would read all of it,
                // and what its updates left, long after it has grown.
                ("enable_seqscan", "off"),
                // The plans are short; where there is nothing but to read a table, the line above makes them look long.
                ("jit", "off"),
            ])
            .log_statements(LevelFilter::Trace)
            .log_slow_statements(LevelFilter::Warn, Duration::from_secs(1));
        let asked = async {
            let mut connection = connect.connect().await?;
            refuse_powerful_role(&mut connection, role).await?;
            refuse_other_schema(&mut connection).await?;
            connection.close().await?;
            Ok::<_, Error>(())
        };
        in_time(asked).await?;

        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            // A connection that was in use a moment ago is alive; one that rested is asked first, so that a restarted
            // database costs a round trip instead of an error.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(1) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(connect.clone());
        Ok(Self::over(pool, connect, key_file, &options))
    }

    /// Connects as [`Store::connect_with`], and waits for a database that does not answer for as long as it takes, with a line in
    /// the log for each try: whoever ended instead would be started again later each time, and sit idle for minutes after an outage.
    ///
    /// # Errors
    /// What waiting does not mend: another schema, a role that could see too much, a wrong password.
    pub async fn wait_for(
        url: &str,
        role: Role,
        key_file: KeyFile,
        options: Options,
    ) -> Result<Self> {
        until_answered(|| Self::connect_with(url, role, key_file.clone(), options.clone())).await
    }

    pub(crate) fn over(
        pool: PgPool,
        connect: PgConnectOptions,
        key_file: KeyFile,
        options: &Options,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                pool,
                answer: options.answer,
                connect,
                key_file,
                longest: options.longest,
                trace: options.trace,
                tenant_keys: Mutex::default(),
                together: Together::default(),
                seen: Seen::default(),
                at_work: Lines::default(),
                project_of: Lines::default(),
                in_project: Lines::default(),
                audit: Lines::default(),
                sets: Lines::default(),
            }),
        }
    }

    /// The rows of one tenant.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> TenantScope {
        TenantScope::new(self.clone(), id)
    }

    /// The work across tenants.
    #[must_use]
    pub fn platform(&self) -> PlatformScope {
        PlatformScope::new(self.clone())
    }

    /// Whether the database answers, for readiness.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(self.pool()).await?;
        Ok(())
    }

    /// Closes the connections in good order.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    /// The beginning of a notification about a tenant: whose, and from which place in a trace.
    pub(crate) fn whose(&self, tenant: TenantId) -> String {
        match (self.inner.trace)() {
            Some(place) => format!("{tenant}@{place}"),
            None => tenant.to_string(),
        }
    }

    /// For a statement that stands alone.
    pub(crate) fn pool(&self) -> Alone<'_> {
        Alone {
            pool: &self.inner.pool,
            longest: self.inner.answer,
        }
    }

    /// A transaction that a statement begins.
    pub(crate) async fn begin(&self, statement: String) -> Result<Transaction> {
        let begun = Transaction::open(&self.inner.pool, statement, self.inner.answer);
        Ok(begun.await?)
    }
}

/// Asks the database until it answers, for as long as it takes, with a line in the log for each try. An answer may be lost on its way, so
/// that what is asked for may be done by then.
///
/// # Errors
/// What waiting does not mend.
pub async fn until_answered<T, F>(mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut pause = SHORTEST;
    loop {
        match ask().await {
            Err(error) if error.code() == Code::Unavailable => tracing::warn!(
                error = &error as &dyn std::error::Error,
                retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "waiting for the database, which does not answer yet"
            ),
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Opens a connection beside a pool.
pub(crate) async fn open(options: &PgConnectOptions) -> Result<PgConnection> {
    in_time(async { Ok(options.connect().await?) }).await
}

/// What a server says, if it says anything: one that takes a connection and is silent would be waited for until the network says so.
async fn in_time<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(ANSWERS, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::late()),
    }
}

async fn refuse_powerful_role(connection: &mut PgConnection, role: Role) -> Result<()> {
    let row = sqlx::query(
        "SELECT current_user::text AS name, session_user = current_user AS own, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
                EXISTS (SELECT FROM pg_roles g WHERE g.rolname IN ('naru_owner', 'naru_platform')
                        AND pg_has_role(current_user, g.oid, 'MEMBER')) AS member,
                EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace('naru')
                        AND pg_has_role(current_user, c.relowner, 'MEMBER')) AS owner
         FROM pg_roles r WHERE r.rolname = current_user",
    )
    .fetch_one(connection)
    .await?;
    let name: String = row.try_get("name")?;
    let refusals = [
        (row.try_get("rolsuper")?, "it is a superuser"),
        (row.try_get("rolbypassrls")?, "it has BYPASSRLS"),
        (row.try_get("rolcreaterole")?, "it has CREATEROLE"),
        (
            row.try_get("member")?,
            "it is a member of naru_owner or naru_platform",
        ),
        (row.try_get("owner")?, "it owns tables of the schema naru"),
        (
            !row.try_get::<bool, _>("own")?,
            "it is not the role that logged in",
        ),
    ];
    let mut why: Vec<String> = refusals
        .iter()
        .filter(|r| r.0)
        .map(|r| r.1.to_owned())
        .collect();
    if name != role.name() {
        why.push(format!(
            "this service works as `{}`; name it in NARU_DATABASE_URL",
            role.name()
        ));
    }
    if why.is_empty() {
        Ok(())
    } else {
        Err(Error::Role {
            role: name,
            why: why.join("; "),
        })
    }
}

async fn refuse_other_schema(connection: &mut PgConnection) -> Result<()> {
    let made: bool = sqlx::query_scalar("SELECT to_regclass('naru._sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    let found: i64 = if made {
        sqlx::query_scalar(
            "SELECT coalesce(max(version), 0) FROM naru._sqlx_migrations WHERE success",
        )
        .fetch_one(connection)
        .await?
    } else {
        0
    };
    // A newer schema is welcome: migrations only ever widen what a running program uses.
    if found >= migrate::wanted() {
        Ok(())
    } else {
        Err(Error::Schema {
            found,
            wanted: migrate::wanted(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_database_is_asked_until_it_answers_whatever_it_says() {
        let asked = AtomicU32::new(0);
        let ask = |until: u32, there: bool| {
            let times = asked.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                match (times < until, there) {
                    (true, _) => Err(Error::late()),
                    (false, true) => Ok(times),
                    (false, false) => Err(Error::not_found("tenant", "naru")),
                }
            }
        };
        assert_eq!(until_answered(|| ask(9, true)).await.unwrap(), 9);
        let refused = until_answered(|| ask(11, false)).await;
        assert_eq!(refused.unwrap_err().code(), Code::NotFound);
        assert_eq!(asked.load(Ordering::Relaxed), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_a_connection_and_is_silent_is_away() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let url = format!("postgres://nobody@{address}/none");
        let key_file = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        let opened = async { open(&url.parse().unwrap()).await.map(drop) };
        let connected = async { Store::connect(&url, Role::Api, key_file).await.map(drop) };
        let both = async { (opened.await, connected.await) };
        let (opened, connected) = tokio::time::timeout(3 * ANSWERS, both).await.unwrap();
        assert_eq!(opened.unwrap_err().code(), Code::Unavailable);
        assert_eq!(connected.unwrap_err().code(), Code::Unavailable);
    }
}
