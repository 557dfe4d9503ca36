//! The end of a tenant: everything goes, one tombstone stays, and a later tenant of the name inherits nothing.

use domain::manifest::ManifestSetHash;
use domain::tenant::{TenantId, TenantState};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use sqlx::{Connection, Postgres, Transaction};
use store::audit::AuditEntry;
use store::{Code, KeyFile, Rotation, StatusWrite, Verdict};

use crate::migrating::waited_for;
use crate::model::Rows;
use crate::publish::entry;
use crate::{World, app, session};

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_destroyed_tenant_is_gone_and_nothing_of_anothers() {
    World::with(async |world| {
        let (a, b) = (world.scope("user01").await, world.scope("user02").await);
        let lease = world.lease().await;
        let mut rng = StdRng::seed_from_u64(11);
        let mut rows = [Rows::new(), Rows::new()];
        for _ in 0..80 {
            for (scope, rows) in [&a, &b].into_iter().zip(&mut rows) {
                rows.step(scope, &world.controller, &lease, &mut rng).await;
            }
        }
        a.audit().append(&AuditEntry::default()).await.unwrap();
        let platform = world.api.platform();
        // Not before it was said that it goes, and never the operator's own.
        assert!(!platform.destroy_tenant(a.tenant()).await.unwrap());
        let held = platform.tenant_rows(a.tenant()).await.unwrap();
        assert!(
            held["applications"] + held["history"] > 0 && held["audit"] > 0,
            "{held:?}"
        );
        assert!(held.len() >= 18, "{held:?}");

        let mut exported = std::collections::BTreeMap::new();
        for (relation, count) in &held {
            let mut after = "(0,0)".to_owned();
            loop {
                let (page, last) = platform
                    .export_tenant(a.tenant(), relation, &after, 3)
                    .await
                    .unwrap();
                for row in &page {
                    let row = row.as_object().unwrap();
                    let secret = |name: &&String| {
                        ["sealed", "wrapped", "password_hash"].contains(&name.as_str())
                    };
                    assert_eq!(row.keys().find(secret), None, "{relation}");
                }
                *exported.entry(relation).or_insert(0) += page.len() as i64;
                match last {
                    Some(last) => after = last,
                    None => break,
                }
            }
            assert_eq!(exported[relation], *count, "{relation}");
        }

        platform
            .set_tenant_state(a.tenant(), TenantState::Deleting)
            .await
            .unwrap();
        assert!(
            platform
                .set_tenant_state(a.tenant(), TenantState::Active)
                .await
                .is_err(),
            "there is no way back"
        );
        assert!(platform.destroy_tenant(a.tenant()).await.unwrap());
        assert!(!platform.destroy_tenant(a.tenant()).await.unwrap(), "once");
        let left = platform.tenant_rows(a.tenant()).await.unwrap();
        assert!(left.values().all(|held| *held == 0), "{left:?}");
        assert_eq!(Rows::read(&b).await, rows[1]);

        let stone = platform.tombstone("user01").await.unwrap().unwrap();
        assert_eq!((stone.tenant, stone.proof), (a.tenant(), None));
        platform
            .prove_destroyed(a.tenant(), &json!({"left": 0}))
            .await
            .unwrap();
        platform
            .prove_destroyed(a.tenant(), &json!({"left": 1}))
            .await
            .unwrap();
        let stone = platform.tombstone("user01").await.unwrap().unwrap();
        assert_eq!(stone.proof, Some(json!({"left": 0})), "written once");

        let again = world.scope("user01").await;
        assert_ne!(again.tenant(), a.tenant());
        assert!(again.applications().list().await.unwrap().is_empty());
        assert!(again.repositories().list().await.unwrap().is_empty());
        assert!(again.audit().newest(10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_tenant_is_neither_suspended_nor_destroyed() {
    World::with(async |world| {
        let naru = world.tenant("naru").await;
        let platform = world.api.platform();
        for state in [TenantState::Suspended, TenantState::Deleting] {
            assert!(platform.set_tenant_state(naru.id, state).await.is_err());
        }
        assert!(!platform.destroy_tenant(naru.id).await.unwrap());
        let user = world.tenant("user01").await;
        platform
            .set_tenant_state(user.id, TenantState::Suspended)
            .await
            .unwrap();
        let found = platform.tenant_by_name("user01").await.unwrap().unwrap();
        assert_eq!(found.standing.state, TenantState::Suspended);
        assert!(found.standing.created_at > 0);
        assert_eq!(
            platform.active_among(&[naru.id, user.id]).await.unwrap(),
            [naru.id]
        );
        platform
            .set_tenant_state(user.id, TenantState::Active)
            .await
            .unwrap();
    })
    .await;
}

async fn going(world: &World, tenant: TenantId) {
    let platform = world.api.platform();
    let going = platform.set_tenant_state(tenant, TenantState::Deleting);
    going.await.unwrap();
}

async fn nothing_left(world: &World, tenant: TenantId) {
    let left = world.api.platform().tenant_rows(tenant).await.unwrap();
    assert!(left.values().all(|held| *held == 0), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_while_a_tenant_is_destroyed_leaves_no_row() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let tenant = scope.tenant();
        let fence = world.lease().await.fence;
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        let keeper = world.controller.tenant(tenant);
        let (one, other) = (ManifestSetHash("a".into()), ManifestSetHash("b".into()));
        let set = keeper.seal_manifest_set(&one, b"a").await.unwrap();
        going(world, tenant).await;

        let mut admin = session(&world.database.admin).await;
        let mut destroying = admin.begin().await.unwrap();
        let destroyed: bool = sqlx::query_scalar("SELECT naru.destroy_tenant($1)")
            .bind(tenant.0)
            .fetch_one(&mut *destroying)
            .await
            .unwrap();
        assert!(destroyed);

        let batch = [StatusWrite {
            history: Some(entry(0)),
            set: Some(set),
            ..StatusWrite::status(tenant, &seen, seen.status.clone())
        }];
        let platform = world.controller.platform();
        let (audit, recorded) = (scope.audit(), AuditEntry::default());
        let ends = async {
            // None of them is through before it is known how this ends.
            let all = "(select count(*) from pg_stat_activity where datname = current_database()
                        and wait_event_type = 'Lock') = 3";
            waited_for(world, all).await;
            destroying.commit().await.unwrap();
        };
        let (written, recorded, kept, ()) = tokio::join!(
            platform.publish(&batch, "cluster/0", fence),
            audit.append(&recorded),
            keeper.put_manifest_set(&other, b"b"),
            ends
        );
        assert_eq!(written.unwrap()[0].verdict, Verdict::Gone);
        assert_eq!(recorded.unwrap_err().code(), Code::NotFound);
        assert_eq!(kept.unwrap_err().code(), Code::Conflict);
        nothing_left(world, tenant).await;
    })
    .await;
}

/// Destroys a tenant of which a transaction is open that has written a row.
async fn destroyed_beside(world: &World, tenant: TenantId, writing: Transaction<'_, Postgres>) {
    let platform = world.api.platform();
    let mut admin = session(&world.database.admin).await;
    let ends = async {
        waited_for(world, "wait_event_type = 'Lock'").await;
        // Nothing is deleted before: what has been looked through is not looked through again.
        for table in ["tenant_hosts", "accounts", "projects", "secrets"] {
            let untouched = format!(
                "SELECT (SELECT count(*) FROM (SELECT FROM naru.{table} WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED) r)
                     = (SELECT count(*) FROM naru.{table} WHERE tenant_id = $1)"
            );
            let untouched: bool = sqlx::query_scalar(&untouched)
                .bind(tenant.0)
                .fetch_one(&mut admin)
                .await
                .unwrap();
            assert!(untouched, "{table}");
        }
        writing.commit().await.unwrap();
    };
    let (destroyed, ()) = tokio::join!(platform.destroy_tenant(tenant), ends);
    assert!(destroyed.unwrap());
    nothing_left(world, tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_written_when_its_tenant_is_destroyed_goes_with_it() {
    World::with(async |world| {
        let fence = world.lease().await.fence;
        let mut api = session(&world.database.api).await;
        let mut controller = session(&world.database.controller).await;

        // An entry of the record, as programs of either age add it.
        for (name, call) in [
            ("user01", "SELECT naru.record_audits(jsonb_build_array(jsonb_build_object('tenant', $1,
                'actor', '', 'actor_kind', '', 'action', '', 'object', '', 'source', '', 'result', '',
                'request_id', '', 'details', '{}'::jsonb)))"),
            ("user02", "SELECT naru.record_audit($1, NULL, '', '', '', '', '', '', '', '{}')"),
        ] {
            let tenant = world.scope(name).await.tenant();
            going(world, tenant).await;
            let mut writing = api.begin().await.unwrap();
            let call = sqlx::query(call).bind(tenant.0);
            call.execute(&mut *writing).await.unwrap();
            destroyed_beside(world, tenant, writing).await;
        }

        let scope = world.scope("user03").await;
        let tenant = scope.tenant();
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        going(world, tenant).await;
        let mut writing = controller.begin().await.unwrap();
        let writes = json!([{
            "tenant": tenant, "name": "hello", "uid": seen.uid(), "status": {}, "observed": 0,
            "clear_operation": false, "remove": false, "history": {"id": 0},
        }]);
        let outcome: String = sqlx::query_scalar("SELECT outcome FROM naru.publish('cluster/0', $1, $2)")
            .bind(fence)
            .bind(writes)
            .fetch_one(&mut *writing)
            .await
            .unwrap();
        assert_eq!(outcome, "written");
        destroyed_beside(world, tenant, writing).await;

        let tenant = world.scope("user04").await.tenant();
        going(world, tenant).await;
        let mut writing = controller.begin().await.unwrap();
        sqlx::query("SELECT set_config('naru.tenant', $1, true)")
            .bind(tenant.to_string())
            .execute(&mut *writing)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO naru.manifest_sets (tenant_id, hash, sealed)
             VALUES (naru.current_tenant(), 'a', decode('01', 'hex'))",
        )
        .execute(&mut *writing)
        .await
        .unwrap();
        destroyed_beside(world, tenant, writing).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_destroyed_although_somebody_who_seals_has_its_key_first() {
    World::with(async |world| {
        let tenant = world.scope("user01").await.tenant();
        going(world, tenant).await;
        let mut first = session(&world.database.admin).await;
        let mut second = session(&world.database.admin).await;
        // Of the two it is the one that destroys whom the database refuses: it comes last to what it waits for, and looks for a
        // circle first.
        sqlx::query("SET deadlock_timeout = '1min'")
            .execute(&mut second)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO naru.tenant_keys (tenant_id, version, wrapped, wrapped_by)
             SELECT tenant_id, 2, wrapped, wrapped_by FROM naru.tenant_keys WHERE tenant_id = $1",
        )
        .bind(tenant.0)
        .execute(&mut first)
        .await
        .unwrap();
        let (mut before, mut sealing) =
            (first.begin().await.unwrap(), second.begin().await.unwrap());
        // As the trigger locks it that refuses a dropped key, and then the row's key to its tenant.
        for (holder, version) in [(&mut before, 1), (&mut sealing, 2)] {
            sqlx::query(
                "SELECT FROM naru.tenant_keys WHERE tenant_id = $1 AND version = $2 FOR KEY SHARE",
            )
            .bind(tenant.0)
            .bind(version)
            .execute(&mut **holder)
            .await
            .unwrap();
        }
        let waiting = |who: &str| format!("wait_event_type = 'Lock' and application_name {who}");
        let seals = async {
            // It has the tenant, and waits for the first key.
            waited_for(world, &waiting("= 'naru_api'")).await;
            sqlx::query("SELECT FROM naru.tenants WHERE id = $1 FOR KEY SHARE")
                .bind(tenant.0)
                .execute(&mut *sealing)
                .await
                .unwrap();
            sealing.commit().await.unwrap();
        };
        let lets_on = async {
            waited_for(world, &waiting("<> 'naru_api'")).await;
            before.commit().await.unwrap();
        };
        let platform = world.api.platform();
        let (destroyed, (), ()) = tokio::join!(platform.destroy_tenant(tenant), seals, lets_on);
        assert!(destroyed.unwrap());
        nothing_left(world, tenant).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_destroys_a_tenant_waits_for_a_batch_that_is_sealed_anew_and_holds_nothing_meanwhile() {
    World::with(async |world| {
        let tenant = world.scope("user01").await.tenant();
        going(world, tenant).await;
        let keys = KeyFile::from_base64(&world.key).unwrap();
        let mut rotation = Rotation::connect(&world.database.owner, keys)
            .await
            .unwrap();
        let mut admin = session(&world.database.admin).await;
        let mut using = admin.begin().await.unwrap();
        sqlx::query("SELECT FROM naru.signing_keys WHERE tenant_id = $1 FOR UPDATE")
            .bind(tenant.0)
            .execute(&mut *using)
            .await
            .unwrap();
        let platform = world.api.platform();
        let destroys = async {
            let waiting = |application: &str| {
                format!("wait_event_type = 'Lock' and application_name = '{application}'")
            };
            waited_for(world, &waiting("naru-rotate")).await;
            let looks = async {
                waited_for(world, &waiting("naru_api")).await;
                let free: Option<i32> = sqlx::query_scalar(
                    "SELECT version FROM naru.tenant_keys WHERE tenant_id = $1 AND version = 1
                     FOR UPDATE SKIP LOCKED",
                )
                .bind(tenant.0)
                .fetch_optional(&mut *using)
                .await
                .unwrap();
                using.commit().await.unwrap();
                free
            };
            tokio::join!(platform.destroy_tenant(tenant), looks)
        };
        let (rotated, (destroyed, free)) = tokio::join!(rotation.rotate_tenant("user01"), destroys);
        assert_eq!(free, Some(1), "the key waits for no one");
        assert!(destroyed.unwrap());
        assert_eq!(rotated.unwrap_err().code(), Code::NotFound);
        nothing_left(world, tenant).await;
    })
    .await;
}
