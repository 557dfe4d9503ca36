//! The end of a tenant: everything goes, one tombstone stays, and a later tenant of the name inherits nothing.

use domain::tenant::TenantState;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use store::audit::AuditEntry;

use crate::World;
use crate::model::Rows;

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
