//! What a tenant may use, for whom it binds.

use std::sync::Arc;

use domain::quota::Quota;
use proto::naru::v1 as wire;
use proto::naru::v1::quota_service_server::QuotaService;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::identity;
use crate::permit;
use crate::shared::Shared;

/// The service.
pub(crate) struct Quotas {
    shared: Arc<Shared>,
}

impl Quotas {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

#[tonic::async_trait]
impl QuotaService for Quotas {
    async fn get(
        &self,
        request: Request<wire::GetQuotasRequest>,
    ) -> Result<Response<wire::GetQuotasResponse>, Status> {
        let actor = identity::actor(&request)?;
        let named = request.into_inner().tenant;
        let tenant = permit::tenant_of(&self.shared, &actor, &named).await?;
        let scope = self.shared.store.tenant(tenant.id);
        let usage = scope.usage().await.map_err(failure::store)?;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let items = Quota::ALL.into_iter().map(|quota| {
            let allowed = tenant.allowed(quota).unwrap_or_default();
            let used = match quota {
                Quota::Calls if allowed > 0 => self.shared.standing.calls_used(tenant.id, allowed),
                _ => usage.get(&quota).copied().unwrap_or_default(),
            };
            wire::QuotaUse {
                name: quota.as_str().to_owned(),
                used: number(used),
                allowed: number(allowed),
                per_minute: quota.per_minute(),
            }
        });
        Ok(Response::new(wire::GetQuotasResponse {
            items: items.collect(),
        }))
    }
}
