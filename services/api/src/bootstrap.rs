//! Putting the process together, and the chores beside it: migrating, making keys, replacing them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cache::Cache;
use crowd::asked::Asked;
use crowd::places::Places;
use domain::clock::{Clock, IdSource};
use domain::quota::{Quota, Quotas};
use domain::secret::Secret;
use domain::tenant::{TenantId, TenantName, TenantSettings};
use runtime::clock::{RandomIds, SystemClock};
use runtime::expiry::Expiry;
use runtime::metrics::Registry;
use runtime::ops::{self, Need, Readiness};
use runtime::{Lifecycle, telemetry};
use store::{KeyFile, NewTenant, OpeningKeys, Options, Role, Rotation, SealingKey, Store};

use crate::config::{Config, MigrateConfig, RotateConfig};
use crate::front::Front;
use crate::front::bodies::Bodies;
use crate::front::guard::Guard;
use crate::front::host::Hosts;
use crate::front::standing::Standing;
use crate::front::strangers::{Recognised, Strangers};
use crate::front::terminals::Terminals;
use crate::hub::Hub;
use crate::identity::{Configs, Logins, Sessions, password};
use crate::listen::{self, Proxies, Sources, tls};
use crate::metrics::Metrics;
use crate::peers::{Controllers, RepoServers};
use crate::rights::Rights;
use crate::shared::Shared;
use crate::{grpc, rest};

/// Why the process cannot go on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often it is asked whether the database answers.
const LOOK: Duration = Duration::from_secs(2);
/// How many answers of links are made at once: of one tenant, and in all. What they take is bounded, but not nothing.
const LINKS_AT_ONCE: (usize, usize) = (8, 32);
/// The longest that a look at a revision is put off for others to come who want the same: as long as whoever was told what it is
/// now takes to write that down and to come with the next application. Without it the first of them would have a look alone, and
/// the others the one after that; whoever comes later than this has had something else to do.
const LOOKUPS_REST: Duration = Duration::from_millis(20);

/// Serves until told to stop; `false` when something went wrong on the way.
///
/// # Errors
/// Why it cannot serve at all.
pub async fn run(config: Config) -> Result<bool, Failure> {
    let _telemetry = telemetry::init("naru-api", &config.telemetry)?;
    let life = Lifecycle::new();
    life.heed_signals();
    let registry = Registry::new();
    let expiry = Expiry::new(&registry);
    expiry.tell_internal(&config.internal)?;
    let readiness = Readiness::default();
    let (database, listening) = (readiness.needs("database"), readiness.needs("listening"));
    ops::serve(
        &life,
        &config.metrics_listen,
        registry.clone(),
        readiness,
        String::new(),
    )
    .await
    .map_err(|error| {
        format!(
            "NARU_METRICS_LISTEN: cannot listen on {}: {error}",
            config.metrics_listen
        )
    })?;

    let Some(store) = life.unless_stopped(prepared(&config)).await.transpose()? else {
        return Ok(life.run_until_stopped().await);
    };
    let shared = shared(&config, store, &life, &registry)?;
    life.spawn("changes", shared.hub.clone().run(shared.caches()));
    life.spawn("readiness", watch_database(Arc::clone(&shared), database));

    let hosts = Arc::clone(&shared.hosts);
    let tls = tls::Certificates::new(
        &config.tls,
        certificate_hosts(&config),
        hosts,
        Arc::clone(&shared.clock),
        expiry,
    )?;
    if let Some(tls) = &tls {
        life.spawn("certificates", Arc::clone(tls).watch(life.clone()));
    }
    let proxies = Proxies::parse(&config.trusted_proxies);
    let proxies = proxies.map_err(|error| format!("NARU_TRUSTED_PROXIES: {error}"))?;
    let sources = (Sources::new(&config.limits), proxies);
    let guard = Guard::new(Arc::clone(&shared), grpc::routes(&shared)?);
    let rest = rest::router(&shared, guard.clone());
    let front = Front::new(Arc::clone(&shared), guard, rest, tls.is_some());
    let listeners = listen::bind(&config.listen)
        .await
        .map_err(|(address, error)| format!("NARU_LISTEN: cannot listen on {address}: {error}"))?;
    for listener in listeners {
        let address = listener.local_addr()?;
        listen::serve(&life, listener, tls.clone(), sources.clone(), front.clone());
        tracing::info!(%address, tls = tls.is_some(), "listening");
    }
    listening.set(true);
    let well = life.run_until_stopped().await;
    shared.store.close().await;
    Ok(well)
}

/// The database, with what has to be in it before anybody is served. It may go away at any step, and each is waited for.
async fn prepared(config: &Config) -> Result<Store, Failure> {
    let store = connect(config).await?;
    ensure_operator(&store, config, &RandomIds).await?;
    let (platform, defaults) = (store.platform(), quotas(config)?);
    store::until_answered(|| platform.set_quota_defaults(&defaults)).await?;
    Ok(store)
}

async fn connect(config: &Config) -> Result<Store, Failure> {
    let key_file = KeyFile::load(&config.key_file)?;
    let options = Options {
        trace: runtime::trace::current,
        ..Options::default()
    };
    let url = config.database_url.expose_str();
    let store = Store::wait_for(url, Role::Api, key_file, options).await;
    Ok(store.map_err(|error| crate::failure::chain(&error))?)
}

fn shared(
    config: &Config,
    store: Store,
    life: &Lifecycle,
    registry: &Registry,
) -> Result<Arc<Shared>, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
    let strangers = Arc::new(Strangers::new(config.limits.strangers_per_minute));
    let configs = Arc::new(Configs::new(store.clone()));
    let rights = Arc::new(Rights::new(store.clone(), Arc::clone(&configs)));
    Ok(Arc::new(Shared {
        cache: Cache::connect(
            config.redis_url.expose_str(),
            config.redis_ca.as_deref(),
            &config.redis_prefix,
        )?,
        hosts: Arc::new(Hosts::new(store.clone(), Arc::clone(&strangers))),
        strangers,
        recognised: Recognised::new(),
        sessions: Arc::new(Sessions::new(
            store.clone(),
            Arc::clone(&configs),
            Arc::clone(&rights),
            Arc::clone(&clock),
            Arc::clone(&ids),
        )),
        configs,
        rights,
        logins: Logins::new(store.clone()),
        standing: Arc::new(Standing::new()),
        bodies: Arc::new(Bodies::new(&config.limits)),
        terminals: Terminals::default(),
        links: Places::new(LINKS_AT_ONCE.0, LINKS_AT_ONCE.1),
        audit: crate::audit::Bounds::new(),
        hub: Hub::new(store.clone(), life.clone()),
        repo_servers: RepoServers::new(&config.repo_servers, &config.internal)?,
        lookups: Asked::new(LOOKUPS_REST),
        controllers: Controllers::new(store.clone(), config.internal.clone()),
        cluster_key: SealingKey::load(&config.cluster_public_key_file)?,
        metrics: Metrics::new(registry),
        tenant_host_templates: config.tenant_host_template.clone(),
        life: life.clone(),
        clock,
        ids,
        store,
    }))
}

/// The operator's own tenant is there from the first start on. Its admin's first password is taken from the file, or
/// made and written there.
async fn ensure_operator(
    store: &Store,
    config: &Config,
    ids: &dyn IdSource,
) -> Result<(), Failure> {
    let platform = store.platform();
    let found = store::until_answered(|| platform.tenant_by_name(TenantName::OPERATOR));
    let there = found.await?.is_some();
    // Only a tenant that is made needs a password; hashing one at every start would be for nothing.
    let id = TenantId(ids.id());
    let mut must_change_password = false;
    let admin_password_hash = if there {
        Secret::from("")
    } else {
        let (password, made) = first_password(&config.operator_password_file)?;
        // One that was made here is for the first login alone.
        must_change_password = made;
        password::hash(id, password).await?
    };
    let wanted = NewTenant {
        id,
        name: TenantName::operator(),
        hosts: config.operator_hosts.clone(),
        settings: TenantSettings {
            must_change_password,
            ..TenantSettings::default()
        },
        admin_password_hash,
        project_uid: ids.id(),
        webhook_secrets: Default::default(),
    };
    let ensured = store::until_answered(|| platform.ensure_operator_tenant(wanted.clone()));
    let (tenant, _) = ensured.await?;
    keep_first_password(&config.operator_password_file)?;
    // Also where the answer to that was lost.
    if tenant.id == id {
        tracing::info!(hosts = ?tenant.hosts, "made the operator's tenant");
    }
    Ok(())
}

/// What every tenant may use: what the settings say, and else what is usual.
fn quotas(config: &Config) -> Result<Quotas, Failure> {
    if let Some(unknown) = config
        .quotas
        .keys()
        .find(|name| Quota::parse(name).is_none())
    {
        return Err(format!(
            "NARU_QUOTAS__{}: there is no such quota",
            unknown.to_uppercase()
        )
        .into());
    }
    let said = |quota: Quota| config.quotas.get(quota.as_str()).copied();
    let all = Quota::ALL.into_iter();
    Ok(Quotas(
        all.map(|quota| {
            let allowed = said(quota).unwrap_or_else(|| quota.usual());
            (quota.as_str().to_owned(), allowed)
        })
        .collect(),
    ))
}

/// The password in the file, or one that is made; says whether it was made. That one is beside the file until the tenant is there: a
/// start that comes to nothing before leaves it to the next one, which has to know that it was made.
fn first_password(file: &Path) -> Result<(Secret, bool), Failure> {
    if let Some(given) = read_password(file)? {
        return Ok((given, false));
    }
    let draft = draft(file);
    if let Some(made) = read_password(&draft)? {
        return Ok((made, true));
    }
    let password = password::random();
    write_private(&draft, password.expose())?;
    Ok((password, true))
}

/// The password in a file; `None` without the file.
fn read_password(file: &Path) -> Result<Option<Secret>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => Ok(Some(Secret::from(text.trim()))),
        Ok(_) => Err(format!("NARU_OPERATOR_PASSWORD_FILE: {} is empty", file.display()).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!(
            "NARU_OPERATOR_PASSWORD_FILE: cannot read {}: {error}",
            file.display()
        )
        .into()),
    }
}

/// Where a password is that was made for a tenant that may not be there yet.
fn draft(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// The tenant is there: what was made for it is in the file from now on.
fn keep_first_password(file: &Path) -> Result<(), Failure> {
    let draft = draft(file);
    if file.exists() || !draft.exists() {
        return Ok(());
    }
    match fs::rename(&draft, file) {
        Ok(()) => {
            tracing::info!(file = %file.display(), "wrote the operator's first password");
            Ok(())
        }
        // Another process was quicker.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot write {}: {error}", file.display()).into()),
    }
}

/// Ready while the database answers.
async fn watch_database(shared: Arc<Shared>, database: Need) {
    let stop = shared.life.token();
    loop {
        database.set(shared.store.ping().await.is_ok());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The names in the certificate for clients that send none: the operator's hosts and the addresses that are listened on.
fn certificate_hosts(config: &Config) -> Vec<String> {
    let mut hosts = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    hosts.extend(config.operator_hosts.clone());
    hosts.extend(config.listen.iter().filter_map(|address| {
        let (host, _) = address.rsplit_once(':')?;
        Some(host.trim_matches(['[', ']']).to_owned())
            .filter(|host| !host.is_empty() && host != "0.0.0.0" && host != "::")
    }));
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Brings the database to this version.
///
/// # Errors
/// When a migration does not go through, or the database stays away.
pub async fn migrate(config: MigrateConfig) -> Result<(), Failure> {
    let _telemetry = telemetry::init("naru-api", &config.telemetry)?;
    store::migrate(config.database_url.expose_str())
        .await
        .map_err(|error| crate::failure::chain(&error))?;
    tracing::info!("the database is up to date");
    Ok(())
}

/// Writes a new key-encryption key to a file that is not there yet, for nobody else to read.
///
/// # Errors
/// When the file is there already or cannot be written.
pub fn generate_key(file: &Path) -> Result<(), Failure> {
    write_private(file, KeyFile::generate().expose())
}

/// Makes a certificate authority for the public port: its certificate, for whoever is to trust it, and its key. With
/// names it can sign for nothing but these domains and addresses.
///
/// # Errors
/// When a file is there already or cannot be written.
pub fn generate_authority(cert: &Path, key: &Path, names: &[String]) -> Result<(), Failure> {
    let made = tls::make(names, SystemClock.now().into())?;
    write_private(key, made.key.expose())?;
    write_private(cert, made.cert.as_bytes())
}

/// Wraps every tenant's key under the first key of the file; tells how many were wrapped anew.
///
/// # Errors
/// When one cannot be unwrapped with any key of the file. Those before it are done; running it again goes on.
pub async fn rotate_key(config: RotateConfig) -> Result<(), Failure> {
    let _telemetry = telemetry::init("naru-api", &config.telemetry)?;
    let mut rotation = rotation(&config).await?;
    let rewrapped = rotation
        .rewrap()
        .await
        .map_err(|error| crate::failure::chain(&error))?;
    tracing::info!(
        rewrapped,
        "every tenant's key is wrapped under the current key; the others may leave the file"
    );
    Ok(())
}

/// Gives a tenant a new data key, seals everything of its under that one, and drops the old.
///
/// # Errors
/// When something does not open. What is done stays; running it again goes on.
pub async fn rotate_tenant_key(config: RotateConfig, tenant: &str) -> Result<(), Failure> {
    let _telemetry = telemetry::init("naru-api", &config.telemetry)?;
    let mut rotation = rotation(&config).await?;
    let done = rotation
        .rotate_tenant(tenant)
        .await
        .map_err(|error| crate::failure::chain(&error))?;
    tracing::info!(
        tenant,
        version = done.version,
        sealed = done.sealed,
        "the tenant has a new key"
    );
    Ok(())
}

async fn rotation(config: &RotateConfig) -> Result<Rotation, Failure> {
    let keys = KeyFile::load(&config.key_file)?;
    let rotation = Rotation::connect(config.database_url.expose_str(), keys).await;
    Ok(rotation.map_err(|error| crate::failure::chain(&error))?)
}

/// Makes the pair of keys that clusters' credentials are sealed with: the private one in `file`, for controllers alone,
/// and the public one in `file.pub`, for the api.
///
/// # Errors
/// When a file cannot be made, or there is one already.
pub fn generate_cluster_key(file: &Path) -> Result<(), Failure> {
    let private = OpeningKeys::generate();
    let public = OpeningKeys::from_base64(&private)?.public();
    write_private(file, private.expose())?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    write_private(Path::new(&beside), public.as_bytes())
}

fn write_private(file: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| format!("cannot make {}: {error}", file.display()))?;
    made.write_all(content)
        .and_then(|()| made.write_all(b"\n"))
        .and_then(|()| made.sync_all())
        .map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        generate_key(&file).unwrap();
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        KeyFile::load(&file).unwrap();
        let before = fs::read(&file).unwrap();
        assert!(
            generate_key(&file).is_err(),
            "an existing key is never overwritten"
        );
        assert_eq!(fs::read(&file).unwrap(), before);
    }

    #[test]
    fn a_pair_of_cluster_keys_belongs_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster-key");
        generate_cluster_key(&file).unwrap();
        let private = OpeningKeys::load(&file).unwrap();
        let public = fs::read_to_string(folder.path().join("cluster-key.pub")).unwrap();
        assert_eq!(private.public(), public.trim());
        assert!(generate_cluster_key(&file).is_err());
    }

    #[test]
    fn a_first_password_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        keep_first_password(&file).unwrap();
        let (password, made) = first_password(&file).unwrap();
        assert!(made);
        // A start that came to nothing: the next one knows that nobody has chosen it.
        assert!(!file.exists());
        assert_eq!(first_password(&file).unwrap(), (password.clone(), true));
        keep_first_password(&file).unwrap();
        assert_eq!(first_password(&file).unwrap(), (password, false));
        assert!(!draft(&file).exists());
        // One that somebody has given stays theirs.
        fs::write(draft(&file), "another").unwrap();
        keep_first_password(&file).unwrap();
        assert_ne!(first_password(&file).unwrap().0.expose(), b"another");
    }
}
