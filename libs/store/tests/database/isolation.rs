//! Nothing that one tenant does is seen or felt by another.

use std::collections::BTreeSet;

use domain::tenant::TenantId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::{Connection, PgConnection, Row};
use store::{Code, KeyFile, Options, Role, Store};

use crate::model::{Rows, secrets};
use crate::{World, app, session, uuid};

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_with_the_same_names_never_meet() {
    World::with(async |world| {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let scopes = [world.scope("user01").await, world.scope("user02").await];
        let lease = world.lease().await;
        let mut known = [Rows::new(), Rows::new()];
        for _ in 0..250 {
            let (who, other) = if rng.random() { (0, 1) } else { (1, 0) };
            let version = scopes[other].current_version().await.unwrap();
            known[who]
                .step(&scopes[who], &world.controller, &lease, &mut rng)
                .await;
            assert_eq!(Rows::read(&scopes[who]).await, known[who]);
            assert_eq!(Rows::read(&scopes[other]).await, known[other]);
            assert_eq!(scopes[other].current_version().await.unwrap(), version);
        }
        let (a, b) = (secrets(&scopes[0]).await, secrets(&scopes[1]).await);
        let all: BTreeSet<_> = a.iter().chain(&b).collect();
        assert_eq!(all.len(), a.len() + b.len());
        let kid = scopes[0].keys().current().await.unwrap().kid;
        assert!(scopes[1].keys().find(&kid).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_several_tenants_take_turns_on_shows_each_its_own() {
    World::with(async |world| {
        let (a, b) = (world.scope("user01").await, world.scope("user02").await);
        for (scope, names) in [(&a, ["mine", "ours"]), (&b, ["ours", "theirs"])] {
            for name in names {
                scope.applications().create(&app(name, 1)).await.unwrap();
            }
        }
        let key = KeyFile::from_base64(&world.key).unwrap();
        let one = Options {
            max_connections: 1,
            ..Options::default()
        };
        let store = Store::connect_with(&world.database.controller, Role::Controller, key, one)
            .await
            .unwrap();
        // Often enough for the database to keep a plan for all tenants.
        for _ in 0..10 {
            for (scope, other) in [(&a, &b), (&b, &a)] {
                let shown = store.tenant(scope.tenant());
                let all = shown.applications().list().await.unwrap();
                assert_eq!(all, scope.applications().list().await.unwrap());
                for known in &all {
                    let found = shown.applications().find(known.name()).await.unwrap();
                    assert_eq!(found.as_ref(), Some(known));
                }
                for foreign in other.applications().list().await.unwrap() {
                    let found = shown.applications().find(foreign.name()).await.unwrap();
                    assert_ne!(found, Some(foreign));
                }
                let changes = shown.applications().changes_since(0).await.unwrap();
                assert_eq!(changes.len(), 2);
            }
            let nobody = store.tenant(TenantId(uuid()));
            assert!(nobody.applications().list().await.unwrap().is_empty());
            let version = nobody.current_version().await;
            assert_eq!(version.unwrap_err().code(), Code::NotFound);
        }
        store.close().await;
    })
    .await;
}

/// The tables that carry a tenant, and by which column.
async fn tenant_tables(connection: &mut PgConnection) -> Vec<(String, &'static str)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relnamespace = 'naru'::regnamespace AND c.relkind = 'r' ORDER BY 1",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    assert!(tables.len() >= 15, "{tables:?}");
    tables
        .into_iter()
        .map(|table| (table, "tenant_id"))
        .chain([("tenants".to_owned(), "id")])
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_tenant_reaches_no_other_row_in_any_table() {
    World::with(async |world| {
        let (a, b) = (world.scope("user01").await, world.scope("user02").await);
        let lease = world.lease().await;
        let mut rng = StdRng::seed_from_u64(7);
        let mut rows = [Rows::new(), Rows::new()];
        for _ in 0..60 {
            for (scope, rows) in [&a, &b].into_iter().zip(&mut rows) {
                rows.step(scope, &world.controller, &lease, &mut rng).await;
            }
        }
        a.applications().create(&app("mine", 1)).await.unwrap();

        let mut admin = session(&world.database.admin).await;
        let tables = tenant_tables(&mut admin).await;
        for (table, column) in &tables {
            for scope in [&a, &b] {
                fill(&mut admin, table, column, scope.tenant().0).await;
            }
        }
        for url in [&world.database.api, &world.database.controller] {
            let mut connection = session(url).await;
            for (table, column) in tables.clone() {
                reads_nothing_foreign(&mut connection, &table, column, a.tenant().0, b.tenant().0)
                    .await;
                writes_nothing_foreign(
                    &mut connection,
                    &mut admin,
                    &table,
                    column,
                    a.tenant().0,
                    b.tenant().0,
                )
                .await;
            }
        }
    })
    .await;
}

/// Gives the tenant a row where it has none, from the catalogue: a table without a row proves nothing, and a new one is
/// not to be forgotten. Neither triggers nor references are asked, for the row only has to be there.
async fn fill(admin: &mut PgConnection, table: &str, column: &str, tenant: uuid::Uuid) {
    let filled: bool = sqlx::query_scalar(&format!(
        "SELECT EXISTS (SELECT FROM naru.{table} WHERE {column} = $1)"
    ))
    .bind(tenant)
    .fetch_one(&mut *admin)
    .await
    .unwrap();
    if filled {
        return;
    }
    let needed: Vec<(String, String)> = sqlx::query_as(
        "SELECT attname::text, atttypid::regtype::text FROM pg_attribute WHERE attrelid = ('naru.' || $1)::regclass
         AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> $2
         AND attnotnull AND NOT atthasdef ORDER BY attnum",
    )
    .bind(table)
    .bind(column)
    .fetch_all(&mut *admin)
    .await
    .unwrap();
    let mut columns = vec![column.to_owned()];
    let mut values = vec!["$1".to_owned()];
    for (name, of_type) in needed {
        values.push(match of_type.as_str() {
            "text" => format!("'row of {tenant}'"),
            "bytea" => "decode('00', 'hex')".to_owned(),
            "text[]" => "'{}'".to_owned(),
            "jsonb" => "'{}'".to_owned(),
            "timestamp with time zone" => "now()".to_owned(),
            "uuid" => "gen_random_uuid()".to_owned(),
            "boolean" => "false".to_owned(),
            "bigint" | "integer" => "1".to_owned(),
            other => panic!("{table}.{name}: say what a {other} is"),
        });
        columns.push(name);
    }
    let insert = format!(
        "INSERT INTO naru.{table} ({}) VALUES ({})",
        columns.join(", "),
        values.join(", ")
    );
    let mut tx = admin.begin().await.unwrap();
    sqlx::query("SET LOCAL session_replication_role = replica")
        .execute(&mut *tx)
        .await
        .unwrap();
    if let Err(error) = sqlx::query(&insert).bind(tenant).execute(&mut *tx).await {
        panic!("{insert}: {error}");
    }
    tx.commit().await.unwrap();
}

async fn reads_nothing_foreign(
    connection: &mut PgConnection,
    table: &str,
    column: &str,
    own: uuid::Uuid,
    foreign: uuid::Uuid,
) {
    let readable: bool = sqlx::query_scalar("SELECT has_table_privilege('naru.' || $1, 'SELECT')")
        .bind(table)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    if !readable {
        return;
    }
    let count = format!("SELECT count(*) FROM naru.{table}");
    // No tenant at all, and none any more after a transaction that had one, are errors, not empty answers.
    let unset = sqlx::query(&count)
        .fetch_one(&mut *connection)
        .await
        .unwrap_err();
    assert_eq!(
        unset.as_database_error().unwrap().code().unwrap(),
        "NR002",
        "{table}: {unset}"
    );
    let mut tx = connection.begin().await.unwrap();
    sqlx::query("SELECT set_config('naru.tenant', $1, true)")
        .bind(own.to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    let rows = sqlx::query(&format!("SELECT {column} AS tenant FROM naru.{table}"))
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    assert!(
        rows.iter()
            .all(|row| row.get::<uuid::Uuid, _>("tenant") == own),
        "{table}"
    );
    let asked: i64 = sqlx::query_scalar(&format!("{count} WHERE {column} = $1"))
        .bind(foreign)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    assert_eq!(asked, 0, "{table}");
    tx.commit().await.unwrap();
    assert!(
        sqlx::query(&count)
            .fetch_one(&mut *connection)
            .await
            .is_err(),
        "{table}"
    );
}

async fn writes_nothing_foreign(
    connection: &mut PgConnection,
    admin: &mut PgConnection,
    table: &str,
    column: &str,
    own: uuid::Uuid,
    foreign: uuid::Uuid,
) {
    let digest = format!(
        "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM naru.{table} t WHERE {column} = $1"
    );
    let before: String = sqlx::query_scalar(&digest)
        .bind(foreign)
        .fetch_one(&mut *admin)
        .await
        .unwrap();
    let any_column = match table {
        "tenants" => "resource_version",
        _ => column,
    };
    let statements = [
        format!("DELETE FROM naru.{table} WHERE {column} = $1"),
        format!("UPDATE naru.{table} SET {any_column} = {any_column} WHERE {column} = $1"),
        // A row of one's own turned into another's.
        format!("UPDATE naru.{table} SET {column} = $1"),
        format!(
            "INSERT INTO naru.{table} SELECT (jsonb_populate_record(t, jsonb_build_object('{column}', $1::uuid))).* FROM naru.{table} t"
        ),
    ];
    for statement in statements {
        let mut tx = connection.begin().await.unwrap();
        sqlx::query("SELECT set_config('naru.tenant', $1, true)")
            .bind(own.to_string())
            .execute(&mut *tx)
            .await
            .unwrap();
        // Refused, or nobody's row was met.
        if let Ok(done) = sqlx::query(&statement)
            .bind(foreign)
            .execute(&mut *tx)
            .await
        {
            assert_eq!(done.rows_affected(), 0, "{statement}");
        }
        let _ = tx.commit().await;
    }
    let after: String = sqlx::query_scalar(&digest)
        .bind(foreign)
        .fetch_one(admin)
        .await
        .unwrap();
    assert_eq!(before, after, "{table}");
}
