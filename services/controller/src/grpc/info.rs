//! What the cluster says of itself.

use std::collections::BTreeSet;

use domain::tenant::TenantId;
use proto::naru::internal::v1::ClusterInfoResponse;
use tonic::Status;

use super::database;
use crate::context::Context;

/// Version, kinds and reachability; the number of objects is that of the tenant's own.
pub(super) async fn cluster_info(
    ctx: &Context,
    tenant: TenantId,
) -> Result<ClusterInfoResponse, Status> {
    let facts = ctx
        .tenants
        .get(tenant)
        .await
        .map_err(|error| database(&error))?;
    let facts = facts.ok_or_else(|| Status::not_found("tenant not found"))?;
    let connection = ctx.cluster.connection().borrow().clone();
    let discovery = ctx.cluster.discovery();
    let index = ctx.cluster.index();
    let resources = if facts.tenant.name.is_operator() {
        index.len()
    } else {
        facts
            .tenant
            .namespaces
            .iter()
            .map(|namespace| index.in_namespace(namespace).len())
            .sum()
    };
    let apis: BTreeSet<(&str, &str)> = discovery
        .watched()
        .map(|kind| (kind.group.as_str(), kind.kind.as_str()))
        .collect();
    let version = discovery.server_version();
    Ok(ClusterInfoResponse {
        reachable: connection.reachable,
        message: connection.message,
        server_version: format!("{}.{}", version.major, version.minor)
            .trim_matches('.')
            .to_owned(),
        api_versions: discovery.api_versions().to_vec(),
        resources: i64::try_from(resources).unwrap_or(i64::MAX),
        apis: i64::try_from(apis.len()).unwrap_or(i64::MAX),
        last_sync_unix_seconds: connection.since.timestamp(),
    })
}
