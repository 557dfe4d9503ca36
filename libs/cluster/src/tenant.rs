//! A tenant's place in the cluster: its namespace, its account, and what that may do.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::resource::{ResourceKey, at};
use domain::tenant::TenantName;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::account::{ApplyOptions, WriteOptions};
use crate::connect::Cluster;
use crate::error::Error;

/// Says whose a namespace is.
pub const TENANT_LABEL: &str = "naru.io/tenant";

/// The name of a tenant's service account in each of its namespaces, and of that account's binding.
pub(crate) const ACCOUNT: &str = "naru";

/// Rights that do not show within this will not show by themselves.
const RIGHTS: Duration = Duration::from_secs(10);
/// How often is looked for them.
const LOOK: Duration = Duration::from_millis(50);

impl Cluster {
    /// Makes a namespace of a tenant what it must be: labelled as the tenant's, with the service account `naru`, which
    /// has the ClusterRole `admin` there. The operator's own tenant has `cluster-admin` everywhere instead.
    ///
    /// Does nothing that is done already. A namespace that exists and is not labelled for this tenant stays as it is.
    ///
    /// # Errors
    /// [`Error::ForeignNamespace`], or when the cluster refuses or does not answer.
    pub async fn ensure_tenant(&self, namespace: &str, tenant: &TenantName) -> Result<(), Error> {
        self.ensure_namespace(namespace, tenant).await?;
        let platform = self.as_platform();
        let options = ApplyOptions {
            migrate_from: None,
            ..ApplyOptions::default()
        };
        let labels = json!({TENANT_LABEL: tenant.as_str()});
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": labels}});
        platform.apply(&account, &options).await?;
        let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]);
        let binding = if tenant.is_operator() {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": format!("naru-tenant-{}", tenant.as_str()), "labels": labels},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": subjects})
        } else {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": labels},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
                "subjects": subjects})
        };
        platform.apply(&binding, &options).await?;
        self.await_rights(namespace, tenant).await
    }

    /// A binding counts only when the server's authorizer has seen it too, a moment after it was made.
    async fn await_rights(&self, namespace: &str, tenant: &TenantName) -> Result<(), Error> {
        let account = self.as_account(namespace, ACCOUNT)?.on_behalf_of(tenant);
        let question = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "metadata": {}, "spec": {"resourceAttributes":
                {"namespace": namespace, "verb": "patch", "group": "apps", "resource": "deployments"}}});
        let begun = Instant::now();
        loop {
            let answer = account.create(&question, WriteOptions::default()).await?;
            if at(&answer, &["status", "allowed"]).and_then(Value::as_bool) == Some(true) {
                return Ok(());
            }
            if begun.elapsed() > RIGHTS {
                return Err(Error::TimedOut {
                    seconds: RIGHTS.as_secs(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether a namespace may become this tenant's: it is not there yet, or is its own already, as it is then.
    ///
    /// To be asked before the namespace is written into the map, since what the map says is believed from then on.
    ///
    /// # Errors
    /// [`Error::ForeignNamespace`] when it is somebody else's; else what the cluster said.
    pub async fn check_namespace(
        &self,
        namespace: &str,
        tenant: &TenantName,
    ) -> Result<Option<Value>, Error> {
        let key = ResourceKey::of_namespace(namespace);
        let Some(live) = self.as_platform().get(&key, Some("v1")).await? else {
            return Ok(None);
        };
        let owner = at(&live, &["metadata", "labels", TENANT_LABEL]).and_then(Value::as_str);
        if owner == Some(tenant.as_str()) {
            return Ok(Some(live));
        }
        Err(Error::ForeignNamespace {
            namespace: namespace.to_owned(),
            tenant: tenant.as_str().to_owned(),
        })
    }

    async fn ensure_namespace(&self, namespace: &str, tenant: &TenantName) -> Result<(), Error> {
        let platform = self.as_platform();
        let key = ResourceKey::of_namespace(namespace);
        let mut live = platform.get(&key, Some("v1")).await?;
        if live.is_none() {
            let labels = BTreeMap::from([(TENANT_LABEL.to_owned(), tenant.as_str().to_owned())]);
            if platform
                .create_namespace(namespace, &labels, &BTreeMap::new())
                .await?
            {
                return Ok(());
            }
            live = platform.get(&key, Some("v1")).await?;
        }
        let label = live
            .as_ref()
            .and_then(|live| at(live, &["metadata", "labels", TENANT_LABEL]));
        match label.and_then(Value::as_str) {
            Some(owner) if owner == tenant.as_str() => Ok(()),
            // Naru may have been installed into its own namespace before it first ran.
            None if tenant.is_operator() && namespace == TenantName::OPERATOR => {
                let patch = json!({"metadata": {"labels": {TENANT_LABEL: tenant.as_str()}}});
                let merge = crate::account::PatchKind::Merge;
                platform
                    .patch(&key, Some("v1"), merge, &patch, WriteOptions::default())
                    .await?;
                Ok(())
            }
            _ => Err(Error::ForeignNamespace {
                namespace: namespace.to_owned(),
                tenant: tenant.as_str().to_owned(),
            }),
        }
    }
}
