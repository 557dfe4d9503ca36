//! The record: append-only, sealed, and honest about what was done to it.

use std::time::Duration;

use domain::quota::{Quota, Quotas};
use domain::repository::{Credentials, Options, Repository};
use domain::resource::ResourceKey;
use domain::status::ResourceStatus;
use domain::tenant::{TenantId, TenantState};
use serde_json::json;
use store::audit::{AuditEntry, Filter};
use store::{Lease, SEALING};
use uuid::Uuid;

use crate::{World, session};

fn entry(action: &str, object: &str) -> AuditEntry {
    AuditEntry {
        actor: "admin".into(),
        actor_kind: "account".into(),
        action: action.into(),
        object: object.into(),
        source: "192.0.2.1".into(),
        request_id: "r".into(),
        ..AuditEntry::default()
    }
}

async fn sealing(world: &World) -> Lease {
    let minute = Duration::from_secs(60);
    world
        .controller
        .platform()
        .acquire_lease(SEALING, "tester", minute, Duration::ZERO)
        .await
        .unwrap()
        .unwrap()
}

/// A record of `n` calls, each sealed with its end in seals of their own.
async fn written(world: &World, name: &str, n: usize) -> store::TenantScope {
    let scope = world.scope(name).await;
    let lease = sealing(world).await;
    for at in 0..n {
        let begun = scope
            .audit()
            .append(&entry("/a.B/Create", &format!("object-{at}")))
            .await
            .unwrap();
        let end = AuditEntry {
            about: Some(begun),
            result: "OK".into(),
            details: json!({"before": {"a": 1}, "after": {"b": [2], "aa": null}}),
            ..entry("/a.B/Create", &format!("object-{at}"))
        };
        scope.audit().append(&end).await.unwrap();
        if at % 2 == 1 {
            let platform = world.controller.platform();
            assert_eq!(platform.unsealed_audits().await.unwrap(), [scope.tenant()]);
            assert_eq!(
                platform.seal_audit(&lease, scope.tenant()).await.unwrap(),
                4
            );
            assert_eq!(
                platform.seal_audit(&lease, scope.tenant()).await.unwrap(),
                0
            );
            assert!(platform.unsealed_audits().await.unwrap().is_empty());
        }
    }
    scope
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_added_at_once_are_all_there_and_a_broken_one_fails_alone() {
    World::with(async |world| {
        let ours = world.scope("user01").await;
        let theirs = world.scope("user02").await;
        let nobodys = world.api.tenant(TenantId(Uuid::from_u128(7)));
        let adding = (0..200).map(|at| {
            let scope = [&ours, &theirs][at % 2];
            async move {
                scope
                    .audit()
                    .append(&entry("/a.B/C", &at.to_string()))
                    .await
            }
        });
        let broken = entry("/a.B/C", "a\0b");
        let lost = entry("/a.B/C", "nobody's");
        let (added, broken, lost) = tokio::join!(
            futures::future::join_all(adding),
            async { ours.audit().append(&broken).await },
            async { nobodys.audit().append(&lost).await },
        );
        assert!(broken.is_err() && lost.is_err());
        let mut ids = std::collections::BTreeMap::new();
        for (at, id) in added.into_iter().enumerate() {
            assert_eq!(ids.insert(id.unwrap(), at.to_string()), None);
        }
        for (scope, parity) in [(&ours, 0), (&theirs, 1)] {
            let all = scope.audit().query(&Filter::default(), 500).await.unwrap();
            assert_eq!(all.len(), 100);
            for found in all {
                assert_eq!(ids[&found.id], found.entry.object, "each hears its own id");
                assert_eq!(found.entry.object.parse::<usize>().unwrap() % 2, parity);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_its_end_are_one_entry_to_the_reader() {
    World::with(async |world| {
        let scope = written(world, "user01", 3).await;
        let unfinished = scope
            .audit()
            .append(&entry("/a.B/Delete", "last"))
            .await
            .unwrap();
        let all = scope.audit().query(&Filter::default(), 10).await.unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!((all[0].id, all[0].entry.result.as_str()), (unfinished, ""));
        assert_eq!(all[1].entry.result, "OK");
        assert_eq!(all[1].outcome["before"], json!({"a": 1}));
        let with = async |filter: Filter| scope.audit().query(&filter, 10).await.unwrap().len();
        assert_eq!(
            with(Filter {
                result: Some("OK".into()),
                ..Filter::default()
            })
            .await,
            3
        );
        assert_eq!(
            with(Filter {
                action: Some("Delete".into()),
                ..Filter::default()
            })
            .await,
            1
        );
        assert_eq!(
            with(Filter {
                object: Some("object-".into()),
                ..Filter::default()
            })
            .await,
            3
        );
        assert_eq!(
            with(Filter {
                actor: Some("bob".into()),
                ..Filter::default()
            })
            .await,
            0
        );
        assert_eq!(
            with(Filter {
                before: Some(all[1].id),
                ..Filter::default()
            })
            .await,
            2
        );
        assert_eq!(
            with(Filter {
                from: Some(all[1].at),
                ..Filter::default()
            })
            .await,
            2
        );
        assert_eq!(
            with(Filter {
                until: Some(all[1].at),
                ..Filter::default()
            })
            .await,
            2
        );
        let other = world.scope("user02").await;
        assert!(
            other
                .audit()
                .query(&Filter::default(), 10)
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_to_the_database_is_found_out() {
    World::with(async |world| {
        let scope = written(world, "user01", 6).await;
        let whole = scope.audit().verify(None).await.unwrap();
        assert_eq!((whole.seals, whole.entries, whole.unsealed), (3, 12, 0));
        assert_eq!(whole.broken, None);
        let last = whole.last.clone().unwrap();
        let known = Some((last.0, last.1.as_str()));
        assert_eq!(scope.audit().verify(known).await.unwrap().broken, None);
        let entries = scope.audit().links(0, i64::MAX, 100).await.unwrap();
        let (fifth, sixth) = (entries[4].id, entries[5].id);

        // Somebody with every right in the database, and without the key.
        let mut admin = session(&world.database.admin).await;
        let cases: [(&str, Found); 8] = [
            ("INSERT INTO naru.audit (tenant_id, id, actor, action, object, details) OVERRIDING SYSTEM VALUE
              SELECT tenant_id, 0, 'bob', action, object, details FROM naru.audit WHERE id = $1", (1, Some(0), "added")),
            ("INSERT INTO naru.audit (tenant_id, id, actor, action, object, details) OVERRIDING SYSTEM VALUE
              SELECT tenant_id, -9223372036854775807, 'bob', action, object, details FROM naru.audit WHERE id = $1",
             (1, Some(i64::MIN + 1), "added")),
            ("UPDATE naru.audit SET actor = 'bob' WHERE id = $1", (2, Some(fifth), "changed")),
            ("UPDATE naru.audit SET details = '{}' WHERE id = $1 + 1", (2, Some(sixth), "changed")),
            ("DELETE FROM naru.audit WHERE id = $1", (2, None, "missing")),
            ("DELETE FROM naru.audit WHERE id = $1 + 1", (2, Some(fifth), "missing")),
            ("UPDATE naru.audit_seals SET from_id = from_id + 0 * $1, count = count - 1, digests = substr(digests, 17)
              WHERE seq = 2", (2, None, "seal")),
            ("DELETE FROM naru.audit_seals WHERE seq = 2 AND $1 > 0", (3, None, "gap")),
        ];
        for (statement, wanted) in cases {
            let undo = tampered(&mut admin, statement, fifth).await;
            let found = scope.audit().verify(None).await.unwrap().broken.expect(statement);
            assert_eq!((found.seq, found.id, found.why.as_str()), wanted, "{statement}");
            undone(&mut admin, undo).await;
        }
        assert_eq!(scope.audit().verify(None).await.unwrap().broken, None, "all undone");

        // The end of the record cut off whole: only who wrote a seal down sees it.
        tampered(&mut admin, "DELETE FROM naru.audit_seals WHERE seq = 3 AND $1 > 0", 1).await;
        sqlx::query("DELETE FROM naru.audit WHERE id > $1")
            .bind(entries[7].id)
            .execute(&mut admin)
            .await
            .unwrap();
        assert_eq!(scope.audit().verify(None).await.unwrap().broken, None);
        let broken = scope.audit().verify(known).await.unwrap().broken.unwrap();
        assert_eq!(broken.why.as_str(), "unknown");
    })
    .await;
}

/// A seal's number, an entry, and what is wrong.
type Found = (i64, Option<i64>, &'static str);

type Saved = (Vec<serde_json::Value>, Vec<serde_json::Value>);

async fn tampered(admin: &mut sqlx::PgConnection, statement: &str, id: i64) -> Saved {
    let saved = (
        sqlx::query_scalar("SELECT to_jsonb(a) FROM naru.audit a")
            .fetch_all(&mut *admin)
            .await
            .unwrap(),
        sqlx::query_scalar("SELECT to_jsonb(a) FROM naru.audit_seals a")
            .fetch_all(&mut *admin)
            .await
            .unwrap(),
    );
    // As a superuser can: without triggers.
    sqlx::query("SET session_replication_role = replica")
        .execute(&mut *admin)
        .await
        .unwrap();
    sqlx::query(statement)
        .bind(id)
        .execute(&mut *admin)
        .await
        .unwrap();
    saved
}

async fn undone(admin: &mut sqlx::PgConnection, saved: Saved) {
    for (table, rows) in [("audit", saved.0), ("audit_seals", saved.1)] {
        sqlx::query(&format!("DELETE FROM naru.{table}"))
            .execute(&mut *admin)
            .await
            .unwrap();
        sqlx::query(&format!(
            "INSERT INTO naru.{table} OVERRIDING SYSTEM VALUE
             SELECT (jsonb_populate_record(NULL::naru.{table}, r)).* FROM unnest($1::jsonb[]) r"
        ))
        .bind(rows)
        .execute(&mut *admin)
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_or_deletes_and_only_the_holder_seals() {
    World::with(async |world| {
        let scope = written(world, "user01", 2).await;
        for url in [&world.database.api, &world.database.controller] {
            let mut connection = session(url).await;
            for statement in [
                "UPDATE naru.audit SET actor = 'x'",
                "DELETE FROM naru.audit",
                "DELETE FROM naru.audit_seals",
                "INSERT INTO naru.audit (tenant_id, actor, action, object, details) VALUES (naru.current_tenant(), '', '', '', '{}')",
                "INSERT INTO naru.audit_seals SELECT * FROM naru.audit_seals",
            ] {
                sqlx::query("SELECT set_config('naru.tenant', $1, false)")
                    .bind(scope.tenant().to_string())
                    .execute(&mut connection)
                    .await
                    .unwrap();
                let refused = sqlx::query(statement).execute(&mut connection).await.unwrap_err();
                assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{statement}");
            }
        }
        let mut admin = session(&world.database.admin).await;
        sqlx::query("SET ROLE naru_platform").execute(&mut admin).await.unwrap();
        let refused = sqlx::query("DELETE FROM naru.audit").execute(&mut admin).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "NR004");

        scope.audit().append(&entry("/a.B/C", "x")).await.unwrap();
        let old = sealing(world).await;
        let platform = world.controller.platform();
        platform.release_lease(&old).await.unwrap();
        let minute = Duration::from_secs(60);
        platform.acquire_lease(SEALING, "another", minute, Duration::ZERO).await.unwrap().unwrap();
        let stale = platform.seal_audit(&old, scope.tenant()).await.unwrap_err();
        assert_eq!(stale.code(), store::Code::Stale);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_tells_equal_secrets_of_one_tenant_and_nothing_else() {
    World::with(async |world| {
        let (a, b) = (world.scope("user01").await, world.scope("user02").await);
        let mark = a.audit().mark(b"canary").await.unwrap();
        assert_eq!(mark, a.audit().mark(b"canary").await.unwrap());
        assert_ne!(mark, a.audit().mark(b"canary2").await.unwrap());
        assert_ne!(mark, b.audit().mark(b"canary").await.unwrap());
        assert!(!mark.contains("canary"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_to_read_and_to_push_to_are_counted_together() {
    World::with(async |world| {
        let tenant = world.tenant("user01").await;
        let other = world.tenant("user02").await;
        let scope = world.api.tenant(tenant.id);
        let two = Quotas([("repositories".to_owned(), 2)].into());
        let platform = world.api.platform();
        platform.set_quota_defaults(&two).await.unwrap();
        let repository = |name: &str| Repository {
            url: format!("https://git.example/{name}.git"),
            kind: "git".into(),
            name: String::new(),
            project: String::new(),
            credentials: Credentials::default(),
            insecure: false,
            enable_lfs: false,
            options: Options::default(),
        };
        let elsewhere = world.api.tenant(other.id);
        elsewhere
            .repositories()
            .put(&repository("a"))
            .await
            .unwrap();
        let (read, push) = (scope.repositories(), scope.write_repositories());
        read.put(&repository("a")).await.unwrap();
        push.put(&repository("a")).await.unwrap();
        for refused in [
            read.put(&repository("b")).await.unwrap_err(),
            push.put(&repository("b")).await.unwrap_err(),
        ] {
            assert_eq!(refused.code(), store::Code::Exhausted);
            let words = refused.message().unwrap().to_string();
            assert!(words.contains("2 of 2"), "{words}");
        }
        // What is there can be changed, and counts as what it is.
        push.put(&repository("a")).await.unwrap();
        let usage = scope.usage().await.unwrap();
        assert_eq!(usage[&Quota::Repositories], 2);
        push.delete("https://git.example/a.git", "").await.unwrap();
        read.put(&repository("b")).await.unwrap();
    })
    .await;
}

fn resource(name: &str) -> ResourceStatus {
    ResourceStatus {
        key: ResourceKey {
            kind: "ConfigMap".to_owned(),
            name: name.to_owned(),
            ..ResourceKey::default()
        },
        version: "v1".to_owned(),
        status: None,
        health: None,
        health_message: String::new(),
        requires_pruning: false,
        requires_deletion_confirmation: false,
        sync_wave: 0,
        hook: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_kept_where_rows_are_made() {
    World::with(async |world| {
        let tenant = world.tenant("user01").await;
        let scope = world.api.tenant(tenant.id);
        let platform = world.api.platform();
        let of = |name: &str, n: u64| Quotas([(name.to_owned(), n)].into());
        platform
            .set_quota_defaults(&of("applications", 2))
            .await
            .unwrap();
        for n in 0..2 {
            scope
                .applications()
                .create(&crate::app(&format!("a{n}"), n))
                .await
                .unwrap();
        }
        let refused = scope
            .applications()
            .create(&crate::app("a2", 2))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), store::Code::Exhausted);
        let words = refused.message().unwrap().to_string();
        assert!(words.contains("2 of 2"), "{words}");
        assert_eq!(scope.applications().list().await.unwrap().len(), 2);
        platform
            .set_tenant_quotas(tenant.id, &of("applications", 3))
            .await
            .unwrap();
        scope
            .applications()
            .create(&crate::app("a2", 2))
            .await
            .unwrap();
        assert_eq!(
            scope.describe().await.unwrap().allowed(Quota::Applications),
            Some(3)
        );
        // Lowered below what is there: what is there stays and can be changed.
        platform
            .set_tenant_quotas(tenant.id, &of("operations", 1))
            .await
            .unwrap();
        let operation = |app: &mut domain::application::Application| -> Result<(), store::Error> {
            app.operation = Some(domain::operation::Operation::default());
            Ok(())
        };
        scope
            .applications()
            .update("a0", None, operation)
            .await
            .unwrap();
        let refused = scope
            .applications()
            .update("a1", None, operation)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), store::Code::Exhausted);
        assert_eq!(scope.usage().await.unwrap()[&Quota::Operations], 1);
        assert_eq!(scope.operations_besides("a1").await.unwrap(), 1);
        // The operation of one that is being deleted does not run, and nobody can end it.
        let deleted = |app: &mut domain::application::Application| -> Result<(), store::Error> {
            app.metadata["deletionTimestamp"] = serde_json::json!("2026-01-01T00:00:00Z");
            // Without one it would be gone.
            app.metadata["finalizers"] = serde_json::json!(["example.com/keep"]);
            Ok(())
        };
        scope
            .applications()
            .update("a0", None, deleted)
            .await
            .unwrap();
        assert_eq!(scope.usage().await.unwrap()[&Quota::Operations], 0);
        assert_eq!(scope.operations_besides("a1").await.unwrap(), 0);
        scope
            .applications()
            .update("a1", None, operation)
            .await
            .unwrap();
        assert_eq!(scope.usage().await.unwrap()[&Quota::Operations], 1);
        let refused = scope
            .applications()
            .update("a2", None, operation)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), store::Code::Exhausted);
        // Objects are what statuses list.
        assert_eq!(scope.objects().await.unwrap(), 0);
        scope
            .applications()
            .update("a1", None, |app| {
                app.status.resources = vec![resource("one"), resource("two")];
                Ok::<_, store::Error>(())
            })
            .await
            .unwrap();
        assert_eq!(scope.objects().await.unwrap(), 2);
        assert_eq!(scope.usage().await.unwrap()[&Quota::Objects], 2);
        // Twenty at once, and still no more than allowed.
        platform
            .set_tenant_quotas(tenant.id, &of("applications", 6))
            .await
            .unwrap();
        let made = futures::future::join_all((10..30).map(|n| {
            let scope = scope.clone();
            async move {
                scope
                    .applications()
                    .create(&crate::app(&format!("b{n}"), n))
                    .await
                    .is_ok()
            }
        }));
        assert_eq!(made.await.into_iter().filter(|made| *made).count(), 3);
        // What a tenant has of its own counts before the installation's two, also where it is no limit at all.
        platform
            .set_tenant_quotas(tenant.id, &of("applications", 0))
            .await
            .unwrap();
        let more = scope.applications().create(&crate::app("c", 1)).await;
        more.unwrap();
        platform
            .set_tenant_quotas(tenant.id, &of("clusters", 1))
            .await
            .unwrap();
        let refused = scope.applications().create(&crate::app("d", 1)).await;
        let words = refused.unwrap_err().message().unwrap().to_string();
        assert!(words.contains("7 of 2"), "{words}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_another_tenants_name_cannot_be_claimed() {
    World::with(async |world| {
        let (short, long) = (world.tenant("pay").await, world.tenant("pay-eu").await);
        let gone = world.tenant("pay-old").await;
        let platform = world.api.platform();
        platform
            .set_tenant_state(gone.id, TenantState::Deleting)
            .await
            .unwrap();
        assert!(platform.destroy_tenant(gone.id).await.unwrap());
        let claim =
            async |tenant, namespace| platform.map_namespace(tenant, namespace).await.unwrap();
        use store::Claim::{Claimed, Quota as Full, Reserved, Taken};
        assert_eq!(claim(short.id, "pay-dev").await, Claimed);
        assert_eq!(claim(short.id, "pay-dev").await, Claimed);
        assert_eq!(claim(short.id, "pay-eu").await, Taken);
        assert_eq!(
            claim(short.id, "pay-eu-dev").await,
            Reserved,
            "the longer name's"
        );
        assert_eq!(claim(long.id, "pay-eu-dev").await, Claimed);
        assert_eq!(
            claim(short.id, "pay-old").await,
            Reserved,
            "a destroyed tenant's"
        );
        let full = Quotas([("namespaces".to_owned(), 2)].into());
        platform.set_tenant_quotas(short.id, &full).await.unwrap();
        assert_eq!(claim(short.id, "pay-more").await, Full);
        use store::Release::{Absent, Home, Released, Used};
        let release = async |namespace| {
            platform
                .release_namespace(short.id, namespace)
                .await
                .unwrap()
        };
        assert_eq!(release("pay").await, Home);
        assert_eq!(release("pay-eu-dev").await, Absent);
        let mut app = crate::app("a", 1);
        app.spec["destination"]["namespace"] = "pay-dev".into();
        let scope = world.api.tenant(short.id);
        scope.applications().create(&app).await.unwrap();
        assert_eq!(release("pay-dev").await, Used);
        scope.applications().delete("a").await.unwrap();
        assert_eq!(release("pay-dev").await, Released);
        assert_eq!(claim(short.id, "pay-more").await, Claimed);
    })
    .await;
}
