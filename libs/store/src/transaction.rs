//! A transaction on a connection of the pool, which nobody else is ever in.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgTransactionManager;
use sqlx::{PgConnection, PgPool, Postgres, TransactionManager};

/// A transaction; it is rolled back where it is dropped before it is committed.
///
/// sqlx's own gives its connection back also where what begins it was refused or nobody waits for it any more, as of a request whose
/// caller hangs up while it waits for the tenant's counter. The database has begun it all the same. Whoever had the connection next
/// would be in that transaction: told that something is written which nobody commits, or refused whatever is asked, and the counter
/// would stay locked. Such a connection is closed.
pub(crate) struct Transaction {
    connection: PoolConnection<Postgres>,
    stage: Stage,
}

/// How far one is, as far as is known here.
enum Stage {
    /// It may have begun or ended: nobody has waited for the answer.
    Unknown,
    Open,
    Committed,
}

impl Transaction {
    /// Begins one with a statement that says BEGIN first.
    pub(crate) async fn open(pool: &PgPool, statement: String) -> Result<Self, sqlx::Error> {
        let mut opened = Self {
            connection: pool.acquire().await?,
            stage: Stage::Unknown,
        };
        PgTransactionManager::begin(&mut opened.connection, Some(statement.into())).await?;
        opened.stage = Stage::Open;
        Ok(opened)
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
            Stage::Unknown => self.connection.close_on_drop(),
            // It goes out before the connection is anybody else's.
            Stage::Open => PgTransactionManager::start_rollback(&mut self.connection),
            Stage::Committed => {}
        }
    }
}
