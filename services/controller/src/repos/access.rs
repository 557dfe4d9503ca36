//! How to get into a repository, as its tenant connected it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::cause::Cause;
use domain::message;
use domain::repository::Repository;
use domain::secret::Secret;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use proto::naru::internal::v1::RepositoryAccess;
use store::Store;

use super::{RepoKey, Trouble};

/// How long a credential is used before it is read again. Long enough for a burst of renders of one repository, short
/// enough that a revoked one is soon out of use wherever the change feed should be late.
const HOLDS: Duration = Duration::from_secs(10);

/// The credentials in use, for a moment, as [`Secret`]s.
pub(super) struct Accesses {
    store: Store,
    known: Mutex<HashMap<RepoKey, (Instant, Option<Repository>)>>,
}

impl Accesses {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            known: Mutex::default(),
        }
    }

    pub(super) async fn of(&self, key: &RepoKey, url: &str) -> Result<RepositoryAccess, Trouble> {
        Ok(access(key, url, self.repository(key, url).await?))
    }

    pub(super) async fn tenant_key(&self, tenant: TenantId) -> Result<Secret, Trouble> {
        self.store
            .tenant(tenant)
            .tenant_key()
            .await
            .map_err(|error| database(&error))
    }

    pub(super) fn forget(&self, tenant: TenantId) {
        self.known.lock().retain(|key, _| key.tenant != tenant);
    }

    pub(super) fn forget_all(&self) {
        self.known.lock().clear();
    }

    async fn repository(&self, key: &RepoKey, url: &str) -> Result<Option<Repository>, Trouble> {
        if let Some((read, repository)) = self.known.lock().get(key)
            && read.elapsed() < HOLDS
        {
            return Ok(repository.clone());
        }
        let read = Instant::now();
        let scope = self.store.tenant(key.tenant);
        let repository = scope
            .repositories()
            .find_for(url, &key.project)
            .await
            .map_err(|error| database(&error))?;
        let mut known = self.known.lock();
        known.retain(|_, (read, _)| read.elapsed() < HOLDS);
        known.insert(key.clone(), (read, repository.clone()));
        Ok(repository)
    }
}

fn database(error: &store::Error) -> Trouble {
    tracing::warn!(%error, "a repository's credential could not be read");
    Trouble::ours(Cause::error(message::app::DATABASE_UNAVAILABLE.message()))
}

fn access(key: &RepoKey, url: &str, repository: Option<Repository>) -> RepositoryAccess {
    let anonymous = RepositoryAccess {
        tenant: key.tenant.to_string(),
        url: url.to_owned(),
        ..RepositoryAccess::default()
    };
    let Some(Repository {
        url: connected,
        kind: _,
        name: _,
        project,
        credentials,
        insecure,
        enable_lfs: _,
    }) = repository
    else {
        return anonymous;
    };
    let bytes = |secret: &Option<Secret>| {
        secret
            .as_ref()
            .map(|s| s.expose().to_vec())
            .unwrap_or_default()
    };
    // The scope names the credential by where it is connected, never by what it is.
    let scope = if credentials.is_empty() {
        String::new()
    } else {
        format!("{project}/{connected}")
    };
    RepositoryAccess {
        credential_scope: scope,
        username: credentials.username.clone(),
        password: bytes(&credentials.password),
        bearer_token: bytes(&credentials.bearer_token),
        ssh_private_key: bytes(&credentials.ssh_private_key),
        tls_client_cert: credentials.tls_client_cert.clone(),
        tls_client_key: bytes(&credentials.tls_client_key),
        insecure,
        ..anonymous
    }
}
