//! Bringing a database to this program's schema.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::connect;
use crate::error::{Code, Error, Result, sql_state};

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
    (
        24,
        "enforced",
        include_str!("../../../migrations/0024_enforced.sql"),
    ),
    (
        25,
        "sets_published",
        include_str!("../../../migrations/0025_sets_published.sql"),
    ),
    (
        26,
        "rows_checked_once",
        include_str!("../../../migrations/0026_rows_checked_once.sql"),
    ),
    (
        27,
        "operations_that_run",
        include_str!("../../../migrations/0027_operations_that_run.sql"),
    ),
    (
        28,
        "keys_read_cheaply",
        include_str!("../../../migrations/0028_keys_read_cheaply.sql"),
    ),
    (
        29,
        "wishes_kept",
        include_str!("../../../migrations/0029_wishes_kept.sql"),
    ),
];

/// The version that a database must have.
pub(crate) fn wanted() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.0)
}

/// How long a migration waits for a table that somebody reads or writes. All that comes behind it waits as well, so it gives up
/// soon, lets the others through, and comes again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The longest wait for one lock.
    pub lock: Duration,
    /// How often a migration is tried.
    pub tries: u32,
    /// How long the others have before the next try.
    pub pause: Duration,
    /// How long a database is waited for that does not answer.
    pub away: Duration,
}

impl Default for Patience {
    /// Told to whoever migrates within the five minutes that Helm waits for a hook, unless a connection breaks.
    fn default() -> Self {
        Self {
            lock: Duration::from_secs(3),
            tries: 20,
            pause: Duration::from_secs(10),
            away: Duration::from_secs(30),
        }
    }
}

/// Runs what is missing, as role `naru_owner`; two at once wait for each other.
///
/// # Errors
/// As [`migrate_with`].
pub async fn migrate(owner_url: &str) -> Result<()> {
    migrate_with(owner_url, Patience::default()).await
}

/// How often it is begun again after a connection has broken: one that breaks time and again is broken by what the migration does.
const BREAKS: u32 = 3;
/// Between tries while the database does not answer.
const AGAIN: Duration = Duration::from_millis(500);

/// Runs what is missing, each migration in a transaction of its own. A database that does not answer is waited for for a while, also
/// where it goes away on the way.
///
/// # Errors
/// When the role is another, the roles were not made, a statement fails, a migration does not get its locks (nothing of that
/// migration stays), or the database stays away.
#[tracing::instrument(name = "db.migrate", skip_all)]
pub async fn migrate_with(owner_url: &str, patience: Patience) -> Result<()> {
    let options = PgConnectOptions::from_str(owner_url)?
        .application_name("naru-migrate")
        .options([("search_path", "naru")]);
    let (mut tried, mut breaks, mut heard) = (Tried::default(), 0, Instant::now());
    loop {
        let error = match connect::open(&options).await {
            Ok(connection) => match bring_up(connection, patience, &mut tried).await {
                Err(error) if went_away(&error) && breaks < BREAKS => {
                    (breaks, heard) = (breaks + 1, Instant::now());
                    error
                }
                done => return done,
            },
            Err(error) if went_away(&error) && heard.elapsed() < patience.away => error,
            Err(error) => return Err(error),
        };
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the database does not answer yet"
        );
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether the database itself may be back in a moment. Who holds on to a table has had time enough.
fn went_away(error: &Error) -> bool {
    error.code() == Code::Unavailable && !matches!(error, Error::Hindered { .. })
}

/// How often which migration was tried.
#[derive(Default)]
struct Tried {
    version: i64,
    tries: u32,
}

/// Runs what is missing on a connection.
async fn bring_up(
    mut connection: PgConnection,
    patience: Patience,
    tried: &mut Tried,
) -> Result<()> {
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

    // Another one that migrates is waited for as long as it takes, so the tables' limit comes after.
    connection.lock().await?;
    sqlx::query("SELECT set_config('lock_timeout', $1, false)")
        .bind(format!("{}ms", patience.lock.as_millis()))
        .execute(&mut connection)
        .await?;
    run(&mut connection, patience, tried).await?;
    connection.unlock().await?;
    connection.close().await?;
    Ok(())
}

/// Runs what is missing on a connection that nobody else migrates beside.
async fn run(connection: &mut PgConnection, patience: Patience, tried: &mut Tried) -> Result<()> {
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
    let migrator = Migrator {
        migrations: Cow::Owned(migrations),
        locking: false,
        ..Migrator::DEFAULT
    };
    loop {
        // Those that went through are not run again.
        let (version, error) = match migrator.run(&mut *connection).await {
            Err(MigrateError::ExecuteMigration(error, stuck)) if is_hindered(&error) => {
                (stuck, error)
            }
            done => return done.map_err(Error::from),
        };
        tried.tries = match tried.version == version {
            true => tried.tries + 1,
            false => 1,
        };
        tried.version = version;
        let tries = tried.tries;
        if tries >= patience.tries {
            return Err(Error::Hindered {
                version,
                tries,
                source: error,
            });
        }
        tracing::warn!(
            version,
            tries,
            most = patience.tries,
            %error,
            "a migration lets those through that use its tables, and is tried again"
        );
        // Its end is told with the next word only, and a server may hang up on who is idle in a transaction.
        connection.ping().await?;
        tokio::time::sleep(patience.pause).await;
    }
}

/// Whether a migration did not get a lock in time, or would have waited for somebody who waits for it.
fn is_hindered(error: &sqlx::Error) -> bool {
    matches!(sql_state(error).as_deref(), Some("55P03" | "40P01"))
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
