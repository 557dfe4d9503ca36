//! Certificates and host keys that a tenant trusts when it reaches for repositories.

mod pem;

use std::sync::Arc;

use domain::certificate::{Entry, KnownHost, Selector};
use proto::argocd::certificate as wire;
use proto::argocd::certificate::certificate_service_server::CertificateService;
use proto::k8s::meta::v1::ListMeta;
use proto::v1alpha1;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::identity;
use crate::permit::{self, Action, Resource};
use crate::shared::Shared;

/// The service.
pub(crate) struct Certificates {
    shared: Arc<Shared>,
}

impl Certificates {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

fn selector(query: &wire::RepositoryCertificateQuery) -> Selector<'_> {
    Selector {
        host: &query.host_name_pattern,
        kind: &query.cert_type,
        sub_kind: &query.cert_sub_type,
    }
}

fn list(items: Vec<v1alpha1::RepositoryCertificate>) -> v1alpha1::RepositoryCertificateList {
    v1alpha1::RepositoryCertificateList {
        metadata: Some(ListMeta::default()),
        items,
    }
}

/// What somebody wants to be trusted.
fn entry(wanted: &v1alpha1::RepositoryCertificate) -> Result<Entry, Status> {
    let data = std::str::from_utf8(wanted.cert_data())
        .map_err(|_| Status::invalid_argument("the certificate data is not text"))?;
    match wanted.cert_type() {
        "ssh" => Ok(Entry::Ssh(KnownHost {
            host: wanted.server_name().to_owned(),
            kind: wanted.cert_sub_type().to_owned(),
            data: data.trim_end().to_owned(),
        })),
        "https" => {
            let blocks = pem::blocks(data).map_err(Status::unknown)?;
            if blocks.is_empty() {
                return Err(Status::unknown("no valid PEM data received"));
            }
            for block in &blocks {
                pem::describe(block).map_err(Status::unknown)?;
            }
            Ok(Entry::Https {
                host: wanted.server_name().to_owned(),
                pem: data.to_owned(),
            })
        }
        other => Err(Status::unknown(format!(
            "unknown certificate type: {other}"
        ))),
    }
}

/// With their content, as they were added or removed: each certificate of a host on its own.
fn with_content(entry: Entry, added: bool) -> Vec<v1alpha1::RepositoryCertificate> {
    match entry {
        Entry::Ssh(key) => vec![v1alpha1::RepositoryCertificate {
            cert_info: added.then(|| key.fingerprint()),
            cert_type: Some("ssh".to_owned()),
            cert_data: Some(key.data.into_bytes()),
            server_name: Some(key.host),
            cert_sub_type: Some(key.kind),
        }],
        Entry::Https { host, pem } => {
            let blocks = pem::blocks(&pem).unwrap_or_default();
            let one = |block: String| v1alpha1::RepositoryCertificate {
                server_name: Some(host.clone()),
                cert_type: Some("https".to_owned()),
                cert_data: Some(block.into_bytes()),
                ..Default::default()
            };
            blocks.into_iter().map(one).collect()
        }
    }
}

/// Without it, as they are listed: what they are and whose.
fn described(entry: Entry) -> Vec<v1alpha1::RepositoryCertificate> {
    match entry {
        Entry::Ssh(key) => vec![v1alpha1::RepositoryCertificate {
            cert_info: Some(format!("SHA256:{}", key.fingerprint())),
            cert_type: Some("ssh".to_owned()),
            server_name: Some(key.host),
            cert_sub_type: Some(key.kind),
            cert_data: None,
        }],
        Entry::Https { host, pem } => {
            let blocks = pem::blocks(&pem).unwrap_or_default();
            let one = |block: String| {
                let (sub_type, info) = pem::describe(&block)
                    .unwrap_or_else(|error| ("invalid".to_owned(), error.to_owned()));
                v1alpha1::RepositoryCertificate {
                    server_name: Some(host.clone()),
                    cert_type: Some("https".to_owned()),
                    cert_sub_type: Some(sub_type),
                    cert_info: Some(info),
                    cert_data: None,
                }
            };
            blocks.into_iter().map(one).collect()
        }
    }
}

#[tonic::async_trait]
impl CertificateService for Certificates {
    async fn list_certificates(
        &self,
        request: Request<wire::RepositoryCertificateQuery>,
    ) -> Result<Response<v1alpha1::RepositoryCertificateList>, Status> {
        let actor = identity::actor(&request)?;
        permit::require(&actor, Resource::Certificates, Action::Get, "")?;
        let query = request.into_inner();
        let scope = self.shared.store.tenant(actor.tenant.id);
        let trust = scope.trust().certificates().await.map_err(failure::store)?;
        let found = trust.select(&selector(&query));
        Ok(Response::new(list(
            found.into_iter().flat_map(described).collect(),
        )))
    }

    async fn create_certificate(
        &self,
        request: Request<wire::RepositoryCertificateCreateRequest>,
    ) -> Result<Response<v1alpha1::RepositoryCertificateList>, Status> {
        let actor = identity::actor(&request)?;
        permit::require(&actor, Resource::Certificates, Action::Create, "")?;
        let wire::RepositoryCertificateCreateRequest {
            certificates,
            upsert,
        } = request.into_inner();
        let wanted = certificates.unwrap_or_default().items;
        let entries = wanted.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let changed = scope
            .trust()
            .change(|trust| trust.add(entries, upsert))
            .await;
        let added = changed.map_err(failure::store)?.map_err(Status::unknown)?;
        tracing::info!(tenant = %actor.tenant.name, account = actor.account, "trusts certificates or host keys");
        let added = added
            .into_iter()
            .flat_map(|entry| with_content(entry, true));
        Ok(Response::new(list(added.collect())))
    }

    async fn delete_certificate(
        &self,
        request: Request<wire::RepositoryCertificateQuery>,
    ) -> Result<Response<v1alpha1::RepositoryCertificateList>, Status> {
        let actor = identity::actor(&request)?;
        permit::require(&actor, Resource::Certificates, Action::Delete, "")?;
        let query = request.into_inner();
        let scope = self.shared.store.tenant(actor.tenant.id);
        let changed = scope
            .trust()
            .change(|trust| Ok::<_, std::convert::Infallible>(trust.remove(&selector(&query))))
            .await;
        let Ok(removed) = changed.map_err(failure::store)?;
        tracing::info!(tenant = %actor.tenant.name, account = actor.account, "no longer trusts certificates or host keys");
        let removed = removed
            .into_iter()
            .flat_map(|entry| with_content(entry, false));
        Ok(Response::new(list(removed.collect())))
    }
}
