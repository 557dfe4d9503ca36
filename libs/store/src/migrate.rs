//! Bringing a database to this program's schema.

use std::borrow::Cow;
use std::str::FromStr;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::error::{Error, Result};

/// Makes the roles of an installation; run once per PostgreSQL cluster as a role that may create roles, before
/// [`migrate`]. It may be run again.
pub const ROLES_SQL: &str = include_str!("../../../migrations/roles.sql");

/// The role that owns the schema.
pub(crate) const OWNER: &str = "naru_owner";

/// Every migration, oldest first. A shipped one is never edited: its checksum is compared with the database's.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "platform",
        include_str!("../../../migrations/0001_platform.sql"),
    ),
    (
        2,
        "tenant tables",
        include_str!("../../../migrations/0002_tenant_tables.sql"),
    ),
    (
        3,
        "platform functions",
        include_str!("../../../migrations/0003_platform_functions.sql"),
    ),
    (
        4,
        "identity",
        include_str!("../../../migrations/0004_identity.sql"),
    ),
    (
        5,
        "credentials",
        include_str!("../../../migrations/0005_credentials.sql"),
    ),
    (
        6,
        "operator",
        include_str!("../../../migrations/0006_operator.sql"),
    ),
    (7, "keys", include_str!("../../../migrations/0007_keys.sql")),
    (
        8,
        "trace",
        include_str!("../../../migrations/0008_trace.sql"),
    ),
    (
        9,
        "write_repositories",
        include_str!("../../../migrations/0009_write_repositories.sql"),
    ),
    (
        10,
        "accounts_and_record",
        include_str!("../../../migrations/0010_accounts_and_record.sql"),
    ),
    (
        11,
        "repository_quota",
        include_str!("../../../migrations/0011_repository_quota.sql"),
    ),
    (
        12,
        "held_sets",
        include_str!("../../../migrations/0012_held_sets.sql"),
    ),
    (
        13,
        "rendering",
        include_str!("../../../migrations/0013_rendering.sql"),
    ),
    (
        14,
        "customizations",
        include_str!("../../../migrations/0014_customizations.sql"),
    ),
    (
        15,
        "finalizers",
        include_str!("../../../migrations/0015_finalizers.sql"),
    ),
    (
        16,
        "controllers_settings",
        include_str!("../../../migrations/0016_controllers_settings.sql"),
    ),
    (
        17,
        "syncs",
        include_str!("../../../migrations/0017_syncs.sql"),
    ),
    (
        18,
        "marks",
        include_str!("../../../migrations/0018_marks.sql"),
    ),
    (
        19,
        "shards",
        include_str!("../../../migrations/0019_shards.sql"),
    ),
    (
        20,
        "counted_once",
        include_str!("../../../migrations/0020_counted_once.sql"),
    ),
    (
        21,
        "asked_cheaply",
        include_str!("../../../migrations/0021_asked_cheaply.sql"),
    ),
    (
        22,
        "compression",
        include_str!("../../../migrations/0022_compression.sql"),
    ),
    (
        23,
        "recorded_at_once",
        include_str!("../../../migrations/0023_recorded_at_once.sql"),
    ),
];

/// The version that a database must have.
pub(crate) fn wanted() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.0)
}

/// Runs what is missing, as role `naru_owner`; two at once wait for each other.
///
/// # Errors
/// When the role is another, the roles were not made, or a statement fails (nothing of that migration stays).
#[tracing::instrument(name = "db.migrate", skip_all)]
pub async fn migrate(owner_url: &str) -> Result<()> {
    let options = PgConnectOptions::from_str(owner_url)?
        .application_name("naru-migrate")
        .options([("search_path", "naru")]);
    let mut connection = options.connect().await?;
    let role: String = sqlx::query_scalar("SELECT current_user::text")
        .fetch_one(&mut connection)
        .await?;
    if role != OWNER {
        return Err(Error::Role {
            role,
            why: format!("migrations run as `{OWNER}` (made by migrations/roles.sql)"),
        });
    }
    // The migrator's own table rests in the schema too; IF NOT EXISTS alone is no guard against two at once.
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('naru schema'))")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS naru")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;

    let migrations = MIGRATIONS
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(
                version,
                Cow::Borrowed(name),
                MigrationType::Simple,
                Cow::Borrowed(sql),
                false,
            )
        })
        .collect();
    Migrator {
        migrations: Cow::Owned(migrations),
        ..Migrator::DEFAULT
    }
    .run(&mut connection)
    .await?;
    connection.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_file_is_listed_in_order() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "roles.sql")
            .collect();
        files.sort();
        let listed: Vec<String> = MIGRATIONS
            .iter()
            .map(|(n, name, _)| format!("{n:04}_{}.sql", name.replace(' ', "_")))
            .collect();
        assert_eq!(files, listed);
    }
}
