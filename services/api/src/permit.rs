//! Who may do what: the one function through which every handler goes.
//!
//! What an actor may is what the policy of its tenant says ([`domain::rbac`]); nobody has a right by name. Being the
//! operator is a grant of its own, outside any tenant's rights.

use std::sync::Arc;

use domain::clock::Timestamp;
pub(crate) use domain::rbac::{Action, Resource};
use domain::rbac::{Enforcer, Subject};
use domain::secret::Secret;
use domain::tenant::Tenant;
use tonic::Status;

use crate::shared::Shared;

/// The account that every tenant begins with.
pub(crate) const ADMIN: &str = "admin";

/// By which means somebody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// An account that logged in.
    Login,
    /// An account's API key.
    ApiKey,
    /// The token of a project's role.
    ProjectRole,
    /// Nobody in particular, where a tenant lets anybody in.
    Anonymous,
}

/// Who asks: one account of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// Whose data the request is about. Everything is read and written in this tenant's scope.
    pub(crate) tenant: Arc<Tenant>,
    /// The account; `proj:<project>:<role>` for a project's role, and empty for nobody in particular.
    pub(crate) account: String,
    /// Whose rights count.
    pub(crate) subject: Subject,
    /// What everybody of the tenant may, as it is now.
    pub(crate) rights: Arc<Enforcer>,
    /// By which means.
    pub(crate) means: Means,
    /// Whether its password was set by somebody else and must be changed before anything else.
    pub(crate) must_change_password: bool,
    /// Whether the account runs the platform.
    pub(crate) operator: bool,
    /// When its token was issued; part of the text of a refusal.
    pub(crate) issued_at: Timestamp,
    /// The token's id, by which it can be revoked.
    pub(crate) token_id: String,
    /// When the token ends.
    pub(crate) expires_at: Option<Timestamp>,
    /// When the last token ends by which it can be replaced.
    pub(crate) session_ends: Option<Timestamp>,
    /// The token itself, to be looked at again while a stream is open; none for nobody in particular.
    pub(crate) token: Option<Arc<Secret>>,
}

impl Actor {
    /// Nobody in particular, at a tenant that lets anybody in.
    pub(crate) fn anonymous(tenant: Arc<Tenant>, rights: Arc<Enforcer>) -> Self {
        Self {
            tenant,
            account: String::new(),
            subject: Subject::Anonymous,
            rights,
            means: Means::Anonymous,
            must_change_password: false,
            operator: false,
            issued_at: Timestamp::default(),
            token_id: String::new(),
            expires_at: None,
            session_ends: None,
            token: None,
        }
    }

    /// Whether it is nobody in particular: let in where a tenant lets anybody in, and known to nobody.
    pub(crate) fn is_stranger(&self) -> bool {
        self.means == Means::Anonymous
    }

    /// Whether it is an account of the tenant, by login or API key.
    pub(crate) fn is_account(&self) -> bool {
        matches!(self.means, Means::Login | Means::ApiKey)
    }
}

/// Whether the actor may. Only [`require`] and the readers of lists ask.
pub(crate) fn allows(actor: &Actor, resource: Resource, action: Action, object: &str) -> bool {
    allows_deed(actor, resource, action.as_str(), object)
}

/// The same of an action that goes on to say what it is done to: `delete/apps/Deployment/web/hello`.
pub(crate) fn allows_deed(actor: &Actor, resource: Resource, deed: &str, object: &str) -> bool {
    actor
        .rights
        .allows(&actor.subject, resource.as_str(), deed, object)
}

/// Demands a right.
///
/// # Errors
/// A refusal that names the right, as clients know it.
pub(crate) fn require(
    actor: &Actor,
    resource: Resource,
    action: Action,
    object: &str,
) -> Result<(), Status> {
    if allows(actor, resource, action, object) {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "permission denied: {}, {}, {object}, sub: {}, iat: {}",
        resource.as_str(),
        action.as_str(),
        actor.account,
        actor
            .issued_at
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    )))
}

/// Demands every right over what a tenant's settings decide: those of its `role:admin`, on every object without exception.
/// Settings reach all accounts and write the policy itself, hence whoever is denied but one object must not change them.
///
/// # Errors
/// The bare refusal.
pub(crate) fn require_administrator(actor: &Actor) -> Result<(), Status> {
    let decided = [
        Resource::Accounts,
        Resource::Projects,
        Resource::Clusters,
        Resource::Repositories,
    ];
    let update = Action::Update.as_str();
    if decided.iter().all(|resource| {
        let rights = &actor.rights;
        rights.allows_every(&actor.subject, resource.as_str(), update)
    }) {
        Ok(())
    } else {
        Err(denied())
    }
}

/// Demands that the actor runs the platform.
///
/// # Errors
/// The bare refusal: to everybody else, what the operator sees does not exist.
pub(crate) fn require_operator(actor: &Actor) -> Result<(), Status> {
    if actor.operator {
        Ok(())
    } else {
        Err(denied())
    }
}

/// The tenant that a request is about: the caller's own, or the one that the operator names.
///
/// # Errors
/// The bare refusal, for everybody else who names another.
pub(crate) async fn tenant_of(
    shared: &Shared,
    actor: &Actor,
    named: &str,
) -> Result<Arc<Tenant>, Status> {
    if named.is_empty() || named == actor.tenant.name.as_str() {
        return Ok(Arc::clone(&actor.tenant));
    }
    require_operator(actor)?;
    shared.tenant_named(named).await.map(Arc::new)
}

/// The one answer for missing and forbidden.
pub(crate) fn denied() -> Status {
    Status::permission_denied("permission denied")
}

#[cfg(test)]
pub(crate) mod tests {
    use domain::rbac::Policy;
    use domain::tenant::{TenantId, TenantName, TenantSettings};

    use super::*;

    pub(crate) fn actor(tenant: &str, account: &str, operator: bool) -> Actor {
        Actor {
            tenant: Arc::new(Tenant {
                id: TenantId(uuid::Uuid::nil()),
                name: TenantName::from_stored(tenant.to_owned()),
                hosts: vec![],
                namespaces: vec![],
                settings: TenantSettings::default(),
                standing: domain::tenant::Standing::default(),
            }),
            account: account.to_owned(),
            subject: Subject::parse(account),
            rights: Arc::new(Enforcer::compile(&Policy::default(), &[]).0),
            means: Means::Login,
            must_change_password: false,
            operator,
            issued_at: Timestamp::from_timestamp(0, 0).unwrap(),
            token_id: String::new(),
            expires_at: None,
            session_ends: None,
            token: None,
        }
    }

    #[test]
    fn admin_has_every_right_inside_and_none_over_the_platform() {
        let admin = actor("user01", "admin", false);
        assert!(require(&admin, Resource::Applications, Action::Sync, "default/a").is_ok());
        assert_eq!(
            require_operator(&admin).unwrap_err().message(),
            "permission denied"
        );
        assert!(require_operator(&actor("naru", "admin", true)).is_ok());
    }

    #[test]
    fn a_refusal_names_the_right_as_clients_know_it() {
        let refusal = require(
            &actor("user01", "bob", false),
            Resource::Applications,
            Action::Get,
            "default/a",
        )
        .unwrap_err();
        assert_eq!(
            refusal.message(),
            "permission denied: applications, get, default/a, sub: bob, iat: 1970-01-01T00:00:00Z"
        );
    }
}
