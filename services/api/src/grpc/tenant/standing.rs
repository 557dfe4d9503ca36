//! Changing a tenant: its hosts and settings, its namespaces, what it may use, and whether it is let in.

use std::collections::BTreeMap;

use domain::message;
use domain::quota::{Quota, Quotas};
use domain::tenant::{TenantState, is_dns_label, is_reserved};
use proto::naru::v1 as wire;
use serde_json::json;
use store::{Claim, Release};
use tonic::{Code, Status};

use super::{Tenants, settings, shown, valid_host};
use crate::audit;
use crate::failure::{self, say};

impl Tenants {
    pub(super) async fn change(
        &self,
        asked: wire::UpdateTenantRequest,
    ) -> Result<wire::Tenant, Status> {
        let before = self.shared.tenant_named(&asked.name).await?;
        if let Some(wanted) = asked.settings {
            let wanted = settings(wanted)?;
            let scope = self.shared.store.tenant(before.id);
            scope.set_settings(&wanted).await.map_err(failure::store)?;
        }
        if !asked.hosts.is_empty() {
            let hosts = asked
                .hosts
                .iter()
                .map(|host| valid_host(host))
                .collect::<Result<Vec<_>, _>>()?;
            let platform = self.shared.store.platform();
            platform
                .set_tenant_hosts(before.id, hosts)
                .await
                .map_err(failure::store)?;
        }
        let after = self.shared.tenant_named(&asked.name).await?;
        audit::changed(
            json!({"hosts": before.hosts, "settings": before.settings}),
            json!({"hosts": after.hosts, "settings": after.settings}),
        );
        Ok(shown(after))
    }

    pub(super) async fn map(&self, asked: wire::NamespaceRequest) -> Result<wire::Tenant, Status> {
        let wire::NamespaceRequest { name, namespace } = asked;
        let tenant = self.shared.tenant_named(&name).await?;
        let invalid = || {
            say(
                Code::InvalidArgument,
                &message::tenant::NAMESPACE_INVALID.with("namespace", &namespace),
            )
        };
        // The operator's tenant may go anywhere but into these; it needs no row, and one would make it a tenant's.
        if !is_dns_label(&namespace) || is_reserved(&namespace) || tenant.name.is_operator() {
            return Err(invalid());
        }
        let platform = self.shared.store.platform();
        let claim = platform
            .map_namespace(tenant.id, &namespace)
            .await
            .map_err(failure::store)?;
        match claim {
            Claim::Claimed => Ok(shown(self.shared.tenant_named(&name).await?)),
            Claim::Taken => Err(say(
                Code::AlreadyExists,
                &message::tenant::NAMESPACE_TAKEN.with("namespace", namespace),
            )),
            Claim::Reserved => Err(say(
                Code::FailedPrecondition,
                &message::tenant::NAMESPACE_RESERVED.with("namespace", namespace),
            )),
            Claim::Quota => {
                let used = tenant.namespaces.len();
                let allowed = tenant.allowed(Quota::Namespaces).unwrap_or_default();
                Err(say(
                    Code::ResourceExhausted,
                    &message::tenant::QUOTA_REACHED
                        .with("quota", Quota::Namespaces.as_str())
                        .with("used", used)
                        .with("allowed", allowed),
                ))
            }
        }
    }

    pub(super) async fn release(
        &self,
        asked: wire::NamespaceRequest,
    ) -> Result<wire::Tenant, Status> {
        let wire::NamespaceRequest { name, namespace } = asked;
        let tenant = self.shared.tenant_named(&name).await?;
        let platform = self.shared.store.platform();
        let released = platform
            .release_namespace(tenant.id, &namespace)
            .await
            .map_err(failure::store)?;
        let refused = match released {
            Release::Released => None,
            Release::Absent => Some(message::tenant::NAMESPACE_ABSENT),
            Release::Home => Some(message::tenant::NAMESPACE_HOME),
            Release::Used => Some(message::tenant::NAMESPACE_USED),
        };
        if let Some(why) = refused {
            let why = why.with("namespace", namespace);
            return Err(say(Code::FailedPrecondition, &why));
        }
        // What the tenant's account may do there ends now; what is there stays.
        self.remove_namespaces(tenant.name.as_str(), vec![namespace], true)
            .await?;
        Ok(shown(self.shared.tenant_named(&name).await?))
    }

    pub(super) async fn allow(
        &self,
        asked: wire::SetQuotasRequest,
    ) -> Result<wire::Tenant, Status> {
        let mut wanted = BTreeMap::new();
        for (name, allowed) in asked.quotas {
            if Quota::parse(&name).is_none() {
                let known: Vec<&str> = Quota::ALL.iter().map(|quota| quota.as_str()).collect();
                return Err(say(
                    Code::InvalidArgument,
                    &message::tenant::QUOTA_UNKNOWN
                        .with("quota", name)
                        .with("known", known.join(", ")),
                ));
            }
            let Ok(allowed) = u64::try_from(allowed) else {
                return Err(say(
                    Code::InvalidArgument,
                    &message::tenant::QUERY_INVALID
                        .with("field", name)
                        .with("value", allowed),
                ));
            };
            wanted.insert(name, allowed);
        }
        let before = self.shared.tenant_named(&asked.name).await?;
        let platform = self.shared.store.platform();
        platform
            .set_tenant_quotas(before.id, &Quotas(wanted))
            .await
            .map_err(failure::store)?;
        let after = self.shared.tenant_named(&asked.name).await?;
        audit::changed(
            json!({"quotas": before.standing.quotas}),
            json!({"quotas": after.standing.quotas}),
        );
        Ok(shown(after))
    }

    pub(super) async fn stand(
        &self,
        name: &str,
        state: TenantState,
    ) -> Result<wire::Tenant, Status> {
        let before = self.shared.tenant_named(name).await?;
        if before.name.is_operator() {
            let why = message::tenant::OPERATORS_OWN.message();
            return Err(say(Code::FailedPrecondition, &why));
        }
        if before.standing.state == TenantState::Deleting {
            let why = message::tenant::DELETING.message();
            return Err(say(Code::FailedPrecondition, &why));
        }
        let platform = self.shared.store.platform();
        platform
            .set_tenant_state(before.id, state)
            .await
            .map_err(failure::store)?;
        audit::changed(
            json!({"state": before.standing.state.as_str()}),
            json!({"state": state.as_str()}),
        );
        Ok(shown(self.shared.tenant_named(name).await?))
    }
}
