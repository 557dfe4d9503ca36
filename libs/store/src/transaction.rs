//! A transaction on a connection of the pool, which nobody else is ever in.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgTransactionManager;
use sqlx::{Connection, PgConnection, PgPool, Postgres, TransactionManager};
use tokio::time::timeout;

use crate::held::Held;

/// A transaction; it is rolled back where it is dropped before it is committed.
///
/// sqlx's own gives its connection back also where what begins it was refused or nobody waits for it any more, as of a request whose
/// caller hangs up while it waits for the tenant's counter. The database has begun it all the same. Whoever had the connection next
/// would be in that transaction: told that something is written which nobody commits, or refused whatever is asked, and the counter
/// would stay locked. Such a connection is closed.
pub(crate) struct Transaction {
    connection: Held,
    stage: Stage,
}

/// How far one is, as far as is known here.
enum Stage {
    /// It may have ended: nobody has waited for the answer.
    Unknown,
    Open,
    Committed,
}

impl Transaction {
    /// Begins one with a statement that says BEGIN first. The connection is given back as [`Held`] says.
    pub(crate) async fn open(
        pool: &PgPool,
        statement: String,
        longest: Duration,
    ) -> Result<Self, sqlx::Error> {
        let mut begins = Begins {
            connection: Some(pool.acquire().await?),
            longest,
        };
        if let Some(connection) = &mut begins.connection {
            PgTransactionManager::begin(connection, Some(statement.into())).await?;
        }
        let begun = begins.connection.take().ok_or(sqlx::Error::BeginFailed)?;
        Ok(Self {
            connection: Held::over(begun, longest),
            stage: Stage::Open,
        })
    }

    /// Ends it with all that was written in it.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.stage = Stage::Unknown;
        let committed = PgTransactionManager::commit(&mut self.connection).await;
        self.stage = match committed {
            Ok(()) => Stage::Committed,
            Err(_) => Stage::Open,
        };
        committed
    }

    /// Gives up one in which something is asked that is not answered. Its connection is closed: the pool would wait for that answer
    /// before anybody else may have it.
    pub(crate) fn give_up(mut self) {
        self.stage = Stage::Unknown;
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        match self.stage {
            Stage::Unknown => self.connection.close(),
            // It goes out before the connection is anybody else's.
            Stage::Open => PgTransactionManager::start_rollback(&mut self.connection),
            Stage::Committed => {}
        }
    }
}

/// A connection on which one begins. Where that comes to nothing it is closed, but not before the database has answered: whoever hangs
/// up and asks again would else have one more wait there for the tenant's counter each time, and no pool's bounds keep them from being
/// as many as the database has connections for everybody.
struct Begins {
    connection: Option<PoolConnection<Postgres>>,
    longest: Duration,
}

impl Drop for Begins {
    #[expect(
        clippy::disallowed_methods,
        reason = "nobody is left who could wait for the answer"
    )]
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        connection.close_on_drop();
        let longest = self.longest;
        drop(tokio::spawn(async move {
            // Whatever it says.
            let _ = timeout(longest, connection.ping()).await;
        }));
    }
}
