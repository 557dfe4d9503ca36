//! A PostgreSQL of one's own, or databases in somebody else's: three login roles, none of which may bypass a policy.

mod session;

use std::fs;
use std::future::Future;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::{User, geteuid};
use tokio::process::Command;
use url::Url;

use crate::command::{command, output, output_of_input, which};
use crate::ground::Ground;
use crate::paths;
use crate::process::Spec;
pub use session::Session;

/// The login roles: migrations, api, controller.
pub const ROLES: [&str; 3] = ["naru_owner", "naru_api", "naru_controller"];

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port to listen on; a free one by default.
    pub port: Option<u16>,
    /// Whether a commit waits for the disk. Without it a crash of the machine loses data, a crash of PostgreSQL does not.
    pub durable: bool,
}

/// A server that we may make databases in.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// As the role that may make roles and databases.
    admin: Url,
    psql: PathBuf,
    passwords: [String; 3],
}

/// One database, by role.
#[derive(Clone, Debug)]
pub struct Database {
    /// As the role that migrates.
    pub owner: String,
    /// As the api's role.
    pub api: String,
    /// As the controller's role.
    pub controller: String,
    /// As the role that made it.
    pub admin: String,
}

impl Postgres {
    /// The private server of a folder, started now if it does not run.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub async fn start(ground: &mut Ground, options: &Options) -> Result<Self> {
        let bin = binaries()?;
        let password = ground.secret("postgres")?;
        let port = ground.port("postgres", "postgres", options.port)?;
        let user = unprivileged()?;
        let data = data_folder(ground, user.as_ref())?;
        let folder = data.parent().context("the data has a folder")?.to_owned();
        if !data.join("PG_VERSION").is_file() {
            let progress = ground.progress.clone();
            progress
                .step(
                    "making a PostgreSQL data folder",
                    init(&bin, &data, &password, user.as_ref()),
                )
                .await?;
        }
        let mut spec = Spec::new("postgres", bin.join("postgres"))
            .arg("-D")
            .arg(data.to_string_lossy());
        for setting in settings(port, options.durable) {
            spec = spec.arg("-c").arg(setting);
        }
        spec.dir = Some(folder);
        spec.user = user.map(|user| (user.uid.as_raw(), user.gid.as_raw()));
        spec.interrupt_to_stop = true;
        let admin = Url::parse(&format!(
            "postgres://postgres:{password}@127.0.0.1:{port}/postgres"
        ))?;
        Self::run(ground, &spec, admin, bin.join("psql")).await
    }

    async fn run(ground: &mut Ground, spec: &Spec, admin: Url, psql: PathBuf) -> Result<Self> {
        let (process, _) = ground.supervisor.ensure(spec).await?;
        let server = Self {
            admin,
            psql,
            passwords: passwords(ground)?,
        };
        process
            .ready(Duration::from_secs(60), || async {
                server.sql(None, "select 1").await.map(drop)
            })
            .await?;
        server.make_roles().await?;
        Ok(server)
    }

    /// Somebody else's server: `url` names a role that may make roles and databases.
    ///
    /// # Errors
    /// When it cannot be reached or may not.
    pub async fn attach(ground: &mut Ground, url: &str) -> Result<Self> {
        let admin = Url::parse(url).context(
            "--database-url is not a URL such as postgres://role:password@host:5432/name",
        )?;
        let server = Self {
            admin,
            psql: program()?,
            passwords: passwords(ground)?,
        };
        server
            .sql(None, "select 1")
            .await
            .context("--database-url cannot be reached")?;
        server.is_ours().await?;
        server
            .make_roles()
            .await
            .context("the role of --database-url may not make roles: give one with CREATEROLE")?;
        Ok(server)
    }

    /// Refuses a server on which the roles of another platform are: to give them new passwords would lock it out.
    async fn is_ours(&self) -> Result<()> {
        let api = ROLES[1];
        let there = format!("select 1 from pg_roles where rolname = '{api}' and rolcanlogin");
        if self.sql(None, &there).await?.is_empty() {
            return Ok(());
        }
        let mut admin = self.admin.clone();
        if admin.set_username(api).is_err() || admin.set_password(Some(&self.passwords[1])).is_err()
        {
            bail!("--database-url has no place for a login");
        }
        let own = Self {
            admin,
            psql: self.psql.clone(),
            passwords: self.passwords.clone(),
        };
        own.sql(None, "select 1").await.map(drop).context(
            "--database-url: another platform is on this PostgreSQL (its roles are there, with other passwords); name a \
             server of its own for this clone. Nothing was changed",
        )
    }

    /// Runs SQL as the role that made everything, in `database` or in its own one.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn sql(&self, database: Option<&str>, sql: &str) -> Result<String> {
        let mut url = self.admin.clone();
        if let Some(name) = database {
            url.set_path(name);
        }
        let mut psql = psql(&self.psql, url)?;
        Ok(output_of_input(&mut psql, sql).await?.trim().to_owned())
    }

    async fn make_roles(&self) -> Result<()> {
        let mut sql = include_str!("../../../migrations/roles.sql").to_owned();
        for (role, password) in ROLES.iter().zip(&self.passwords) {
            sql.push_str(&format!("alter role {role} password '{password}';\n"));
        }
        // Two test programs may do this at once.
        self.sql(
            None,
            &format!("begin; select pg_advisory_xact_lock(7001);\n{sql}\ncommit;"),
        )
        .await
        .map(drop)
    }

    /// A database of that name, made now if there is none, owned by `naru_owner`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn database(&self, name: &str) -> Result<Database> {
        self.create(name, "template0").await
    }

    /// A database of that name as a copy of `template`, which `prepare` fills once.
    ///
    /// # Errors
    /// When either cannot be made.
    pub async fn database_from<F>(
        &self,
        name: &str,
        template: &str,
        prepare: impl FnOnce(String) -> F,
    ) -> Result<Database>
    where
        F: Future<Output = Result<()>>,
    {
        let ready = format!("{template}_ready");
        if !self.exists(&ready).await? {
            self.sql(None, &format!("drop database if exists \"{template}\""))
                .await?;
            prepare(self.create(template, "template0").await?.owner).await?;
            self.sql(
                None,
                &format!("alter database \"{template}\" rename to \"{ready}\""),
            )
            .await?;
        }
        self.create(name, &ready).await
    }

    /// Removes a database and everybody who is connected to it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.sql(
            None,
            &format!("drop database if exists \"{name}\" with (force)"),
        )
        .await
        .map(drop)
    }

    async fn exists(&self, name: &str) -> Result<bool> {
        Ok(!self
            .sql(
                None,
                &format!("select 1 from pg_database where datname = '{name}'"),
            )
            .await?
            .is_empty())
    }

    async fn create(&self, name: &str, template: &str) -> Result<Database> {
        if !name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            bail!("`{name}` is not a plain database name");
        }
        if !self.exists(name).await? {
            // Making one for a role needs membership in it, where the maker is no superuser.
            let member = "do $$ begin if not (select rolsuper from pg_roles where rolname = current_user) then
                execute format('grant naru_owner to %I', current_user); end if; end $$;";
            self.sql(None, member).await?;
            self.sql(None, &format!("create database \"{name}\" owner naru_owner template \"{template}\" encoding 'UTF8'")).await?;
        }
        let grants = format!(
            "revoke all on database \"{name}\" from public; grant connect, temporary on database \"{name}\" to {};",
            ROLES.join(", ")
        );
        self.sql(None, &grants).await?;
        let url = |role: usize| -> Result<String> {
            let mut url = self.admin.clone();
            url.set_path(name);
            if url.set_username(ROLES[role]).is_err()
                || url.set_password(Some(&self.passwords[role])).is_err()
            {
                bail!("the database URL has no place for a role");
            }
            Ok(url.to_string())
        };
        let mut admin = self.admin.clone();
        admin.set_path(name);
        Ok(Database {
            owner: url(0)?,
            api: url(1)?,
            controller: url(2)?,
            admin: admin.to_string(),
        })
    }
}

/// psql: that of the PATH, or of the newest PostgreSQL.
fn program() -> Result<PathBuf> {
    which("psql", &[]).map_or_else(|| binaries().map(|bin| bin.join("psql")), Ok)
}

/// A psql that does what it reads, prints nothing but rows, and ends at the first mistake.
fn psql(program: &Path, mut url: Url) -> Result<Command> {
    let password = percent_encoding::percent_decode_str(url.password().unwrap_or_default())
        .decode_utf8_lossy()
        .into_owned();
    // Arguments can be read by everybody on the machine, the environment cannot.
    if url.password().is_some() && url.set_password(None).is_err() {
        bail!("the database URL has no place for a password");
    }
    let mut psql = command(program);
    psql.args([
        "-X",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        "-",
        "-d",
    ])
    .arg(url.as_str());
    psql.env("PGPASSWORD", password)
        .env("PGCONNECT_TIMEOUT", "3")
        .env("PGOPTIONS", "--client-min-messages=warning");
    Ok(psql)
}

fn passwords(ground: &mut Ground) -> Result<[String; 3]> {
    Ok([
        ground.secret(ROLES[0])?,
        ground.secret(ROLES[1])?,
        ground.secret(ROLES[2])?,
    ])
}

/// The newest PostgreSQL of this machine.
///
/// # Errors
/// When there is none of version 15 or newer.
pub fn binaries() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Some(version) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            found.push((version, entry.path().join("bin")));
        }
    }
    found.sort();
    let in_path = || Some(which("initdb", &[])?.parent()?.to_owned());
    let usable = |(version, bin): &(u32, PathBuf)| *version >= 15 && bin.join("initdb").is_file();
    let newest = found.into_iter().rev().find(usable).map(|(_, bin)| bin);
    newest
        .or_else(in_path)
        .context("PostgreSQL 15 or newer is missing: apt-get install postgresql")
}

/// Whom PostgreSQL runs as: it refuses to be root.
fn unprivileged() -> Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    bail!(
        "PostgreSQL refuses to run as root and there is no user `postgres` or `nobody`: run this as another user"
    )
}

/// Where the data is: in our folder, unless PostgreSQL's own user could not get there.
fn data_folder(ground: &Ground, user: Option<&User>) -> Result<PathBuf> {
    let own = ground.dir().join("postgres");
    let Some(user) = user else {
        paths::private_dir(&own)?;
        return Ok(own.join("data"));
    };
    // Everything above our folder must let it through, and so must our folder, which nobody else may list.
    let passable = |dir: &Path| {
        fs::metadata(dir)
            .is_ok_and(|meta| meta.mode() & 0o001 != 0 || meta.uid() == user.uid.as_raw())
    };
    let above = ground
        .dir()
        .parent()
        .is_some_and(|parent| parent.ancestors().all(passable));
    let folder = if above {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(ground.dir(), fs::Permissions::from_mode(0o711))?;
        own
    } else {
        Path::new("/var/lib/naru-development").join(paths::name_of(ground.dir()))
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    Ok(folder.join("data"))
}

/// Where a folder's data may be besides the folder itself.
#[must_use]
pub fn data_outside(dir: &Path) -> PathBuf {
    Path::new("/var/lib/naru-development").join(paths::name_of(dir))
}

async fn init(bin: &Path, data: &Path, password: &str, user: Option<&User>) -> Result<()> {
    let folder = data.parent().context("the data has a folder")?;
    // An earlier attempt that was interrupted.
    if data.exists() {
        fs::remove_dir_all(data)?;
    }
    let partial = folder.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let file = folder.join("password");
    paths::private_file(&file, password.as_bytes())?;
    let mut initdb = command(bin.join("initdb"));
    initdb.arg("-D").arg(&partial).args([
        "-U",
        "postgres",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ]);
    initdb
        .args(["--auth=scram-sha-256", "--pwfile"])
        .arg(&file)
        .current_dir(folder);
    if let Some(user) = user {
        chown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        initdb.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let made = output(&mut initdb).await;
    fs::remove_file(&file)?;
    made?;
    fs::rename(partial, data)?;
    Ok(())
}

fn settings(port: u16, durable: bool) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        "max_connections=200".to_owned(),
        "shared_buffers=64MB".to_owned(),
        "log_min_messages=warning".to_owned(),
        "max_wal_size=512MB".to_owned(),
    ];
    if !durable {
        // Not synchronous_commit=off: with it, killing PostgreSQL alone would lose what it has acknowledged.
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }
    settings
}
