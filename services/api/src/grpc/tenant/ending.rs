//! The export of a tenant, and its end: everything it has goes, and the answer proves it.
//!
//! Each step may be cut off and done again: the tenant is closed first, so that nothing new comes while the rest goes;
//! its rows go last, in one transaction that leaves the tombstone; then everything is counted once more, and the count,
//! all zero, is written on the tombstone. A call that was cut off is called again and goes on where the last one was.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::message;
use domain::tenant::{Tenant, TenantId, TenantState};
use futures::{StreamExt, TryStreamExt};
use proto::naru::internal::v1::{ForgetTenantRequest, RemoveNamespacesRequest};
use proto::naru::v1 as wire;
use serde_json::json;
use store::Tombstone;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::Tenants;
use crate::failure::{self, say};
use crate::grpc::Parts;

/// How many rows are read at once.
const PAGE: i64 = 200;
/// Where the first page begins.
const BEGINNING: &str = "(0,0)";
/// How long one call waits for namespaces to go; what is in them has an end of its own.
const PATIENCE: Duration = Duration::from_secs(45);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Tenants {
    /// A tenant's rows, table by table.
    pub(super) async fn lines(
        &self,
        tenant: TenantId,
    ) -> Result<Parts<wire::TenantExportLine>, Status> {
        let platform = self.shared.store.platform();
        let tables = platform.tenant_rows(tenant).await.map_err(failure::store)?;
        let pages = futures::stream::iter(tables.into_keys()).flat_map(move |table| {
            let platform = platform.clone();
            let begin = (platform, table, Some(BEGINNING.to_owned()));
            futures::stream::try_unfold(begin, move |(platform, table, after)| async move {
                let Some(after) = after else {
                    return Ok(None);
                };
                let (rows, next) = platform
                    .export_tenant(tenant, &table, &after, PAGE)
                    .await
                    .map_err(failure::store)?;
                let lines: Vec<Result<_, Status>> = rows
                    .into_iter()
                    .map(|row| {
                        let line = json!({"table": table, "row": row}).to_string();
                        Ok(wire::TenantExportLine { line })
                    })
                    .collect();
                Ok::<_, Status>(Some((
                    futures::stream::iter(lines),
                    (platform, table, next),
                )))
            })
        });
        Ok(Box::pin(pages.try_flatten()))
    }

    /// Deletes a tenant, or goes on deleting it.
    pub(super) async fn end(
        &self,
        asked: wire::DeleteTenantRequest,
    ) -> Result<wire::DeleteTenantResponse, Status> {
        let platform = self.shared.store.platform();
        let found = platform
            .tenant_by_name(&asked.name)
            .await
            .map_err(failure::store)?;
        let Some(tenant) = found else {
            let stone = platform
                .tombstone(&asked.name)
                .await
                .map_err(failure::store)?;
            return match stone {
                Some(stone) => self.prove(stone).await,
                None => Err(failure::no_tenant(&asked.name)),
            };
        };
        if tenant.name.is_operator() {
            let why = message::tenant::OPERATORS_OWN.message();
            return Err(say(Code::FailedPrecondition, &why));
        }
        if !(asked.export_acknowledged || asked.without_export) {
            let why = message::tenant::EXPORT_FIRST.with("name", &asked.name);
            return Err(say(Code::FailedPrecondition, &why));
        }
        platform
            .set_tenant_state(tenant.id, TenantState::Deleting)
            .await
            .map_err(failure::store)?;
        tracing::info!(tenant = %tenant.name, "a tenant is being deleted");
        let left = self.emptied(&tenant, asked.keep_cluster_objects).await?;
        if !left.is_empty() {
            return Ok(wire::DeleteTenantResponse {
                id: tenant.id.to_string(),
                finished: false,
                left: left.into_iter().collect(),
                destroyed_at_unix_seconds: 0,
            });
        }
        platform
            .destroy_tenant(tenant.id)
            .await
            .map_err(failure::store)?;
        let stone = platform
            .tombstone(&asked.name)
            .await
            .map_err(failure::store)?;
        let stone = stone.filter(|stone| stone.tenant == tenant.id);
        let stone = stone.ok_or_else(failure::internal)?;
        let proved = self.prove(stone).await?;
        tracing::info!(tenant = %tenant.name, "a tenant was deleted");
        Ok(proved)
    }

    /// Empties all but the rows; what is left.
    async fn emptied(
        &self,
        tenant: &Tenant,
        keep_objects: bool,
    ) -> Result<BTreeMap<String, i64>, Status> {
        let begun = Instant::now();
        let left = loop {
            // The controller lets go of the tenant's applications before it answers.
            let left = self
                .remove_namespaces(
                    tenant.name.as_str(),
                    tenant.namespaces.clone(),
                    keep_objects,
                )
                .await?;
            if left.is_empty() || begun.elapsed() > PATIENCE {
                break left;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let mut counts: BTreeMap<String, i64> = left
            .into_iter()
            .map(|namespace| (format!("namespace/{namespace}"), 1))
            .collect();
        let outside = self.forgotten(tenant.id).await?;
        counts.extend(outside.into_iter().filter(|(_, left)| *left > 0));
        Ok(counts)
    }

    /// Forgets what Redis and the repo-servers have of a tenant; what is left there, by place.
    async fn forgotten(&self, tenant: TenantId) -> Result<BTreeMap<String, i64>, Status> {
        let mut counts = BTreeMap::new();
        let Some(left) = self.shared.cache.forget_tenant(tenant).await else {
            let why = message::tenant::STILL_GOING
                .with("name", tenant)
                .with("left", "Redis does not answer");
            return Err(say(Code::Unavailable, &why));
        };
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        counts.insert(format!("redis/{}", self.shared.cache.prefix(tenant)), left);
        for (server, mut client) in self.shared.repo_servers.all() {
            let request = ForgetTenantRequest {
                tenant: tenant.to_string(),
            };
            let answer = client.forget_tenant(request).await?.into_inner();
            counts.insert(format!("mirrors/{server}"), answer.left);
        }
        Ok(counts)
    }

    /// Counts everything once more and writes it on the tombstone; a tombstone that has a proof is believed.
    async fn prove(&self, stone: Tombstone) -> Result<wire::DeleteTenantResponse, Status> {
        let platform = self.shared.store.platform();
        let proof: BTreeMap<String, i64> = match stone.proof {
            Some(proof) => serde_json::from_value(proof).map_err(|error| {
                tracing::error!(%error, "a tombstone cannot be read");
                failure::internal()
            })?,
            None => {
                let rows = platform
                    .tenant_rows(stone.tenant)
                    .await
                    .map_err(failure::store)?;
                let mut counts: BTreeMap<String, i64> = rows
                    .into_iter()
                    .map(|(table, held)| (format!("postgres/{table}"), held))
                    .collect();
                counts.extend(self.forgotten(stone.tenant).await?);
                if counts.values().all(|left| *left == 0) {
                    platform
                        .prove_destroyed(stone.tenant, &json!(counts))
                        .await
                        .map_err(failure::store)?;
                }
                counts
            }
        };
        Ok(wire::DeleteTenantResponse {
            id: stone.tenant.to_string(),
            finished: proof.values().all(|left| *left == 0),
            left: proof.into_iter().collect(),
            destroyed_at_unix_seconds: stone.destroyed_at.timestamp(),
        })
    }

    /// Takes namespaces from a tenant; those that are still there, or still its own.
    pub(super) async fn remove_namespaces(
        &self,
        tenant_name: &str,
        namespaces: Vec<String>,
        keep_objects: bool,
    ) -> Result<Vec<String>, Status> {
        let mut controller = self.shared.controllers.owner().await?;
        let request = RemoveNamespacesRequest {
            tenant_name: tenant_name.to_owned(),
            namespaces,
            keep_objects,
        };
        Ok(controller
            .remove_namespaces(request)
            .await?
            .into_inner()
            .left)
    }
}
