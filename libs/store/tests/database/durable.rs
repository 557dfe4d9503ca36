//! What was acknowledged is there after the database was killed; on a server of the test's own.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use store::audit::{AuditEntry, Filter};
use store::{KeyFile, Role, Store};
use testkit::ground::{self, Ground};
use testkit::postgres::{Options, Postgres};
use testkit::progress::Progress;

use crate::new_tenant;

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_entry_of_the_record_outlives_a_killed_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut ground = Ground::open(folder.path(), Progress::silent()).unwrap();
    let outcome = AssertUnwindSafe(killed_after_the_answer(&mut ground))
        .catch_unwind()
        .await;
    ground::stop_all(&ground.supervisor).await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn killed_after_the_answer(ground: &mut Ground) {
    let server = Postgres::start(ground, &Options::default()).await.unwrap();
    // Nothing is written down by the way within the time of this test.
    server
        .sql(None, "alter system set wal_writer_delay = '10s'")
        .await
        .unwrap();
    server.sql(None, "select pg_reload_conf()").await.unwrap();
    let database = server.database("durable").await.unwrap();
    store::migrate(&database.owner).await.unwrap();
    let key = KeyFile::generate();
    let open = async || {
        let key = KeyFile::from_base64(&key).unwrap();
        Store::connect(&database.api, Role::Api, key).await.unwrap()
    };
    let before = open().await;
    let tenant = before
        .platform()
        .create_tenant(new_tenant("user01"))
        .await
        .unwrap();
    let login = AuditEntry {
        actor: "admin".into(),
        action: "/session.SessionService/Create".into(),
        result: "OK".into(),
        ..AuditEntry::default()
    };
    let id = before.tenant(tenant.id).audit().append(&login).await;
    let id = id.unwrap();
    ground.running("postgres").unwrap().kill().await.unwrap();
    before.close().await;

    Postgres::start(ground, &Options::default()).await.unwrap();
    let after = open().await;
    let kept = after
        .tenant(tenant.id)
        .audit()
        .query(&Filter::default(), 10)
        .await
        .unwrap();
    let kept: Vec<_> = kept.iter().map(|call| call.id).collect();
    assert_eq!(kept, [id]);
    after.close().await;
}
