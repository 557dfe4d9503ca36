//! Taking namespaces from a tenant that goes, or that gives one up.

use domain::tenant::TenantName;
use proto::naru::internal::v1::RemoveNamespacesRequest;
use tonic::{Code, Status};

use super::{database, refused};
use crate::context::Context;

/// The namespaces that are still there, or still the tenant's.
pub(super) async fn namespaces(
    ctx: &Context,
    asked: RemoveNamespacesRequest,
) -> Result<Vec<String>, Status> {
    let tenant: TenantName = asked
        .tenant_name
        .parse()
        .map_err(|_| Status::new(Code::InvalidArgument, "this tenant's namespaces stay"))?;
    // What the database says now is heeded before anything is taken away, so that nothing is made again meanwhile.
    if let Some(id) = ctx.tenants.id_of(tenant.as_str()) {
        ctx.tenants
            .refresh(id)
            .await
            .map_err(|error| database(&error))?;
    }
    let mut left = Vec::new();
    for namespace in asked.namespaces {
        let gone = ctx
            .cluster
            .release_namespace(&namespace, &tenant, asked.keep_objects)
            .await
            .map_err(|error| refused(&error))?;
        if !gone {
            left.push(namespace);
        }
    }
    Ok(left)
}
