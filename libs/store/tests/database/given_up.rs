//! What becomes of a connection in which somebody goes away before the database has answered.

use std::time::Duration;

use domain::quota::Quotas;
use futures::future::BoxFuture;
use sqlx::Connection;
use store::{Code, KeyFile, Options, Role, Store};
use testkit::wait;

use crate::migrating::waited_for;
use crate::{World, app, session};

/// The api's store with one connection: whoever comes next has the same one, or waits for it.
async fn narrow(world: &World, options: Options) -> Store {
    let options = Options {
        max_connections: 1,
        ..options
    };
    let key = KeyFile::from_base64(&world.key).unwrap();
    let store = Store::connect_with(&world.database.api, Role::Api, key, options);
    store.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_gave_up_keeps_its_connection_no_longer_than_a_statement_may_take() {
    World::with(async |world| {
        let tenant = world.scope("user01").await.tenant();
        let options = Options {
            answer: Duration::from_secs(1),
            ..Options::default()
        };
        let store = narrow(world, options).await;
        let (platform, scope) = (store.platform(), store.tenant(tenant));
        let none = Quotas::default();
        let later = chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap();
        let mut admin = session(&world.database.admin).await;
        for alone in [true, false] {
            let mut holding = admin.begin().await.unwrap();
            sqlx::query(
                "LOCK TABLE naru.quota_defaults, naru.revoked_tokens IN ACCESS EXCLUSIVE MODE",
            )
            .execute(&mut *holding)
            .await
            .unwrap();
            let asked: BoxFuture<'_, store::Result<()>> = match alone {
                true => Box::pin(platform.set_quota_defaults(&none)),
                false => Box::pin(scope.revoke_token("it", later)),
            };
            tokio::select! {
                done = asked => panic!("its table is locked: {done:?}"),
                () = waited_for(world, "wait_event_type = 'Lock'") => {}
            }
            // Nobody lets go of the table before that.
            store.ping().await.unwrap();
            holding.commit().await.unwrap();
        }
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_as_a_transaction_begins_leaves_no_connection_besides_those_of_the_pool() {
    World::with(async |world| {
        let tenant = world.scope("user01").await.tenant();
        let options = Options {
            acquire_timeout: Duration::from_secs(1),
            ..Options::default()
        };
        let store = narrow(world, options).await;
        let scope = store.tenant(tenant);
        let mut admin = session(&world.database.admin).await;
        let mut holding = admin.begin().await.unwrap();
        sqlx::query("SELECT FROM naru.tenants WHERE id = $1 FOR UPDATE")
            .bind(tenant.0)
            .execute(&mut *holding)
            .await
            .unwrap();
        let (apps, wanted) = (scope.applications(), app("hello", 1));
        tokio::select! {
            made = apps.create(&wanted) => panic!("the counter is locked: {made:?}"),
            () = waited_for(world, "wait_event_type = 'Lock'") => {}
        }
        // What was given up still waits in the database.
        assert_eq!(store.ping().await.unwrap_err().code(), Code::Unavailable);
        holding.commit().await.unwrap();
        wait::until_true(
            "the connection is free",
            Duration::from_secs(30),
            || async { Ok(store.ping().await.is_ok()) },
        )
        .await
        .unwrap();
        assert_eq!(apps.list().await.unwrap(), []);
        store.close().await;
    })
    .await;
}
