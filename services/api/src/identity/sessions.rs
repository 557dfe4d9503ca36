//! Sessions: a token in, an actor out.

use std::sync::Arc;
use std::time::Duration;

use domain::clock::{Clock, IdSource, Timestamp};
use domain::project::Project;
use domain::rbac::Subject;
use domain::secret::Secret;
use domain::settings::{self, Capability};
use domain::tenant::{Tenant, TenantId};
use sha2::{Digest, Sha256};
use store::Store;
use tonic::{Code, Status};

use super::NO_SESSION;
use super::configs::Configs;
use super::token::{self, Bearer, Claims, TokenError};
use crate::failure;
use crate::permit::{Actor, Means};
use crate::rights::Rights;
use crate::ttl::TtlMap;

/// A login that ends sooner than this is replaced.
const RENEW_BEFORE: chrono::Duration = chrono::Duration::minutes(5);
/// A session ends so long after its login, however often it is renewed; one whose first token lasts longer ends with that.
const LONGEST: chrono::Duration = chrono::Duration::days(30);
/// How long a checked token is trusted without asking the store again. A change is announced and forgets it at once;
/// this bounds how long one takes to be seen when the announcement is lost.
const FRESH: Duration = Duration::from_secs(2);

/// A token as far as it does not depend on the host it was sent to.
#[derive(Clone, Debug)]
struct Checked {
    actor: Actor,
    claims: Arc<Claims>,
}

/// Makes, checks and revokes sessions.
pub(crate) struct Sessions {
    store: Store,
    configs: Arc<Configs>,
    rights: Arc<Rights>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    checked: TtlMap<[u8; 32], Checked>,
}

impl Sessions {
    /// Sessions whose keys, accounts and revocations are in the store.
    pub(crate) fn new(
        store: Store,
        configs: Arc<Configs>,
        rights: Arc<Rights>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            store,
            configs,
            rights,
            clock,
            ids,
            checked: TtlMap::new(FRESH, 10_000),
        }
    }

    /// A new login session's token. It lasts as long as the tenant's settings say.
    ///
    /// # Errors
    /// When the tenant's key or settings cannot be had.
    pub(crate) async fn create(
        &self,
        tenant: TenantId,
        account: &settings::Account,
    ) -> Result<String, Status> {
        let config = self.configs.of(tenant).await.map_err(failure::store)?;
        let lifetime = chrono::Duration::from_std(config.session_duration())
            .unwrap_or_else(|_| chrono::Duration::days(36_500));
        let mut claims = Claims::new(
            Bearer::Account(&account.name, Capability::Login),
            self.ids.id().to_string(),
            self.clock.now(),
            Some(lifetime),
        );
        claims.password_time = password_time(account);
        self.sign(tenant, &claims).await
    }

    /// The token of an account's API key that was remembered under `id`.
    ///
    /// # Errors
    /// When the tenant's key cannot be had.
    pub(crate) async fn sign_api_key(
        &self,
        tenant: TenantId,
        account: &settings::Account,
        id: &str,
        issued_at: Timestamp,
        lifetime: Option<chrono::Duration>,
    ) -> Result<String, Status> {
        let bearer = Bearer::Account(&account.name, Capability::ApiKey);
        let mut claims = Claims::new(bearer, id.to_owned(), issued_at, lifetime);
        claims.password_time = password_time(account);
        self.sign(tenant, &claims).await
    }

    /// The token of a project's role. It counts while the project remembers its id, or when it was issued.
    ///
    /// # Errors
    /// When the tenant's key cannot be had.
    pub(crate) async fn sign_project_token(
        &self,
        tenant: TenantId,
        (project, role): (&str, &str),
        id: &str,
        issued_at: Timestamp,
        lifetime: Option<chrono::Duration>,
    ) -> Result<String, Status> {
        let bearer = Bearer::ProjectRole { project, role };
        let claims = Claims::new(bearer, id.to_owned(), issued_at, lifetime);
        self.sign(tenant, &claims).await
    }

    async fn sign(&self, tenant: TenantId, claims: &Claims) -> Result<String, Status> {
        let scope = self.store.tenant(tenant);
        let key = scope.keys().current().await.map_err(failure::store)?;
        token::sign(claims, &key.kid, &key.key).map_err(|error| {
            tracing::error!(%error, "a session cannot be signed");
            Status::internal("the session cannot be signed")
        })
    }

    /// Who sent this token to this tenant's host. Where the tenant lets anybody in, whoever has no token that counts is
    /// nobody in particular.
    ///
    /// # Errors
    /// `Unauthenticated` with the reason; `Unavailable` when the store cannot be asked.
    pub(crate) async fn authenticate(
        &self,
        site: &Arc<Tenant>,
        token: Option<&str>,
    ) -> Result<Actor, Status> {
        let refusal = match self.identify(site, token).await {
            Err(refusal) if refusal.code() == Code::Unauthenticated => refusal,
            outcome => return outcome,
        };
        let config = self.configs.of(site.id).await.map_err(failure::store)?;
        if config.anonymous_enabled() {
            let rights = self.rights.of(site.id).await?;
            return Ok(Actor::anonymous(Arc::clone(site), rights));
        }
        Err(refusal)
    }

    async fn identify(&self, site: &Tenant, token: Option<&str>) -> Result<Actor, Status> {
        let token = token.ok_or_else(|| Status::unauthenticated(NO_SESSION))?;
        let checked = self.checked(token).await?;
        // On the operator's host the key names the tenant; on every other, only the host's own tenant exists.
        if !site.name.is_operator() && checked.actor.tenant.id != site.id {
            return Err(invalid(TokenError::Signature));
        }
        // Rights are asked for anew every time: they change without the token being touched.
        let mut actor = checked.actor;
        actor.rights = self.rights.of(actor.tenant.id).await?;
        Ok(actor)
    }

    /// Whether what an actor was let in with still counts: for streams, which outlive many a change.
    ///
    /// # Errors
    /// Why not any more; `Unavailable` when the store cannot be asked.
    pub(crate) async fn still_valid(&self, actor: &Actor) -> Result<(), Status> {
        match &actor.token {
            Some(token) => self.checked(token.expose_str()).await.map(|_| ()),
            None => {
                let config = self.configs.of(actor.tenant.id).await;
                if config.map_err(failure::store)?.anonymous_enabled() {
                    Ok(())
                } else {
                    Err(Status::unauthenticated(NO_SESSION))
                }
            }
        }
    }

    async fn checked(&self, token: &str) -> Result<Checked, Status> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = self.clock.now().timestamp();
        let running = |checked: &Checked| checked.claims.exp.is_none_or(|end| now < end);
        if let Some(checked) = self.checked.get(&digest).filter(running) {
            return Ok(checked);
        }
        let mark = self.checked.mark();
        let checked = self.check(token).await?;
        self.checked.put_since(mark, digest, checked.clone());
        Ok(checked)
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
        let Some(tenant) = platform.tenant_by_id(owner).await.map_err(failure::store)? else {
            return Err(invalid(TokenError::Signature));
        };
        let time = |seconds| Timestamp::from_timestamp(seconds, 0).unwrap_or_default();
        let mut actor = Actor {
            account: claims.sub.clone(),
            subject: Subject::parse(&claims.sub),
            rights: Arc::default(),
            means: Means::ProjectRole,
            operator: false,
            must_change_password: false,
            tenant: Arc::new(tenant),
            issued_at: time(claims.iat),
            token_id: claims.jti.clone(),
            expires_at: claims.exp.map(time),
            session_ends: claims.exp.map(|end| time(last_end(&claims, end))),
            token: Some(Arc::new(Secret::from(token))),
        };
        match claims.bearer() {
            Bearer::ProjectRole { project, role } => {
                let found = scope
                    .projects()
                    .find(project)
                    .await
                    .map_err(failure::store)?;
                let Some(found) = found else {
                    let text = format!("appproject.argoproj.io \"{project}\" not found");
                    return Err(invalid(text));
                };
                if !remembers(&found, role, &claims) {
                    let text = format!(
                        "JWT token for role '{role}' issued at '{}' does not exist in project '{project}'",
                        claims.iat
                    );
                    return Err(invalid(text));
                }
            }
            Bearer::Account(name, capability) => {
                let account = self.account(owner, name, capability, &claims).await?;
                actor.means = match capability {
                    Capability::Login => Means::Login,
                    Capability::ApiKey => Means::ApiKey,
                };
                actor.operator = actor.tenant.name.is_operator() && account.operator;
                actor.must_change_password = capability == Capability::Login
                    && actor.tenant.settings.must_change_password
                    && !account.own_password;
                actor.account = account.settings.name;
                actor.subject = Subject::account(actor.account.clone());
            }
        }
        Ok(Checked {
            actor,
            claims: Arc::new(claims),
        })
    }

    /// The account that a token speaks for, if the token counts.
    async fn account(
        &self,
        tenant: TenantId,
        name: &str,
        capability: Capability,
        claims: &Claims,
    ) -> Result<store::accounts::Account, Status> {
        let scope = self.store.tenant(tenant);
        let Some(account) = scope.accounts().find(name).await.map_err(failure::store)? else {
            let text = format!("rpc error: code = NotFound desc = account '{name}' does not exist");
            return Err(invalid(text));
        };
        if !account.settings.enabled {
            return Err(invalid(format!("account {name} is disabled")));
        }
        if !account.settings.can(capability) {
            let word = capability.as_str();
            return Err(invalid(format!(
                "account {name} does not have '{word}' capability"
            )));
        }
        let id = claims.jti.as_str();
        if id.is_empty() {
            return Err(invalid(
                "token does not have a unique identifier (jti claim) and cannot be validated",
            ));
        }
        if scope.is_revoked(id).await.map_err(failure::store)? {
            return Err(invalid("token is revoked, please re-login"));
        }
        if capability == Capability::ApiKey && account.settings.token(id).is_none() {
            return Err(invalid(format!(
                "account {name} does not have token with id {id}"
            )));
        }
        let older = match claims.password_time {
            Some(time) => password_time(&account.settings) != Some(time),
            None => account
                .settings
                .password_mtime
                .is_some_and(|set| claims.iat < set.timestamp()),
        };
        if older {
            return Err(invalid("account password has changed since token issued"));
        }
        Ok(account)
    }

    /// Whether a login's token ends so soon that it is to be replaced.
    pub(crate) fn ends_soon(&self, actor: &Actor) -> bool {
        let soon = |end: Timestamp| end - self.clock.now() < RENEW_BEFORE;
        actor.means == Means::Login && actor.expires_at.is_some_and(soon)
    }

    /// Another token of the same session: of the same id, so that a logout ends both, and of the same lifetime, but for the
    /// session's own end. For who was let in with the first. Failing to make one costs nobody anything.
    pub(crate) async fn renew(&self, actor: &Actor) -> Option<String> {
        let checked = self
            .checked(actor.token.as_ref()?.expose_str())
            .await
            .ok()?;
        let claims = &checked.claims;
        let Bearer::Account(_, Capability::Login) = claims.bearer() else {
            return None;
        };
        let (now, end) = (self.clock.now(), claims.exp?);
        let left = last_end(claims, end) - now.timestamp();
        let lifetime = chrono::Duration::seconds(left.min(end - claims.iat));
        let mut next = Claims::new(claims.bearer(), claims.jti.clone(), now, Some(lifetime));
        next.password_time = claims.password_time;
        next.auth_time = Some(claims.logged_in());
        next.exp.filter(|next| *next > end)?;
        self.sign(actor.tenant.id, &next).await.ok()
    }

    /// Ends a session for as long as any token of it could have lasted.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) async fn revoke(&self, actor: &Actor) -> Result<(), Status> {
        if actor.token_id.is_empty() {
            return Ok(());
        }
        let until = actor
            .session_ends
            .unwrap_or_else(|| self.clock.now() + chrono::Duration::days(36_500));
        self.store
            .tenant(actor.tenant.id)
            .revoke_token(&actor.token_id, until)
            .await
            .map_err(failure::store)?;
        self.forget(Some(actor.tenant.id));
        Ok(())
    }

    /// Forgets what was checked of a tenant, or of all: something changed.
    pub(crate) fn forget(&self, tenant: Option<TenantId>) {
        self.checked
            .forget(|_, checked| tenant.is_none_or(|tenant| tenant == checked.actor.tenant.id));
    }
}

/// When the last token of a session ends, whose present one ends at `end`.
fn last_end(claims: &Claims, end: i64) -> i64 {
    match claims.bearer() {
        Bearer::Account(_, Capability::Login) => {
            end.max(claims.logged_in().saturating_add(LONGEST.num_seconds()))
        }
        _ => end,
    }
}

/// When an account's password was set, as tokens remember it.
fn password_time(account: &settings::Account) -> Option<i64> {
    account.password_mtime.map(|set| set.timestamp_micros())
}

/// Whether a project remembers a role's token, by its id or, of old, by when it was issued.
fn remembers(project: &Project, role: &str, claims: &Claims) -> bool {
    let roles = project.spec["roles"].as_array().into_iter().flatten();
    let mut tokens = roles
        .filter(|found| found["name"] == role)
        .filter_map(|found| found["jwtTokens"].as_array())
        .flatten();
    tokens.any(|token| {
        let id = token["id"].as_str().unwrap_or_default();
        if id.is_empty() || claims.jti.is_empty() {
            token["iat"].as_i64() == Some(claims.iat)
        } else {
            id == claims.jti
        }
    })
}

fn invalid(reason: impl std::fmt::Display) -> Status {
    Status::unauthenticated(format!("invalid session: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use domain::tenant::{TenantName, TenantSettings};
    use runtime::clock::{RandomIds, SystemClock};
    use serde_json::json;
    use store::{KeyFile, NewTenant, Role};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_checked_token_asks_nobody_and_takes_little() {
        let postgres = testkit::platform::postgres().await.unwrap();
        postgres.drop_database("api_sessions").await.unwrap();
        let database = postgres.database("api_sessions").await.unwrap();
        store::migrate(&database.owner).await.unwrap();
        let key = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        let store = Store::connect(&database.api, Role::Api, key).await.unwrap();
        let new = NewTenant {
            id: TenantId(uuid::Uuid::from_u128(1)),
            name: TenantName::from_stored("user01".into()),
            hosts: vec!["user01.example".into()],
            settings: TenantSettings::default(),
            admin_password_hash: Secret::from("hash"),
            project_uid: uuid::Uuid::from_u128(2),
            webhook_secrets: std::collections::BTreeMap::new(),
        };
        let tenant = Arc::new(store.platform().create_tenant(new).await.unwrap());
        let configs = Arc::new(Configs::new(store.clone()));
        let rights = Arc::new(Rights::new(store.clone(), Arc::clone(&configs)));
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let sessions = Sessions::new(store.clone(), configs, rights, clock, ids);
        let admin = store.tenant(tenant.id).accounts().find("admin").await;
        let admin = admin.unwrap().unwrap().settings;
        let token = sessions.create(tenant.id, &admin).await.unwrap();

        sessions.authenticate(&tenant, Some(&token)).await.unwrap();
        // With no database to ask, it is still known.
        store.close().await;
        let began = Instant::now();
        let mut checks = 0;
        while began.elapsed() < Duration::from_millis(500) {
            sessions.authenticate(&tenant, Some(&token)).await.unwrap();
            checks += 1;
        }
        let each = began.elapsed() / checks;
        println!("a checked token takes {each:?}");
        assert!(each < Duration::from_micros(50), "{each:?}");
        // Forgotten, it is asked for again, and nobody answers.
        sessions.forget(Some(tenant.id));
        let asked = sessions.authenticate(&tenant, Some(&token)).await;
        assert_eq!(asked.unwrap_err().code(), Code::Unavailable);
        postgres.drop_database("api_sessions").await.unwrap();
    }

    #[test]
    fn a_project_remembers_its_roles_tokens_and_no_others() {
        let project = Project {
            metadata: json!({"name": "team"}),
            spec: json!({"roles": [
                {"name": "ci", "jwtTokens": [{"iat": 100, "id": "a"}]},
                {"name": "other", "jwtTokens": [{"iat": 200, "id": "b"}]},
            ]}),
            resource_version: 0,
        };
        let claims = |id: &str, iat| {
            let bearer = Bearer::ProjectRole {
                project: "team",
                role: "ci",
            };
            let at = Timestamp::from_timestamp(iat, 0).unwrap();
            Claims::new(bearer, id.to_owned(), at, None)
        };
        assert!(remembers(&project, "ci", &claims("a", 1)));
        assert!(remembers(&project, "ci", &claims("", 100)));
        assert!(!remembers(&project, "ci", &claims("gone", 100)));
        assert!(!remembers(&project, "ci", &claims("b", 200)));
        assert!(!remembers(&project, "other", &claims("a", 100)));
        assert!(!remembers(&project, "gone", &claims("a", 100)));
    }
}
