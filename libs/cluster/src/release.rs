//! Taking a namespace from a tenant, with what is in it or without.

use domain::resource::{ResourceKey, at};
use domain::tenant::TenantName;
use serde_json::{Value, json};

use crate::account::{DeleteOptions, PatchKind, Propagation, WriteOptions};
use crate::connect::Cluster;
use crate::error::Error;
use crate::tenant::{ACCOUNT, TENANT_LABEL};

/// Says whose a namespace was that was left as it is. No later tenant gets it, whatever its name.
const RELEASED_LABEL: &str = "naru.io/released";

impl Cluster {
    /// Takes a namespace from a tenant; `true` when it is not the tenant's any more. One that goes with all that is in
    /// it takes a while: to be asked again.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub async fn release_namespace(
        &self,
        namespace: &str,
        tenant: &TenantName,
        keep_objects: bool,
    ) -> Result<bool, Error> {
        let platform = self.as_platform();
        let key = |group: &str, kind: &str, within: &str, name: &str| ResourceKey {
            group: group.into(),
            kind: kind.into(),
            namespace: within.into(),
            name: name.into(),
        };
        let itself = key("", "Namespace", "", namespace);
        let Some(live) = platform.get(&itself, Some("v1")).await? else {
            return Ok(true);
        };
        let owner = at(&live, &["metadata", "labels", TENANT_LABEL]).and_then(Value::as_str);
        if owner != Some(tenant.as_str()) {
            return Ok(true);
        }
        let options = DeleteOptions {
            propagation: Propagation::Background,
            ..DeleteOptions::default()
        };
        if !keep_objects {
            if at(&live, &["metadata", "deletionTimestamp"]).is_none() {
                platform.delete(&itself, Some("v1"), &options).await?;
            }
            return Ok(false);
        }
        // Its account first: what it may do ends before the namespace is nobody's.
        let rbac = "rbac.authorization.k8s.io";
        let binding = key(rbac, "RoleBinding", namespace, ACCOUNT);
        platform.delete(&binding, Some("v1"), &options).await?;
        let account = key("", "ServiceAccount", namespace, ACCOUNT);
        platform.delete(&account, Some("v1"), &options).await?;
        let patch = json!({"metadata": {"labels":
            {TENANT_LABEL: Value::Null, RELEASED_LABEL: tenant.as_str()}}});
        let write = WriteOptions::default();
        platform
            .patch(&itself, Some("v1"), PatchKind::Merge, &patch, write)
            .await?;
        Ok(true)
    }
}
