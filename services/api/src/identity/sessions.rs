//! Sessions: a token in, an actor out.

use std::sync::Arc;
use std::time::Duration;

use domain::clock::{Clock, IdSource, Timestamp};
use domain::tenant::Tenant;
use sha2::{Digest, Sha256};
use store::Store;
use tonic::Status;

use super::NO_SESSION;
use super::token::{self, Claims, TokenError};
use crate::failure;
use crate::permit::Actor;
use crate::ttl::TtlMap;

/// How long a login lasts.
const LIFETIME: chrono::Duration = chrono::Duration::hours(24);
/// A login that ends sooner than this is replaced.
const RENEW_BEFORE: chrono::Duration = chrono::Duration::minutes(5);
/// How long a checked token is trusted without asking the store again. It bounds how long a revocation on another
/// process takes to be seen here.
const FRESH: Duration = Duration::from_secs(2);

/// An authenticated request's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Who.
    pub(crate) actor: Actor,
    /// The token that replaces the one sent, when that one soon ends.
    pub(crate) renewed: Option<String>,
}

/// A token as far as it does not depend on the host it was sent to.
#[derive(Clone, Debug)]
struct Checked {
    actor: Actor,
    claims: Claims,
}

/// Makes, checks and revokes sessions.
pub(crate) struct Sessions {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    checked: TtlMap<[u8; 32], Checked>,
}

impl Sessions {
    /// Sessions whose keys, accounts and revocations are in the store.
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self {
            store,
            clock,
            ids,
            checked: TtlMap::new(FRESH, 10_000),
        }
    }

    /// A new login session's token.
    ///
    /// # Errors
    /// When the tenant's key cannot be had.
    pub(crate) async fn create(&self, tenant: &Tenant, account: &str) -> Result<String, Status> {
        self.sign(tenant, account, LIFETIME).await
    }

    async fn sign(
        &self,
        tenant: &Tenant,
        account: &str,
        lifetime: chrono::Duration,
    ) -> Result<String, Status> {
        let key = self
            .store
            .tenant(tenant.id)
            .keys()
            .current()
            .await
            .map_err(failure::store)?;
        let claims = Claims::login(
            account,
            self.ids.id().to_string(),
            self.clock.now(),
            lifetime,
        );
        token::sign(&claims, &key.kid, &key.key).map_err(|error| {
            tracing::error!(%error, "a session cannot be signed");
            Status::internal("the session cannot be signed")
        })
    }

    /// Who sent this token to this tenant's host.
    ///
    /// # Errors
    /// `Unauthenticated` with the reason; `Unavailable` when the store cannot be asked.
    pub(crate) async fn authenticate(
        &self,
        site: &Tenant,
        token: Option<&str>,
    ) -> Result<Session, Status> {
        let token = token.ok_or_else(|| Status::unauthenticated(NO_SESSION))?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let checked = match self.checked.get(&digest) {
            Some(checked)
                if checked
                    .claims
                    .exp
                    .is_none_or(|end| self.clock.now().timestamp() < end) =>
            {
                checked
            }
            _ => {
                let checked = self.check(token).await?;
                self.checked.put(digest, checked.clone());
                checked
            }
        };
        // On the operator's host the key names the tenant; on every other, only the host's own tenant exists.
        if !site.name.is_operator() && checked.actor.tenant.id != site.id {
            return Err(invalid(TokenError::Signature));
        }
        let renewed = self.renew(&checked).await;
        Ok(Session {
            actor: checked.actor,
            renewed,
        })
    }

    async fn check(&self, token: &str) -> Result<Checked, Status> {
        let Some(key_id) = token::key_id(token).map_err(invalid)? else {
            return Err(invalid(TokenError::Signature));
        };
        let platform = self.store.platform();
        let owner = platform
            .tenant_by_key_id(&key_id)
            .await
            .map_err(failure::store)?;
        let Some(owner) = owner else {
            return Err(invalid(TokenError::Signature));
        };
        let scope = self.store.tenant(owner);
        let Some(key) = scope.keys().find(&key_id).await.map_err(failure::store)? else {
            return Err(invalid(TokenError::Signature));
        };
        let claims = token::verify(token, &key.key, self.clock.now()).map_err(invalid)?;
        let (name, login) = claims.account();
        let Some(account) = scope.accounts().find(name).await.map_err(failure::store)? else {
            let text = format!("rpc error: code = NotFound desc = account '{name}' does not exist");
            return Err(invalid(text));
        };
        if !account.enabled {
            return Err(invalid(format!("account {name} is disabled")));
        }
        if !login {
            return Err(invalid(format!(
                "account {name} does not have 'apiKey' capability"
            )));
        }
        if claims.jti.is_empty()
            || scope
                .is_revoked(&claims.jti)
                .await
                .map_err(failure::store)?
        {
            return Err(invalid("token is revoked, please re-login"));
        }
        if claims.iat < account.password_mtime.timestamp() {
            return Err(invalid("account password has changed since token issued"));
        }
        let Some(tenant) = platform.tenant_by_id(owner).await.map_err(failure::store)? else {
            return Err(invalid(TokenError::Signature));
        };
        let time = |seconds| Timestamp::from_timestamp(seconds, 0).unwrap_or_default();
        let actor = Actor {
            operator: tenant.name.is_operator() && account.operator,
            tenant: Arc::new(tenant),
            account: name.to_owned(),
            issued_at: time(claims.iat),
            token_id: claims.jti.clone(),
            expires_at: claims.exp.map(time),
        };
        Ok(Checked { actor, claims })
    }

    /// A token of the original's lifetime, when the original soon ends. Failing to make one costs nobody anything.
    async fn renew(&self, checked: &Checked) -> Option<String> {
        let end = checked.claims.exp?;
        if end - self.clock.now().timestamp() >= RENEW_BEFORE.num_seconds() {
            return None;
        }
        let lifetime = chrono::Duration::seconds(end - checked.claims.iat);
        self.sign(&checked.actor.tenant, &checked.actor.account, lifetime)
            .await
            .ok()
    }

    /// Ends a session for as long as its token would have lasted.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) async fn revoke(&self, actor: &Actor) -> Result<(), Status> {
        let until = actor
            .expires_at
            .unwrap_or_else(|| self.clock.now() + chrono::Duration::days(36_500));
        self.store
            .tenant(actor.tenant.id)
            .revoke_token(&actor.token_id, until)
            .await
            .map_err(failure::store)?;
        self.checked.clear();
        Ok(())
    }

    /// Forgets what was checked: some tenant changed.
    pub(crate) fn forget(&self) {
        self.checked.clear();
    }
}

fn invalid(reason: impl std::fmt::Display) -> Status {
    Status::unauthenticated(format!("invalid session: {reason}"))
}
