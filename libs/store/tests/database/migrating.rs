//! Migrations on a database that is in use: they let its users through, and say whom they wait for.

use std::time::Duration;

use sqlx::{Connection, PgConnection, Postgres, Transaction};
use store::{Code, Error, Patience};
use testkit::wait;

use crate::{World, session};

/// A migration that changes tables which are there, and may be run again.
const CHANGING: i64 = 22;
/// One of these.
const TABLE: &str = "naru.manifest_sets";
const LIMIT: Duration = Duration::from_secs(30);

async fn forget_that_it_ran(world: &World) {
    let sql = format!("delete from naru._sqlx_migrations where version = {CHANGING}");
    world.server.sql(Some(&world.name), &sql).await.unwrap();
}

async fn has_run(world: &World) -> bool {
    let sql =
        format!("select exists (select from naru._sqlx_migrations where version = {CHANGING})");
    world.server.sql(Some(&world.name), &sql).await.unwrap() == "t"
}

/// Waits until somebody in the database waits so.
pub(crate) async fn waited_for(world: &World, so: &str) {
    let sql = format!(
        "select exists (select from pg_stat_activity where datname = current_database() and {so})"
    );
    wait::until_true(so, LIMIT, || async {
        Ok(world.server.sql(Some(&world.name), &sql).await? == "t")
    })
    .await
    .unwrap();
}

/// A transaction that uses the table until it ends.
async fn use_table(user: &mut PgConnection) -> Transaction<'_, Postgres> {
    let mut long = user.begin().await.unwrap();
    sqlx::query(&format!("LOCK TABLE {TABLE} IN ACCESS SHARE MODE"))
        .execute(&mut *long)
        .await
        .unwrap();
    long
}

async fn read(world: &World) -> sqlx::Result<()> {
    let mut reader = session(&world.database.admin).await;
    // As long as the services wait.
    sqlx::query("SET lock_timeout = '10s'")
        .execute(&mut reader)
        .await?;
    sqlx::query(&format!("SELECT count(*) FROM {TABLE}"))
        .execute(&mut reader)
        .await?;
    reader.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_lets_others_through_while_a_table_is_in_use_and_then_runs() {
    World::with(async |world| {
        forget_that_it_ran(world).await;
        let patience = Patience {
            lock: Duration::from_millis(300),
            tries: 200,
            pause: Duration::from_millis(50),
            ..Patience::default()
        };
        let owner = &world.database.owner;
        let mut user = session(&world.database.admin).await;
        let long = use_table(&mut user).await;
        let meanwhile = async {
            waited_for(world, "wait_event = 'relation'").await;
            read(world).await.unwrap();
            // Who migrates beside it waits for as long as it takes: longer than for any table.
            let beside =
                "wait_event = 'advisory' and query_start < clock_timestamp() - interval '1s'";
            waited_for(world, beside).await;
            assert!(!has_run(world).await);
            long.commit().await.unwrap();
        };
        let (one, other, ()) = tokio::join!(
            store::migrate_with(owner, patience),
            store::migrate_with(owner, patience),
            meanwhile
        );
        one.unwrap();
        other.unwrap();
        assert!(has_run(world).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_never_gets_its_table_is_named_and_may_be_run_again() {
    World::with(async |world| {
        forget_that_it_ran(world).await;
        let patience = Patience {
            lock: Duration::from_millis(50),
            tries: 2,
            pause: Duration::from_secs(2),
            ..Patience::default()
        };
        // What is given up is no open transaction meanwhile: such a server would hang up on it.
        let sign = if world.database.owner.contains('?') {
            '&'
        } else {
            '?'
        };
        let hasty = "options=-c%20idle_in_transaction_session_timeout%3D1s";
        let owner = &format!("{}{sign}{hasty}", world.database.owner);
        let mut user = session(&world.database.admin).await;
        let long = use_table(&mut user).await;
        let error = store::migrate_with(owner, patience).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        let told = matches!(
            error,
            Error::Hindered {
                version: CHANGING,
                tries: 2,
                ..
            }
        );
        assert!(told, "{error}");
        assert!(!has_run(world).await);
        long.commit().await.unwrap();
        store::migrate_with(owner, patience).await.unwrap();
        assert!(has_run(world).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_whose_connection_breaks_is_run_again_but_not_for_ever() {
    World::with(async |world| {
        forget_that_it_ran(world).await;
        let patience = Patience {
            lock: LIMIT,
            ..Patience::default()
        };
        let waits = "application_name = 'naru-migrate' and wait_event = 'relation'";
        let cut_off = async || {
            waited_for(world, waits).await;
            let cut = format!(
                "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity
                 where datname = current_database() and {waits}"
            );
            assert_eq!(
                world.server.sql(Some(&world.name), &cut).await.unwrap(),
                "1"
            );
        };
        let owner = &world.database.owner;
        let mut user = session(&world.database.admin).await;
        let long = use_table(&mut user).await;
        // Each time.
        let (broken, ()) = tokio::join!(store::migrate_with(owner, patience), async {
            for _ in 0..4 {
                cut_off().await;
            }
        });
        let broken = broken.unwrap_err();
        assert_eq!(broken.code(), Code::Unavailable);
        assert!(matches!(broken, Error::CutOff(_)), "{broken}");
        assert!(!has_run(world).await);
        let (migrated, ()) = tokio::join!(store::migrate_with(owner, patience), async {
            cut_off().await;
            long.commit().await.unwrap();
        });
        migrated.unwrap();
        assert!(has_run(world).await);
    })
    .await;
}
