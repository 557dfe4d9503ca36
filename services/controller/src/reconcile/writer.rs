//! As whom an application's objects are written, and read for a person: the tenant's own account, or the one that its
//! project names where the tenant's settings say so (client required for reading, none for judging).
//!
//! One answer for whatever a tenant causes: a sync, a deletion, the hooks of both, what people change by hand, logs, events
//! and terminals. What is read and tried to compare is asked for as the tenant's own account ([`Context::account`]).

use std::sync::Arc;

use cluster::Account;
use domain::application::{Application, CONTROL_PLANE_NAMESPACE, Destination, Spec};
use domain::cause::Cause;
use domain::message;
use domain::project::Rules;
use domain::project::deputy::{Errand, ServiceAccount};
use domain::resource::ResourceKey;
use serde_json::Value;

use super::subject;
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::tenants::TenantFacts;

/// As whom.
#[derive(Clone, Debug)]
pub struct Writer {
    /// Whose own account it may be, as known now: each of a tenant's namespaces has one, and one that a sync has just made as
    /// well.
    pub tenant: Arc<TenantFacts>,
    /// Who names the account, for people.
    project: String,
    /// The account where it is not the tenant's own, or why nobody may.
    deputy: Result<Option<ServiceAccount>, Cause>,
}

impl Writer {
    /// The tenant's own account.
    #[must_use]
    pub fn own(tenant: &Arc<TenantFacts>) -> Self {
        Self {
            tenant: tenant.clone(),
            project: String::new(),
            deputy: Ok(None),
        }
    }

    /// The account that a project names for a destination; where it names none nobody, or the tenant's own where that is not
    /// enforced. In the shared cluster it has to be in a namespace of the tenant's own, whose rights the tenant could use there
    /// without us: in that of another it would be lent what is not its own.
    #[must_use]
    pub fn named(
        spec: &Spec,
        destination: &Destination,
        tenant: &Arc<TenantFacts>,
        rules: &Rules,
        enforced: bool,
    ) -> Self {
        let added = tenant.added().is_some();
        let errand = Errand {
            project: spec.project(),
            server: &destination.server,
            namespace: &destination.namespace,
            home: match added {
                true => CONTROL_PLANE_NAMESPACE,
                false => tenant.home(),
            },
        };
        let deputy = errand.deputy(&rules.destination_service_accounts, |namespace| {
            added || tenant.owns(namespace)
        });
        Self {
            tenant: tenant.clone(),
            project: spec.project().to_owned(),
            deputy: match deputy {
                Err(cause) if !enforced && cause.message.is(&message::sync::NO_SERVICE_ACCOUNT) => {
                    Ok(None)
                }
                deputy => deputy.map(Some),
            },
        }
    }

    /// That of an application of which no more may be known than its row: it goes, whatever became of what it names. Nobody
    /// may where the project cannot be asked.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read(
        ctx: &Context,
        key: &AppKey,
        app: &Application,
        tenant: &Arc<TenantFacts>,
    ) -> store::Result<Self> {
        let settings = ctx.tenants.settings(key.tenant).await?;
        if !settings.sync_impersonates {
            return Ok(Self::own(tenant));
        }
        let nobody = |cause| Self {
            tenant: tenant.clone(),
            project: String::new(),
            deputy: Err(cause),
        };
        let spec = match subject::spec(app) {
            Ok(spec) => spec,
            Err(cause) => return Ok(nobody(cause)),
        };
        let project = match subject::project(ctx, key, &spec).await? {
            Ok(project) => project,
            Err(cause) => return Ok(nobody(cause)),
        };
        let rules = subject::rules(&project, &spec);
        let destination = subject::destination(&spec, tenant);
        Ok(match (rules, destination) {
            (Ok(rules), Ok(destination)) => {
                let enforced = settings.impersonation_enforced;
                Self::named(&spec, &destination, tenant, rules, enforced)
            }
            (Err(cause), _) | (_, Err(cause)) => nobody(cause),
        })
    }

    /// It, or the tenant's own account where nobody may: for what is ours in the cluster, by which nobody gains anything, and
    /// which must not stay there for ever.
    #[must_use]
    pub fn or_own(self) -> Self {
        match self.deputy {
            Ok(_) => self,
            Err(_) => Self::own(&self.tenant),
        }
    }

    /// Whether it is an account that the project has named.
    #[must_use]
    pub fn is_deputy(&self) -> bool {
        matches!(self.deputy, Ok(Some(_)))
    }

    /// Why nobody may.
    #[must_use]
    pub fn nobody(&self) -> Option<&Cause> {
        self.deputy.as_ref().err()
    }

    /// Requests as whom it is, for objects of a namespace (empty: cluster-scoped ones).
    ///
    /// # Errors
    /// When nobody may, or the names are no names.
    pub fn account(&self, ctx: &Context, namespace: &str) -> Result<Account, cluster::Error> {
        match &self.deputy {
            Ok(None) => ctx.account(&self.tenant, namespace),
            Ok(Some(deputy)) => ctx.deputy(&self.tenant, deputy),
            Err(cause) => Err(cluster::Error::NobodyMay(Box::new(cause.clone()))),
        }
    }

    /// Asks for an object as the tenant's account, and where that may not read it as the one that a project names: it may have made
    /// it. `version` is that in which it is read, where that matters.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub async fn ask(
        &self,
        ctx: &Context,
        key: &ResourceKey,
        version: Option<&str>,
    ) -> Result<Option<Value>, cluster::Error> {
        let account = ctx.account(&self.tenant, &key.namespace)?;
        match account.get(key, version).await {
            Err(error) if error.is_forbidden() && self.is_deputy() => {
                let deputy = self.account(ctx, &key.namespace)?;
                deputy.get(key, version).await
            }
            answer => answer,
        }
    }

    /// Why something could not be written; where an account that the project has named lacks a right, it is named.
    #[must_use]
    pub fn cause(&self, error: &cluster::Error) -> Cause {
        let cause = error.cause();
        match self.lacking(&cause) {
            Some(deputy) => {
                let message = message::sync::SERVICE_ACCOUNT_FORBIDDEN
                    .with("account", deputy)
                    .with("project", &self.project);
                Cause { message, ..cause }
            }
            None => cause,
        }
    }

    /// Why an object does not go with its application, which waits for that while it has the finalizer.
    #[must_use]
    pub fn stays(&self, object: &ResourceKey, error: &cluster::Error, finalizer: &str) -> Cause {
        let message = match self.lacking(&error.cause()) {
            Some(deputy) => message::app::DELETION_FORBIDDEN
                .with("account", deputy)
                .with("project", &self.project)
                .with("finalizer", finalizer),
            None => message::app::DELETION_REFUSED.message(),
        };
        let cause = Cause::error(message.with("resource", object)).on(object.clone());
        cause.evidence(error.to_string())
    }

    /// The account that the project has named, if what it lacks is a right.
    fn lacking(&self, cause: &Cause) -> Option<&ServiceAccount> {
        let deputy = self.deputy.as_ref().ok()?.as_ref()?;
        cause
            .message
            .is(&message::cluster::FORBIDDEN)
            .then_some(deputy)
    }
}
