//! Rules that every table keeps, read from the catalogue so that a new one cannot be forgotten.

use crate::{World, session};

/// Keys that are unique across the installation, on purpose.
const PLATFORM_KEYS: [&str; 10] = [
    "_sqlx_migrations(version)",
    "controllers(id)",
    "leases(item)",
    "leases(item,fence)",
    "namespaces(namespace)",
    "quota_defaults(name)",
    "signing_key_ids(kid)",
    "tenant_hosts(host)",
    "tenants(id)",
    "tenants(name)",
];

/// Every function that runs with rights over all tenants' rows.
const BEYOND: &str = include_str!("beyond.txt");

#[tokio::test(flavor = "multi_thread")]
async fn every_key_begins_with_the_tenant_but_for_the_platforms_own() {
    World::with(async |world| {
        let mut admin = session(&world.database.admin).await;
        // Unique indexes (primary keys among them), whether or not a constraint stands behind them.
        let mut foreign: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname || '(' || string_agg(a.attname, ',' ORDER BY k.ord) || ')'
             FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, ord)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
             WHERE i.indisunique AND c.relnamespace = 'naru'::regnamespace
             GROUP BY c.relname, i.indexrelid HAVING (array_agg(a.attname ORDER BY k.ord))[1] <> 'tenant_id'",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        foreign.sort();
        assert_eq!(foreign, PLATFORM_KEYS);

        let references: Vec<String> = sqlx::query_scalar(
            "SELECT conrelid::regclass::text || '.' || conname FROM pg_constraint f
             JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
             WHERE f.contype = 'f' AND f.connamespace = 'naru'::regnamespace AND a.attname <> 'tenant_id'",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert_eq!(references, Vec::<String>::new());

        // What remains of a tenant, and what its writers hold it for by themselves.
        let alone: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
             WHERE c.relnamespace = 'naru'::regnamespace AND c.relkind = 'r' AND NOT EXISTS (
                 SELECT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f'
                 AND f.confrelid = 'naru.tenants'::regclass)
             ORDER BY 1",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert_eq!(alone, ["audit", "history", "manifest_sets", "tombstones"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_under_forced_row_level_security_and_every_function_is_fenced() {
    World::with(async |world| {
        let mut admin = session(&world.database.admin).await;
        let open: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'naru'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
             AND NOT (relrowsecurity AND relforcerowsecurity)",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert_eq!(open, ["_sqlx_migrations"]);

        // A tenant column without the tenant's policy would show nothing at all; one with another policy too much. A
        // restrictive policy only takes away from what the others grant.
        let odd: Vec<String> = sqlx::query_scalar(
            "SELECT tablename || '.' || policyname FROM pg_policies WHERE schemaname = 'naru' AND permissive = 'PERMISSIVE'
             AND NOT (policyname = 'platform' AND roles = '{naru_platform}')
             AND NOT (policyname = 'tenant' AND roles @> '{naru_owner,naru_api,naru_controller}' AND cardinality(roles) = 3
                      AND qual LIKE '%current_tenant()%' AND with_check LIKE '%current_tenant()%')",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert_eq!(odd, Vec::<String>::new());

        let loose: Vec<String> = sqlx::query_scalar(
            "SELECT p.proname::text FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
             WHERE p.pronamespace = 'naru'::regnamespace AND p.prosecdef
             AND NOT (r.rolname = 'naru_platform' AND p.proconfig @> '{\"search_path=pg_catalog, pg_temp\"}'
                      AND NOT has_function_privilege('public', p.oid, 'EXECUTE'))",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert_eq!(loose, Vec::<String>::new());
        let platform: Vec<(bool, bool, bool)> =
            sqlx::query_as("SELECT rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = 'naru_platform'")
                .fetch_all(&mut admin)
                .await
                .unwrap();
        assert_eq!(platform, [(false, false, false)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_sees_no_tenants_rows_either_and_migrating_again_changes_nothing() {
    World::with(async |world| {
        world.tenant("user01").await;
        store::migrate(&world.database.owner).await.unwrap();
        let mut owner = session(&world.database.owner).await;
        let error = sqlx::query("SELECT * FROM naru.accounts")
            .fetch_all(&mut owner)
            .await
            .unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "NR002");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_under_a_tenants_key_is_known_to_whoever_replaces_it() {
    World::with(async |world| {
        let mut admin = session(&world.database.admin).await;
        // What opens a cluster is sealed to the controllers' own key.
        let sealed: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             WHERE c.relnamespace = 'naru'::regnamespace AND c.relkind = 'r' AND a.attname = 'sealed'
             AND a.atttypid = 'bytea'::regtype AND NOT a.attisdropped AND c.relname <> 'clusters' ORDER BY 1",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        let mut known: Vec<&str> = store::SEALED.iter().map(|(table, _)| *table).collect();
        known.sort_unstable();
        assert_eq!(sealed, known, "list it in rotation.rs with what names its rows");
        let guarded: Vec<String> = sqlx::query_scalar(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'sealed' ORDER BY 1",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        let guarded: Vec<&str> = guarded.iter().map(|name| name.trim_start_matches("naru.")).collect();
        assert_eq!(guarded, known, "call naru.keep_sealed for it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reaches_beyond_a_tenant_is_listed_with_its_columns() {
    World::with(async |world| {
        let mut admin = session(&world.database.admin).await;
        let functions: Vec<String> = sqlx::query_scalar(
            "SELECT p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ') ' ||
                 CASE WHEN t.typrelid <> 0 AND t.typtype = 'c'
                      THEN '[' || (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
                                   WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) || ']'
                      ELSE pg_get_function_result(p.oid) END || ': ' ||
                 concat_ws(', ', CASE WHEN has_function_privilege('naru_api', p.oid, 'EXECUTE') THEN 'api' END,
                                 CASE WHEN has_function_privilege('naru_controller', p.oid, 'EXECUTE') THEN 'controller' END,
                                 CASE WHEN has_function_privilege('naru_owner', p.oid, 'EXECUTE') THEN 'owner' END)
             FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
             WHERE p.pronamespace = 'naru'::regnamespace AND p.prosecdef ORDER BY 1",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        let listed: Vec<&str> = BEYOND.lines().filter(|line| !line.starts_with('#')).collect();
        for function in &functions {
            assert!(listed.contains(&function.as_str()), "not in beyond.txt: {function}");
        }
        assert_eq!(functions, listed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_often_is_compressed_quickly_and_what_is_sealed_not_at_all() {
    World::with(async |world| {
        let mut admin = session(&world.database.admin).await;
        let quickly: bool = sqlx::query_scalar(
            "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        let compressed: Vec<String> = sqlx::query_scalar(
            "SELECT a.attrelid::regclass::text || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             WHERE c.relnamespace = 'naru'::regnamespace AND c.relkind = 'r' AND a.attcompression = 'l' ORDER BY 1",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        let expected = [
            "naru.applications.metadata",
            "naru.applications.operation",
            "naru.applications.spec",
            "naru.applications.status",
            "naru.history.entry",
        ];
        assert_eq!(compressed, if quickly { &expected[..] } else { &[] });
        let as_it_is: Vec<String> = sqlx::query_scalar(
            "SELECT a.attrelid::regclass::text || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             WHERE c.relnamespace = 'naru'::regnamespace AND c.relkind = 'r' AND a.attstorage = 'e' ORDER BY 1",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert_eq!(as_it_is, ["naru.manifest_sets.sealed"]);
    })
    .await;
}
