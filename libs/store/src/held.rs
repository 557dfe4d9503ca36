//! A connection of the pool for as long as somebody asks something in it, and what is asked in one statement alone.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{TryFutureExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow};
use sqlx::{Database, Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres};
use tokio::time::timeout;

/// One connection.
///
/// Whoever goes away in the middle of a statement leaves an answer to come. The pool waits for it before it gives the connection to
/// anybody else, without end: of a machine that is gone without a word for as long as the network takes to say so, and of ten such
/// connections nobody has another meanwhile, though the database may long be back elsewhere. Here it waits no longer than a statement
/// may take, and then the connection is given up. It is not sooner: what the database still works at would be nobody's, and new
/// connections come on top of it.
pub(crate) struct Held {
    connection: PoolConnection<Postgres>,
    longest: Duration,
    closes: bool,
}

impl Held {
    /// One that is free. An answer that nobody waits for any more has `longest`, once it is given back.
    pub(crate) async fn of(pool: &PgPool, longest: Duration) -> Result<Self, sqlx::Error> {
        Ok(Self::over(pool.acquire().await?, longest))
    }

    pub(crate) fn over(connection: PoolConnection<Postgres>, longest: Duration) -> Self {
        Self {
            connection,
            longest,
            closes: false,
        }
    }

    /// It is closed when it is held no more, without waiting for any answer.
    pub(crate) fn close(&mut self) {
        self.closes = true;
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Held {
    #[expect(
        clippy::disallowed_methods,
        reason = "what goes back to the pool is nobody's who could wait for it, as the pool does it by itself"
    )]
    fn drop(&mut self) {
        if self.closes {
            self.connection.close_on_drop();
            return;
        }
        // What is left of it when its time is over goes with it.
        let back = self.connection.return_to_pool();
        drop(tokio::spawn(timeout(self.longest, back)));
    }
}

/// Whichever connection is free, for one statement that is a transaction of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alone<'s> {
    pub(crate) pool: &'s PgPool,
    pub(crate) longest: Duration,
}

impl Executor<'_> for Alone<'_> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let (pool, longest) = (self.pool.clone(), self.longest);
        let told = async move {
            let mut held = Held::of(&pool, longest).await?;
            let told: Vec<Either<PgQueryResult, PgRow>> =
                held.fetch_many(query).try_collect().await?;
            Ok::<_, sqlx::Error>(stream::iter(told.into_iter().map(Ok::<_, sqlx::Error>)))
        };
        Box::pin(told.try_flatten_stream())
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let (pool, longest) = (self.pool.clone(), self.longest);
        Box::pin(async move {
            let mut held = Held::of(&pool, longest).await?;
            held.fetch_optional(query).await
        })
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [<Postgres as Database>::TypeInfo],
    ) -> BoxFuture<'e, Result<<Postgres as Database>::Statement<'q>, sqlx::Error>> {
        let (pool, longest) = (self.pool.clone(), self.longest);
        Box::pin(async move {
            let mut held = Held::of(&pool, longest).await?;
            held.prepare_with(sql, parameters).await
        })
    }

    fn describe<'e, 'q: 'e>(
        self,
        sql: &'q str,
    ) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>> {
        let (pool, longest) = (self.pool.clone(), self.longest);
        Box::pin(async move {
            let mut held = Held::of(&pool, longest).await?;
            held.describe(sql).await
        })
    }
}
